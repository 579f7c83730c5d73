//! One service, from its node in long form to its type.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::build::{BuildContext, BuildSecret, BuildSection};
use super::canonical::is_remote;
use super::fault::Fault;
use super::interpolate::Variables;
use super::project::{FileDefinition, FileSource};
use super::read_container::{self, ulimits};
use super::section::Section;
use super::service::{Condition, Dependency, NetworkMode, PullPolicy, RestartPolicy, Service};

/// What a service's reading looks up.
pub(crate) struct Lookup<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) secrets: &'a BTreeMap<String, FileDefinition>,
}

/// Keys of the specification whose support is not here yet.
const IGNORED: &[&str] = &[
    "annotations",
    "blkio_config",
    "cgroup",
    "cgroup_parent",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpuset",
    "credential_spec",
    "develop",
    "device_cgroup_rules",
    "external_links",
    "gpus",
    "ipc",
    "isolation",
    "logging",
    "mac_address",
    "mem_reservation",
    "mem_swappiness",
    "models",
    "oom_kill_disable",
    "pid",
    "post_start",
    "pre_start",
    "pre_stop",
    "provider",
    "runtime",
    "storage_opt",
    "use_api_socket",
    "userns_mode",
    "uts",
    "volumes_from",
];

/// Reads one service.
pub(crate) fn service(name: &str, section: Section<'_>, lookup: &Lookup<'_>) -> Service {
    let deploy = Deploy::read(&section);
    let mut service = Service {
        name: name.to_owned(),
        image: section.string("image"),
        build: section
            .section("build")
            .map(|build| build_section(build, lookup)),
        pull_policy: pull_policy(&section),
        platform: section.parsed("platform", "a platform such as linux/arm64"),
        profiles: section.strings("profiles"),
        container: read_container::container(&section, lookup),
        depends_on: depends_on(&section),
        replicas: section
            .parsed("scale", "a number")
            .or(deploy.replicas)
            .unwrap_or(1),
        restart: restart(&section).or(deploy.restart).unwrap_or_default(),
        stop_grace_period: section.duration("stop_grace_period"),
        stop_signal: section.string("stop_signal"),
        detached: section.boolean("attach") == Some(false),
    };
    let limits = &mut service.container.limits;
    limits.memory = limits.memory.or(deploy.memory);
    limits.cpus = limits.cpus.or(deploy.cpus);
    limits.pids = limits.pids.or(deploy.pids);
    if service.image.is_none() && service.build.is_none() {
        let message = format!("{}: needs `image:` or `build:`", section.path());
        section
            .findings()
            .borrow_mut()
            .fault(Fault::at(section.origin(), message));
    }
    if service.replicas > 1 && service.container.container_name.is_some() {
        section.fault(
            section.origin(),
            "container_name",
            "cannot be given to more than one replica",
        );
    }
    let is_bridged = matches!(service.container.network, NetworkMode::Networks(_));
    if !is_bridged && let Some(ports) = section.get("ports") {
        let message = format!(
            "{}: have no effect with `network_mode`",
            section.below("ports")
        );
        let warning = Fault::at(&ports.origin, message);
        section.findings().borrow_mut().warn(warning);
    }
    section.get("extends");
    section.list("expose");
    section.ignored(IGNORED);
    section.finish();
    service
}

fn pull_policy(section: &Section<'_>) -> PullPolicy {
    let policy = section.with(
        "pull_policy",
        "missing, always, never, build, daily, weekly or every_<duration>",
        |text| match text {
            "missing" | "if_not_present" => Some(PullPolicy::Missing),
            "always" => Some(PullPolicy::Always),
            "never" => Some(PullPolicy::Never),
            "build" => Some(PullPolicy::Build),
            // Without a record of the last pull, an image that is here is taken to be fresh.
            other if other == "daily" || other == "weekly" || other.starts_with("every_") => {
                Some(PullPolicy::Missing)
            }
            _ => None,
        },
    );
    policy.unwrap_or_default()
}

fn depends_on(section: &Section<'_>) -> BTreeMap<String, Dependency> {
    let mut all = BTreeMap::new();
    for (entry, item) in section.named("depends_on") {
        let condition = item.with(
            "condition",
            "service_started, service_healthy or service_completed_successfully",
            |text| match text {
                "service_started" => Some(Condition::Started),
                "service_healthy" => Some(Condition::Healthy),
                "service_completed_successfully" => Some(Condition::CompletedSuccessfully),
                _ => None,
            },
        );
        let dependency = Dependency {
            condition: condition.unwrap_or(Condition::Started),
            required: item.boolean("required").unwrap_or(true),
            restart: item.flag("restart"),
        };
        item.finish();
        all.insert(entry.key.clone(), dependency);
    }
    // As compose-go's normalisation has it: who links to a service, or lives in its namespace, is restarted with it.
    let implied = || Dependency {
        condition: Condition::Started,
        required: true,
        restart: true,
    };
    for link in section.strings("links") {
        let service = link.split(':').next().unwrap_or_default().to_owned();
        all.entry(service).or_insert_with(implied);
    }
    if let Some(name) = section
        .string("network_mode")
        .and_then(|mode| Some(mode.strip_prefix("service:")?.to_owned()))
    {
        // Whatever `depends_on:` says: the namespace goes with the container that is replaced.
        all.entry(name).or_insert_with(implied).restart = true;
    }
    all
}

fn restart(section: &Section<'_>) -> Option<RestartPolicy> {
    section.with(
        "restart",
        "no, always, on-failure[:N] or unless-stopped",
        |text| match text.split_once(':') {
            // YAML 1.1 writers leave `no` unquoted; it may arrive as a boolean.
            None if matches!(text, "no" | "false") => Some(RestartPolicy::No),
            None if text == "always" => Some(RestartPolicy::Always),
            None if text == "unless-stopped" => Some(RestartPolicy::UnlessStopped),
            None if text == "on-failure" => Some(RestartPolicy::OnFailure { attempts: None }),
            Some(("on-failure", most)) => Some(RestartPolicy::OnFailure {
                attempts: Some(most.parse().ok()?),
            }),
            _ => None,
        },
    )
}

/// The parts of `deploy:` that mean something on one machine.
#[derive(Default)]
struct Deploy {
    replicas: Option<u32>,
    restart: Option<RestartPolicy>,
    memory: Option<u64>,
    cpus: Option<f64>,
    pids: Option<i64>,
}

impl Deploy {
    fn read(service: &Section<'_>) -> Self {
        let Some(section) = service.section("deploy") else {
            return Self::default();
        };
        let mut deploy = Self {
            replicas: section.parsed("replicas", "a number"),
            ..Self::default()
        };
        if let Some(policy) = section.section("restart_policy") {
            let attempts = policy.parsed("max_attempts", "a number");
            deploy.restart =
                policy.with("condition", "none, on-failure or any", |text| match text {
                    "none" => Some(RestartPolicy::No),
                    "on-failure" => Some(RestartPolicy::OnFailure { attempts }),
                    "any" => Some(RestartPolicy::Always),
                    _ => None,
                });
            policy.ignored(&["delay", "window"]);
            policy.finish();
        }
        if let Some(resources) = section.section("resources") {
            if let Some(limits) = resources.section("limits") {
                deploy.memory = limits.bytes("memory");
                deploy.cpus = limits.parsed("cpus", "a number of processors");
                deploy.pids = limits.parsed("pids", "a number");
                limits.finish();
            }
            resources.ignored(&["reservations"]);
            resources.finish();
        }
        section.labels("labels");
        section.ignored(&[
            "mode",
            "placement",
            "update_config",
            "rollback_config",
            "endpoint_mode",
        ]);
        section.finish();
        deploy
    }
}

fn build_section(section: Section<'_>, lookup: &Lookup<'_>) -> BuildSection {
    let context = section.string("context").unwrap_or_default();
    let is_remote_context = is_remote(&context);
    let mut args = section.pairs("args");
    for (name, value) in &mut args {
        if value.is_none() {
            *value = lookup.variables.get(name).cloned();
        }
    }
    let mut entitlements = section.strings("entitlements");
    if section.flag("privileged") {
        entitlements.push("security.insecure".to_owned());
    }
    let build = BuildSection {
        context: if is_remote_context {
            BuildContext::Remote(context)
        } else {
            BuildContext::Directory(PathBuf::from(context))
        },
        dockerfile: section.string("dockerfile").map(PathBuf::from),
        dockerfile_inline: section.string("dockerfile_inline"),
        target: section.string("target"),
        args,
        labels: section.labels("labels"),
        secrets: build_secrets(&section, lookup),
        ssh: section.strings("ssh"),
        cache_from: section.strings("cache_from"),
        cache_to: section.strings("cache_to"),
        no_cache: section.flag("no_cache"),
        no_cache_filter: section.strings("no_cache_filter"),
        pull: section.flag("pull"),
        network: section.string("network"),
        additional_contexts: section.labels("additional_contexts"),
        extra_hosts: section.labels("extra_hosts"),
        shm_size: section.bytes("shm_size"),
        ulimits: ulimits(&section),
        entitlements,
        platforms: section.parsed_list("platforms", "platforms such as linux/arm64"),
        tags: section.strings("tags"),
    };
    if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
        section.fault(
            section.origin(),
            "dockerfile_inline",
            "cannot be given beside `dockerfile`",
        );
    }
    section.ignored(&["isolation", "provenance", "sbom"]);
    section.finish();
    build
}

fn build_secrets(section: &Section<'_>, lookup: &Lookup<'_>) -> BTreeMap<String, BuildSecret> {
    let mut secrets = BTreeMap::new();
    for item in section.sections("secrets") {
        let source = item.string("source").unwrap_or_default();
        let id = item.string("target").unwrap_or_else(|| source.clone());
        match lookup
            .secrets
            .get(&source)
            .map(|definition| &definition.source)
        {
            Some(FileSource::File(path)) => {
                secrets.insert(id, BuildSecret::File(path.clone()));
            }
            Some(FileSource::Environment { variable, value }) => {
                secrets.insert(
                    id,
                    BuildSecret::Environment {
                        variable: variable.clone(),
                        value: value.clone(),
                    },
                );
            }
            Some(FileSource::Content(_) | FileSource::External) => {
                item.fault(
                    item.origin(),
                    "source",
                    "only a file or an environment variable can be a build secret",
                );
            }
            // An undefined one is reported with the other references.
            None => {}
        }
        item.ignored(&["uid", "gid", "mode"]);
        item.finish();
    }
    secrets
}
