//! Variables: which `ARG` and `ENV` an instruction sees.

use std::collections::BTreeMap;

use howdah_dockerfile::{Arg, Lexer, Names, Variables};
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
        Globals {
            values: platform_args(stage, platform),
            build_args: build_args.clone(),
            lexer,
        }
    }

    /// A global `ARG`.
    pub(crate) fn declare(&mut self, arg: &Arg) -> Result<(), howdah_dockerfile::ExpandError> {
        for value in &arg.values {
            let name = self
                .lexer
                .word(&value.name.text, &self.values, &mut Names::default())?;
            let found = match (self.build_args.get(&name), &value.default) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => {
                    self.lexer
                        .word(&default.text, &self.values, &mut Names::default())?
                }
                (None, None) => continue,
            };
            self.values.insert(name, found);
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
    /// The stage's `ARG`s in order.
    args: Vec<(String, String)>,
    /// The image's environment, which hides arguments.
    env: BTreeMap<String, String>,
}

impl Scope {
    /// The scope at the beginning of a stage on an image with this environment. Arguments of a stage it is based on are
    /// inherited.
    pub(crate) fn set_env(&mut self, env: &[String]) {
        self.env = env
            .iter()
            .map(|pair| split_pair(pair))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    }

    /// An `ARG` of the stage; gives back what the history shows of it.
    pub(crate) fn declare(
        &mut self,
        arg: &Arg,
        globals: &Globals,
    ) -> Result<String, howdah_dockerfile::ExpandError> {
        let mut shown = Vec::new();
        for value in &arg.values {
            let name = globals
                .lexer
                .word(&value.name.text, self, &mut Names::default())?;
            let default = match &value.default {
                Some(default) if !globals.build_args.contains_key(&name) => Some(
                    globals
                        .lexer
                        .word(&default.text, self, &mut Names::default())?,
                ),
                _ => None,
            };
            let given = globals.build_args.get(&name).cloned();
            let found = given
                .or(default)
                .or_else(|| globals.values.get(&name).cloned());
            shown.push(
                found
                    .as_ref()
                    .map_or_else(|| name.clone(), |found| format!("{name}={found}")),
            );
            if let Some(found) = found {
                self.args.retain(|(known, _)| *known != name);
                self.args.push((name, found));
            }
        }
        Ok(shown.join(" "))
    }

    /// The arguments that a command sees in its environment: those that `ENV` does not hide.
    pub(crate) fn visible_args(&self) -> Vec<String> {
        let visible = self
            .args
            .iter()
            .filter(|(name, _)| !self.env.contains_key(name));
        visible
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        let arg = || {
            self.args
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        self.env.get(name).map(String::as_str).or_else(arg)
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
