//! Variables: which `ARG` and `ENV` an instruction sees.

use std::collections::BTreeMap;

use howdah_dockerfile::{Arg, ArgValue, Lexer, Names, Variables};
use howdah_image::Platform;

/// Arguments that need no `ARG` (docs.docker.com/reference/dockerfile, "Predefined ARGs"). They reach `RUN` but neither
/// keys nor history.
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The arguments of the platform in the global scope (docs, "Automatic platform ARGs in the global scope").
fn platform_args(stage: &str, target: &Platform) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (prefix, platform) in [("BUILD", &Platform::default()), ("TARGET", target)] {
        let variant = platform.variant.clone().unwrap_or_default();
        args.insert(format!("{prefix}PLATFORM"), platform.to_string());
        args.insert(format!("{prefix}OS"), platform.os.clone());
        // Only Windows has versions.
        args.insert(format!("{prefix}OSVERSION"), String::new());
        args.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        args.insert(format!("{prefix}VARIANT"), variant);
    }
    args.insert("TARGETSTAGE".to_owned(), stage.to_owned());
    args
}

/// What is the same for all stages of a Dockerfile.
#[derive(Clone, Debug)]
pub(crate) struct Globals {
    /// The values of global `ARG`s and of the platform; what `FROM` sees.
    values: BTreeMap<String, String>,
    build_args: BTreeMap<String, String>,
    pub(crate) lexer: Lexer,
}

impl Globals {
    /// `stage` is the value of `TARGETSTAGE`, `platform` what the image is for.
    pub(crate) fn new(
        build_args: &BTreeMap<String, String>,
        lexer: Lexer,
        stage: &str,
        platform: &Platform,
    ) -> Globals {
        let mut values = platform_args(stage, platform);
        for (name, value) in &mut values {
            if let Some(given) = build_args.get(name) {
                value.clone_from(given);
            }
        }
        Globals {
            values,
            build_args: build_args.clone(),
            lexer,
        }
    }

    /// A global `ARG`.
    pub(crate) fn declare(&mut self, arg: &Arg) -> Result<(), howdah_dockerfile::ExpandError> {
        for ArgValue { name, default, .. } in &arg.values {
            let found = match (self.build_args.get(&name.text), default) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => {
                    self.lexer
                        .word(&default.text, &self.values, &mut Names::default())?
                }
                (None, None) => continue,
            };
            self.values.insert(name.text.clone(), found);
        }
        Ok(())
    }

    /// What `FROM` sees.
    pub(crate) fn variables(&self) -> &dyn Variables {
        &self.values
    }

    /// The proxy arguments that were given.
    pub(crate) fn proxies(&self) -> Vec<String> {
        let given = PROXIES.iter().filter_map(|name| {
            self.build_args
                .get(*name)
                .map(|value| format!("{name}={value}"))
        });
        given.collect()
    }
}

/// What the instructions of one stage see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// `ENV` and `ARG` alike: the later one counts.
    values: BTreeMap<String, String>,
    /// The names of the stage's `ARG`s in order.
    args: Vec<String>,
}

impl Scope {
    /// The scope at the beginning of a stage on an image with this environment.
    pub(crate) fn of_image(env: &[String]) -> Scope {
        let mut scope = Scope::default();
        scope.set_all(env);
        scope
    }

    /// The environment of what a stage begins with.
    pub(crate) fn set_all(&mut self, env: &[String]) {
        for (name, value) in env.iter().map(|pair| split_pair(pair)) {
            self.set(name, value);
        }
    }

    /// `ENV`
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// An `ARG` of the stage; gives back what the history shows of it. Names are taken as they are written.
    pub(crate) fn declare(
        &mut self,
        arg: &Arg,
        globals: &Globals,
    ) -> Result<String, howdah_dockerfile::ExpandError> {
        let mut shown = Vec::new();
        for ArgValue { name, default, .. } in &arg.values {
            let name = name.text.as_str();
            let found = match (globals.build_args.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => {
                    let mut names = Names::default();
                    Some(globals.lexer.word(&default.text, self, &mut names)?)
                }
                (None, None) => globals.values.get(name).cloned(),
            };
            if !self.args.iter().any(|known| known == name) {
                self.args.push(name.to_owned());
            }
            shown.push(match found {
                Some(value) => {
                    self.set(name, &value);
                    format!("{name}={value}")
                }
                None => name.to_owned(),
            });
        }
        Ok(shown.join(" "))
    }

    /// The stage's arguments as a command sees them; those without a value are empty.
    pub(crate) fn visible_args(&self) -> Vec<String> {
        let value = |name: &String| self.values.get(name).map_or("", String::as_str);
        self.args
            .iter()
            .map(|name| format!("{name}={}", value(name)))
            .collect()
    }

    /// The environment of a command: the image's, and the arguments that have a value.
    pub(crate) fn environment(&self, image: &[String]) -> Vec<String> {
        let mut env = image.to_vec();
        for name in &self.args {
            if let Some(value) = self.values.get(name) {
                set_variable(&mut env, name, value);
            }
        }
        env
    }
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

/// `NAME=value` as it stands in an environment.
pub(crate) fn split_pair(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// Sets a variable in an environment, in its old place if it has one.
pub(crate) fn set_variable(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    match env.iter_mut().find(|known| split_pair(known).0 == name) {
        Some(known) => *known = pair,
        None => env.push(pair),
    }
}
