@extends('layouts.error')

@section('title', 'Not found')
@section('message', 'There is no such page or invoice.')
