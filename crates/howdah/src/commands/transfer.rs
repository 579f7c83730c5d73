//! What `pull` and `push` share: credentials, progress and hints.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use howdah_image::{Digest, RegistryError, Transfer, TransferState};

use super::CommandError;
use super::display::human_size;

/// Docker's configuration: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
pub(super) fn docker_config() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let directory = std::env::var_os("DOCKER_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(home);
    directory.map(|directory| directory.join("config.json"))
}

/// Tells of blobs on stderr: one line that changes on a terminal, else a line for each blob's change of state.
#[derive(Debug)]
pub(super) struct Progress {
    verb: &'static str,
    quiet: bool,
    terminal: bool,
    blobs: RefCell<BTreeMap<Digest, Transfer>>,
}

impl Progress {
    /// `verb` says what moves blobs: `pulling`, `pushing`.
    pub(super) fn new(verb: &'static str, quiet: bool) -> Self {
        Self {
            verb,
            quiet,
            terminal: std::io::stderr().is_terminal(),
            blobs: RefCell::default(),
        }
    }

    /// Takes a report.
    pub(super) fn tell(&self, transfer: Transfer) {
        if self.quiet {
            return;
        }
        let before = self.blobs.borrow_mut().insert(transfer.digest, transfer);
        if self.terminal {
            self.draw();
        } else if before.is_none_or(|before| before.state != transfer.state) {
            anstream::eprintln!("{} {}", &transfer.digest.hex()[..12], words(&transfer));
        }
    }

    /// Removes the changing line.
    pub(super) fn finish(&self) {
        if self.terminal && !self.blobs.borrow().is_empty() {
            anstream::eprint!("\r\u{1b}[K");
        }
    }

    fn draw(&self) {
        let blobs = self.blobs.borrow();
        let complete =
            |blob: &&Transfer| matches!(blob.state, TransferState::Done | TransferState::Present);
        let done: u64 = blobs.values().map(|blob| blob.done).sum();
        let total: u64 = blobs.values().map(|blob| blob.total).sum();
        let finished = blobs.values().filter(complete).count();
        let (verb, count) = (self.verb, blobs.len());
        anstream::eprint!(
            "\r\u{1b}[K{verb} {finished}/{count} layers, {} / {}",
            human_size(done),
            human_size(total)
        );
        drop(std::io::stderr().flush());
    }
}

fn words(transfer: &Transfer) -> String {
    match transfer.state {
        TransferState::Present => "exists already".to_owned(),
        TransferState::Moving => format!("moving {}", human_size(transfer.total)),
        TransferState::Unpacking => "unpacking".to_owned(),
        TransferState::Done => "done".to_owned(),
    }
}

/// What to do about a registry's failure.
pub(super) fn with_hint(error: RegistryError) -> CommandError {
    let hint = match &error {
        RegistryError::NotFound(_) => Some("check the spelling of the name and the tag"),
        RegistryError::Denied { .. } => Some(
            "`docker login`, or write the login to ~/.docker/config.json; private images that do not exist look the same",
        ),
        RegistryError::RateLimited(_) => {
            Some("log in, or wait; `howdah image bootstrap` needs no registry")
        }
        RegistryError::Unreachable { .. } => Some(
            "is the registry running, the name right, and HTTPS_PROXY set if this machine needs one?",
        ),
        RegistryError::NoPlatform { .. } => Some("--platform asks for another one"),
        _ => None,
    };
    let error = CommandError::from(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
