@extends('layouts.error')

@section('title', 'This page was open for too long')
@section('message', 'Go back, reload it and try again.')
