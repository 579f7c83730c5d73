//! What `pull` and `push` share: credentials, progress and hints.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use howdah_build::{MachineError, check_machine};
use howdah_image::registry::{ConfigFiles, TransportError};
use howdah_image::{
    Digest, Image, Notice, RegistryError, RegistryOptions, Store, Transfer, TransferState,
};

use super::CommandError;
use super::display::human_size;

/// What the environment says of registries: Docker's login file and where registries are configured.
pub(super) fn registry_options() -> RegistryOptions {
    let below_home =
        |path: &str| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(path));
    let docker = directory("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    let user = directory("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    // The machine's own first: what the user says comes on top.
    let both = |machine: &str, own: &str| {
        let own = user.as_ref().map(|directory| directory.join(own));
        std::iter::once(PathBuf::from(machine)).chain(own).collect()
    };
    RegistryOptions {
        docker_config: docker.map(|directory| directory.join("config.json")),
        config_files: ConfigFiles {
            docker_daemon: both("/etc/docker/daemon.json", "docker/daemon.json"),
            certificates: both("/etc/docker/certs.d", "docker/certs.d"),
            registries: both("/etc/howdah/registries.toml", "howdah/registries.toml"),
        },
        ..RegistryOptions::default()
    }
}

fn directory(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Tells of blobs on stderr: one line that changes on a terminal, else a line for each blob's change of state.
#[derive(Debug)]
pub(super) struct Progress {
    what: String,
    quiet: bool,
    terminal: bool,
    blobs: RefCell<BTreeMap<Digest, Transfer>>,
}

impl Progress {
    /// `what` is what moves blobs: `pulling alpine`.
    pub(super) fn new(what: String, quiet: bool) -> Self {
        Self {
            what,
            quiet,
            terminal: std::io::stderr().is_terminal(),
            blobs: RefCell::default(),
        }
    }

    /// Takes a report.
    pub(super) fn tell(&self, notice: Notice) {
        if self.quiet {
            return;
        }
        match notice {
            Notice::Blob(transfer) => self.moved(transfer),
            Notice::Waiting {
                registry,
                reason,
                delay,
            } => {
                let seconds = delay.as_secs_f64();
                self.line(&format!(
                    "{registry}: {reason}; trying again in {seconds:.1} seconds"
                ));
            }
            Notice::MirrorFailed { mirror, reason } => {
                self.line(&format!("the mirror `{mirror}` is passed over: {reason}"));
            }
        }
    }

    /// A line that stays, above the changing one.
    fn line(&self, text: &str) {
        self.finish();
        anstream::eprintln!("{text}");
    }

    fn moved(&self, transfer: Transfer) {
        let before = self.blobs.borrow_mut().insert(transfer.digest, transfer);
        if self.terminal {
            self.draw();
        } else if before.is_none_or(|before| before.state != transfer.state) {
            let digest = &transfer.digest.hex()[..12];
            anstream::eprintln!("{}: {digest} {}", self.what, words(&transfer));
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
        let complete = |blob: &&Transfer| {
            !matches!(blob.state, TransferState::Moving | TransferState::Unpacking)
        };
        let done: u64 = blobs.values().map(|blob| blob.done).sum();
        let total: u64 = blobs.values().map(|blob| blob.total).sum();
        let finished = blobs.values().filter(complete).count();
        let (what, count) = (&self.what, blobs.len());
        anstream::eprint!(
            "\r\u{1b}[K{what}: {finished}/{count} layers, {} / {}",
            human_size(done),
            human_size(total)
        );
        drop(std::io::stderr().flush());
    }
}

fn words(transfer: &Transfer) -> String {
    match transfer.state {
        TransferState::Present => "exists already".to_owned(),
        TransferState::Mounted => "is in another repository there already".to_owned(),
        TransferState::Moving => format!("moving {}", human_size(transfer.total)),
        TransferState::Unpacking => "unpacking".to_owned(),
        TransferState::Done => "done".to_owned(),
    }
}

/// Refuses to let out an image whose programs are for another machine than it says.
pub(super) fn checked(store: &Store, image: &Image) -> Result<(), CommandError> {
    check_machine(store, image).map_err(|error| match error {
        MachineError::Differs { .. } => CommandError::from(error).hint(
            "keep --platform=$BUILDPLATFORM for stages that only make files, take it off the last FROM, and let \
             compilers make programs for $TARGETARCH",
        ),
        error @ MachineError::Read { .. } => CommandError::from(error),
    })
}

/// What to do about a registry's failure.
pub(super) fn with_hint(error: RegistryError) -> CommandError {
    let hint = hint(&error);
    let error = CommandError::from(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The same for a failure inside of another one.
pub(super) fn hint(error: &RegistryError) -> Option<String> {
    let text = match error {
        RegistryError::NotFound(_) => {
            "check the spelling of the name and the tag; a private image may need a `howdah login`"
        }
        RegistryError::Denied {
            registry,
            logged_in,
            ..
        } => {
            let login = login_command(registry);
            return Some(if *logged_in {
                format!(
                    "this login may not do it, or does not exist any more: `{login}` takes another one"
                )
            } else {
                format!("`{login}` logs in; private images that do not exist look the same")
            });
        }
        RegistryError::RateLimited {
            registry,
            retry_after,
            ..
        } => {
            let when = retry_after.map_or_else(String::new, |pause| {
                format!(" for {} seconds", pause.as_secs())
            });
            return Some(format!(
                "wait{when}, or log in with `{}` for a higher limit",
                login_command(registry)
            ));
        }
        RegistryError::Unreachable { registry, source } => match source {
            TransportError::Certificate(_) => {
                return Some(format!(
                    "put its authority into /etc/docker/certs.d/{registry}/ca.crt, or list it under `insecure-registries` in /etc/docker/daemon.json"
                ));
            }
            TransportError::NoTls => {
                return Some(format!(
                    "if it shall be spoken to in the clear, list `{registry}` under `insecure-registries` in /etc/docker/daemon.json"
                ));
            }
            TransportError::Name => "check the spelling of the registry, and this machine's DNS",
            _ => {
                "is the registry running, the name right, and HTTPS_PROXY set if this machine needs one?"
            }
        },
        RegistryError::NoPlatform { .. } => "--platform asks for another one",
        RegistryError::Damaged(_) => "do the same again: what was damaged is made or fetched anew",
        RegistryError::CredentialHelper { .. } => {
            "install it, or take it out of `credsStore` and `credHelpers` in Docker's config.json"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Docker Hub needs no name.
fn login_command(registry: &str) -> String {
    match registry {
        "docker.io" => "howdah login".to_owned(),
        registry => format!("howdah login {registry}"),
    }
}
