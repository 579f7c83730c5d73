//! Names of variables that hold secrets.

/// The words of BuildKit's check `SecretsUsedInArgOrEnv` (moby/buildkit `frontend/dockerfile/linter/ruleset.go`).
const WORDS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

/// Whether one of the words of a variable's name, which `_` separates, tells of a secret.
pub fn names_secret(name: &str) -> bool {
    has_word(name, &WORDS)
}

/// Whether one of a name's words is `known`, which is in lower case.
pub fn has_word(name: &str, known: &[&str]) -> bool {
    name.split('_')
        .any(|word| known.contains(&word.to_ascii_lowercase().as_str()))
}
