//! The keeper: the process that owns one running stack.
//!
//! It is the only writer of the stack's state, and it executes what [`crate::stack`] decides. It may be killed at any instant:
//! containers go on, and the next command starts another keeper, which adopts them.

mod adopt;
mod answers;
mod clients;
mod connection;
mod dns;
mod effects;
mod inputs;
mod names;
mod networks;
mod owner;
mod paths;
mod place;
mod plans;
mod ports;
mod probe;
mod protocol;
mod relay;
mod requests;
mod signal;
mod spec;
mod start;
mod state_file;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use howdah_image::{Store, StoreError};
use howdah_runtime::{Runtime, RuntimeError};
use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use paths::StackPaths;
pub(crate) use place::socket_path;
pub use plans::{PlanError, plans};
pub use protocol::{Interjection, Message, Request, RunRequest, ServiceImage, UpRequest, WaitFor};
pub use signal::{name as signal_name, number as signal_number};
pub use state_file::{StateError, load as load_state};

use crate::stack::{Ended, Millis, Probe, Stack};
use clients::Clients;
use connection::Said;
use dns::DnsServer;
use names::Names;
use ports::{Published, Reserved};

/// Messages a command may leave unread before it is let go.
const UNREAD: usize = 4096;
/// How long commands may take to read their last answer.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What a keeper is told when it is started.
#[derive(Debug, Clone)]
pub struct KeeperOptions {
    /// The stack.
    pub paths: StackPaths,
    /// howdah itself, for the containers' helpers.
    pub executable: PathBuf,
}

/// A keeper that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// Another keeper has the stack.
    #[error("stack `{project}` has a keeper already")]
    Busy {
        /// The project.
        project: String,
    },
    /// The system refused.
    #[error("cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[source] StoreError),
    /// The runtime cannot be used.
    #[error("cannot use the container runtime")]
    Runtime(#[source] RuntimeError),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Something that happened to the keeper.
#[derive(Debug)]
enum Input {
    Connected(UnixStream),
    Said(u64, Said),
    Started {
        name: String,
        id: String,
        result: Result<(), String>,
    },
    Prepared {
        name: String,
        id: String,
        result: Result<Box<howdah_runtime::ContainerSpec>, String>,
    },
    Ended {
        name: String,
        id: String,
        ended: Ended,
    },
    Probed {
        name: String,
        id: String,
        probe: Probe,
    },
    Removed {
        name: String,
        id: String,
        result: Result<(), String>,
    },
    Executed {
        client: u64,
        result: Result<(), String>,
    },
}

/// The keeper's whole state.
struct Keeper {
    paths: StackPaths,
    store: Store,
    runtime: Runtime,
    stack: Stack,
    saved: Vec<u8>,
    clients: Clients,
    connections: JoinSet<()>,
    inputs: mpsc::UnboundedSender<Input>,
    names: dns::SharedNames,
    servers: BTreeMap<String, DnsServer>,
    reserved: BTreeMap<String, Reserved>,
    published: BTreeMap<String, Published>,
    /// Containers whose end is watched, by id.
    watched: BTreeSet<String>,
}

/// Runs a keeper until its stack is at rest and nobody is connected. To be called before any thread exists.
pub fn keep(options: &KeeperOptions) -> Result<(), KeeperError> {
    let io = |action| move |source: io::Error| KeeperError::Io { action, source };
    // A session of its own: no terminal's Ctrl-C reaches it.
    let _leader = rustix::process::setsid();
    rustix::process::chdir("/").map_err(|errno| io("leave the directory")(errno.into()))?;
    let paths = &options.paths;
    start::private_directory(&paths.sockets()).map_err(io("make the socket directory"))?;
    let _lock = place::lock(paths)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io("start the event loop"))?;
    let result = runtime.block_on(async {
        let listener = place::listen(paths).map_err(io("listen on the stack's socket"))?;
        ready().map_err(io("detach from the command"))?;
        let (inputs, received) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(accept(listener, inputs.clone()));
        let mut keeper = Keeper::new(options, inputs)?;
        keeper.adopt().await?;
        let result = keeper.run(received).await;
        accepting.abort();
        result
    });
    // Checks and starts still under way must not hold the keeper's end up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Lets the command that started this keeper go on: it waits for the end of our standard output.
fn ready() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::stdio::dup2_stdout(&null)?)
}

async fn accept(listener: UnixListener, inputs: mpsc::UnboundedSender<Input>) {
    while let Ok((stream, _)) = listener.accept().await {
        if inputs.send(Input::Connected(stream)).is_err() {
            return;
        }
    }
}

/// Random hex digits for names nobody can guess or collide with.
pub(crate) fn random_hex(bytes: usize) -> io::Result<String> {
    use std::fmt::Write as _;
    use std::io::Read as _;
    let mut buffer = vec![0u8; bytes];
    fs_err::File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer
        .iter()
        .fold(String::with_capacity(bytes * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }))
}

impl Keeper {
    fn new(
        options: &KeeperOptions,
        inputs: mpsc::UnboundedSender<Input>,
    ) -> Result<Self, KeeperError> {
        let paths = options.paths.clone();
        let store = Store::open(paths.root()).map_err(KeeperError::Store)?;
        let runtime =
            Runtime::new(paths.runtime(), &options.executable).map_err(KeeperError::Runtime)?;
        let stack = state_file::load(&paths)?.unwrap_or_default();
        Ok(Self {
            stack: Stack {
                project: paths.project().to_owned(),
                ..stack
            },
            paths,
            store,
            runtime,
            saved: Vec::new(),
            clients: Clients::default(),
            connections: JoinSet::new(),
            inputs,
            names: Arc::new(Mutex::new(Names::default())),
            servers: BTreeMap::new(),
            reserved: BTreeMap::new(),
            published: BTreeMap::new(),
            watched: BTreeSet::new(),
        })
    }

    async fn run(
        &mut self,
        mut received: mpsc::UnboundedReceiver<Input>,
    ) -> Result<(), KeeperError> {
        // The command that started this keeper is about to connect; without this pause an idle keeper would end first.
        let mut linger = Some(tokio::time::Instant::now() + Duration::from_secs(5));
        loop {
            self.advance().await?;
            let is_idle = self.stack.is_at_rest() && self.clients.is_empty();
            if is_idle
                && linger.is_none_or(|until| tokio::time::Instant::now() >= until)
                && received.is_empty()
            {
                return self.end().await;
            }
            let due = self
                .stack
                .next_deadline()
                .into_iter()
                .chain(self.clients.next_deadline(&self.stack))
                .min();
            let deadline = due.map(|due| tokio::time::Instant::now() + due.since(Millis::now()));
            let deadline = if is_idle {
                deadline.into_iter().chain(linger).min()
            } else {
                deadline
            };
            let input = tokio::select! {
                input = received.recv() => input,
                () = sleep_until(deadline) => None,
            };
            if let Some(input) = input {
                if matches!(input, Input::Connected(_)) {
                    linger = None;
                }
                self.take(input).await;
            }
        }
    }

    /// Brings the stack on, writes it down, then does what follows from it.
    async fn advance(&mut self) -> Result<(), KeeperError> {
        loop {
            let now = Millis::now();
            let effects = self.stack.step(now);
            self.save()?;
            self.refresh_names();
            self.tell();
            for effect in &effects {
                self.execute(effect);
            }
            self.answer_waits().await;
            if effects.is_empty() && self.stack.events.is_empty() {
                return Ok(());
            }
        }
    }

    /// Before anything is done outside, so that another keeper knows what may have been done.
    fn save(&mut self) -> Result<(), KeeperError> {
        if self.is_nothing() {
            if !self.saved.is_empty() {
                state_file::forget(&self.paths)?;
                self.saved.clear();
            }
            return Ok(());
        }
        let text = serde_json::to_vec(&self.stack).unwrap_or_default();
        if text != self.saved {
            state_file::save(&self.paths, &self.stack)?;
            self.saved = text;
        }
        Ok(())
    }

    fn is_nothing(&self) -> bool {
        self.stack.containers.is_empty() && self.stack.networks.is_empty()
    }

    fn refresh_names(&self) {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = Names::of(&self.stack);
    }

    fn tell(&mut self) {
        for event in std::mem::take(&mut self.stack.events) {
            self.clients.tell(&event);
        }
    }

    /// The socket goes first: who connects from now on starts another keeper, who waits for our lock to go.
    async fn end(&mut self) -> Result<(), KeeperError> {
        if self.is_nothing() {
            state_file::forget(&self.paths)?;
        }
        let socket = self.paths.sockets().join(self.paths.socket_name());
        let remove = |path: PathBuf| {
            fs_err::remove_file(path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
        };
        let removed = remove(socket).and_then(|()| remove(self.paths.keeper_log()));
        // The last answers are written out before the process ends.
        let written = async { while self.connections.join_next().await.is_some() {} };
        drop(tokio::time::timeout(LAST_ANSWERS, written).await);
        // Last, because from now on another keeper may begin.
        let removed = removed.and_then(|()| remove(self.paths.lock()));
        removed.map_err(|source| KeeperError::Io {
            action: "remove the stack's socket",
            source,
        })
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
