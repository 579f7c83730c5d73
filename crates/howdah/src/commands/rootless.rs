//! Commands of an ordinary user: in a user namespace, with what is different there said.

use howdah_runtime::rootless::{self, Ids, Relay, RootlessError, WhySingle};

use super::CommandError;

/// What of root's a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// Files of every owner, overlays, containers: all that a user namespace has too.
    Store,
    /// The machine's bridges, firewall and control groups.
    Machine,
}

/// Makes the process root of a user namespace if the command needs that and the user is not root. Before any thread exists.
pub(crate) fn enter(need: Need) -> Result<Option<Ids>, CommandError> {
    if need == Need::Nothing || !rootless::is_needed() {
        return Ok(None);
    }
    if need == Need::Machine && !rustix::process::geteuid().is_root() {
        let error = CommandError::new("stacks need root: bridges, firewall and control groups");
        return Err(error.hint(
            "run it as root; as an ordinary user `build`, `image`, `images`, `pull` and `push` work",
        ));
    }
    if need == Need::Machine {
        return Ok(None);
    }
    match rootless::enter() {
        Ok(ids) => Ok(Some(ids)),
        Err(error) => {
            let hint = hint(&error);
            Err(CommandError::from(error).hint(hint))
        }
    }
}

/// Says on stderr what a build of an ordinary user is like, and what it lacks.
pub(crate) fn tell(ids: &Ids) {
    match ids {
        Ids::Many { others } => {
            anstream::eprintln!("rootless with {others} ids beside root: {}", network());
        }
        Ids::Single(why) => {
            anstream::eprintln!(
                "\u{1b}[1;33mwarning\u{1b}[0m: rootless with a single id ({}): steps run as root whatever USER says, and files they \
                 give to others stay root's in the image; {}",
                reason(why),
                network()
            );
            anstream::eprintln!("\u{1b}[1;36mhint\u{1b}[0m: {}", remedy(why));
        }
    }
}

fn network() -> String {
    match rootless::relay() {
        Relay::Program(program) => format!("RUN has a network through {program}, and no limits"),
        Relay::Host { why } => {
            format!("RUN has the host's network, because {why}, and no limits")
        }
    }
}

fn reason(why: &WhySingle) -> String {
    match why {
        WhySingle::NoRange { file, user } => format!("{file} has no range for `{user}`"),
        WhySingle::NoProgram { program } => format!("`{program}` is not installed"),
        WhySingle::Refused { message } => message.clone(),
    }
}

fn remedy(why: &WhySingle) -> String {
    match why {
        WhySingle::NoRange { user, .. } => format!(
            "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
        ),
        WhySingle::NoProgram { .. } => "install it (Debian package `uidmap`)".to_owned(),
        WhySingle::Refused { .. } => {
            "newuidmap and newgidmap must be set-user-id root, and be allowed to be (no `no_new_privs`)"
                .to_owned()
        }
    }
}

fn hint(error: &RootlessError) -> &'static str {
    match error {
        RootlessError::Refused { .. } => {
            "the kernel must allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), and so must \
             a surrounding container (docker run --security-opt seccomp=unconfined)"
        }
        RootlessError::Powerless { .. } => {
            "AppArmor confines user namespaces here: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile that \
             allows `userns` to howdah"
        }
        _ => {
            "check /etc/subuid and /etc/subgid; a root without CAP_SETFCAP cannot map itself, an ordinary user can"
        }
    }
}
