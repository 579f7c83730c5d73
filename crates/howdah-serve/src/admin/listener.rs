//! Where the server is administrated: an address, or a socket of the file system that only its user can open.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};

use crate::config::AdminAddress;
use crate::server::share;

/// A bound listener.
#[derive(Debug)]
pub(crate) enum AdminListener {
    Tcp(TcpListener),
    Unix(Socket),
}

/// A socket of the file system.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) listener: UnixListener,
    path: Arc<Removed>,
}

/// A file that is removed with this.
#[derive(Debug)]
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Whether somebody else removed it does not matter.
        fs_err::remove_file(&self.0).ok();
    }
}

impl AdminListener {
    /// With the port that the kernel chose.
    pub(crate) fn address(&self) -> io::Result<AdminAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(AdminAddress::Tcp),
            Self::Unix(socket) => Ok(AdminAddress::Unix(socket.path.0.clone())),
        }
    }

    /// Binds a socket that only this user can open. One that a killed server left behind is replaced.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Whatever else is there is somebody's.
        if fs_err::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Under another name until nobody else can open it.
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(format!(".{}", std::process::id()));
        let hidden = PathBuf::from(hidden);
        let listener = UnixListener::bind(&hidden)?;
        let place = || {
            fs_err::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
            fs_err::rename(&hidden, path)
        };
        if let Err(error) = place() {
            fs_err::remove_file(&hidden).ok();
            return Err(error);
        }
        let path = Arc::new(Removed(path.to_owned()));
        Ok(Self::Unix(Socket { listener, path }))
    }

    /// The same socket, for another server.
    pub(crate) fn share(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => share(listener).map(Self::Tcp),
            Self::Unix(socket) => {
                let shared = socket.listener.as_fd().try_clone_to_owned()?;
                Ok(Self::Unix(Socket {
                    listener: UnixListener::from_std(shared.into())?,
                    path: Arc::clone(&socket.path),
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_socket_that_was_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin");
        fs_err::write(&path, "a file").unwrap();
        let refused = AdminListener::unix(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "a file");
        fs_err::remove_file(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = AdminListener::unix(&path).unwrap();
        let second = AdminListener::unix(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists());
    }
}
