//! A target's image: its configuration with history, over its layers.

use howdah_image::{History, Image, ImageConfig, Platform, Reference, Store, StoreError};
use jiff::Timestamp;

use crate::cache::Memory;
use crate::lower::LoweredTarget;
use crate::request::Target;
use crate::root::Root;

/// Makes the image of a target.
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
    if let Some(platform) = &target.platform {
        // What the image says is what was asked for; whether that is so is checked when it leaves.
        let same = config.architecture == platform.architecture;
        let inherited = config.variant.take().filter(|_| same);
        config.variant = platform.variant.clone().or(inherited);
        config.os.clone_from(&platform.os);
        config.architecture.clone_from(&platform.architecture);
    }
    let platform = Platform::of(&config);
    (config.os, config.architecture, config.variant) =
        (platform.os, platform.architecture, platform.variant);
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
    Ok(image)
}

/// Gives the images of targets their names. Several that want the same one, each for another platform, get it together.
pub(crate) fn name(store: &Store, targets: &[Target], images: &[Image]) -> Result<(), StoreError> {
    let mut named: Vec<(&Reference, Vec<&Image>)> = Vec::new();
    for (target, image) in targets.iter().zip(images) {
        for tag in &target.tags {
            match named.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, together)) if target.platform.is_some() => together.push(image),
                Some((_, together)) => *together = vec![image],
                None => named.push((tag, vec![image])),
            }
        }
    }
    named
        .into_iter()
        .try_for_each(|(tag, images)| store.tag_together(&images, tag))
}

fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}
