//! A target's image: its configuration with history, over its layers.

use std::time::{SystemTime, UNIX_EPOCH};

use howdah_image::{History, Image, ImageConfig, Store, StoreError};
use howdah_solver::{Key, Recipe};
use jiff::Timestamp;

use crate::cache::Memory;
use crate::lower::LoweredTarget;
use crate::request::{Options, Target};
use crate::root::Root;

/// Makes the image of a target and gives it its names.
pub(crate) fn assemble(
    store: &Store,
    target: &Target,
    lowered: &LoweredTarget,
    root: &Root,
    options: &Options,
) -> Result<Image, StoreError> {
    let state = &lowered.state;
    let base = state
        .base
        .as_ref()
        .map(|image| image.config.clone())
        .unwrap_or_default();
    let mut config = ImageConfig {
        author: state.author.clone(),
        config: state.config.clone(),
        rootfs: howdah_image::RootFs::default(),
        created: None,
        ..base
    };
    config.config.labels.extend(target.labels.clone());
    let layers = root.image_layers();
    let created = created(store, &config, root, &history_texts(lowered), options)?;
    config.created = Some(rfc3339(created));
    config.history.extend(state.history.iter().map(|step| {
        let layer = step.layer.and_then(|number| root.layers.get(number));
        History {
            created: Some(rfc3339(
                layer.map_or(created, |layer| options.epoch.unwrap_or(layer.created)),
            )),
            created_by: Some(step.text.clone()),
            empty_layer: layer.is_none_or(|layer| layer.snapshots.is_empty()),
            ..History::default()
        }
    }));
    let image = store.save_image(config, layers)?;
    Memory::new(store).save_image_layers(root)?;
    for tag in &target.tags {
        store.tag(&image.id, tag)?;
    }
    Ok(image)
}

fn history_texts(lowered: &LoweredTarget) -> Vec<&str> {
    lowered
        .state
        .history
        .iter()
        .map(|step| step.text.as_str())
        .collect()
}

/// When this image was made first: the same image made again stays the same.
fn created(
    store: &Store,
    config: &ImageConfig,
    root: &Root,
    history: &[&str],
    options: &Options,
) -> Result<i64, StoreError> {
    if let Some(epoch) = options.epoch {
        return Ok(epoch);
    }
    let mut recipe = Recipe::new("image-created", 1);
    recipe
        .text("config", &serde_json::to_string(config).unwrap_or_default())
        .key("root", &root.content())
        .list("history", history);
    for layer in root.image_layers() {
        recipe.list(
            "layer",
            layer.snapshots.iter().map(howdah_image::SnapshotId::as_str),
        );
    }
    let (key, _) = recipe.finish();
    let memory = Memory::new(store);
    if let Some(known) = memory.content(&key)? {
        // Eight bytes of the value are the time.
        return Ok(known
            .as_bytes()
            .first_chunk()
            .map_or(0, |bytes| i64::from_le_bytes(*bytes)));
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        .cast_signed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&now.to_le_bytes());
    memory.save_content(&key, &Key::from(bytes))?;
    Ok(now)
}

fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}
