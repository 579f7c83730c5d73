//! Commits of Git repositories as trees of the store.
//!
//! A repository is hostile: no hook runs, nothing but http, https, ssh and git is spoken (submodules included), nobody is
//! asked for a password, and neither the user's nor the system's configuration is read.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use howdah_image::Staging;
use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process_group};

use super::git_tree;
use super::reference::{GitReference, shown};
use super::{Remote, RemoteError};
use crate::request::Secret;

/// Of one git command.
const TIME_LIMIT: Duration = Duration::from_mins(30);
/// Of what git says, the end is kept.
const WORDS_LIMIT: usize = 64 << 10;
/// Settings of every command. The last three keep git from leaving processes behind.
const SETTINGS: [(&str, &str); 9] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.autocrlf", "false"),
    ("init.defaultBranch", "master"),
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "60"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
];

/// Variables by which a caller that git itself started (a hook, an alias) would lead us into its own repository.
const OTHER_PLACES: [&str; 12] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
    "SSH_AUTH_SOCK",
];

/// One commit of a repository, and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// May hold credentials.
    remote: String,
    pub(crate) commit: String,
    /// The whole name of the branch or tag, if it was found by one.
    pub(crate) name: Option<String>,
    pub(crate) subdirectory: String,
    pub(crate) keep_git_dir: bool,
    pub(crate) skip_submodules: bool,
}

impl Checkout {
    /// The repository's address without credentials.
    pub(crate) fn shown(&self) -> String {
        shown(&self.remote)
    }
}

impl Remote {
    /// Finds the commit that a reference means now.
    pub(crate) fn resolve(
        &self,
        reference: &GitReference,
        keep_git_dir: bool,
    ) -> Result<Checkout, RemoteError> {
        let checkout = |commit: &str, name: Option<String>| Checkout {
            remote: reference.remote().to_owned(),
            commit: commit.to_owned(),
            name,
            subdirectory: reference.subdirectory.clone(),
            keep_git_dir,
            skip_submodules: reference.skip_submodules,
        };
        let wanted = reference.name.as_deref().unwrap_or("HEAD");
        let found = if is_commit(wanted) {
            Found {
                commit: wanted.to_owned(),
                tag_object: None,
                name: None,
            }
        } else {
            let git = self.git(reference.remote(), None);
            // The commit of an annotated tag is listed as `<tag>^{}`.
            let peeled = format!("{wanted}^{{}}");
            let listed = git.run("reach", &["ls-remote", "origin", wanted, &peeled])?;
            find(&listed, wanted).ok_or_else(|| RemoteError::NoReference {
                address: reference.shown(),
                name: wanted.to_owned(),
            })?
        };
        let matches = |object: &String| {
            reference
                .checksum
                .as_ref()
                .is_none_or(|expected| object.starts_with(expected.as_str()))
        };
        if !matches(&found.commit) && !found.tag_object.as_ref().is_some_and(matches) {
            return Err(RemoteError::Checksum {
                address: reference.shown(),
                expected: reference.checksum.clone().unwrap_or_default(),
                found: found.commit,
            });
        }
        Ok(checkout(&found.commit, found.name))
    }

    /// Fetches a commit and puts its files into the tree of `staging`.
    pub(crate) fn check_out(
        &self,
        checkout: &Checkout,
        staging: &Staging,
    ) -> Result<(), RemoteError> {
        let keep = checkout.keep_git_dir && git_tree::is_whole(&checkout.subdirectory);
        let whole = git_tree::is_whole(&checkout.subdirectory);
        let work_tree = if whole {
            staging.upper().to_owned()
        } else {
            staging.directory().join("work-tree")
        };
        let git_dir = if keep {
            work_tree.join(".git")
        } else {
            staging.directory().join("repository")
        };
        fs_err::create_dir_all(&work_tree).map_err(RemoteError::io("make a directory"))?;
        let git = self.git(&checkout.remote, Some((&git_dir, &work_tree)));
        git.run("prepare a repository for", &["init", "--quiet"])?;
        fetch_commit(&git, &checkout.commit)?;
        let commit = checkout.commit.as_str();
        if let Some(name) = checkout
            .name
            .as_deref()
            .filter(|name| name.starts_with("refs/"))
        {
            git.run("name the commit of", &["update-ref", name, commit])?;
        }
        git.run(
            "check out",
            &["checkout", "--quiet", "--detach", "--force", commit],
        )?;
        if !checkout.skip_submodules {
            let arguments = ["submodule", "update", "--init", "--recursive", "--depth=1"];
            git.run("get the submodules of", &arguments)?;
        }
        let time = git.run("look at", &["show", "--no-patch", "--format=%ct", commit])?;
        let time = time.trim().parse().unwrap_or(0);
        if keep {
            git.run(
                "set the origin of",
                &["remote", "add", "origin", &checkout.shown()],
            )?;
            git_tree::tidy(&git_dir)?;
        }
        git_tree::settle(checkout, &work_tree, staging.upper(), time)
    }

    fn git<'r>(&'r self, remote: &'r str, place: Option<(&'r Path, &'r Path)>) -> Git<'r> {
        Git {
            context: self,
            remote,
            place,
        }
    }

    /// The header that authorises requests: secrets `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN`, first those for the host
    /// (docs.docker.com/build/building/secrets, "Git authentication for remote contexts").
    fn authorization(&self, host: &str) -> Option<String> {
        let secret = |name: String| {
            let value = match self.secrets.get(&name)? {
                Secret::Value(value) => value.clone(),
                Secret::File(path) => fs_err::read(path).ok()?,
            };
            Some(String::from_utf8_lossy(&value).trim().to_owned())
        };
        let token = |token: String| {
            format!(
                "basic {}",
                STANDARD.encode(format!("x-access-token:{token}"))
            )
        };
        secret(format!("GIT_AUTH_HEADER.{host}"))
            .or_else(|| secret(format!("GIT_AUTH_TOKEN.{host}")).map(token))
            .or_else(|| secret("GIT_AUTH_HEADER".to_owned()))
            .or_else(|| secret("GIT_AUTH_TOKEN".to_owned()).map(token))
    }
}

/// Gets a commit, alone if the server gives commits by their names, else with the history of all branches and tags.
fn fetch_commit(git: &Git<'_>, commit: &str) -> Result<(), RemoteError> {
    let alone = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "origin",
        commit,
    ];
    match git.run("fetch", &alone) {
        Err(RemoteError::Git { .. }) => {}
        other => return other.map(drop),
    }
    let all = [
        "fetch",
        "--quiet",
        "--no-tags",
        "origin",
        "+refs/heads/*:refs/howdah/heads/*",
        "+refs/tags/*:refs/howdah/tags/*",
    ];
    git.run("fetch", &all)?;
    let object = format!("{commit}^{{commit}}");
    let found = git.run("look into", &["cat-file", "-e", &object]);
    found.map(drop).map_err(|error| match error {
        RemoteError::Git { address, .. } => RemoteError::NoReference {
            address,
            name: commit.to_owned(),
        },
        error => error,
    })
}

/// Commands on one repository.
struct Git<'a> {
    context: &'a Remote,
    remote: &'a str,
    /// Its directory and that of its files.
    place: Option<(&'a Path, &'a Path)>,
}

impl Git<'_> {
    /// Runs one command and gives what it prints.
    fn run(&self, action: &'static str, arguments: &[&str]) -> Result<String, RemoteError> {
        let spawned = self.command(arguments).spawn();
        let mut child = spawned.map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => RemoteError::NoGit {
                address: shown(self.remote),
            },
            _ => RemoteError::Io {
                action: "run git".to_owned(),
                source,
            },
        })?;
        let (status, output, words) =
            wait(&mut child, &self.context.cancel).map_err(RemoteError::io("wait for git"))?;
        if self.context.cancel.is_cancelled() {
            return Err(RemoteError::Cancelled);
        }
        if status.success() {
            return Ok(output);
        }
        let words = words.replace(self.remote, &shown(self.remote));
        let last = |prefix: &str| {
            words
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix(prefix))
        };
        let said = last("fatal: ")
            .or_else(|| last("error: "))
            .or(words.lines().last());
        Err(RemoteError::Git {
            action,
            address: shown(self.remote),
            said: said.unwrap_or_default().trim().to_owned(),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Helpers of git are ended with it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        for name in OTHER_PLACES {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("HOME", "/dev/null");
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("SSH_ASKPASS", "true");
        command.env("GIT_ALLOW_PROTOCOL", "http:https:ssh:git");
        // As BuildKit: a host that was never seen is trusted the first time.
        command.env(
            "GIT_SSH_COMMAND",
            "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
        );
        if let Some(agent) = &self.context.ssh_agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        match self.place {
            Some((git_dir, work_tree)) => command
                .current_dir(work_tree)
                .env("GIT_DIR", git_dir)
                .env("GIT_WORK_TREE", work_tree),
            // Else Git takes the repository around the caller's directory, most often the project that is built, and its `origin`
            // before ours.
            None => command.env("GIT_DIR", "/dev/null"),
        };
        for (number, (name, value)) in self.settings().into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
            command.env("GIT_CONFIG_COUNT", (number + 1).to_string());
        }
        command
    }

    /// Settings go through the environment, because arguments, the address with its credentials among them, can be read by
    /// everybody on the machine.
    fn settings(&self) -> Vec<(String, String)> {
        let fixed = SETTINGS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings: Vec<(String, String)> = fixed.collect();
        settings.push(("remote.origin.url".to_owned(), self.remote.to_owned()));
        if let Ok(url) = Url::parse(self.remote)
            && let Some(host) = url.host_str()
            && matches!(url.scheme(), "http" | "https")
        {
            let host = url
                .port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            if let Some(header) = self.context.authorization(&host) {
                let name = format!("http.{}://{host}/.extraheader", url.scheme());
                settings.push((name, format!("Authorization: {header}")));
            }
        }
        settings
    }
}

/// Waits for the end of a command, which is killed when the build is cancelled or when it takes too long.
fn wait(
    child: &mut Child,
    cancel: &howdah_solver::Cancel,
) -> std::io::Result<(ExitStatus, String, String)> {
    let group = Pid::from_child(child);
    let kill = move || {
        // It may have ended already.
        let _ = kill_process_group(group, Signal::KILL);
    };
    let hook = cancel.on_cancel(kill);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (ended, end) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(TIME_LIMIT) == Err(RecvTimeoutError::Timeout) {
                kill();
            }
        });
        let output = scope.spawn(move || stdout.map(end_of).unwrap_or_default());
        let words = scope.spawn(move || stderr.map(end_of).unwrap_or_default());
        let status = child.wait();
        drop(hook);
        drop(ended);
        let text = |bytes: std::thread::Result<Vec<u8>>| {
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        Ok((status?, text(output.join()), text(words.join())))
    })
}

/// The end of what a program writes.
fn end_of(mut pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        if kept.len() > 2 * WORDS_LIMIT {
            kept.drain(..kept.len() - WORDS_LIMIT);
        }
    }
    kept
}

/// What `git ls-remote` knows of a name.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    commit: String,
    /// The object of an annotated tag.
    tag_object: Option<String>,
    /// The whole name.
    name: Option<String>,
}

/// Chooses as BuildKit does: a branch before a tag before anything else of that name.
fn find(listed: &str, wanted: &str) -> Option<Found> {
    let lines: Vec<(&str, &str)> = listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let object = |name: &str| {
        let (object, _) = lines.iter().find(|(_, known)| *known == name)?;
        is_commit(object).then(|| (*object).to_owned())
    };
    let bare = wanted.strip_prefix("refs/").unwrap_or(wanted);
    let branch = format!(
        "refs/heads/{}",
        wanted.strip_prefix("refs/heads/").unwrap_or(wanted)
    );
    let tag = format!(
        "refs/tags/{}",
        wanted.strip_prefix("refs/tags/").unwrap_or(wanted)
    );
    for name in [branch, tag, format!("refs/{bare}"), wanted.to_owned()] {
        if let Some(found) = object(&name) {
            let peeled = object(&format!("{name}^{{}}"));
            return Some(Found {
                tag_object: peeled.is_some().then(|| found.clone()),
                commit: peeled.unwrap_or(found),
                name: Some(name).filter(|name| name != "HEAD"),
            });
        }
    }
    None
}

/// A whole commit id, of SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_goes_before_a_tag_and_a_tag_is_its_commit() {
        let id = |digit: &str| digit.repeat(40);
        let listed = format!(
            "{}\tHEAD\n{}\trefs/heads/v1\n{}\trefs/tags/v1\n{}\trefs/tags/v2\n{}\trefs/tags/v2^{{}}\n{}\trefs/pull/7/head\n",
            id("a"),
            id("b"),
            id("c"),
            id("d"),
            id("e"),
            id("f")
        );
        let commit = |wanted: &str| find(&listed, wanted).map(|found| found.commit);
        assert_eq!(commit("v1"), Some(id("b")));
        assert_eq!(commit("refs/tags/v1"), Some(id("c")));
        assert_eq!(commit("v2"), Some(id("e")));
        assert_eq!(find(&listed, "v2").unwrap().tag_object, Some(id("d")));
        assert_eq!(commit("pull/7/head"), Some(id("f")));
        assert_eq!(commit("HEAD"), Some(id("a")));
        assert_eq!(commit("v3"), None);
    }
}
