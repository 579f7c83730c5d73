//! Why a step or a whole build failed.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use howdah_dockerfile::Fault;
use howdah_dockerfile::ignore::IgnoreError;
use howdah_image::archive::ArchiveError;
use howdah_image::{ParsePlatformError, Platform, StoreError};

use crate::copy::CopyError;
use crate::exec::RunError;
use crate::remote::RemoteError;
use crate::request::Entitlement;

/// Why one step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Files could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A command failed or could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Something could not be fetched.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A result that a cache promised cannot be fetched. The graph is solved again without it, so nobody sees this.
    #[error("a layer of a cache cannot be fetched")]
    CacheLost,
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
}

/// A line of a Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The Dockerfile, as people know it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The instruction as written.
    pub text: String,
}

/// Why an instruction has no meaning where it stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// The image is not here and could not be pulled.
    #[error("no image `{name}`{}", elsewhere(platform, here))]
    Image {
        /// As written.
        name: String,
        /// As asked for.
        platform: Box<Platform>,
        /// For which platforms the store has it.
        here: Vec<Platform>,
        /// The registry's answer.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A stage that needs itself.
    #[error("stage `{stage}` needs itself: {}", path.join(" -> "))]
    Cycle {
        /// Its name.
        stage: String,
        /// From the stage back to it.
        path: Vec<String>,
    },
    /// Files are missing.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// An image is for another machine.
    #[error("`{name}` is for {found}, and the stage is for {platform}")]
    Platform {
        /// As written.
        name: String,
        /// As asked for.
        platform: Box<Platform>,
        /// What it is for.
        found: Box<Platform>,
    },
    /// A platform is empty after expansion.
    #[error("`--platform={text}` names no platform: a variable in it is empty")]
    EmptyPlatform {
        /// Before expansion.
        text: String,
    },
    /// A platform cannot be read.
    #[error(transparent)]
    BadPlatform(#[from] ParsePlatformError),
    /// Files of a stage that comes later.
    #[error("the stage `{stage}` comes after the one that takes files from it")]
    LaterStage {
        /// As written.
        stage: String,
    },
    /// A mount takes a stage by its name only.
    #[error("`from={number}` of a mount is no stage's name")]
    MountNumber {
        /// As written.
        number: String,
    },
    /// A mount over the root filesystem.
    #[error("a mount cannot be at `/`, where the image's files are")]
    MountOnRoot,
    /// A part of nothing.
    #[error("the cache mount has the source `{source_path}` and no `from`")]
    CacheSource {
        /// As written.
        source_path: String,
    },
    /// A step asks for what the caller does not allow.
    #[error("`{}` is not allowed in this build", .0.name())]
    NotAllowed(Entitlement),
    /// A base name is empty after expansion.
    #[error("`{text}` names no image: a variable in it is empty")]
    EmptyBase {
        /// Before expansion.
        text: String,
    },
    /// Devices are those of the Container Device Interface, which is not read here.
    #[error("the step requires the device `{device}`, and builds have no devices of the host")]
    NoDevice {
        /// Its name or class.
        device: String,
    },
    /// Something could not be fetched.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// `COPY` of a URL or a repository.
    #[error("`{address}` is not in the build context, and COPY takes nothing from elsewhere")]
    RemoteCopy {
        /// As written, without credentials.
        address: String,
    },
    /// `--checksum` on something that has none.
    #[error("--checksum takes one source, a URL or a Git repository")]
    Checksum,
    /// The address of a repository and the flag say different things.
    #[error("the address and {flag} contradict each other")]
    Contradiction {
        /// The flag.
        flag: &'static str,
    },
    /// An image of a named context cannot be read.
    #[error("cannot read an image from the layout `{}`", directory.display())]
    Layout {
        /// Its directory.
        directory: PathBuf,
        /// Why.
        source: Box<ArchiveError>,
    },
    /// An ignore pattern is malformed.
    #[error("cannot read the exclusions")]
    Exclude(#[from] IgnoreError),
    /// A context cannot be read.
    #[error("cannot read the build context `{}`", path.display())]
    Context {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no Dockerfile.
    #[error("no Dockerfile at `{}`", path.display())]
    NoDockerfile {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The build argument `SOURCE_DATE_EPOCH` is no time.
    #[error(
        "the build argument SOURCE_DATE_EPOCH is `{value}`, not a number of seconds since 1970"
    )]
    Epoch {
        /// What it is.
        value: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A Dockerfile is wrong; [`Fault::render`] shows each fault.
    #[error("`{name}` cannot be built: {}", count(faults.len()))]
    Faults {
        /// The Dockerfile.
        name: String,
        /// Its text.
        text: String,
        /// What is wrong in it.
        faults: Vec<Fault>,
    },
    /// An ignore file is wrong.
    #[error("cannot read `{name}`")]
    Ignore {
        /// The file.
        name: String,
        /// Why.
        source: IgnoreError,
    },
    /// `--target` names no stage.
    #[error("no stage `{stage}` in `{file}`")]
    UnknownStage {
        /// As asked for.
        stage: String,
        /// The Dockerfile.
        file: String,
        /// The stages it has.
        stages: Vec<String>,
    },
    /// An instruction has no meaning.
    #[error("{}:{} cannot be built", place.file, place.line)]
    Instruction {
        /// Where.
        place: Place,
        /// Why.
        #[source]
        source: Box<LowerError>,
    },
    /// A step failed.
    #[error("{}:{} failed", place.file, place.line)]
    Step {
        /// Where.
        place: Place,
        /// What progress called it.
        name: String,
        /// Why.
        #[source]
        source: Box<StepError>,
        /// The end of its output.
        output: Vec<String>,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
}

/// An image that is here for others only is most likely not in the registry either.
fn elsewhere(platform: &Platform, here: &[Platform]) -> String {
    if here.is_empty() {
        return String::new();
    }
    let here: Vec<String> = here.iter().map(Platform::to_string).collect();
    format!(" for {platform}; the one here is for {}", here.join(", "))
}

fn count(faults: usize) -> String {
    if faults == 1 {
        "1 fault".to_owned()
    } else {
        format!("{faults} faults")
    }
}
