//! Logins kept as Docker keeps them: in the credential helper that `config.json` names, else in the file itself.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::super::RegistryError;
use super::credentials::{self, names_registry};
use super::helper::Helper;
pub(in super::super) use super::helper::Secret;
use crate::store::random_bytes;

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In Docker's configuration, readable for whoever reads the file.
    File(PathBuf),
    /// By this program.
    Helper(String),
}

/// Docker's configuration with everything in it that is not ours.
struct ConfigFile {
    /// Where it really is: the file may be a link.
    path: PathBuf,
    document: Map<String, Value>,
}

/// Keeps a login.
pub(in super::super) fn keep(
    config_path: &Path,
    registry: &str,
    user: &str,
    secret: &Secret<'_>,
) -> Result<Kept, RegistryError> {
    let mut config = ConfigFile::read(config_path)?;
    let key = credentials::key(registry);
    let (entry, kept) = match config.helper(registry) {
        Some(helper) => {
            helper.store(key, user, secret)?;
            // Docker lists the registries whose logins are elsewhere with empty entries.
            (json!({}), Kept::Helper(helper.program().to_owned()))
        }
        None => (entry(user, secret), Kept::File(config.path.clone())),
    };
    config.auths().insert(key.to_owned(), entry);
    config.write()?;
    Ok(kept)
}

/// Forgets a login. Says whether there was one.
pub(in super::super) fn forget(config_path: &Path, registry: &str) -> Result<bool, RegistryError> {
    let mut config = ConfigFile::read(config_path)?;
    let erased = match config.helper(registry) {
        Some(helper) => helper.erase(credentials::key(registry))?,
        None => false,
    };
    let before = config.auths().len();
    config
        .auths()
        .retain(|key, _| !names_registry(key, registry));
    let removed = config.auths().len() < before;
    if removed {
        config.write()?;
    }
    Ok(erased || removed)
}

fn entry(user: &str, secret: &Secret<'_>) -> Value {
    let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    match secret {
        Secret::Password(password) => json!({"auth": encode(format!("{user}:{password}"))}),
        Secret::IdentityToken(token) => {
            json!({"auth": encode(format!("{user}:")), "identitytoken": token})
        }
    }
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, RegistryError> {
        let fault = |source| RegistryError::Config {
            path: path.to_owned(),
            source,
        };
        let real = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let document = match fs_err::read(&real) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| fault(error.into()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(fault(error)),
        };
        Ok(Self {
            path: real,
            document,
        })
    }

    fn helper(&self, registry: &str) -> Option<Helper> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let helpers: BTreeMap<String, String> = self
            .document
            .get("credHelpers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect();
        let store = self
            .document
            .get("credsStore")
            .map(text)
            .unwrap_or_default();
        credentials::helper(&helpers, &store, registry)
    }

    fn auths(&mut self) -> &mut Map<String, Value> {
        let auths = self.document.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        auths
            .as_object_mut()
            .expect("it was made an object a line above")
    }

    /// Replaces the file at once; nobody else ever reads a part of it, or its secrets.
    fn write(&self) -> Result<(), RegistryError> {
        let write = || -> io::Result<()> {
            let directory = self.path.parent().unwrap_or(Path::new("."));
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
            let unique = u64::from_ne_bytes(random_bytes());
            let temporary = directory.join(format!("config.json{unique:016x}"));
            let mut text = serde_json::to_vec_pretty(&self.document)?;
            text.push(b'\n');
            let written =
                create(&temporary, &text).and_then(|()| fs_err::rename(&temporary, &self.path));
            if written.is_err() {
                drop(fs_err::remove_file(&temporary));
            }
            written
        };
        write().map_err(|source| RegistryError::Config {
            path: self.path.clone(),
            source,
        })
    }
}

fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Credentials;
    use super::*;

    #[test]
    fn a_login_is_added_beside_what_is_there_and_taken_away_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/config.json");
        let kept = keep(&path, "reg.io:5000", "me", &Secret::Password("pa:ss")).unwrap();
        assert_eq!(kept, Kept::File(path.clone()));
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = r#"{"HttpHeaders":{"A":"b"},"auths":{"other.io":{"auth":"YTpi"}}}"#;
        fs_err::write(&path, text).unwrap();
        keep(&path, "docker.io", "me", &Secret::IdentityToken("token")).unwrap();
        let document: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        assert_eq!(document["HttpHeaders"]["A"], "b");
        assert_eq!(document["auths"]["other.io"]["auth"], "YTpi");
        let found = credentials::find(Some(&path), "docker.io").unwrap();
        assert!(found == Credentials::Identity("token".into()));
        assert!(forget(&path, "docker.io").unwrap());
        assert!(!forget(&path, "docker.io").unwrap());
        assert!(credentials::find(Some(&path), "docker.io").unwrap() == Credentials::Anonymous);
        let left = fs_err::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1);
    }

    #[test]
    fn a_link_stays_a_link_and_a_broken_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs_err::write(&real, "{}").unwrap();
        fs_err::os::unix::fs::symlink(&real, &link).unwrap();
        keep(&link, "a.io", "me", &Secret::Password("x")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert!(fs_err::read_to_string(&real).unwrap().contains("a.io"));
        fs_err::write(&real, "{").unwrap();
        assert!(keep(&link, "a.io", "me", &Secret::Password("x")).is_err());
        assert_eq!(fs_err::read_to_string(&real).unwrap(), "{");
    }
}
