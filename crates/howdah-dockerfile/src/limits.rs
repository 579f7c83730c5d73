//! How much a hostile Dockerfile may ask of us. Far above anything written by a person.

/// Bytes of a Dockerfile.
pub(crate) const TEXT_BYTES: usize = 4 << 20;
/// Faults reported for one file; what comes after is noise.
pub(crate) const FAULTS: usize = 50;
/// Heredocs of one instruction.
pub(crate) const HEREDOCS: usize = 256;
/// `${a:-${b:-${c...}}}` inside one another.
pub(crate) const NESTING: usize = 64;
/// Bytes that the expansion of one word may produce (`ENV A=$A$A` doubles on every line).
pub(crate) const EXPANSION_BYTES: usize = 16 << 20;
/// Steps that `${name/pattern/replacement}` may take.
pub(crate) const PATTERN_STEPS: usize = 1 << 24;
/// Patterns of one ignore file.
pub(crate) const IGNORE_PATTERNS: usize = 10_000;
/// Bytes of one ignore or wildcard pattern; a path cannot be longer either (`PATH_MAX`).
pub(crate) const PATTERN_BYTES: usize = 4096;
