//! Images and their names in the database.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Store, StoreError};
use crate::{Image, ImageConfig, ImageId, ImageSummary, Layer, Platform, Reference, SnapshotId};

pub(super) const MIGRATIONS: &[&str] = &["
    -- config: the document as received, or as we first wrote it. layers: JSON, lists of snapshot ids.
    CREATE TABLE images (id TEXT PRIMARY KEY, config TEXT NOT NULL, layers TEXT NOT NULL) STRICT;
    CREATE TABLE tags (reference TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images ON DELETE CASCADE) STRICT;
    CREATE INDEX tags_image ON tags (image);
    -- Under which manifest digests registries have an image: `registry/repository@sha256:...`.
    CREATE TABLE manifests (reference TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images ON DELETE CASCADE) STRICT;
    CREATE INDEX manifests_image ON manifests (image);
    CREATE TABLE snapshot_sizes (snapshot TEXT PRIMARY KEY, size INTEGER NOT NULL) STRICT;
    -- One row for each way a layer was ever packed or received; see store/layers.rs for the key's recipe.
    CREATE TABLE layers (key TEXT PRIMARY KEY, diff_id TEXT NOT NULL) STRICT;
    CREATE TABLE layer_blobs (
        diff_id TEXT NOT NULL, compression TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
        PRIMARY KEY (diff_id, compression)
    ) STRICT;
",
    // When an image was first made here, in seconds since 1970; NULL for those that came from elsewhere. Its configuration does
    // not say: it is the same whenever it is made.
    "ALTER TABLE images ADD COLUMN made INTEGER;",
    // A name that stands for several platforms: all its images; also names by digest. `tags` has the one for this machine, else
    // the first.
    "CREATE TABLE tag_platforms (
        reference TEXT NOT NULL, platform TEXT NOT NULL, image TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        PRIMARY KEY (reference, platform)
    ) STRICT;
    CREATE INDEX tag_platforms_image ON tag_platforms (image);",
];

/// Images with their names, those for other platforms too.
const TAGS: &str = "SELECT image, reference FROM tags UNION
    SELECT image, reference FROM tag_platforms WHERE reference NOT LIKE '%@%' ORDER BY reference";
/// Images with their names by digest.
const MANIFESTS: &str = "SELECT image, reference FROM manifests UNION
    SELECT image, reference FROM tag_platforms WHERE reference LIKE '%@%' ORDER BY reference";

/// Shorter prefixes of an image id are not looked up.
const SHORTEST_PREFIX: usize = 2;

impl Store {
    /// Records an image over snapshots that are in the store already. The same content gives the same image.
    pub fn save_image(&self, config: ImageConfig, layers: Vec<Layer>) -> Result<Image, StoreError> {
        let document = serde_json::to_string(&config).map_err(|source| StoreError::Config {
            id: "to be saved".to_owned(),
            source,
        })?;
        self.insert_image(&document, config, layers, Origin::Here)
    }

    /// Like [`save_image`](Self::save_image) with the configuration as it was received, so that it leaves again unchanged.
    pub(crate) fn save_document(
        &self,
        document: &str,
        config: ImageConfig,
        layers: Vec<Layer>,
    ) -> Result<Image, StoreError> {
        self.insert_image(document, config, layers, Origin::Elsewhere)
    }

    fn insert_image(
        &self,
        document: &str,
        config: ImageConfig,
        layers: Vec<Layer>,
        origin: Origin,
    ) -> Result<Image, StoreError> {
        let snapshots = || layers.iter().flat_map(|layer| &layer.snapshots);
        if !self.hold(snapshots())?
            && let Some(missing) = snapshots().find(|id| !self.has_snapshot(id))
        {
            return Err(StoreError::NoSnapshot(missing.clone()));
        }
        let error = |source| StoreError::Config {
            id: "to be saved".to_owned(),
            source,
        };
        let id = ImageId::of(&config, &layers).map_err(error)?;
        let layers_text = serde_json::to_string(&layers).map_err(error)?;
        self.database().with(|connection| {
            // A document with diff ids replaces one without: it spares packing the layers to find them.
            connection.execute(
                "INSERT INTO images (id, config, layers, made) VALUES (?1, ?2, ?3, iif(?5, unixepoch(), NULL))
                 ON CONFLICT (id) DO UPDATE SET config = excluded.config WHERE ?4",
                params![
                    id.to_string(),
                    document,
                    layers_text,
                    !config.rootfs.diff_ids.is_empty(),
                    origin == Origin::Here,
                ],
            )
        })?;
        Ok(Image { id, config, layers })
    }

    /// Names an image; others that had the name lose it.
    pub fn tag(&self, id: &ImageId, reference: &Reference) -> Result<(), StoreError> {
        self.database().with(|connection| {
            let transaction = connection.transaction()?;
            set_tag(&transaction, id, reference)?;
            transaction.commit()
        })
    }

    /// Gives several images, each for another platform, one name together; others that had it lose it.
    pub fn tag_together(&self, images: &[&Image], reference: &Reference) -> Result<(), StoreError> {
        let host = Platform::default();
        let rank = |image: &&&Image| {
            host.rank(&Platform::of(&image.config))
                .unwrap_or(usize::MAX)
        };
        let Some(main) = images.iter().min_by_key(rank) else {
            return Ok(());
        };
        self.database().with(|connection| {
            let transaction = connection.transaction()?;
            set_tag(&transaction, &main.id, reference)?;
            for image in images.iter().filter(|_| images.len() > 1) {
                transaction.execute(
                    "INSERT OR REPLACE INTO tag_platforms (reference, platform, image) VALUES (?1, ?2, ?3)",
                    params![
                        reference.to_string(),
                        Platform::of(&image.config).to_string(),
                        image.id.to_string()
                    ],
                )?;
            }
            transaction.commit()
        })
    }

    /// Names an image and leaves the name to images for other platforms too.
    pub(crate) fn tag_beside(
        &self,
        image: &Image,
        reference: &Reference,
    ) -> Result<(), StoreError> {
        let platform = Platform::of(&image.config);
        let mut images = self.images_of(reference)?;
        images.retain(|other| platform != Platform::of(&other.config));
        let together: Vec<&Image> = images.iter().chain([image]).collect();
        self.tag_together(&together, reference)
    }

    /// All images of a name, one for each platform.
    pub fn images_of(&self, reference: &Reference) -> Result<Vec<Image>, StoreError> {
        let several = self.database().with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, config, layers FROM images JOIN tag_platforms ON image = id WHERE reference = ?1
                 ORDER BY platform",
            )?;
            let rows = statement.query_map([reference.to_string()], ImageRow::read)?;
            rows.collect::<Result<Vec<_>, _>>()
        })?;
        if several.is_empty() {
            return Ok(self
                .find_image(&reference.to_string())?
                .into_iter()
                .collect());
        }
        several.into_iter().map(ImageRow::into_image).collect()
    }

    /// As [`Store::find_image`], the one that suits a platform best.
    pub fn find_image_for(
        &self,
        name: &str,
        platform: &Platform,
    ) -> Result<Option<Image>, StoreError> {
        let images = match name.parse::<Reference>() {
            Ok(reference) => self.images_of(&reference)?,
            Err(_) => Vec::new(),
        };
        let others = if images.is_empty() {
            self.find_image(name)?
        } else {
            None
        };
        let images = images.into_iter().chain(others);
        let ranked =
            images.filter_map(|image| Some((platform.rank(&Platform::of(&image.config))?, image)));
        Ok(ranked.min_by_key(|(rank, _)| *rank).map(|(_, image)| image))
    }

    /// Takes a name away. Says whether there was one.
    pub fn untag(&self, reference: &Reference) -> Result<bool, StoreError> {
        let removed = self.database().with(|connection| {
            let name = reference.to_string();
            connection.execute("DELETE FROM tag_platforms WHERE reference = ?1", [&name])?;
            connection.execute("DELETE FROM tags WHERE reference = ?1", [&name])
        })?;
        Ok(removed > 0)
    }

    /// Forgets an image and all its names; one that it shares with images for other platforms is theirs from now on. Its
    /// snapshots stay: the build cache may stand on them.
    pub fn remove_image(&self, id: &ImageId) -> Result<(), StoreError> {
        self.database().with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM images WHERE id = ?1", [id.to_string()])?;
            transaction.execute(
                "INSERT OR IGNORE INTO tags (reference, image)
                 SELECT reference, image FROM tag_platforms WHERE reference NOT LIKE '%@%'",
                [],
            )?;
            transaction.commit()
        })
    }

    /// Remembers that a registry has this image under this digest of a manifest or of an index, which may have images for other
    /// platforms too.
    pub(crate) fn record_manifest(
        &self,
        image: &Image,
        pinned: &Reference,
    ) -> Result<(), StoreError> {
        let platform = Platform::of(&image.config);
        let is_native = Platform::default().rank(&platform).is_some();
        let (name, id) = (pinned.to_string(), image.id.to_string());
        self.database().with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO manifests (reference, image) VALUES (?1, ?2)
                 ON CONFLICT (reference) DO UPDATE SET image = excluded.image WHERE ?3",
                params![name, id, is_native],
            )?;
            transaction.execute(
                "INSERT OR REPLACE INTO tag_platforms (reference, platform, image) VALUES (?1, ?2, ?3)",
                params![name, platform.to_string(), id],
            )?;
            transaction.commit()
        })
    }

    /// The image with this name, this id, or the only one whose id begins so.
    pub fn find_image(&self, name: &str) -> Result<Option<Image>, StoreError> {
        if let Ok(reference) = name.parse::<Reference>()
            && let Some(row) = self
                .database()
                .with(|connection| find_by_reference(connection, &reference))?
        {
            return row.into_image().map(Some);
        }
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        let is_hex = prefix
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex || prefix.len() < SHORTEST_PREFIX || prefix.len() > 64 {
            return Ok(None);
        }
        let mut rows = self
            .database()
            .with(|connection| find_by_prefix(connection, prefix))?;
        match rows.len() {
            0 => Ok(None),
            1 => rows.remove(0).into_image().map(Some),
            _ => Err(StoreError::AmbiguousId(prefix.to_owned())),
        }
    }

    /// The configuration document of an image, byte for byte as received.
    pub(crate) fn image_document(&self, id: &ImageId) -> Result<Option<String>, StoreError> {
        self.database().with(|connection| {
            connection
                .query_row(
                    "SELECT config FROM images WHERE id = ?1",
                    [id.to_string()],
                    |row| row.get(0),
                )
                .optional()
        })
    }

    /// All images, newest first.
    pub fn images(&self) -> Result<Vec<ImageSummary>, StoreError> {
        let (rows, mut tags, mut manifests) = self.database().with(|connection| {
            let mut statement =
                connection.prepare("SELECT id, config, layers, made FROM images")?;
            let rows: Vec<(ImageRow, Option<i64>)> = statement
                .query_map([], |row| Ok((ImageRow::read(row)?, row.get(3)?)))?
                .collect::<Result<_, _>>()?;
            Ok((
                rows,
                names_by_image(connection, TAGS)?,
                names_by_image(connection, MANIFESTS)?,
            ))
        })?;
        let mut summaries = rows
            .into_iter()
            .map(|(row, made)| {
                let references = tags.remove(&row.id).unwrap_or_default();
                let digests = manifests.remove(&row.id).unwrap_or_default();
                let image = row.into_image()?;
                let size = self.image_size(&image)?;
                let made = made.and_then(|made| jiff::Timestamp::from_second(made).ok());
                Ok(ImageSummary {
                    id: image.id,
                    platform: Platform::of(&image.config),
                    references,
                    digests,
                    created: made.map(|made| made.to_string()).or(image.config.created),
                    size,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        summaries.sort_by(|a, b| {
            b.created
                .cmp(&a.created)
                .then_with(|| a.references.cmp(&b.references))
        });
        Ok(summaries)
    }

    /// An image's names and the names with digest under which registries have it.
    pub fn names(&self, id: &ImageId) -> Result<(Vec<Reference>, Vec<Reference>), StoreError> {
        let id = id.to_string();
        self.database().with(|connection| {
            let tags = names_by_image(connection, TAGS)?.remove(&id);
            let manifests = names_by_image(connection, MANIFESTS)?.remove(&id);
            Ok((tags.unwrap_or_default(), manifests.unwrap_or_default()))
        })
    }

    /// The sum of the sizes of all files of all layers.
    pub fn image_size(&self, image: &Image) -> Result<u64, StoreError> {
        image
            .layers
            .iter()
            .map(|layer| self.layer_size(layer))
            .sum()
    }

    /// The sum of the sizes of a layer's files.
    pub fn layer_size(&self, layer: &Layer) -> Result<u64, StoreError> {
        layer
            .snapshots
            .iter()
            .map(|snapshot| self.snapshot_size(snapshot))
            .sum()
    }

    /// The sum of the sizes of a snapshot's files. Counted on first use and remembered, because sealing must not walk the tree.
    pub fn snapshot_size(&self, id: &SnapshotId) -> Result<u64, StoreError> {
        let known = self.database().with(|connection| {
            connection
                .query_row(
                    "SELECT size FROM snapshot_sizes WHERE snapshot = ?1",
                    [id.as_str()],
                    |row| row.get::<_, i64>(0),
                )
                .optional()
        })?;
        if let Some(size) = known {
            return Ok(size.unsigned_abs());
        }
        if !self.has_snapshot(id) {
            // A damaged store is still listed: removing the image and fetching it anew repairs it.
            return Ok(0);
        }
        let path = self.snapshot_path(id);
        let size = crate::layer::tree_size(&path).map_err(StoreError::io("measure", &path))?;
        self.database().with(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO snapshot_sizes (snapshot, size) VALUES (?1, ?2)",
                params![id.as_str(), i64::try_from(size).unwrap_or(i64::MAX)],
            )
        })?;
        Ok(size)
    }
}

/// Where an image was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Here,
    Elsewhere,
}

struct ImageRow {
    id: String,
    config: String,
    layers: String,
}

impl ImageRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            config: row.get(1)?,
            layers: row.get(2)?,
        })
    }

    fn into_image(self) -> Result<Image, StoreError> {
        let error = |source| StoreError::Config {
            id: self.id.clone(),
            source,
        };
        Ok(Image {
            id: serde_json::from_value(serde_json::Value::String(self.id.clone()))
                .map_err(error)?,
            config: serde_json::from_str(&self.config).map_err(error)?,
            layers: serde_json::from_str(&self.layers).map_err(error)?,
        })
    }
}

fn set_tag(connection: &Connection, id: &ImageId, reference: &Reference) -> rusqlite::Result<()> {
    let name = reference.to_string();
    connection.execute("DELETE FROM tag_platforms WHERE reference = ?1", [&name])?;
    connection.execute(
        "INSERT OR REPLACE INTO tags (reference, image) VALUES (?1, ?2)",
        params![name, id.to_string()],
    )?;
    Ok(())
}

fn find_by_reference(
    connection: &Connection,
    reference: &Reference,
) -> rusqlite::Result<Option<ImageRow>> {
    // A name with a digest means that manifest, whatever its tag says now (as Docker has it).
    let (table, name) = match reference.digest() {
        Some(digest) => ("manifests", reference.with_digest(*digest)),
        None => ("tags", reference.clone()),
    };
    let query = format!(
        "SELECT id, config, layers FROM images JOIN {table} ON image = id WHERE reference = ?1"
    );
    connection
        .prepare_cached(&query)?
        .query_row([name.to_string()], ImageRow::read)
        .optional()
}

fn find_by_prefix(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<ImageRow>> {
    // A range instead of LIKE, so that the primary key's index is used; `g` sorts after all hex digits.
    let mut statement = connection.prepare_cached(
        "SELECT id, config, layers FROM images WHERE id >= ?1 AND id < ?2 LIMIT 2",
    )?;
    let range = [format!("sha256:{prefix}"), format!("sha256:{prefix}g")];
    statement.query_map(range, ImageRow::read)?.collect()
}

fn names_by_image(
    connection: &Connection,
    query: &str,
) -> rusqlite::Result<BTreeMap<String, Vec<Reference>>> {
    let mut statement = connection.prepare(query)?;
    let mut names: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Ok(reference) = row.get::<_, String>(1)?.parse() {
            names.entry(row.get(0)?).or_default().push(reference);
        }
    }
    Ok(names)
}
