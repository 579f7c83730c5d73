//! A target's image: its configuration with history, over its layers.

use howdah_image::{History, Image, ImageConfig, Store, StoreError};
use jiff::Timestamp;

use crate::cache::Memory;
use crate::lower::LoweredTarget;
use crate::request::Target;
use crate::root::Root;

/// Makes the image of a target and gives it its names.
///
/// Everything in it that is a time is that of the base image, or `SOURCE_DATE_EPOCH`: the same inputs make the same image
/// whenever and wherever it is built (docs/decisions/0012).
pub(crate) fn assemble(
    store: &Store,
    target: &Target,
    lowered: &LoweredTarget,
    root: &Root,
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
    let epoch = lowered
        .epoch
        .unwrap_or_else(|| state.base.as_ref().map_or(0, |image| image.epoch()));
    let created = Some(rfc3339(epoch));
    config.created.clone_from(&created);
    config.history.extend(state.history.iter().map(|step| {
        let layer = step.layer.and_then(|number| root.layers.get(number));
        History {
            created: created.clone(),
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

fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}
