@extends('layout')
@section('title', 'Customers')
@section('content')
    <form method="post" action="{{ url('/customers') }}">@csrf <input name="name" value="{{ old('name') }}"></form>
    @foreach ($customers as $customer)
        @include('customer', $customer)
    @endforeach
@endsection
