//! A generic solver of directed acyclic graphs with cache keys.
