//! The nft table `howdah`: each bridge has two chains of its own in it, so that bridges come and go independently.
//!
//! An accept in one base chain does not stop another table's drop (nft(8), "base chains"), so when something else, as
//! a rule Docker, set the policy of iptables' FORWARD chain to DROP, accept rules are put there as well.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use super::{BridgeSpec, During, NetworkError};

/// Sets the bridge's rules, whatever they were before.
pub(super) fn ensure(spec: &BridgeSpec) -> Result<(), NetworkError> {
    nft(&spec.name, &rules(spec))?;
    if spec.internal {
        return iptables_remove(&spec.name);
    }
    iptables_accept(&spec.name)
}

/// Removes the bridge's rules, and the table with the last bridge's.
pub(super) fn remove(name: &str) -> Result<(), NetworkError> {
    // Deleting what may not exist is an error to nft, so it is added first; all in one transaction.
    let chains = [format!("forward-{name}"), format!("nat-{name}")].map(|chain| {
        format!(
            "add chain ip howdah {chain}\n\
             flush chain ip howdah {chain}\n\
             delete chain ip howdah {chain}\n"
        )
    });
    nft(name, &format!("add table ip howdah\n{}", chains.concat()))?;
    let table = run(
        "nft",
        "nftables",
        name,
        &["list", "table", "ip", "howdah"],
        "",
    )?;
    if !String::from_utf8_lossy(&table.stdout).contains("chain ") {
        nft(name, "delete table ip howdah\n")?;
    }
    iptables_remove(name)
}

/// Nobody outside the bridge may open a connection into it (published ports are proxied from the host), which isolates
/// bridges from each other too; an internal bridge has no way out either.
fn rules(spec: &BridgeSpec) -> String {
    let BridgeSpec {
        name,
        subnet,
        internal,
        gateway: _,
    } = spec;
    let subnet = subnet.trunc();
    let chains = format!(
        "add table ip howdah\n\
         add chain ip howdah forward-{name} {{ type filter hook forward priority filter; policy accept; }}\n\
         add chain ip howdah nat-{name} {{ type nat hook postrouting priority srcnat; policy accept; }}\n\
         flush chain ip howdah forward-{name}\n\
         flush chain ip howdah nat-{name}\n"
    );
    let rules = if *internal {
        format!(
            "add rule ip howdah forward-{name} iifname \"{name}\" oifname != \"{name}\" drop\n\
             add rule ip howdah forward-{name} oifname \"{name}\" iifname != \"{name}\" drop\n"
        )
    } else {
        format!(
            "add rule ip howdah forward-{name} ct state established,related accept\n\
             add rule ip howdah forward-{name} oifname \"{name}\" iifname != \"{name}\" drop\n\
             add rule ip howdah nat-{name} ip saddr {subnet} oifname != \"{name}\" masquerade\n"
        )
    };
    chains + &rules
}

fn nft(bridge: &str, script: &str) -> Result<(), NetworkError> {
    run("nft", "nftables", bridge, &["-f", "-"], script).map(drop)
}

fn iptables_accept(bridge: &str) -> Result<(), NetworkError> {
    if !forward_drops(bridge)? {
        return Ok(());
    }
    for direction in ["-i", "-o"] {
        if !has_accept(bridge, direction)? {
            let rule = ["-w", "-I", "FORWARD", direction, bridge, "-j", "ACCEPT"];
            run("iptables", "iptables", bridge, &rule, "")?;
        }
    }
    Ok(())
}

fn iptables_remove(bridge: &str) -> Result<(), NetworkError> {
    for direction in ["-i", "-o"] {
        while has_accept(bridge, direction)? {
            let rule = ["-w", "-D", "FORWARD", direction, bridge, "-j", "ACCEPT"];
            run("iptables", "iptables", bridge, &rule, "")?;
        }
    }
    Ok(())
}

/// Whether the policy of FORWARD is DROP. Without iptables nobody has set one.
fn forward_drops(bridge: &str) -> Result<bool, NetworkError> {
    let output = output("iptables", bridge, &["-w", "-S", "FORWARD"], "")?;
    Ok(output.is_some_and(|output| output.stdout.starts_with(b"-P FORWARD DROP")))
}

fn has_accept(bridge: &str, direction: &str) -> Result<bool, NetworkError> {
    let rule = ["-w", "-C", "FORWARD", direction, bridge, "-j", "ACCEPT"];
    Ok(output("iptables", bridge, &rule, "")?.is_some_and(|output| output.status.success()))
}

fn run(
    program: &'static str,
    package: &'static str,
    bridge: &str,
    arguments: &[&str],
    input: &str,
) -> Result<Output, NetworkError> {
    let output = output(program, bridge, arguments, input)?
        .ok_or(NetworkError::ProgramMissing { program, package })?;
    if output.status.success() {
        return Ok(output);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NetworkError::Firewall {
        program,
        bridge: bridge.to_owned(),
        message,
    })
}

/// What the program answered, or `None` when it is not installed. The system directories are tried too, because a
/// user's `PATH` often lacks them.
fn output(
    program: &'static str,
    bridge: &str,
    arguments: &[&str],
    input: &str,
) -> Result<Option<Output>, NetworkError> {
    for candidate in [
        program.to_owned(),
        format!("/usr/sbin/{program}"),
        format!("/sbin/{program}"),
    ] {
        match feed(&candidate, arguments, input) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => {
                return result
                    .during(|| format!("run `{program}` for bridge `{bridge}`"))
                    .map(Some);
            }
        }
    }
    Ok(None)
}

fn feed(program: &str, arguments: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has said why on standard error.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(internal: bool) -> BridgeSpec {
        BridgeSpec {
            name: "hb0".to_owned(),
            subnet: "10.1.2.0/24".parse().unwrap(),
            gateway: "10.1.2.1".parse().unwrap(),
            internal,
        }
    }

    #[test]
    fn only_a_network_with_a_way_out_masquerades() {
        assert!(rules(&spec(false)).contains("ip saddr 10.1.2.0/24 oifname != \"hb0\" masquerade"));
        assert!(!rules(&spec(true)).contains("masquerade\n"));
        assert!(rules(&spec(true)).contains("iifname \"hb0\" oifname != \"hb0\" drop"));
    }
}
