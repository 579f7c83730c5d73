//! Bridges, addresses and isolation, on the machine's own network: one test at a time.
#![allow(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "all of this file is a test"
)]

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use howdah_runtime::network::{
    BridgeSpec, NetworkError, NetworkLock, ensure_bridge, free_subnet, remove_bridge,
};
use howdah_runtime::{ContainerSpec, Endpoint, Network, RuntimeError};
use ipnet::Ipv4Net;
use support::{Lab, eventually, machine};

/// Out of the machine's network card, through the masquerade: asks the host's resolver for a name.
const REACH_OUT: &str =
    "nslookup deb.debian.org >/tmp/answer 2>&1 && echo reached || cat /tmp/answer /etc/resolv.conf";

fn network_lock() -> NetworkLock {
    NetworkLock::acquire().unwrap()
}

/// A bridge, removed when dropped.
struct Bridge(BridgeSpec);

impl Bridge {
    fn new(name: &str, internal: bool) -> Self {
        let lock = network_lock();
        let subnet = free_subnet(&lock, &["10.213.0.0/16".parse().unwrap()], &[]).unwrap();
        let spec = BridgeSpec {
            name: name.to_owned(),
            subnet,
            gateway: subnet.hosts().next().unwrap(),
            internal,
        };
        let bridge = Self(spec);
        ensure_bridge(&lock, &bridge.0).unwrap();
        drop(lock);
        bridge
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.0.subnet.network().octets();
        Ipv4Addr::new(a, b, c, host)
    }

    fn endpoint(&self, host: u8) -> Endpoint {
        Endpoint {
            bridge: self.0.name.clone(),
            address: Ipv4Net::new(self.address(host), self.0.subnet.prefix_len()).unwrap(),
            gateway: Some(self.0.gateway),
            mac: None,
        }
    }

    fn join(&self, mut spec: ContainerSpec, host: u8) -> ContainerSpec {
        spec.network = Network::Bridged(vec![self.endpoint(host)]);
        spec
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        remove_bridge(&network_lock(), &self.0.name).ok();
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server in a container; the log tells when it listens.
fn serve(lab: &Lab, bridge: &Bridge, id: &str, host: u8) {
    let spec = bridge.join(
        lab.shell(id, "while true; do echo hello | nc -l -p 80 -w 5; done"),
        host,
    );
    lab.runtime
        .start(&spec, &lab.path(&format!("{id}.log")))
        .unwrap();
    eventually("the server", || {
        let State { pid } = state(lab, id);
        let tables = ["tcp", "tcp6"]
            .map(|name| fs_err::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap());
        tables
            .iter()
            .any(|table| table.contains(":0050 "))
            .then_some(())
    });
}

struct State {
    pid: u32,
}

fn state(lab: &Lab, id: &str) -> State {
    match lab.runtime.state(id).unwrap() {
        howdah_runtime::State::Running { pid, .. } => State { pid },
        state => panic!("{id} is {state:?}"),
    }
}

#[test]
fn a_container_has_its_addresses_and_the_world() {
    let _machine = machine();
    let lab = Lab::new();
    let bridge = Bridge::new("howdah-t1", false);
    let other = Bridge::new("howdah-t2", false);
    let mut spec = lab.shell("one", "ip -o -4 addr | grep -v ' lo '; ip route | grep default; ip -o link | grep -c UP; cat /etc/hosts; ping -c 1 -w 5 127.0.0.1 >/dev/null && echo loopback");
    let mut first = bridge.endpoint(7);
    first.mac = Some("02:42:00:00:00:07".to_owned());
    spec.network = Network::Bridged(vec![first, other.endpoint(9)]);
    let found = lab.run_ok(&spec);
    for part in [
        format!("eth0    inet {}/24", bridge.address(7)),
        format!("eth1    inet {}/24", other.address(9)),
        format!("default via {} dev eth0", bridge.0.gateway),
        format!("{}\tone", bridge.address(7)),
        "loopback".to_owned(),
    ] {
        assert!(found.contains(&part), "{part} in {found}");
    }
    // The kernel removes a cable with the namespace that held its other end, in its own time.
    eventually("the cables' removal", || {
        let ports = output("ip", &["-o", "link", "show", "master", "howdah-t1"]);
        ports.is_empty().then_some(())
    });
    assert_eq!(
        lab.run_ok(&bridge.join(lab.shell("two", REACH_OUT), 8)),
        "reached\n"
    );
}

#[test]
fn neighbours_are_reached_and_other_bridges_are_not() {
    let _machine = machine();
    let lab = Lab::new();
    let bridge = Bridge::new("howdah-t1", false);
    let other = Bridge::new("howdah-t2", false);
    serve(&lab, &bridge, "server", 5);
    let ask = format!(
        "wget -q -T 3 -O - http://{}/ 2>&1 | grep -c -e hello -e 'bad header' -e 'not'; nc -w 2 {} 80 </dev/null | grep hello || echo unreachable",
        bridge.address(5),
        bridge.address(5)
    );
    let near = lab
        .run(&bridge.join(lab.shell("near", &ask), 6))
        .unwrap()
        .stdout;
    assert!(near.contains("hello"), "{near}");
    let far = lab
        .run(&other.join(lab.shell("far", &ask), 6))
        .unwrap()
        .stdout;
    assert!(far.contains("unreachable"), "{far}");
}

#[test]
fn an_internal_network_has_no_way_out() {
    let _machine = machine();
    let lab = Lab::new();
    let bridge = Bridge::new("howdah-t1", true);
    serve(&lab, &bridge, "server", 5);
    let ask = format!(
        "nc -w 2 {} 80 </dev/null; nc -w 2 192.0.2.1 53 </dev/null && echo out; ping -c 1 -w 2 192.0.2.1 >/dev/null && echo out; true",
        bridge.address(5)
    );
    assert_eq!(
        lab.run_ok(&bridge.join(lab.shell("one", &ask), 6)),
        "hello\n"
    );
}

#[test]
fn the_host_reaches_a_container_and_is_reached() {
    let _machine = machine();
    let lab = Lab::new();
    let bridge = Bridge::new("howdah-t1", false);
    let listener = TcpListener::bind((bridge.0.gateway, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("nc -w 5 {} {port} </dev/null", bridge.0.gateway);
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut connection, b"from the host\n").unwrap();
    });
    assert_eq!(
        lab.run_ok(&bridge.join(lab.shell("one", &script), 4)),
        "from the host\n"
    );
    server.join().unwrap();
}

#[test]
fn bridges_are_made_once_and_removed_whole() {
    let _machine = machine();
    // Other stacks may share the machine and the table: only what names our bridges is looked at.
    let rules_of = |bridge: &str| {
        let table = output("nft", &["list", "table", "ip", "howdah"]);
        let lines = table
            .lines()
            .filter(|line| line.contains(bridge))
            .map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let bridge = Bridge::new("howdah-t1", false);
    let rules = rules_of("howdah-t1");
    assert!(!rules.is_empty());
    ensure_bridge(&network_lock(), &bridge.0).unwrap();
    assert_eq!(rules_of("howdah-t1"), rules);
    let moved = BridgeSpec {
        gateway: bridge.address(200),
        ..bridge.0.clone()
    };
    ensure_bridge(&network_lock(), &moved).unwrap();
    let addresses = output("ip", &["-o", "-4", "addr", "show", "dev", "howdah-t1"]);
    assert_eq!(addresses.lines().count(), 1, "{addresses}");
    assert!(addresses.contains(&bridge.address(200).to_string()));
    let clash = BridgeSpec {
        name: "howdah-t2".to_owned(),
        ..bridge.0.clone()
    };
    assert!(matches!(
        ensure_bridge(&network_lock(), &clash),
        Err(NetworkError::Invalid(_))
    ));
    remove_bridge(&network_lock(), "howdah-t2").unwrap();
    remove_bridge(&network_lock(), "howdah-t1").unwrap();
    remove_bridge(&network_lock(), "howdah-t1").unwrap();
    assert!(rules_of("howdah-t").is_empty());
    assert!(!output("ip", &["-o", "link"]).contains("howdah-t"));
}

#[test]
fn bridges_made_at_the_same_moment_get_addresses_of_their_own() {
    let _machine = machine();
    let threads: Vec<_> = (0..8)
        .map(|number| std::thread::spawn(move || Bridge::new(&format!("howdah-r{number}"), false)))
        .collect();
    let bridges: Vec<Bridge> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    let subnets: std::collections::BTreeSet<Ipv4Net> =
        bridges.iter().map(|bridge| bridge.0.subnet).collect();
    assert_eq!(subnets.len(), 8);
}

#[test]
fn a_firewall_that_drops_forwarded_packets_is_opened_for_our_bridge() {
    let _machine = machine();
    let lab = Lab::new();
    let policy = output("iptables", &["-S", "FORWARD"]);
    assert!(policy.starts_with("-P FORWARD ACCEPT"), "{policy}");
    output("iptables", &["-P", "FORWARD", "DROP"]);
    let restore = Restore;
    let bridge = Bridge::new("howdah-t1", false);
    ensure_bridge(&network_lock(), &bridge.0).unwrap();
    assert_eq!(
        output("iptables", &["-S", "FORWARD"])
            .matches("howdah-t1")
            .count(),
        2
    );
    let spec = bridge.join(lab.shell("one", REACH_OUT), 8);
    assert_eq!(lab.run_ok(&spec), "reached\n");
    drop(bridge);
    assert!(!output("iptables", &["-S", "FORWARD"]).contains("howdah"));
    drop(restore);
}

struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        output("iptables", &["-P", "FORWARD", "ACCEPT"]);
    }
}

#[test]
fn a_network_is_shared_on_request() {
    let _machine = machine();
    let lab = Lab::new();
    let bridge = Bridge::new("howdah-t1", false);
    serve(&lab, &bridge, "server", 5);
    let mut spec = lab.shell(
        "one",
        "nc -w 2 127.0.0.1 80 </dev/null; grep server /etc/hosts",
    );
    spec.network = Network::Container("server".to_owned());
    assert_eq!(
        lab.run_ok(&spec),
        format!("hello\n{}\tserver\n", bridge.address(5))
    );
    spec.network = Network::Container("nobody".to_owned());
    assert!(matches!(
        lab.run(&spec),
        Err(RuntimeError::NotRunning { .. })
    ));
    spec.network = Network::Host;
    spec.args[2] = "ip -o link | grep -c howdah-t1".to_owned();
    assert!(lab.run_ok(&spec).trim().parse::<u32>().unwrap() > 0);
}

#[test]
fn a_missing_bridge_is_told_and_nothing_stays() {
    let _machine = machine();
    let lab = Lab::new();
    let mut spec = lab.spec("one", &["true"]);
    let address = "10.213.0.2/24".parse().unwrap();
    spec.network = Network::Bridged(vec![Endpoint {
        bridge: "howdah-none".to_owned(),
        address,
        gateway: None,
        mac: None,
    }]);
    let error = lab.run(&spec).unwrap_err();
    assert!(error.to_string().contains("howdah-none"), "{error}");
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

/// A build machine is often a chroot with a PID namespace of its own: the helper must not leave it on its way.
#[test]
fn a_caller_in_a_chroot_stays_in_it() {
    let root = tempfile::tempdir().unwrap();
    let enter = format!(
        "mount --rbind / {root} && mount -t proc proc {root}/proc && exec chroot {root} {test} --exact the_host_reaches_a_container_and_is_reached",
        root = root.path().display(),
        test = std::env::current_exe().unwrap().display(),
    );
    let _machine = machine();
    let inside = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "timeout",
            "60",
            "sh",
            "-c",
            &enter,
        ])
        .output()
        .unwrap();
    assert!(
        inside.status.success(),
        "{}{}",
        String::from_utf8_lossy(&inside.stdout),
        String::from_utf8_lossy(&inside.stderr)
    );
}
