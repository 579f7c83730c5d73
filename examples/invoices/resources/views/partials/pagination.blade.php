@if ($paginator->hasPages())
    <nav class="pages" aria-label="Pages">
        @if ($paginator->onFirstPage())
            <span class="button" aria-disabled="true">Newer</span>
        @else
            <a class="button" href="{{ $paginator->previousPageUrl() }}" rel="prev">Newer</a>
        @endif
        <span>Page {{ $paginator->currentPage() }} of {{ $paginator->lastPage() }}</span>
        @if ($paginator->hasMorePages())
            <a class="button" href="{{ $paginator->nextPageUrl() }}" rel="next">Older</a>
        @else
            <span class="button" aria-disabled="true">Older</span>
        @endif
    </nav>
@endif
