//! Howdah as an image, for `COPY --from=howdah`.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{BootstrapError, Made, PATH, files, io_error, keep, store_error};
use crate::{ContainerConfig, Image, Reference, Store};

const INSTALLED: &str = "usr/local/bin";

/// Makes `reference`: an otherwise empty image with `executable` at `/usr/local/bin/howdah`, and every `howdah-php` that stands
/// beside it there too (`howdah-php8.4` and the like, which run PHP for `howdah serve`), and a link `frankenphp`, by whose name it is
/// FrankenPHP's command line.
///
/// All times are 1970, so that the same executable always gives the same image.
pub fn binary(
    store: &Store,
    executable: &Path,
    reference: &Reference,
) -> Result<Image, BootstrapError> {
    let staging = store.stage().map_err(store_error)?;
    let directory = staging.upper().join(INSTALLED);
    fs_err::create_dir_all(&directory).map_err(io_error("make the directory", &directory))?;
    install(executable, &directory)?;
    for path in directory
        .ancestors()
        .take_while(|path| *path != staging.upper())
    {
        allow_all(path)?;
    }
    files::clamp_times(staging.upper(), 0)?;
    let config = ContainerConfig {
        env: vec![PATH.to_owned()],
        entrypoint: Some(vec![format!("/{INSTALLED}/howdah")]),
        ..ContainerConfig::default()
    };
    keep(
        store,
        staging,
        Made {
            config,
            by: "howdah image bootstrap howdah".to_owned(),
            epoch: 0,
        },
        reference,
    )
}

/// Puts all programs into `directory`.
fn install(executable: &Path, directory: &Path) -> Result<(), BootstrapError> {
    let mut programs = vec![("howdah".into(), executable.to_path_buf())];
    programs.extend(php_beside(executable)?);
    for (name, program) in programs {
        let target = directory.join::<OsString>(name);
        fs_err::copy(&program, &target).map_err(io_error("copy", &program))?;
        allow_all(&target)?;
    }
    let link = directory.join("frankenphp");
    fs_err::os::unix::fs::symlink("howdah", &link).map_err(io_error("make the link", &link))
}

/// The programs `howdah-php<version>` in the directory of `executable`, by name.
fn php_beside(executable: &Path) -> Result<Vec<(OsString, PathBuf)>, BootstrapError> {
    let Some(directory) = executable.parent() else {
        return Ok(Vec::new());
    };
    let entries = fs_err::read_dir(directory).map_err(io_error("read", directory))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("read", directory))?;
        let name = entry.file_name();
        let version = name
            .to_str()
            .and_then(|name| name.strip_prefix("howdah-php"));
        let of_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if version.is_some_and(of_digits) && entry.path().is_file() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn allow_all(path: &Path) -> Result<(), BootstrapError> {
    let mode = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(path, mode).map_err(io_error("set the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_php_beside_the_program_comes_along() {
        let directory = tempfile::tempdir().unwrap();
        let names = [
            "howdah",
            "howdah-php8.4",
            "howdah-php8.2",
            "howdah-php8.4.old",
            "howdah-init",
        ];
        for name in names {
            fs_err::write(directory.path().join(name), name).unwrap();
        }
        let found = php_beside(&directory.path().join("howdah")).unwrap();
        let found: Vec<_> = found.iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["howdah-php8.2", "howdah-php8.4"]);
        let installed = tempfile::tempdir().unwrap();
        install(&directory.path().join("howdah"), installed.path()).unwrap();
        let link = fs_err::canonicalize(installed.path().join("frankenphp")).unwrap();
        assert_eq!(fs_err::read_to_string(link).unwrap(), "howdah");
    }
}
