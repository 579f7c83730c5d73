//! What a layer holds, kept beside it: the next build finds out from it what changed.

use howdah_solver::Key;

use super::Plan;
use crate::tree::{Kind, TreePath};

/// Another number, another format: old manifests are read as empty.
const FORMAT: u8 = 1;

/// A file of a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: TreePath,
    pub(crate) is_directory: bool,
    pub(crate) attributes: Key,
}

/// Paths with the digests of everything but their times, sorted by bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) files: Vec<Listed>,
}

impl Manifest {
    pub(crate) fn of(plan: &Plan) -> Manifest {
        let files = plan.placed.iter().map(|(path, placed)| Listed {
            path: path.clone(),
            is_directory: placed.kind == Kind::Directory,
            attributes: placed.attributes,
        });
        Manifest {
            files: files.collect(),
        }
    }

    pub(crate) fn get(&self, path: &[u8]) -> Option<&Listed> {
        self.files
            .binary_search_by(|listed| listed.path.as_slice().cmp(path))
            .ok()
            .map(|index| &self.files[index])
    }

    /// One blob; a path shares its beginning with the one before.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        let mut previous: &[u8] = &[];
        for file in &self.files {
            let limit = usize::from(u16::MAX);
            let shared = previous
                .iter()
                .zip(&file.path)
                .take_while(|(left, right)| left == right)
                .count()
                .min(limit);
            let (Ok(prefix), Ok(suffix)) = (
                u16::try_from(shared),
                u16::try_from(file.path.len() - shared),
            ) else {
                continue;
            };
            bytes.extend(prefix.to_le_bytes());
            bytes.extend(suffix.to_le_bytes());
            bytes.extend(&file.path[shared..]);
            bytes.push(u8::from(file.is_directory));
            bytes.extend(file.attributes.as_bytes());
            previous = &file.path;
        }
        bytes
    }

    /// Reads a blob back; `None` if it is not whole.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Manifest> {
        let (&FORMAT, mut rest) = bytes.split_first()? else {
            return None;
        };
        let mut files: Vec<Listed> = Vec::new();
        while !rest.is_empty() {
            let prefix = usize::from(u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?));
            let suffix = usize::from(u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?));
            let previous = files.last().map_or(&[][..], |listed| &listed.path);
            let path = [previous.get(..prefix)?, rest.split_off(..suffix)?].concat();
            let is_directory = *rest.split_off_first()? != 0;
            let attributes = Key::from(<[u8; 32]>::try_from(rest.split_off(..32)?).ok()?);
            files.push(Listed {
                path,
                is_directory,
                attributes,
            });
        }
        Some(Manifest { files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_reads_back_or_not_at_all() {
        let listed = |path: &str| Listed {
            path: path.into(),
            is_directory: path.len() < 4,
            attributes: Key::of(path.as_bytes()),
        };
        let manifest = Manifest {
            files: ["", "app", "app/a.php", "app/b.php", "b"]
                .map(listed)
                .to_vec(),
        };
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::from_bytes(&bytes), Some(manifest.clone()));
        assert!(manifest.get(b"app/b.php").is_some() && manifest.get(b"app/c").is_none());
        assert_eq!(Manifest::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Manifest::from_bytes(&[]), None);
        assert_eq!(Manifest::from_bytes(&[1, 9, 0, 0, 0]), None);
    }
}
