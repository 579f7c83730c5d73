//! Dockerfile text to typed instructions with spans.
