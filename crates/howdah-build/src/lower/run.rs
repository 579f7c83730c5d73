//! `RUN`.

use howdah_dockerfile::{Cache, MountKind, Names, Network, Run, RunBody, Security};
use howdah_solver::VertexId;

use super::config::in_shell;
use super::contexts::From;
use super::stage::{FileLowering, Site, StageState, in_workdir, instruction_error};
use super::wording;
use crate::copy::{Pattern, select};
use crate::error::{BuildError, LowerError};
use crate::op::{Attributes, CacheStart, MountKindOp, MountOp, Op, RunOp, TreeSource};
use crate::pattern::Excludes;
use crate::request::Entitlement;
use crate::tree;

/// Where BuildKit mounts a heredoc that is a program (moby/buildkit `dispatchRun`).
pub(crate) const SCRIPT_DIRECTORY: &str = "/dev/pipes";

/// Mode of a new cache directory unless it is given.
const CACHE_MODE: u32 = 0o755;

impl FileLowering<'_, '_> {
    pub(super) fn run(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        run: &Run,
    ) -> Result<(), BuildError> {
        if let Some(device) = run.devices.iter().find(|device| device.required) {
            let device = device.name.clone();
            return Err(instruction_error(
                site.place.clone(),
                LowerError::NoDevice { device },
            ));
        }
        self.check_allowed(site, run)?;
        let mut script = None;
        let args = match &run.body {
            RunBody::Exec(args) => args.clone(),
            RunBody::Shell(text) => in_shell(text, &state.config),
            RunBody::Script { name, content } => {
                script = Some((name.clone(), content.clone()));
                in_shell(&format!("{SCRIPT_DIRECTORY}/{name}"), &state.config)
            }
        };
        let mut others = Vec::new();
        let mut mounts = Vec::new();
        for mount in &run.mounts {
            let mount = mount.resolve(&self.globals.lexer, &state.scope, &mut Names::default());
            let mount = mount.map_err(|fault| self.faults(fault))?;
            let kind = self.mount_kind(site, mount.kind, &mut others)?;
            let target = target(state, &mount.target, &kind, &mounts);
            if target == "/" {
                return Err(instruction_error(
                    site.place.clone(),
                    LowerError::MountOnRoot,
                ));
            }
            mounts.push(MountOp {
                target,
                read_only: mount.read_only,
                kind,
            });
        }
        let visible = state.scope.visible_args();
        let history = wording::run(&visible, &args);
        let op = RunOp {
            args,
            env: state.scope.environment(&state.config.env),
            cwd: in_workdir(state, "."),
            user: state.config.user.clone(),
            network: if run.network == Network::Default {
                self.target.network
            } else {
                run.network
            },
            security: run.security,
            hosts: self.target.hosts.clone(),
            mounts,
            script,
            proxies: self.globals.proxies(),
            limits: self.target.limits.clone(),
            cgroup_parent: self.target.cgroup_parent.clone(),
            platform: state.platform.clone(),
        };
        self.step_onto(site, state, Op::Run(Box::new(op)), others, history);
        Ok(())
    }

    /// Refuses what needs an entitlement that the caller did not give. Who gives the whole build the host's network allows it.
    fn check_allowed(&self, site: &Site<'_>, run: &Run) -> Result<(), BuildError> {
        let mut wanted = Vec::new();
        if run.network == Network::Host && self.target.network != Network::Host {
            wanted.push(Entitlement::HostNetwork);
        }
        if run.security == Security::Insecure {
            wanted.push(Entitlement::Insecure);
        }
        let allowed = &self.lowering.options.allowed;
        match wanted.into_iter().find(|one| !allowed.contains(one)) {
            None => Ok(()),
            Some(refused) => Err(instruction_error(
                site.place.clone(),
                LowerError::NotAllowed(refused),
            )),
        }
    }

    fn mount_kind(
        &mut self,
        site: &Site<'_>,
        kind: MountKind,
        others: &mut Vec<VertexId>,
    ) -> Result<MountKindOp, BuildError> {
        Ok(match kind {
            MountKind::Bind(bind) => {
                MountKindOp::Bind(self.tree(site, bind.from.as_deref(), bind.source, others)?)
            }
            MountKind::Cache(cache) => self.cache(site, cache, others)?,
            MountKind::Tmpfs(tmpfs) => MountKindOp::Tmpfs {
                size_bytes: tmpfs.size_bytes,
            },
            MountKind::Secret(secret) => MountKindOp::Secret {
                id: secret.id,
                env: secret.env,
                required: secret.required,
                attributes: Attributes {
                    mode: secret.mode,
                    uid: secret.uid,
                    gid: secret.gid,
                },
            },
            MountKind::Ssh(ssh) => MountKindOp::Ssh {
                required: ssh.required,
                attributes: Attributes {
                    mode: ssh.mode,
                    uid: ssh.uid,
                    gid: ssh.gid,
                },
                agent: self.lowering.options.ssh_agents.get(&ssh.id).cloned(),
                id: ssh.id,
            },
        })
    }

    /// Caches of one id that begin differently are different caches, as in BuildKit.
    fn cache(
        &mut self,
        site: &Site<'_>,
        cache: Cache,
        others: &mut Vec<VertexId>,
    ) -> Result<MountKindOp, BuildError> {
        let Cache {
            mut id,
            sharing,
            mode,
            uid,
            gid,
            from,
            source,
        } = cache;
        // The parser takes the target for the id of a cache that has none.
        if id.starts_with('/') {
            id = tree::display(&tree::clean(id.as_bytes()));
        }
        let attributes = Attributes {
            mode: mode.unwrap_or(CACHE_MODE),
            uid: uid.unwrap_or(0),
            gid: gid.unwrap_or(0),
        };
        let says_attributes = mode.is_some() || uid.is_some() || gid.is_some();
        let has_source = !tree::clean(source.as_bytes()).is_empty();
        if says_attributes && !has_source {
            // An empty directory, whatever `from` has.
            id = format!("{id} ({attributes})");
        }
        let start = match from {
            Some(from) if has_source || !says_attributes => {
                let tree = self.tree(site, Some(&from), source, others)?;
                let content = match &tree {
                    TreeSource::Context { digest, .. } => *digest,
                    TreeSource::Input { number, .. } => {
                        *self.lowering.graph.vertex(others[number - 1]).key()
                    }
                };
                id = format!("{id} (from {from} {})", &content.to_string()[..12]);
                CacheStart::Copy(tree)
            }
            None if has_source => {
                return Err(instruction_error(
                    site.place.clone(),
                    LowerError::CacheSource {
                        source_path: source,
                    },
                ));
            }
            _ => CacheStart::Empty(attributes),
        };
        Ok(MountKindOp::Cache { id, sharing, start })
    }

    fn tree(
        &mut self,
        site: &Site<'_>,
        from: Option<&str>,
        source: String,
        others: &mut Vec<VertexId>,
    ) -> Result<TreeSource, BuildError> {
        if let Some(number) = from.filter(|from| from.parse::<usize>().is_ok()) {
            // BuildKit takes it for an image.
            let number = number.to_owned();
            return Err(instruction_error(
                site.place.clone(),
                LowerError::MountNumber { number },
            ));
        }
        match self.from(site, from)? {
            From::Root(root) => {
                let number = others
                    .iter()
                    .position(|other| *other == root)
                    .unwrap_or_else(|| {
                        others.push(root);
                        others.len() - 1
                    });
                // The vertex's first input is the root filesystem.
                Ok(TreeSource::Input {
                    number: number + 1,
                    source,
                })
            }
            From::Scan(scan) => {
                let pattern = Pattern {
                    text: source.clone(),
                    parents: false,
                };
                let selection = select(
                    &*scan,
                    &[pattern],
                    &Excludes::default(),
                    "the build context",
                );
                let selection = selection
                    .map_err(|error| instruction_error(site.place.clone(), error.into()))?;
                let digest = selection.digest(false);
                Ok(TreeSource::Context {
                    scan,
                    source,
                    digest,
                })
            }
        }
    }
}

/// Where a mount goes; the parser leaves the place of secrets and agents to us.
fn target(state: &StageState, given: &str, kind: &MountKindOp, before: &[MountOp]) -> String {
    match kind {
        _ if !given.is_empty() => in_workdir(state, given),
        MountKindOp::Secret { env: None, id, .. } => format!("/run/secrets/{id}"),
        MountKindOp::Ssh { .. } => {
            let is_agent = |mount: &&MountOp| matches!(mount.kind, MountKindOp::Ssh { .. });
            let number = before.iter().filter(is_agent).count();
            format!("/run/buildkit/ssh_agent.{number}")
        }
        _ => String::new(),
    }
}
