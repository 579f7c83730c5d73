//! The options of `RUN --mount` (<https://docs.docker.com/reference/dockerfile/#run---mount>).

use crate::{
    Bind, Cache, Fault, Lexer, Mount, MountKind, Names, RunMount, Secret, Sharing, Ssh, Tmpfs,
    Variables, suggest::nearest, units::parse_bytes,
};

/// Every key, and the types of mounts that take it (empty: all).
const KEYS: &[(&str, &[&str])] = &[
    ("type", &[]),
    ("target", &[]),
    ("dst", &[]),
    ("destination", &[]),
    ("source", &["bind", "cache", "secret"]),
    ("src", &["bind", "cache", "secret"]),
    ("from", &["bind", "cache", "tmpfs"]),
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
    pub(crate) fn check(&self, lexer: &Lexer) -> Result<(), Fault> {
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
        self.resolve(lexer, &(), &mut Names::default()).map(drop)
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
        let fault = Fault::error(self.options.span, problem.message);
        match problem.help {
            Some(help) => fault.with_help(help),
            None => fault,
        }
    }
}

/// `$` with something behind it that could be a name.
fn has_variable(value: &str) -> bool {
    value.find('$').is_some_and(|at| at + 1 < value.len())
}

struct Field {
    key: String,
    value: Option<String>,
}

struct Problem {
    message: String,
    help: Option<String>,
}

impl Problem {
    fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }
}

/// One record of comma separated values (RFC 4180): a field in double quotes may hold commas, and `""` for a quote.
fn split_fields(text: &str) -> Result<Vec<String>, Problem> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Err(Problem::new(format!(
                        "a quote stands inside the mount option `{}`",
                        &rest[..end]
                    ))
                    .help("put the whole option in quotes, not only its value"));
                }
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => {
                return Err(Problem::new(format!(
                    "expected a comma between mount options, found `{after}`"
                )));
            }
        }
    }
}

fn quoted_field(text: &str) -> Result<(String, &str), Problem> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some(end) = rest.find('"') else {
            return Err(Problem::new("a quote in the mount options is never closed"));
        };
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, rest)),
        }
    }
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
            "mode" => {
                self.mode = Some(
                    u32::from_str_radix(&value, 8)
                        .map_err(|_| not_a(key, &value, "an octal number such as 0755"))?,
                )
            }
            "uid" => self.uid = Some(value.parse().map_err(|_| not_a(key, &value, "a number"))?),
            "gid" => self.gid = Some(value.parse().map_err(|_| not_a(key, &value, "a number"))?),
            "size" => {
                self.size_bytes = Some(
                    parse_bytes(&value).ok_or_else(|| not_a(key, &value, "a size such as 64m"))?,
                )
            }
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

fn not_a(key: &str, value: &str, wanted: &str) -> Problem {
    Problem::new(format!(
        "the mount option `{key}` is `{value}`, which is not {wanted}"
    ))
}

/// The spellings of Go's `strconv.ParseBool`.
fn boolean(key: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(not_a(key, value, "true or false")),
    }
}

fn sharing(value: &str) -> Result<Sharing, Problem> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        other => {
            let known = ["shared", "private", "locked"];
            let wanted = nearest(other, known).map_or("shared, private or locked".into(), |name| {
                format!("known; write `{name}`")
            });
            Err(not_a("sharing", value, &wanted))
        }
    }
}
