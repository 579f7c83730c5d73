//! SSH agents that a build forwards: `--ssh`, and `ssh:` of a compose.yaml.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use howdah_build::DEFAULT_AGENT;

use crate::commands::CommandError;

/// `default`, or `name[=SOCKET]`; without a socket the one of `SSH_AUTH_SOCK`.
pub(super) fn agent(text: &str) -> Result<(String, PathBuf), CommandError> {
    let (name, socket) = text.split_once('=').unwrap_or((text, ""));
    let name = if name.is_empty() { DEFAULT_AGENT } else { name };
    if !socket.is_empty() {
        return Ok((name.to_owned(), self::socket(socket)?));
    }
    match std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()) {
        Some(socket) => Ok((name.to_owned(), socket.into())),
        None => Err(CommandError::new(format!(
            "the SSH agent `{name}` cannot be forwarded: SSH_AUTH_SOCK is not set"
        ))
        .hint("start an agent: eval $(ssh-agent); ssh-add")),
    }
}

fn socket(place: &str) -> Result<PathBuf, CommandError> {
    let metadata = fs_err::metadata(place)?;
    if metadata.file_type().is_socket() {
        return Ok(Path::new(place).to_owned());
    }
    // buildx would be an agent for the key; ours never reads keys.
    let error = CommandError::new(format!("`{place}` is not the socket of an SSH agent"));
    Err(error
        .hint(format!(
            "keys are given by an agent: eval $(ssh-agent); ssh-add {place}; howdah build --ssh default"
        ))
        .code(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_named_and_keys_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let text = |name: &str| format!("{name}={}", path.display());
        assert_eq!(
            agent(&text("git")).unwrap(),
            ("git".to_owned(), path.clone())
        );
        assert_eq!(agent(&text("")).unwrap().0, "default");
        fs_err::write(directory.path().join("key"), "").unwrap();
        assert!(
            agent(&format!(
                "default={}",
                directory.path().join("key").display()
            ))
            .is_err()
        );
        assert!(agent("default=/no/such/socket").is_err());
    }
}
