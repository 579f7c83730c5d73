//! The whole way from files to a project: discover, assemble, type, check, select profiles.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::assemble::{self, Source};
use super::checks;
use super::discover::{self, Found, normalise_name};
use super::fault::{Fault, Findings, Warning};
use super::interpolate::{Variables, interpolate_node};
use super::node::Node;
use super::project::{NetworkDefinition, Project};
use super::read_resources::{files, networks, volumes};
use super::read_service::{self, Lookup};
use super::render::Document;
use super::section::Section;
use super::service::{NetworkMode, Service};

/// What the caller chose; the rest is found.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `--file`; empty = `COMPOSE_FILE`, else the nearest Compose file upwards.
    pub files: Vec<PathBuf>,
    /// What the file `-` holds.
    pub stdin: Option<String>,
    /// `--project-name`.
    pub project_name: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// Services named on the command line: their profiles count as chosen.
    pub services: Vec<String>,
    /// The absolute directory the command was called in.
    pub working_directory: PathBuf,
    /// The shell's variables.
    pub environment: BTreeMap<String, String>,
}

/// A project that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No file was named and none was found.
    #[error("no compose.yaml in `{}` or above", directory.display())]
    NotFound {
        /// Where the search started.
        directory: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read the project's files")]
    Read {
        /// Why; names the file.
        source: io::Error,
    },
    /// A file is absurdly large.
    #[error("`{}` is too large for a Compose file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A name that was given cannot be used.
    #[error(
        "`{name}` is not a project name; use lower case letters, digits, `_` and `-`, starting with a letter or digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A service was named that is not in the file.
    #[error("no such service: {name}")]
    NoService {
        /// The name.
        name: String,
    },
    /// The files are wrong in one or more places.
    #[error("{}", list(faults))]
    Invalid {
        /// All of them, in the order of the files.
        faults: Vec<Fault>,
        /// What else was noticed.
        warnings: Vec<Warning>,
    },
}

fn list(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A loaded project and what it was made from.
#[derive(Debug)]
pub struct Loaded {
    /// The typed model.
    pub project: Project,
    /// Everything accepted but not as meant.
    pub warnings: Vec<Warning>,
    /// The merged file, for `config`.
    pub document: Document,
}

/// Loads a project.
pub fn load(options: &LoadOptions) -> Result<(Project, Vec<Warning>), LoadError> {
    load_with_document(options).map(|loaded| (loaded.project, loaded.warnings))
}

/// Loads a project and keeps the merged file beside it.
pub fn load_with_document(options: &LoadOptions) -> Result<Loaded, LoadError> {
    let mut findings = Findings::default();
    let mut found = discover::discover(options, &mut findings)?;
    let name = project_name(options, &found, &mut findings)?;
    found
        .variables
        .insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    let stdin = options.stdin.as_deref();
    let source = Source {
        files: &found.files,
        stdin,
        base: &found.base,
        variables: &found.variables,
    };
    let whole = assemble::assemble(&source, &mut findings)?;
    if findings.unreadable {
        return Err(LoadError::Invalid {
            faults: findings.faults,
            warnings: findings.warnings,
        });
    }
    let findings = RefCell::new(findings);
    let mut project = read(&whole, &name, &found, &findings);
    if let Some(root) = whole.as_map() {
        checks::check(root, &findings);
    }
    select(&mut project, options, &found.variables, &findings)?;
    let Findings {
        mut faults,
        warnings,
        ..
    } = findings.into_inner();
    if !faults.is_empty() {
        faults.sort_by_key(|fault| {
            fault
                .origin
                .as_ref()
                .map(|at| (file_order(&found.files, &at.file), at.line, at.column))
        });
        return Err(LoadError::Invalid { faults, warnings });
    }
    let document = Document::new(&whole, &project);
    Ok(Loaded {
        project,
        warnings,
        document,
    })
}

fn file_order(files: &[PathBuf], file: &Path) -> usize {
    files
        .iter()
        .position(|known| known == file)
        .unwrap_or(files.len())
}

/// `--project-name`, `COMPOSE_PROJECT_NAME`, the last file's `name:`, the directory's name.
fn project_name(
    options: &LoadOptions,
    found: &Found,
    findings: &mut Findings,
) -> Result<String, LoadError> {
    let given = options
        .project_name
        .clone()
        .or_else(|| found.variables.get("COMPOSE_PROJECT_NAME").cloned());
    let given = match given.filter(|name| !name.is_empty()) {
        Some(name) => Some(name),
        None => top_level_name(options, found, findings)?,
    };
    if let Some(name) = given {
        return if normalise_name(&name) == name {
            Ok(name)
        } else {
            Err(LoadError::Name { name })
        };
    }
    let directory = found
        .base
        .directory
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let name = normalise_name(&directory);
    if name.is_empty() {
        Err(LoadError::Name {
            name: directory.into_owned(),
        })
    } else {
        Ok(name)
    }
}

fn top_level_name(
    options: &LoadOptions,
    found: &Found,
    findings: &mut Findings,
) -> Result<Option<String>, LoadError> {
    let mut name = None;
    for file in &found.files {
        // Faults of the files themselves are found again, and told, when they are assembled.
        let mut unheard = Findings::default();
        for document in assemble::documents(file, options.stdin.as_deref(), &mut unheard)? {
            if let Some(node) = document.as_map().and_then(|root| root.get("name")) {
                let mut node = node.clone();
                interpolate_node(&mut node, &found.variables, findings);
                name = node.as_str().map(str::to_owned).or(name);
            }
        }
    }
    Ok(name)
}

fn read(whole: &Node, name: &str, found: &Found, findings: &RefCell<Findings>) -> Project {
    let root = Section::new(whole, "", findings);
    root.get("name");
    if let Some(version) = root.get("version") {
        let warning = Fault::at(&version.origin, "version: has no meaning any more, ignored");
        findings.borrow_mut().warn(warning);
    }
    let secrets = files(&root, "secrets", name, &found.variables);
    let lookup = Lookup {
        variables: &found.variables,
        secrets: &secrets,
    };
    let services: BTreeMap<String, Service> = root
        .named("services")
        .into_iter()
        .map(|(entry, section)| {
            (
                entry.key.clone(),
                read_service::service(&entry.key, section, &lookup),
            )
        })
        .collect();
    if services.is_empty() && whole.as_map().is_some() {
        findings
            .borrow_mut()
            .fault(Fault::at(&whole.origin, "services: none are defined"));
    }
    let project = Project {
        name: name.to_owned(),
        directory: found.base.directory.clone(),
        files: found.files.clone(),
        services,
        disabled: BTreeMap::new(),
        networks: networks(&root, name),
        volumes: volumes(&root, name),
        configs: files(&root, "configs", name, &found.variables),
        secrets,
    };
    root.ignored(&["models"]);
    root.finish();
    project
}

/// Sets aside the services no profile selects, and the networks nobody uses.
fn select(
    project: &mut Project,
    options: &LoadOptions,
    variables: &Variables,
    findings: &RefCell<Findings>,
) -> Result<(), LoadError> {
    let mut profiles: BTreeSet<String> = options.profiles.iter().cloned().collect();
    if profiles.is_empty() {
        let listed = variables.get("COMPOSE_PROFILES").map_or("", String::as_str);
        profiles.extend(
            listed
                .split(',')
                .map(str::trim)
                .filter(|profile| !profile.is_empty())
                .map(str::to_owned),
        );
    }
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for name in &options.services {
        let service = project
            .services
            .get(name)
            .ok_or_else(|| LoadError::NoService { name: name.clone() })?;
        named.insert(name);
        profiles.extend(service.profiles.iter().cloned());
    }
    let is_active = |service: &Service| {
        service.profiles.is_empty()
            || profiles.contains("*")
            || service
                .profiles
                .iter()
                .any(|profile| profiles.contains(profile))
            || named.contains(service.name.as_str())
    };
    let (active, disabled) = std::mem::take(&mut project.services)
        .into_iter()
        .partition(|(_, service)| is_active(service));
    project.services = active;
    project.disabled = disabled;
    for service in project.services.values_mut() {
        let (name, disabled) = (&service.name, &project.disabled);
        service.depends_on.retain(|target, dependency| {
            if let Some(left_out) = disabled.get(target)
                && dependency.required
            {
                let profiles = left_out.profiles.join(", ");
                let message = format!("services.{name}.depends_on: `{target}` is left out by its profiles ({profiles})");
                findings.borrow_mut().fault(Fault::nowhere(message).hint(format!("add --profile {profiles}")));
            }
            dependency.required || !disabled.contains_key(target)
        });
    }
    let known: BTreeSet<String> = project.services.keys().cloned().collect();
    for service in project.services.values_mut() {
        service
            .depends_on
            .retain(|target, dependency| dependency.required || known.contains(target));
    }
    settle_networks(project);
    Ok(())
}

fn settle_networks(project: &mut Project) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for service in project.services.values() {
        if let NetworkMode::Networks(networks) = &service.container.network {
            used.extend(networks.keys().map(String::as_str));
        }
    }
    if used.contains("default") && !project.networks.contains_key("default") {
        let network = NetworkDefinition {
            name: format!("{}_default", project.name),
            ..NetworkDefinition::default()
        };
        project.networks.insert("default".to_owned(), network);
    }
    project
        .networks
        .retain(|key, _| used.contains(key.as_str()));
}
