//! What a container is put together from, and in which order of precedence.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::model::{NetworkAttachment, Service, ServiceMount};
use crate::stack::testing::{make, plan, service};

fn image() -> ContainerConfig {
    ContainerConfig {
        env: vec!["PATH=/bin".to_owned(), "A=image".to_owned()],
        entrypoint: Some(vec!["entry".to_owned()]),
        cmd: Some(vec!["image-command".to_owned()]),
        working_dir: "/srv".to_owned(),
        user: "app".to_owned(),
        volumes: BTreeSet::new(),
        ..ContainerConfig::default()
    }
}

fn network(name: &str, octet: u8, internal: bool) -> NetworkState {
    NetworkState {
        name: name.to_owned(),
        bridge: format!("br-{name}"),
        subnet: Ipv4Net::new([10, octet, 0, 0].into(), 24).unwrap(),
        gateway: [10, octet, 0, 1].into(),
        internal,
    }
}

fn spec_of(service: &Service, image: &ContainerConfig) -> Result<ContainerSpec, SpecError> {
    let mut container = make("p-web-1", &plan(service, false), 1);
    container
        .addresses
        .insert("front".to_owned(), [10, 1, 0, 9].into());
    container
        .addresses
        .insert("back".to_owned(), [10, 0, 0, 9].into());
    let networks = [
        ("front", network("front", 1, false)),
        ("back", network("back", 0, true)),
    ];
    let stack = Stack {
        networks: networks
            .into_iter()
            .map(|(key, network)| (key.to_owned(), network))
            .collect(),
        ..Stack::default()
    };
    let paths = StackPaths::new(Path::new("/store"), Path::new("/run"), "p");
    let files = BTreeMap::from([("/run/secrets/s".to_owned(), PathBuf::from("/host/s"))]);
    Parts {
        stack: &stack,
        paths: &paths,
        container: &container,
        image,
        lowers: Vec::new(),
        files,
    }
    .spec()
}

fn web() -> Service {
    let mut web = service("web");
    let both = ["front", "back"].map(|key| (key.to_owned(), NetworkAttachment::default()));
    web.container.network = NetworkMode::Networks(both.into_iter().collect());
    web
}

#[test]
fn what_the_service_does_not_say_comes_from_the_image() {
    let spec = spec_of(&web(), &image()).unwrap();
    assert_eq!(spec.args, ["entry", "image-command"]);
    assert_eq!((spec.cwd.as_str(), spec.user.as_str()), ("/srv", "app"));
    assert_eq!(spec.env, ["PATH=/bin", "A=image"]);
}

#[test]
fn the_service_wins_and_its_entrypoint_takes_the_images_command_away() {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let mut own = web();
    own.container.command = words(&["mine"]);
    own.container.environment = BTreeMap::from([
        ("A".to_owned(), Some("1".to_owned())),
        ("UNSET".to_owned(), None),
    ]);
    let spec = spec_of(&own, &image()).unwrap();
    assert_eq!(spec.args, ["entry", "mine"]);
    assert_eq!(spec.env, ["PATH=/bin", "A=1"]);
    own.container.command = None;
    own.container.entrypoint = words(&["sh"]);
    assert_eq!(spec_of(&own, &image()).unwrap().args, ["sh"]);
    own.container.entrypoint = words(&[]);
    let error = spec_of(&own, &image()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "neither image `web` nor service `web` has a command"
    );
}

#[test]
fn the_first_network_has_a_way_out_and_the_gateways_answer_names() {
    let spec = spec_of(&web(), &image()).unwrap();
    let Network::Bridged(endpoints) = &spec.network else {
        panic!("bridged")
    };
    let shown: Vec<_> = endpoints
        .iter()
        .map(|end| (end.bridge.as_str(), end.address.to_string(), end.gateway))
        .collect();
    assert_eq!(
        shown,
        [
            (
                "br-front",
                "10.1.0.9/24".to_owned(),
                Some([10, 1, 0, 1].into())
            ),
            ("br-back", "10.0.0.9/24".to_owned(), None),
        ]
    );
    let servers: Vec<String> = spec.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.1.0.1", "10.0.0.1"]);
}

#[test]
fn a_mount_inside_another_comes_after_it() {
    let mut own = web();
    let bind = |target: &str| ServiceMount {
        target: target.to_owned(),
        read_only: false,
        source: MountSource::Bind {
            path: "/src".into(),
            create: true,
        },
    };
    own.container.mounts = vec![bind("/run/secrets"), bind("/run")];
    let spec = spec_of(&own, &image()).unwrap();
    let targets: Vec<&Path> = spec.mounts.iter().map(Mount::target).collect();
    assert_eq!(
        targets,
        ["/run", "/run/secrets", "/run/secrets/s"].map(Path::new)
    );
}
