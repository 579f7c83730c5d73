<span class="badge {{ $state->value }}">{{ $state->label() }}</span>
