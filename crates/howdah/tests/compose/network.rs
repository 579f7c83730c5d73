//! Names, networks and published ports.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::scene::Scene;

#[test]
fn names_resolve_on_the_networks_they_belong_to() {
    let scene = Scene::new(
        "services:\n  a:\n    image: busybox\n    networks: {front: {aliases: [alpha]}}\n  b: {image: busybox, networks: [front, back]}\n  c: {image: busybox, networks: [back]}\n  many: {image: busybox, scale: 3, networks: [front]}\nnetworks: {front: {}, back: {internal: true}}\n",
    );
    scene.ok(&["up", "-d"]);
    let addresses = |name: &str| {
        let script = format!("nslookup {name} | grep '^Address: ' | sort");
        scene.sh("b", &script).lines().count()
    };
    assert_eq!(addresses("a"), 1);
    assert_eq!(addresses("alpha"), 1);
    assert_eq!(addresses("A"), 1);
    assert_eq!(addresses("t-c-1"), 1);
    assert_eq!(addresses("many"), 3);
    // A name of a network one is not on goes to the host's resolvers, which do not know it.
    assert_ne!(scene.run(&["exec", "-T", "a", "nslookup", "c"]).code, 0);
    scene.ok(&["exec", "-T", "b", "ping", "-c", "1", "-W", "5", "c"]);
    assert_eq!(scene.sh("b", "hostname -i | wc -w").trim(), "1");
}

#[test]
fn ports_lead_to_the_container_and_random_ones_stay() {
    let scene = Scene::new(
        "services:\n  echo:\n    image: busybox\n    command: nc -ll -p 7 -e cat\n    init: true\n    ports: ['${PORT}:7', '1234']\n",
    );
    scene.ok(&["up", "-d"]);
    // Half-closed: all that was sent comes back although our side has said all.
    let mut stream = TcpStream::connect(("127.0.0.1", scene.port)).unwrap();
    let sent = vec![b'x'; 1 << 20];
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(
        received == sent,
        "{} of {} bytes",
        received.len(),
        sent.len()
    );

    let random = |scene: &Scene| {
        let publishers = scene.container("t-echo-1")["Publishers"].clone();
        publishers
            .as_array()
            .unwrap()
            .iter()
            .find(|port| port["TargetPort"] == 1234)
            .unwrap()["PublishedPort"]
            .clone()
    };
    let before = random(&scene);
    scene.ok(&["restart", "-t", "0"]);
    assert_eq!(random(&scene), before);
}

#[test]
fn a_taken_port_is_named_with_who_has_it() {
    let scene = Scene::new("services:\n  web: {image: busybox, ports: ['${PORT}:80']}\n");
    let holder = TcpListener::bind(("0.0.0.0", scene.port)).unwrap();
    let said = scene.run(&["up", "-d"]);
    assert_eq!(said.code, 1);
    let expected = format!("port {}/tcp is taken by ", scene.port);
    assert!(
        said.err.contains(&expected) && said.err.contains(&format!("(pid {})", std::process::id())),
        "{}",
        said.err
    );
    drop(holder);
    scene.ok(&["up", "-d"]);
}

#[test]
fn addresses_stay_and_can_be_fixed() {
    let scene = Scene::new(
        "services:\n  a: {image: busybox, networks: {net: {ipv4_address: 10.213.0.77}}}\n  b: {image: busybox, networks: [net]}\n  c: {image: busybox, network_mode: 'service:a'}\n  d: {image: busybox, network_mode: none}\nnetworks: {net: {ipam: {config: [{subnet: 10.213.0.0/24}]}}}\n",
    );
    scene.ok(&["up", "-d"]);
    let address = |service: &str| scene.sh(service, "ip -4 -o addr show eth0 | awk '{print $4}'");
    assert_eq!(address("a"), "10.213.0.77/24\n");
    assert_eq!(address("c"), "10.213.0.77/24\n");
    assert_eq!(scene.sh("d", "ls /sys/class/net"), "lo\n");
    let before = address("b");
    scene.ok(&["up", "-d", "-t", "0", "--force-recreate"]);
    assert_eq!(address("b"), before);
}
