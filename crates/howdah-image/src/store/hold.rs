//! Snapshots in use: held by processes, pinned by containers. The sweep leaves them alone.
//!
//! A process lists what it holds in `tmp/<random>/held`, whose lock the kernel drops when the process dies. The list grows
//! behind the gate of `tmp/`, which the sweep closes while it decides: what was held before is kept, what is asked for later
//! is either still there or not found.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::temporary::{self, Temporary};
use super::{Store, StoreError};
use crate::{Image, ImageId, SnapshotId};

/// The list of a process, in its entry of `tmp/`.
const HELD: &str = "held";
/// The list of a container, in its directory.
const PIN: &str = "image.json";

/// What this process holds.
#[derive(Debug)]
pub(super) struct Holds {
    directory: Temporary,
    known: HashSet<SnapshotId>,
}

/// The image of a container that exists, running or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The container, by its id.
    #[serde(skip)]
    pub container: String,
    /// The image it was made of.
    pub image: ImageId,
    /// What its root filesystem stands on.
    pub snapshots: Vec<SnapshotId>,
}

impl Store {
    /// Keeps snapshots from being removed for as long as this process has the store open. Says whether all are here.
    pub fn hold<'i>(
        &self,
        ids: impl IntoIterator<Item = &'i SnapshotId>,
    ) -> Result<bool, StoreError> {
        let ids: Vec<&SnapshotId> = ids.into_iter().collect();
        let mut guard = self.0.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = match &mut *guard {
            Some(holds) => holds,
            empty => empty.insert(Holds {
                directory: Temporary::new(&self.temporary_directory())?,
                known: HashSet::new(),
            }),
        };
        let new: Vec<&SnapshotId> = ids
            .iter()
            .copied()
            .filter(|id| !holds.known.contains(*id))
            .collect();
        if !new.is_empty() {
            let path = holds.directory.path().join(HELD);
            let lines: String = new.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
            temporary::through_gate(&self.temporary_directory(), || append(&path, &lines))
                .map_err(StoreError::io("write", &path))?;
            holds.known.extend(new.into_iter().cloned());
        }
        drop(guard);
        Ok(ids.into_iter().all(|id| self.has_snapshot(id)))
    }

    /// Keeps the snapshots of an image, known to people as `name`, for as long as this process has the store open.
    pub fn hold_image(&self, image: &Image, name: &str) -> Result<(), StoreError> {
        let snapshots = || image.layers.iter().flat_map(|layer| &layer.snapshots);
        if self.hold(snapshots())? {
            return Ok(());
        }
        match snapshots().find(|id| !self.has_snapshot(id)) {
            Some(lost) => Err(StoreError::DamagedImage {
                image: name.to_owned(),
                snapshot: lost.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Keeps the snapshots of an image, known to people as `name`, for as long as the container's `directory` exists. It
    /// must be `containers/<id>` of this store.
    pub fn pin_image(&self, image: &Image, name: &str, directory: &Path) -> Result<(), StoreError> {
        let snapshots = image
            .layers
            .iter()
            .flat_map(|layer| layer.snapshots.clone());
        let pin = Pin {
            container: String::new(),
            image: image.id,
            snapshots: snapshots.collect(),
        };
        let path = directory.join(PIN);
        let text = serde_json::to_string(&pin).map_err(|source| StoreError::Config {
            id: image.id.to_string(),
            source,
        })?;
        temporary::through_gate(&self.temporary_directory(), || {
            let unfinished = path.with_extension("new");
            fs_err::write(&unfinished, &text)?;
            fs_err::rename(&unfinished, &path)
        })
        .map_err(StoreError::io("write", &path))?;
        match pin.snapshots.iter().find(|id| !self.has_snapshot(id)) {
            Some(lost) => Err(StoreError::DamagedImage {
                image: name.to_owned(),
                snapshot: lost.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The images of all containers.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let directory = self.root().join("containers");
        let entries = match fs_err::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", &directory)(error)),
        };
        let mut pins = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &directory))?;
            let path = entry.path().join(PIN);
            let text = match fs_err::read_to_string(&path) {
                Ok(text) => text,
                // A container that was never started stands on nothing.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(StoreError::io("read", &path)(error)),
            };
            let pin: Pin = serde_json::from_str(&text).map_err(|source| {
                StoreError::io("read", &path)(io::Error::new(io::ErrorKind::InvalidData, source))
            })?;
            pins.push(Pin {
                container: entry.file_name().to_string_lossy().into_owned(),
                ..pin
            });
        }
        Ok(pins)
    }

    /// Everything that processes hold. Those of dead ones do not count.
    pub fn held(&self) -> Result<HashSet<SnapshotId>, StoreError> {
        let mut held = HashSet::new();
        for entry in temporary::living(&self.temporary_directory())? {
            let path = entry.join(HELD);
            match fs_err::read_to_string(&path) {
                Ok(text) => held.extend(text.lines().filter_map(|line| line.parse().ok())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("read", &path)(error)),
            }
        }
        Ok(held)
    }
}

fn append(path: &Path, lines: &str) -> io::Result<()> {
    fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?
        .write_all(lines.as_bytes())
}
