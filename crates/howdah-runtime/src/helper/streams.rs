//! The program's standard streams on their way from the caller into the container.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;

use crate::protocol::{Failure, Step, Streams};
use crate::socket;

/// Where the program's streams come from.
#[derive(Debug)]
pub(super) enum Given {
    /// Standard input, output and error. `owned` when they were made for this program.
    Streams {
        descriptors: [OwnedFd; 3],
        owned: bool,
    },
    /// A terminal of the container's own.
    Terminal,
}

/// Receives the terminal's master end from libcontainer, which wants a socket in the filesystem for it.
#[derive(Debug)]
pub(super) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Given {
    pub(super) fn new(streams: Streams, descriptors: Vec<OwnedFd>) -> Result<Self, Failure> {
        match streams {
            Streams::Terminal => Ok(Self::Terminal),
            Streams::Given { owned } => {
                let descriptors = <[OwnedFd; 3]>::try_from(descriptors);
                let descriptors = descriptors
                    .map_err(|_| Failure::Invalid("three streams are needed".to_owned()))?;
                Ok(Self::Streams { descriptors, owned })
            }
        }
    }

    /// Whether the program's user becomes their owner.
    pub(super) fn is_owned(&self) -> bool {
        match self {
            Self::Streams { owned, .. } => *owned,
            Self::Terminal => true,
        }
    }

    /// Hands the streams to libcontainer. With a terminal, its master end is to be taken from the [`Console`] afterwards.
    pub(super) fn connect(
        self,
        builder: ContainerBuilder,
        directory: &Path,
    ) -> Result<(ContainerBuilder, Option<Console>), Failure> {
        match self {
            Self::Streams {
                descriptors: [input, output, error],
                ..
            } => Ok((
                builder
                    .with_stdin(input)
                    .with_stdout(output)
                    .with_stderr(error),
                None,
            )),
            Self::Terminal => {
                let console = Console::listen(directory)?;
                Ok((
                    builder.with_console_socket(Some(console.path.clone())),
                    Some(console),
                ))
            }
        }
    }
}

impl Console {
    fn listen(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("console.sock");
        // The name of a socket has 107 bytes at most (unix(7)), the path may have more.
        let opened = fs_err::File::open(directory).step("open the container's directory")?;
        let short = crate::process::descriptor_path(opened.as_fd()).join("console.sock");
        let listener = UnixListener::bind(short).step("make the terminal's socket")?;
        Ok(Self { listener, path })
    }

    /// The master end, once libcontainer has made the terminal.
    pub(super) fn take(self) -> Result<OwnedFd, Failure> {
        let (connection, _) = self.listener.accept().step("receive the terminal")?;
        let terminal = socket::receive_descriptor(connection).step("receive the terminal")?;
        // Nobody else connects to it.
        fs_err::remove_file(&self.path).ok();
        terminal.ok_or_else(|| Failure::Invalid("no terminal came".to_owned()))
    }
}
