//! The Compose model and the keeper of a running stack.
