<p><a href="{{ url('/customers/' . $id) }}">{{ $name }}</a></p>
