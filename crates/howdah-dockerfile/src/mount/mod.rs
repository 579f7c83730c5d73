//! The options of `RUN --mount` (<https://docs.docker.com/reference/dockerfile/#run---mount>).

mod device;
mod text;

use text::{Field, Problem, boolean, mode, number, sharing, size, split_fields};

use crate::{
    Bind, Cache, Fault, Lexer, Mount, MountKind, Names, RunMount, Secret, Sharing, Ssh, Tmpfs,
    Variables, suggest::nearest,
};

/// Every key, and the types of mounts that take it (empty: all).
const KEYS: &[(&str, &[&str])] = &[
    ("type", &[]),
    ("target", &[]),
    ("dst", &[]),
    ("destination", &[]),
    ("source", &["bind", "cache", "tmpfs", "secret"]),
    ("src", &["bind", "cache", "tmpfs", "secret"]),
    ("from", &["bind", "cache", "tmpfs", "ssh"]),
    ("readonly", &[]),
    ("ro", &[]),
    ("readwrite", &[]),
    ("rw", &[]),
    ("id", &[]),
    ("sharing", &["cache"]),
    ("required", &["secret", "ssh"]),
    ("mode", &["cache", "secret", "ssh"]),
    ("uid", &["cache", "secret", "ssh"]),
    ("gid", &["cache", "secret", "ssh"]),
    ("size", &["tmpfs"]),
    ("env", &["secret"]),
];

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

impl RunMount {
    /// Expands and types the mount. `names` gathers the variables that were used.
    pub fn resolve(
        &self,
        lexer: &Lexer,
        variables: &dyn Variables,
        names: &mut Names,
    ) -> Result<Mount, Fault> {
        let mut options = Options::default();
        for field in self.fields()? {
            let value = match field.value {
                // A stage must be known before variables are; see `check`.
                Some(value) if field.key == "from" => Some(value),
                Some(value) => Some(
                    lexer
                        .word(&value, variables, names)
                        .map_err(|error| self.options.fault(&error))?,
                ),
                None => None,
            };
            options
                .set(&field.key, value)
                .map_err(|problem| self.fault(problem))?;
        }
        options.finish().map_err(|problem| self.fault(problem))
    }

    /// What can be said before any variable is known: the keys, and everything when no value has variables.
    pub(crate) fn check(&self, lexer: Lexer) -> Result<(), Fault> {
        let fields = self.fields()?;
        for field in &fields {
            key_types(&field.key).map_err(|problem| self.fault(problem))?;
            if field.key == "from"
                && field
                    .value
                    .as_ref()
                    .is_some_and(|value| has_variable(value))
            {
                let problem = Problem::new("`from` of a mount cannot contain a variable")
                    .help("name a stage with `FROM ${image} AS name` and mount `from=name`");
                return Err(self.fault(problem));
            }
        }
        if fields.iter().any(|field| {
            field
                .value
                .as_ref()
                .is_some_and(|value| has_variable(value))
        }) {
            return Ok(());
        }
        self.resolve(&lexer, &(), &mut Names::default()).map(drop)
    }

    fn fields(&self) -> Result<Vec<Field>, Fault> {
        let fields = split_fields(&self.options.text).map_err(|problem| self.fault(problem))?;
        Ok(fields
            .into_iter()
            .map(|field| match field.split_once('=') {
                Some((key, value)) => Field {
                    key: key.to_lowercase(),
                    value: Some(value.to_owned()),
                },
                None => Field {
                    key: field.to_lowercase(),
                    value: None,
                },
            })
            .collect())
    }

    fn fault(&self, problem: Problem) -> Fault {
        problem.at(self.options.span)
    }
}

/// `$` with something behind it that could be a name.
fn has_variable(value: &str) -> bool {
    value.find('$').is_some_and(|at| at + 1 < value.len())
}

fn key_types(key: &str) -> Result<&'static [&'static str], Problem> {
    KEYS.iter()
        .find(|(name, _)| *name == key)
        .map(|(_, types)| *types)
        .ok_or_else(|| {
            let problem = Problem::new(format!("unknown mount option `{key}`"));
            match nearest(key, KEYS.iter().map(|(name, _)| *name)) {
                Some(name) => problem.help(format!("write `{name}`")),
                None => problem,
            }
        })
}

/// What was written, before the type is known to be the last word on it.
#[derive(Default)]
struct Options {
    kind: Option<String>,
    used: Vec<String>,
    target: String,
    source: String,
    from: Option<String>,
    read_only: Option<bool>,
    id: String,
    sharing: Sharing,
    required: bool,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size_bytes: Option<u64>,
    env: Option<String>,
}

impl Options {
    fn set(&mut self, key: &str, value: Option<String>) -> Result<(), Problem> {
        key_types(key)?;
        self.used.push(key.to_owned());
        let Some(value) = value else {
            match key {
                "readonly" | "ro" => self.read_only = Some(true),
                "readwrite" | "rw" => self.read_only = Some(false),
                "required" => self.required = true,
                _ => {
                    return Err(
                        Problem::new(format!("the mount option `{key}` has no value"))
                            .help(format!("write `{key}=...`")),
                    );
                }
            }
            return Ok(());
        };
        match key {
            "type" => self.kind = Some(value),
            "target" | "dst" | "destination" => self.target = value,
            "source" | "src" => self.source = value,
            "from" => self.from = Some(value).filter(|from| !from.is_empty()),
            "readonly" | "ro" => self.read_only = Some(boolean(key, &value)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(key, &value)?),
            "required" => self.required = boolean(key, &value)?,
            "id" => self.id = value,
            "sharing" => self.sharing = sharing(&value)?,
            "mode" => self.mode = Some(mode(&value)?),
            "uid" => self.uid = Some(number(key, &value)?),
            "gid" => self.gid = Some(number(key, &value)?),
            "size" => self.size_bytes = Some(size(&value)?),
            "env" => self.env = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Mount, Problem> {
        let written = self.kind.as_deref().unwrap_or("bind");
        let kind = written.to_lowercase();
        if !TYPES.contains(&kind.as_str()) {
            let problem = Problem::new(format!("unknown mount type `{written}`"));
            return Err(match nearest(&kind, TYPES) {
                Some(name) => problem.help(format!("write `type={name}`")),
                None => problem.help(format!("the types are {}", TYPES.join(", "))),
            });
        }
        for key in &self.used {
            let types = key_types(key)?;
            if !types.is_empty() && !types.contains(&kind.as_str()) {
                let problem =
                    Problem::new(format!("a mount of type `{kind}` takes no option `{key}`"));
                return Err(
                    problem.help(format!("`{key}` belongs to the types {}", types.join(", ")))
                );
            }
        }
        let read_only = self.read_only.unwrap_or(kind != "cache" && kind != "tmpfs");
        let target = self.target.clone();
        match kind.as_str() {
            "cache" => Ok(Mount {
                target,
                read_only,
                kind: MountKind::Cache(self.cache()),
            }),
            "tmpfs" => Ok(Mount {
                target,
                read_only,
                kind: MountKind::Tmpfs(Tmpfs {
                    size_bytes: self.size_bytes,
                }),
            }),
            "secret" => self.secret(read_only),
            "ssh" => Ok(Mount {
                target,
                read_only,
                kind: MountKind::Ssh(self.ssh()),
            }),
            _ => Ok(Mount {
                target,
                read_only,
                kind: MountKind::Bind(Bind {
                    from: self.from,
                    source: self.source,
                }),
            }),
        }
    }

    fn cache(self) -> Cache {
        let id = if self.id.is_empty() {
            self.target
        } else {
            self.id
        };
        let Options {
            from,
            source,
            sharing,
            mode,
            uid,
            gid,
            ..
        } = self;
        Cache {
            id,
            from,
            source,
            sharing,
            mode,
            uid,
            gid,
        }
    }

    fn ssh(self) -> Ssh {
        let id = if self.id.is_empty() {
            "default".into()
        } else {
            self.id
        };
        Ssh {
            id,
            required: self.required,
            mode: self.mode.unwrap_or(0o600),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        }
    }

    fn secret(self, read_only: bool) -> Result<Mount, Problem> {
        if !self.source.is_empty() && !self.id.is_empty() {
            return Err(Problem::new("a secret mount has both `source` and `id`")
                .help("`source` is an old name of `id`; keep one"));
        }
        let base = |path: &str| {
            path.trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let id = [&self.source, &self.id]
            .into_iter()
            .find(|id| !id.is_empty())
            .cloned()
            .unwrap_or_else(|| base(&self.target));
        if id.is_empty() {
            return Err(Problem::new("a secret mount needs an `id` or a `target`")
                .help("write `type=secret,id=name`"));
        }
        let target = match self.target {
            given if !given.is_empty() => given,
            _ if self.env.is_some() => String::new(),
            _ => format!("/run/secrets/{}", base(&id)),
        };
        let secret = Secret {
            id,
            env: self.env,
            required: self.required,
            mode: self.mode.unwrap_or(0o400),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        };
        Ok(Mount {
            target,
            read_only,
            kind: MountKind::Secret(secret),
        })
    }
}

#[cfg(test)]
mod tests;
