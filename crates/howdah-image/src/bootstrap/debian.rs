//! Debian's base image by mmdebstrap, which checks the archive's signatures with Debian's keyring.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::str::FromStr;

use super::mirrors::Mirrors;
use super::{BootstrapError, Made, PATH, files, io_error, keep, release, store_error};
use crate::layer::{LayerError, Limits, unpack};
use crate::{ContainerConfig, Image, Reference, Staging, Store};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Merges `/usr` before the first package is unpacked, in suites that have it merged; else apt would choose the package
/// `usrmerge` for it, which brings all of Perl.
const MERGED_USR_HOOK: &str = "/usr/share/mmdebstrap/hooks/maybe-merged-usr";
/// Of mmdebstrap's words, those that an error repeats.
const TAIL: usize = 12;

/// A Debian release, as an image tag names it: `bookworm`, `trixie-slim`, `12-slim`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    name: String,
    pub(super) slim: bool,
}

impl FromStr for Suite {
    type Err = BootstrapError;

    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        let (name, slim) = tag
            .strip_suffix("-slim")
            .map_or((tag, false), |name| (name, true));
        let name = match name {
            "latest" => "stable",
            "11" => "bullseye",
            "12" => "bookworm",
            "13" => "trixie",
            "14" => "forky",
            name => name,
        };
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_name {
            Ok(Self {
                name: name.to_owned(),
                slim,
            })
        } else {
            Err(BootstrapError::UnknownImage(format!("debian:{tag}")))
        }
    }
}

impl Suite {
    /// The image's `debian.sources`, in the form of Docker's images.
    pub(super) fn sources(&self, mirrors: &Mirrors) -> String {
        let Self { name, .. } = self;
        // The rolling suite gets its fixes like everything else.
        let is_rolling = matches!(name.as_str(), "sid" | "unstable" | "experimental");
        let suites = if is_rolling {
            name.clone()
        } else {
            format!("{name} {name}-updates")
        };
        let stanza = |uri: &str, suites: &str| {
            format!(
                "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
            )
        };
        let archive = stanza(&mirrors.archive, &suites);
        if is_rolling {
            archive
        } else {
            format!(
                "{archive}\n{}",
                stanza(&mirrors.security, &format!("{name}-security"))
            )
        }
    }
}

/// Makes the image `reference` of a Debian release from this machine's mirror. `epoch` is `SOURCE_DATE_EPOCH`; without
/// one it is the date of the archive's last change, so that the same archive gives the same image.
pub fn debian(
    store: &Store,
    reference: &Reference,
    epoch: Option<i64>,
    progress: &dyn Fn(&str),
) -> Result<Image, BootstrapError> {
    let suite: Suite = match (
        reference.registry(),
        reference.repository(),
        reference.tag(),
    ) {
        ("docker.io", "library/debian", Some(tag)) => tag.parse()?,
        _ => return Err(BootstrapError::UnknownImage(reference.familiar())),
    };
    if !Path::new(KEYRING).exists() {
        return Err(BootstrapError::MissingPackage {
            file: KEYRING.into(),
            package: "debian-archive-keyring",
        });
    }
    let mirrors = Mirrors::of_host(Path::new("/etc/apt"));
    let staging = store.stage().map_err(store_error)?;
    progress(&format!(
        "installing Debian {} from {}",
        suite.name, mirrors.archive
    ));
    // mmdebstrap and apt know the format of a file of sources by its name.
    let sources = staging.directory().join("debian.sources");
    fs_err::write(&sources, suite.sources(&mirrors)).map_err(io_error("write", &sources))?;
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => release::date(&sources, staging.directory())?,
    };
    run(&suite, &sources, &staging, epoch, progress)?;
    files::finish(staging.upper(), &suite, &mirrors)?;
    files::clamp_times(staging.upper(), epoch)?;
    progress("sealing the layer");
    let config = ContainerConfig {
        env: vec![PATH.to_owned()],
        cmd: Some(vec!["bash".to_owned()]),
        ..ContainerConfig::default()
    };
    let by = format!("# mmdebstrap --variant=minbase {} @{epoch}", suite.name);
    keep(store, staging, Made { config, by, epoch }, reference)
}

/// Runs mmdebstrap and unpacks the tar it writes, at the same time.
fn run(
    suite: &Suite,
    sources: &Path,
    staging: &Staging,
    epoch: i64,
    progress: &dyn Fn(&str),
) -> Result<(), BootstrapError> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=minbase", "--format=tar", "--components=main"]);
    if Path::new(MERGED_USR_HOOK).is_dir() {
        command.arg("--hook-dir").arg(MERGED_USR_HOOK);
    }
    if suite.slim {
        let excludes = staging.directory().join("slim");
        fs_err::write(&excludes, files::SLIM_EXCLUDES).map_err(io_error("write", &excludes))?;
        command.arg("--dpkgopt").arg(&excludes);
    }
    command.arg(&suite.name).arg("-").arg(sources);
    command
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .env("LC_ALL", "C.UTF-8");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => BootstrapError::MissingPackage {
            file: "mmdebstrap".into(),
            package: "mmdebstrap",
        },
        _ => io_error("run", Path::new("mmdebstrap"))(error),
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (unpacked, tail) = std::thread::scope(|scope| {
        let unpacking = scope
            .spawn(|| stdout.map(|stdout| unpack(stdout, staging.upper(), &Limits::default())));
        let tail = stderr
            .map(|stderr| tell(stderr, progress))
            .unwrap_or_default();
        (unpacking.join(), tail)
    });
    let status = child
        .wait()
        .map_err(io_error("wait for", Path::new("mmdebstrap")))?;
    match unpacked {
        // A full disk here makes mmdebstrap fail too, for want of a reader; a failure there ends its tar early.
        Ok(Some(Err(source))) if status.success() || matches!(source, LayerError::Io { .. }) => {
            return Err(BootstrapError::Unpack { source });
        }
        Err(panic) => std::panic::resume_unwind(panic),
        Ok(_) => {}
    }
    if status.success() {
        Ok(())
    } else {
        Err(BootstrapError::Mmdebstrap { status, tail })
    }
}

/// Passes mmdebstrap's words on, and keeps the last ones.
fn tell(stderr: ChildStderr, progress: &dyn Fn(&str)) -> String {
    let mut tail = VecDeque::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        // Progress bars overwrite their line.
        let line = String::from_utf8_lossy(&line)
            .rsplit('\r')
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned();
        if let Some(step) = line.strip_prefix("I: ") {
            progress(step);
        }
        if !line.is_empty() {
            tail.push_back(line);
        }
        if tail.len() > TAIL {
            tail.pop_front();
        }
    }
    tail.make_contiguous().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_suites() {
        let suite = |tag: &str| {
            tag.parse::<Suite>()
                .ok()
                .map(|suite| (suite.name, suite.slim))
        };
        assert_eq!(suite("bookworm-slim"), Some(("bookworm".into(), true)));
        assert_eq!(suite("13"), Some(("trixie".into(), false)));
        assert_eq!(suite("latest"), Some(("stable".into(), false)));
        for tag in ["", "-slim", "bookworm-20240101", "12.5", "--help"] {
            assert_eq!(suite(tag), None, "{tag}");
        }
    }

    #[test]
    fn sources_have_updates_and_security_except_for_the_rolling_suite() {
        let sources = |tag: &str| tag.parse::<Suite>().unwrap().sources(&Mirrors::default());
        let stable = sources("bookworm");
        assert!(
            stable.contains("Suites: bookworm bookworm-updates\n")
                && stable.contains("Suites: bookworm-security\n")
        );
        assert!(!sources("sid").contains("security"));
    }
}
