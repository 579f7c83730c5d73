//! The stack's state on disk: always whole, however its writer ends.

use std::io::{self, Write as _};
use std::path::PathBuf;

use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::paths::StackPaths;
use crate::stack::Stack;

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("cannot keep the state of stack `{project}`")]
    Io {
        /// The project.
        project: String,
        /// Why; names the file.
        source: io::Error,
    },
    /// The file is not what a keeper wrote.
    #[error("`{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads the state; none when the project has no stack.
pub fn load(paths: &StackPaths) -> Result<Option<Stack>, StateError> {
    let text = match fs_err::read(paths.state()) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(StateError::Io {
                project: paths.project().to_owned(),
                source,
            });
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| StateError::Damaged {
            path: paths.state(),
            source,
        })
}

/// Writes the state: to another file, then in one step in place of the old one.
pub(crate) fn save(paths: &StackPaths, stack: &Stack) -> Result<(), StateError> {
    let io = |source| StateError::Io {
        project: paths.project().to_owned(),
        source,
    };
    let text = serde_json::to_vec(stack).map_err(|source| StateError::Damaged {
        path: paths.state(),
        source,
    })?;
    fs_err::create_dir_all(paths.directory()).map_err(io)?;
    let temporary = paths.directory().join("state.json.new");
    // It holds the services' environments and secrets.
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary).map_err(io)?;
    file.write_all(&text)
        .and_then(|()| file.sync_all())
        .map_err(io)?;
    fs_err::rename(&temporary, paths.state()).map_err(io)
}

/// Forgets a stack of which nothing is left.
pub(crate) fn forget(paths: &StackPaths) -> Result<(), StateError> {
    match fs_err::remove_dir_all(paths.directory()) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StateError::Io {
            project: paths.project().to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
