//! Howdah as an image, for `COPY --from=howdah`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{BootstrapError, Made, PATH, files, io_error, keep, store_error};
use crate::{ContainerConfig, Image, Reference, Store};

const INSTALLED: &str = "usr/local/bin/howdah";

/// Makes `reference`: an otherwise empty image with `executable` at `/usr/local/bin/howdah`.
///
/// All times are 1970, so that the same executable always gives the same image.
pub fn binary(
    store: &Store,
    executable: &Path,
    reference: &Reference,
) -> Result<Image, BootstrapError> {
    let staging = store.stage().map_err(store_error)?;
    let target = staging.upper().join(INSTALLED);
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent).map_err(io_error("make the directory", parent))?;
    }
    fs_err::copy(executable, &target).map_err(io_error("copy", executable))?;
    for path in target
        .ancestors()
        .take_while(|path| *path != staging.upper())
    {
        let mode = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(path, mode).map_err(io_error("set the mode of", path))?;
    }
    files::clamp_times(staging.upper(), 0)?;
    let config = ContainerConfig {
        env: vec![PATH.to_owned()],
        entrypoint: Some(vec![format!("/{INSTALLED}")]),
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
