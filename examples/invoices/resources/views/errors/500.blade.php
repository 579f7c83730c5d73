@extends('layouts.error')

@section('title', 'Something went wrong')
@section('message', 'The error was written to the log.')
