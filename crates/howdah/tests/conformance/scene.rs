//! The files of a case on the disk.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use rustix::fs::{CWD, FileType, Mode};

use crate::case::{Case, File, Made};
use crate::user::User;

/// A case's directory: the context, what is beside it, its secrets.
#[derive(Debug)]
pub(crate) struct Scene {
    directory: tempfile::TempDir,
    /// Listens as long as the build runs.
    _agent: Option<UnixListener>,
}

impl Scene {
    /// Everything belongs to `owner`, without one to root.
    pub(crate) fn new(case: &Case, owner: Option<&User>) -> Scene {
        let directory = tempfile::tempdir().unwrap();
        fs_err::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let agent = case
            .ssh
            .then(|| UnixListener::bind(directory.path().join("agent")).unwrap());
        let scene = Scene {
            directory,
            _agent: agent,
        };
        fs_err::create_dir(scene.context()).unwrap();
        surround(scene.directory.path());
        let text = File::Text(case.dockerfile.clone());
        let file = (case.local_file().to_owned(), text);
        let none = BTreeMap::new();
        let modes = [
            write(&scene.context(), &BTreeMap::from([file])),
            write(&scene.context(), case.context.as_ref().unwrap_or(&none)),
            write(&scene.context(), &case.more),
            write(scene.directory.path(), &case.beside),
        ];
        for (id, value) in &case.secrets {
            fs_err::write(scene.secret(id), value).unwrap();
        }
        if let Some(owner) = owner {
            owner.give(scene.directory.path());
        }
        // Last, because a new owner clears some (chown(2)); from below, so that a directory may be closed.
        for (path, mode) in modes.concat().iter().rev() {
            let mode = u32::from_str_radix(mode, 8).unwrap();
            fs_err::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        scene
    }

    /// Where the program is called from.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.directory.path().join("context")
    }

    /// The Dockerfile, open.
    pub(crate) fn dockerfile(&self, case: &Case) -> std::fs::File {
        let file = fs_err::File::open(self.context().join(case.local_file())).unwrap();
        file.into_file()
    }

    pub(crate) fn secret(&self, id: &str) -> PathBuf {
        self.directory.path().join(format!("secret-{id}"))
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.directory.path().join("agent")
    }

    /// Where a named context is: as written for an image, below this scene for a directory; `{bases}` is the layout of the base
    /// images.
    pub(crate) fn named_context(&self, place: &str, bases: &Path) -> String {
        if place.contains("://") {
            return place.replace("{bases}", &bases.display().to_string());
        }
        self.directory.path().join(place).display().to_string()
    }

    /// Where the image is written.
    pub(crate) fn image(&self) -> PathBuf {
        self.directory.path().join("image.tar")
    }
}

/// Makes the directory a clone of something else, as projects that are built mostly are.
fn surround(directory: &Path) {
    let repository = directory.join(".git");
    for name in ["objects", "refs"] {
        fs_err::create_dir_all(repository.join(name)).unwrap();
    }
    fs_err::write(repository.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let origin = "[remote \"origin\"]\n\turl = /nowhere\n";
    fs_err::write(repository.join("config"), origin).unwrap();
}

/// Writes files in the order of their names, so that a directory can be given before what is in it. Gives the modes that they
/// are to get.
fn write(root: &Path, files: &BTreeMap<String, File>) -> Vec<(PathBuf, String)> {
    let plain = |text: &String| Made {
        text: Some(text.clone()),
        ..Made::default()
    };
    let mut modes = Vec::new();
    for (name, file) in files {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let made = match file {
            File::Text(text) => plain(text),
            File::Made(made) => made.clone(),
        };
        make(root, &path, &made);
        for (name, value) in &made.xattrs {
            xattr::set(&path, name, value.as_bytes()).unwrap();
        }
        if made.link.is_none() && made.hardlink.is_none() {
            let default = if path.is_dir() { "755" } else { "644" };
            modes.push((path, made.mode.unwrap_or_else(|| default.to_owned())));
        }
    }
    modes
}

fn make(root: &Path, path: &Path, made: &Made) {
    match made {
        Made {
            text: Some(text), ..
        } => fs_err::write(path, text).unwrap(),
        Made {
            base64: Some(data), ..
        } => {
            let data = base64::engine::general_purpose::STANDARD
                .decode(data)
                .unwrap();
            fs_err::write(path, data).unwrap();
        }
        Made {
            link: Some(target), ..
        } => fs_err::os::unix::fs::symlink(target, path).unwrap(),
        Made {
            hardlink: Some(other),
            ..
        } => fs_err::hard_link(root.join(other), path).unwrap(),
        Made { socket: true, .. } => drop(UnixListener::bind(path).unwrap()),
        Made { fifo: true, .. } => {
            rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        _ => fs_err::create_dir_all(path).unwrap(),
    }
}
