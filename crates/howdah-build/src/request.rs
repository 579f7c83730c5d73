//! What to build.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use howdah_dockerfile::Network;
use howdah_image::{Platform, Reference, RegistryOptions};
use howdah_runtime::Limits;

use crate::error::BuildError;
use crate::remote::Fetched;
use crate::transport::{CacheSource, CacheTarget};

/// Larger Dockerfiles and ignore files are nobody's.
pub(crate) const TEXT_LIMIT: u64 = 16 << 20;

/// One image to build.
#[derive(Clone, Debug)]
pub struct Target {
    /// What progress calls it, such as the service's name; empty when there is only one.
    pub name: String,
    /// The Dockerfile.
    pub dockerfile: Text,
    /// Where `COPY` copies from.
    pub context: ContextSource,
    /// What the image is for; this machine if absent (`--platform`).
    pub platform: Option<Platform>,
    /// What of it stays out: the text of `.dockerignore` or of the Dockerfile's own ignore file.
    pub ignore: Option<Text>,
    /// The stage to build; the last one if absent (`--target`).
    pub stage: Option<String>,
    /// `--build-arg`
    pub build_args: BTreeMap<String, String>,
    /// `--build-context`: a name that `FROM` and `COPY --from` take, and what it means.
    pub contexts: BTreeMap<String, NamedContext>,
    /// Labels beside those of the Dockerfile (`--label`).
    pub labels: BTreeMap<String, String>,
    /// Names for the image (`--tag`).
    pub tags: Vec<Reference>,
    /// The network of `RUN` instructions that choose none (`--network`).
    pub network: Network,
    /// More lines of `/etc/hosts` (`--add-host`).
    pub hosts: Vec<(IpAddr, String)>,
    /// What each `RUN` may use up (`--shm-size`, `--ulimit`, `--memory`).
    pub limits: Limits,
    /// The control group that those of `RUN` are made in (`--cgroup-parent`).
    pub cgroup_parent: Option<String>,
    /// What is executed although its result is known.
    pub no_cache: NoCache,
    /// Caches elsewhere that may know what the store does not (`--cache-from`).
    pub cache_from: Vec<CacheSource>,
    /// Caches that get what this build knows (`--cache-to`).
    pub cache_to: Vec<CacheTarget>,
}

/// The steps that are executed whatever is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NoCache {
    /// None.
    #[default]
    Nothing,
    /// All (`--no-cache`).
    Everything,
    /// Those of the stages with these names (`--no-cache-filter`).
    Stages(Vec<String>),
}

impl NoCache {
    /// Whether it concerns a stage. Names do not distinguish case, and a stage without one is only meant with all.
    pub(crate) fn has(&self, stage: Option<&str>) -> bool {
        match (self, stage) {
            (NoCache::Everything, _) => true,
            (NoCache::Stages(names), Some(stage)) => {
                names.iter().any(|name| name.eq_ignore_ascii_case(stage))
            }
            (NoCache::Nothing | NoCache::Stages(_), _) => false,
        }
    }
}

/// A text file and the name it has for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// As people know it: a path as they gave it, or `-`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// What a name of `--build-context` stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamedContext {
    /// `docker-image://reference`
    Image(String),
    /// `oci-layout://directory`: one image of a layout.
    Layout {
        /// The layout's directory.
        directory: PathBuf,
        /// A tag or a digest; needed when the layout has several images.
        name: Option<String>,
    },
    /// A directory, without what its own `.dockerignore` leaves out.
    Directory(PathBuf),
    /// The address of a repository or of one file, looked up when it is used.
    Remote(String),
}

/// As it is written behind the name.
impl std::fmt::Display for NamedContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NamedContext::Image(reference) => write!(formatter, "docker-image://{reference}"),
            NamedContext::Layout { directory, name } => {
                write!(formatter, "oci-layout://{}", directory.display())?;
                match name {
                    Some(name) if name.contains(':') => write!(formatter, "@{name}"),
                    Some(name) => write!(formatter, ":{name}"),
                    None => Ok(()),
                }
            }
            NamedContext::Directory(directory) => write!(formatter, "{}", directory.display()),
            NamedContext::Remote(address) => formatter.write_str(&crate::remote::shown(address)),
        }
    }
}

/// Where the files of a build context are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextSource {
    /// A directory of this machine. Owners of its files do not count.
    Directory(PathBuf),
    /// A tree that came from elsewhere; `.dockerignore` in it means nothing, as BuildKit has it.
    Fetched(Fetched),
    /// There are no files: the Dockerfile alone was given.
    Empty,
}

impl ContextSource {
    /// The directory's whole path, or the address.
    pub(crate) fn name(&self) -> String {
        match self {
            ContextSource::Directory(path) => {
                // One that cannot be read is an error where it is needed.
                let whole = fs_err::canonicalize(path).unwrap_or_else(|_| path.clone());
                whole.to_string_lossy().into_owned()
            }
            ContextSource::Fetched(fetched) => fetched.name(),
            ContextSource::Empty => "-".to_owned(),
        }
    }
}

/// The build argument that sets the time of everything new in an image, in seconds since 1970
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

impl Target {
    /// The value of [`SOURCE_DATE_EPOCH`], if it has one.
    pub(crate) fn epoch(&self) -> Result<Option<i64>, BuildError> {
        let Some(text) = self.build_args.get(SOURCE_DATE_EPOCH) else {
            return Ok(None);
        };
        let epoch = text.parse().map_err(|_| BuildError::Epoch {
            value: text.clone(),
        })?;
        Ok(Some(epoch))
    }

    /// A target with nothing but a Dockerfile and a context.
    pub fn new(dockerfile: Text, context: &Path) -> Target {
        Target {
            name: String::new(),
            dockerfile,
            context: ContextSource::Directory(context.to_owned()),
            platform: None,
            ignore: None,
            stage: None,
            build_args: BTreeMap::new(),
            contexts: BTreeMap::new(),
            labels: BTreeMap::new(),
            tags: Vec::new(),
            network: Network::Default,
            hosts: Vec::new(),
            limits: Limits::default(),
            cgroup_parent: None,
            no_cache: NoCache::Nothing,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
        }
    }

    /// Reads the Dockerfile at `path` and the ignore file that goes with it: `<path>.dockerignore`, else `.dockerignore`
    /// of the context.
    pub fn load(path: &Path, context: &Path) -> Result<Target, BuildError> {
        let dockerfile = Text::read(path)?.ok_or_else(|| BuildError::NoDockerfile {
            path: path.to_owned(),
        })?;
        let mut target = Target::new(dockerfile, context);
        let mut own = path.as_os_str().to_owned();
        own.push(".dockerignore");
        target.ignore = match Text::read_ignore(Path::new(&own))? {
            Some(text) => Some(text),
            None => Text::read_ignore(&context.join(".dockerignore"))?,
        };
        Ok(target)
    }
}

impl Text {
    /// Reads an ignore file; a directory of its name is none.
    pub fn read_ignore(path: &Path) -> Result<Option<Text>, BuildError> {
        if path.is_dir() {
            return Ok(None);
        }
        Text::read(path)
    }

    /// Reads a file; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Text>, BuildError> {
        use std::io::Read as _;
        let error = |source| BuildError::Read {
            path: path.to_owned(),
            source,
        };
        let file = match fs_err::File::open(path) {
            Ok(file) => file,
            Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(failure) => return Err(error(failure)),
        };
        let mut text = String::new();
        file.take(TEXT_LIMIT)
            .read_to_string(&mut text)
            .map_err(error)?;
        Ok(Some(Text {
            name: path.display().to_string(),
            text,
        }))
    }
}

/// What a secret's value comes from (`--secret`).
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file, read when a step asks for it.
    File(PathBuf),
    /// A value, from the caller's environment.
    Value(Vec<u8>),
}

/// Never shows a value.
impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Secret::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Secret::Value(_) => formatter.write_str("Value(..)"),
        }
    }
}

/// The agent that is meant where none is named (`--ssh default`).
pub const DEFAULT_AGENT: &str = "default";

/// What a step can only have when the caller allows it (`--allow`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// `RUN --network=host`
    HostNetwork,
    /// `RUN --security=insecure`
    Insecure,
}

impl Entitlement {
    /// BuildKit's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Entitlement::HostNetwork => "network.host",
            Entitlement::Insecure => "security.insecure",
        }
    }
}

/// What a whole build is given besides its targets.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// The sockets of SSH agents that the caller forwards, by name; repositories are fetched with [`DEFAULT_AGENT`].
    pub ssh_agents: BTreeMap<String, PathBuf>,
    /// Ask the registry for every base image, although one is here (`--pull`).
    pub pull: bool,
    /// How caches in registries are reached.
    pub registry: RegistryOptions,
    /// What steps may have that is dangerous (`--allow`).
    pub allowed: BTreeSet<Entitlement>,
}
