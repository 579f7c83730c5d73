//! What the commands about a stack share: which project, its keeper, its images.

pub(crate) mod attach;
pub(crate) mod failure;
pub(crate) mod images;
pub(crate) mod output;
pub(crate) mod progress;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use howdah_compose::{
    Client, Container, KeeperOptions, LoadError, LoadOptions, Loaded, Message, Project, Request,
    StackPaths, Warning, load_state, load_with_document,
};

use super::{CommandError, Context};

/// Which project a command is about; the same on every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ProjectArgs {
    /// Project name.
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// Profile to enable.
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Alternate environment file.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Alternate working directory [default: that of the first Compose file].
    #[arg(long, value_name = "DIR")]
    project_directory: Option<PathBuf>,
}

/// Which Compose files; `logs` has no short form, because its `-f` follows.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FileArgs {
    /// Compose file; several are merged in order.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl FileArgs {
    /// The files named.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        Self { files }
    }
}

/// A loaded project and where its stack is.
#[derive(Debug)]
pub(crate) struct Stack {
    /// The project and the merged file.
    pub(crate) loaded: Loaded,
    /// Where the stack's things are.
    pub(crate) options: KeeperOptions,
}

impl ProjectArgs {
    /// Loads the project and prints what was noticed. `services` are those named on the command line.
    pub(crate) fn load(
        &self,
        context: &Context,
        files: &FileArgs,
        services: &[String],
    ) -> Result<Stack, CommandError> {
        let loaded = match load_with_document(&self.options(files, services)?) {
            Ok(loaded) => loaded,
            Err(error) => return Err(refused(error)),
        };
        warn(&loaded.warnings);
        let options = keeper_options(context, &loaded.project.name)?;
        Ok(Stack { loaded, options })
    }

    /// What the loader is given.
    pub(crate) fn options(
        &self,
        files: &FileArgs,
        services: &[String],
    ) -> Result<LoadOptions, CommandError> {
        let mut stdin = None;
        if files.files.iter().any(|file| file.as_os_str() == "-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            stdin = Some(text);
        }
        Ok(LoadOptions {
            files: files.files.clone(),
            stdin,
            project_name: self.project_name.clone(),
            project_directory: self.project_directory.clone(),
            profiles: self.profile.clone(),
            env_files: self.env_file.clone(),
            services: services.to_vec(),
            working_directory: std::env::current_dir()?,
            environment: variables(),
        })
    }
}

/// The shell's variables; what is not text cannot be written into a Compose file.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let pairs = std::env::vars_os();
    pairs
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Prints what was accepted but not as it was meant.
pub(crate) fn warn(warnings: &[Warning]) {
    for warning in warnings {
        anstream::eprintln!(
            "\u{1b}[1;33mwarning\u{1b}[0m: {}",
            relative(&warning.to_string())
        );
    }
}

pub(crate) fn refused(error: LoadError) -> CommandError {
    match error {
        LoadError::NotFound { .. } => {
            CommandError::from(error).hint("name one with -f, or change to the project's directory")
        }
        LoadError::Invalid { faults, warnings } => {
            warn(&warnings);
            let count = faults.len();
            let lines: Vec<String> = faults
                .iter()
                .map(|fault| format!("  {}", relative(&fault.to_string())))
                .collect();
            let what = if count == 1 {
                "is a fault".to_owned()
            } else {
                format!("are {count} faults")
            };
            CommandError::new(format!(
                "there {what} in the project's files:\n{}",
                lines.join("\n")
            ))
        }
        other => CommandError::from(other),
    }
}

/// Paths below the working directory are shown as a person would write them.
fn relative(text: &str) -> String {
    match std::env::current_dir() {
        Ok(directory) => text.replace(&format!("{}/", directory.display()), ""),
        Err(_) => text.to_owned(),
    }
}

/// Where the stack of a project is.
pub(crate) fn keeper_options(
    context: &Context,
    project: &str,
) -> Result<KeeperOptions, CommandError> {
    let root = std::path::absolute(context.root())?;
    let paths = StackPaths::new(&root, context.runtime_directory(), project);
    Ok(KeeperOptions {
        paths,
        executable: std::env::current_exe()?,
    })
}

impl Stack {
    /// The project.
    pub(crate) fn project(&self) -> &Project {
        &self.loaded.project
    }

    /// Whether anything of the stack exists.
    pub(crate) fn exists(&self) -> Result<bool, CommandError> {
        Ok(load_state(&self.options.paths)?.is_some())
    }

    /// Connects to the keeper; starts one when there is none.
    pub(crate) fn client(&self) -> Result<Client, CommandError> {
        Client::open(&self.options).map_err(CommandError::from)
    }

    /// The containers as they are now. Replaces a keeper that died.
    pub(crate) fn containers(&self) -> Result<Vec<Container>, CommandError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let mut client = self.client()?;
        client.request(&Request::List)?;
        match client.next_message()? {
            Some(Message::Done { containers }) => Ok(containers),
            _ => Err(CommandError::new(format!(
                "the keeper of stack `{}` gave no answer",
                self.project().name
            ))),
        }
    }

    /// One running container of a service, by its number.
    pub(crate) fn running(
        &self,
        service: &str,
        index: Option<u32>,
    ) -> Result<Container, CommandError> {
        let containers = self.containers()?;
        let wanted = |container: &&Container| {
            container.service() == service
                && !container.one_off
                && index.is_none_or(|index| container.index == index)
        };
        let is_running = |container: &&Container| {
            matches!(container.phase, howdah_compose::Phase::Running { .. })
        };
        let found = containers.iter().filter(wanted).find(is_running).cloned();
        found.ok_or_else(|| {
            let which = index.map_or(String::new(), |index| format!(" with number {index}"));
            CommandError::new(format!(
                "service `{service}` has no running container{which}"
            ))
            .hint(format!("`howdah up -d {service}` starts it"))
        })
    }
}

/// `-t 10`: whole or broken seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
