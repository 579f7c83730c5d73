//! What a service mounts: `volumes:`, `tmpfs:`, `secrets:` and `configs:`.

use std::path::PathBuf;

use super::mounts::{FileMount, MountSource, ServiceMount};
use super::section::Section;
use super::units;

/// Reads `volumes:` and `tmpfs:`.
pub(crate) fn mounts(section: &Section<'_>) -> Vec<ServiceMount> {
    let mut all: Vec<ServiceMount> = section
        .sections("volumes")
        .into_iter()
        .filter_map(mount)
        .collect();
    for text in section.strings("tmpfs") {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        let mut source = (None, None);
        for option in options.split(',') {
            match option.split_once('=') {
                Some(("size", size)) => source.0 = units::bytes(size),
                Some(("mode", mode)) => source.1 = u32::from_str_radix(mode, 8).ok(),
                _ => {}
            }
        }
        let (size, mode) = source;
        all.push(ServiceMount {
            target: target.to_owned(),
            read_only: false,
            source: MountSource::Tmpfs { size, mode },
        });
    }
    all
}

fn mount(item: Section<'_>) -> Option<ServiceMount> {
    let kind = item.string("type");
    let source = item.string("source");
    let target = item.string("target");
    let bind = item.section("bind");
    let volume = item.section("volume");
    let tmpfs = item.section("tmpfs");
    let no_copy = volume.as_ref().is_some_and(|volume| volume.flag("nocopy"));
    let subpath = volume.as_ref().and_then(|volume| volume.string("subpath"));
    let size = tmpfs.as_ref().and_then(|tmpfs| tmpfs.bytes("size"));
    let mode = tmpfs
        .as_ref()
        .and_then(|tmpfs| tmpfs.with("mode", "an octal number", octal));
    let create = bind
        .as_ref()
        .is_some_and(|bind| bind.flag("create_host_path"));
    if let Some(volume) = &volume {
        volume.ignored(&["labels"]);
    }
    if let Some(bind) = &bind {
        bind.string("selinux");
        bind.ignored(&["recursive", "propagation"]);
    }
    [bind, volume, tmpfs]
        .into_iter()
        .flatten()
        .for_each(Section::finish);
    let source = match (kind.as_deref(), source) {
        (Some("bind"), Some(path)) => Some(MountSource::Bind {
            path: PathBuf::from(path),
            create,
        }),
        (Some("bind"), None) => {
            item.fault(item.origin(), "source", "is missing");
            None
        }
        (Some("volume") | None, Some(key)) => Some(MountSource::Volume {
            key,
            no_copy,
            subpath,
        }),
        (Some("volume") | None, None) => Some(MountSource::Anonymous { no_copy }),
        (Some("tmpfs"), _) => Some(MountSource::Tmpfs { size, mode }),
        (Some(other), _) => {
            item.fault(
                item.origin(),
                "type",
                &format!("`{other}` is not supported; bind, volume and tmpfs are"),
            );
            None
        }
    };
    let read_only = item.flag("read_only");
    item.string("consistency");
    match &target {
        Some(target) if target.starts_with('/') => {}
        Some(target) => item.fault(
            item.origin(),
            "target",
            &format!("`{target}` is not an absolute path"),
        ),
        None => item.fault(item.origin(), "target", "is missing"),
    }
    item.finish();
    Some(ServiceMount {
        target: target?,
        read_only,
        source: source?,
    })
}

/// `0440`, `"440"` and `0o440` are all octal: nobody means decimal permissions.
fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
}

/// Reads `secrets:` or `configs:`.
pub(crate) fn file_mounts(section: &Section<'_>, key: &'static str) -> Vec<FileMount> {
    let mut all = Vec::new();
    for item in section.sections(key) {
        let source = item.string("source").unwrap_or_default();
        let target = match item.string("target") {
            Some(target) if target.starts_with('/') => target,
            Some(name) if key == "secrets" => format!("/run/secrets/{name}"),
            Some(name) => format!("/{name}"),
            None if key == "secrets" => format!("/run/secrets/{source}"),
            None => format!("/{source}"),
        };
        all.push(FileMount {
            source,
            target,
            uid: item.parsed("uid", "a number"),
            gid: item.parsed("gid", "a number"),
            mode: item.with("mode", "an octal number", octal),
        });
        item.finish();
    }
    all
}
