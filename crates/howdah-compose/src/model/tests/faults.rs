//! What is wrong is told: all of it, each with its place.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{Case, one};

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let case = one("
services:
  web:
    imag: nginx
    build: .
    ports: ['eighty:80', {target: 1, published: x}]
    volumes: ['dta:/var', 'a:b:c:d']
    networks: [frontend]
    depends_on: {dbb: {condition: service_ready}}
    restart: sometimes
    stop_grace_period: soon
    privileged: maybe
    environment: 5
    secrets: [token]
  db:
    image: postgres
    image: mysql
    depends_on: [cache]
  cache:
    image: redis
    depends_on: [db]
  none: {}
volumes: {data: {}}
nets: {}
");
    assert_snapshot!(case.faults(), @r"
    compose.yaml:4:5: services.web.imag: unknown key (did you mean `image`?)
    compose.yaml:6:13: services.web.ports[0]: `eighty` is not a port
    compose.yaml:6:49: services.web.ports[0].published: must be a port or a range, not `x`
    compose.yaml:7:15: services.web.volumes: there is no volume `dta` (did you mean `data`?)
    compose.yaml:7:27: services.web.volumes[1]: `a:b:c:d` has too many colons; write SOURCE:TARGET:MODE
    compose.yaml:8:16: services.web.networks: there is no network `frontend` (define it under the top-level `networks:`)
    compose.yaml:9:18: services.web.depends_on: there is no service `dbb` (did you mean `db`?)
    compose.yaml:9:35: services.web.depends_on.dbb.condition: must be service_started, service_healthy or service_completed_successfully, not `service_ready`
    compose.yaml:10:14: services.web.restart: must be no, always, on-failure[:N] or unless-stopped, not `sometimes`
    compose.yaml:11:24: services.web.stop_grace_period: must be a duration such as 1m30s, not `soon`
    compose.yaml:12:17: services.web.privileged: must be true or false, not `maybe`
    compose.yaml:13:18: services.web.environment: must be a mapping, not a number
    compose.yaml:14:15: services.web.secrets: there is no secret `token` (define it under the top-level `secrets:`)
    compose.yaml:17:5: the key `image` is given twice
    compose.yaml:21:18: services wait for each other: db -> cache -> db
    compose.yaml:22:9: services.none: needs `image:` or `build:`
    compose.yaml:24:1: nets: unknown key
    ");
}

#[test]
fn keys_that_are_not_supported_yet_warn() {
    let case = one("
version: '3'
services:
  web:
    image: nginx
    x-mine: anything
    logging: {driver: syslog}
    gpus: all
    deploy: {replicas: 2, placement: {}}
    environment: [A=$UNSET]
");
    assert_snapshot!(case.warnings(), @r"
    the variable `UNSET` is not set; an empty string is used
    compose.yaml:2:10: version: has no meaning any more, ignored
    compose.yaml:9:27: services.web.deploy.placement: not supported yet, ignored
    compose.yaml:7:5: services.web.logging: not supported yet, ignored
    compose.yaml:8:5: services.web.gpus: not supported yet, ignored
    ");
    assert_eq!(case.loaded().project.services["web"].replicas, 2);
}

#[test]
fn aliases_cannot_grow_without_end() {
    let mut text = String::from("x-a: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(9);
        writeln!(
            text,
            "x-{level}: &a{level} [{}]",
            previous.trim_end_matches(", ")
        )
        .unwrap();
    }
    assert!(
        one(&text)
            .faults()
            .contains("the file unfolds to more than 200000 values")
    );
    assert!(
        one(&"[".repeat(100))
            .faults()
            .contains("nested deeper than 64 levels")
    );
}

#[test]
fn yaml_faults_have_a_place() {
    assert_snapshot!(one("services:\n  web: [\n").faults(), @"compose.yaml:3:1: not valid YAML: while parsing a node, did not find expected node content");
    assert_snapshot!(one("services:\n\tweb: x\n").faults(), @"compose.yaml:2:2: not valid YAML: tabs disallowed within this context (block indentation)");
    assert_snapshot!(one("just text").faults(), @"compose.yaml:1:1: the file: must be a mapping, not a string");
    assert_snapshot!(one("").faults(), @"compose.yaml: services: none are defined");
}

#[test]
fn interpolation_faults_have_a_place() {
    let case = one("services:\n  web:\n    image: ${MISSING:?set it}\n    command: echo $1 ${\n");
    assert_snapshot!(case.faults(), @r"
    compose.yaml:3:12: required variable `MISSING` is missing a value: set it
    compose.yaml:4:14: invalid variable in `echo $1 ${` (write `$$` for a dollar sign)
    ");
}

#[test]
fn names_cannot_leave_their_directory() {
    let case =
        one("services: {web: {image: x, volumes: ['v:/v']}}\nvolumes: {v: {name: ../../etc}}\n");
    assert_snapshot!(case.faults(), @"compose.yaml:2:21: volumes.v: `../../etc` is not a valid name; use letters, digits, `.`, `_` and `-`");
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let case = Case::new(&[(
        "compose.yaml",
        "services: {web: {image: x, env_file: [missing.env, {path: also, required: false}]}}",
    )]);
    let text = case.faults();
    assert!(text.contains("env_file[0]: there is no file `"), "{text}");
    assert!(text.contains("missing.env"), "{text}");
    assert!(!text.contains("also"), "{text}");
}
