//! A command's side of the conversation with the keeper: connect, or start one and connect.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};

use crate::keeper::{Interjection, KeeperOptions, Message, Request, StackPaths, socket_path};

/// The first argument that makes an executable a keeper; root, runtime directory and project follow.
pub const KEEPER_ROLE: &str = "__keeper";
/// A keeper that ends while we connect is replaced; more often than this it is broken.
const ATTEMPTS: u32 = 5;
/// How much of a dead keeper's last words is shown.
const LAST_WORDS: usize = 2000;

/// The keeper cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be started.
    #[error("cannot start the keeper of stack `{project}`")]
    Start {
        /// The project.
        project: String,
        /// Why.
        source: io::Error,
    },
    /// It was started and ended.
    #[error("the keeper of stack `{project}` ended at once: {words}")]
    Ended {
        /// The project.
        project: String,
        /// What it said.
        words: String,
    },
    /// The conversation broke off.
    #[error("lost the keeper of stack `{project}`")]
    Lost {
        /// The project.
        project: String,
        /// Why.
        source: io::Error,
    },
}

/// A connection to a keeper.
#[derive(Debug)]
pub struct Client {
    project: String,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

/// The half of a connection that says more while the other half listens.
#[derive(Debug)]
pub struct Interjector {
    writer: UnixStream,
}

impl Client {
    /// Connects to the stack's keeper; starts one when there is none.
    pub fn open(options: &KeeperOptions) -> Result<Self, ClientError> {
        let project = options.paths.project().to_owned();
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::connect(&options.paths) {
                Ok(client) => return Ok(client),
                Err(error) => last = Some(error),
            }
            start(options).map_err(|source| ClientError::Start {
                project: project.clone(),
                source,
            })?;
        }
        match Self::connect(&options.paths) {
            Ok(client) => Ok(client),
            Err(error) => {
                let words =
                    last_words(&options.paths).unwrap_or_else(|| last.unwrap_or(error).to_string());
                Err(ClientError::Ended { project, words })
            }
        }
    }

    /// Connects to a keeper that runs. The keeper's welcome is waited for: one that is ending accepts and says nothing.
    fn connect(paths: &StackPaths) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(paths.sockets(), flags, Mode::empty())?;
        let writer = UnixStream::connect(socket_path(&directory, &paths.socket_name()))?;
        let reader = BufReader::new(writer.try_clone()?);
        let mut client = Self {
            project: paths.project().to_owned(),
            reader,
            writer,
        };
        match client.read()? {
            Some(Message::Welcome { .. }) => Ok(client),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Whether a keeper runs.
    pub fn is_kept(paths: &StackPaths) -> bool {
        Self::connect(paths).is_ok()
    }

    fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Lost {
            project: self.project.clone(),
            source,
        }
    }

    /// Sends the one request of this connection.
    pub fn request(&mut self, request: &Request) -> Result<(), ClientError> {
        let line = serde_json::to_vec(request)
            .map_err(io::Error::from)
            .map_err(|source| self.lost(source))?;
        self.writer
            .write_all(&line)
            .and_then(|()| self.writer.write_all(b"\n"))
            .map_err(|source| self.lost(source))
    }

    /// The next message; none when the keeper has said all.
    pub fn next_message(&mut self) -> Result<Option<Message>, ClientError> {
        self.read().map_err(|source| self.lost(source))
    }

    fn read(&mut self) -> io::Result<Option<Message>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }

    /// The half that says more.
    pub fn interjector(&self) -> Result<Interjector, ClientError> {
        let writer = self
            .writer
            .try_clone()
            .map_err(|source| self.lost(source))?;
        Ok(Interjector { writer })
    }
}

impl Interjector {
    /// Says something while the request is under way. A keeper that is gone is told of by the listening half.
    pub fn say(&mut self, interjection: &Interjection) {
        if let Ok(mut line) = serde_json::to_vec(interjection) {
            line.push(b'\n');
            drop(self.writer.write_all(&line));
        }
    }
}

/// Starts a keeper and waits until it listens or has ended: both close its standard output.
fn start(options: &KeeperOptions) -> io::Result<()> {
    let paths = &options.paths;
    fs_err::create_dir_all(paths.sockets())?;
    let log = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(paths.keeper_log())?;
    let mut child = Command::new(&options.executable)
        .arg(KEEPER_ROLE)
        .args([
            paths.root().as_os_str(),
            paths.runtime().as_os_str(),
            paths.project().as_ref(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.into_file())
        .spawn()?;
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// What a keeper that died of a fault said about it.
pub fn last_words(paths: &StackPaths) -> Option<String> {
    let text = fs_err::read_to_string(paths.keeper_log()).ok()?;
    let start = text.len().saturating_sub(LAST_WORDS);
    let tail = text.get(text.ceil_char_boundary(start)..)?.trim();
    (!tail.is_empty()).then(|| tail.to_owned())
}
