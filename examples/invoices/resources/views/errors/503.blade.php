@extends('layouts.error')

@section('title', 'Back in a moment')
@section('message', 'The application is being maintained.')
