//! Short and long syntaxes, and what they come to.

use insta::assert_snapshot;

use super::one;
use crate::model::{Condition, MountSource, NetworkMode, RestartPolicy};

/// One of each.
const EVERY_SHORT_SYNTAX: &str = "
services:
  web:
    build: ./docker/web
    command: php -S 0.0.0.0:80 'my index.php'
    ports: ['8000:8080', '127.0.0.1:53:53/udp']
    volumes: ['db:/data:ro', './src:/app', '/cache']
    environment: [A=1, B=]
    depends_on: [db]
    env_file: web.env
    healthcheck: {test: curl -f localhost, interval: 1m30s}
    tmpfs: /run
    ulimits: {nofile: 100}
    secrets: [token]
  db: {image: 'postgres:15'}
volumes: {db: }
secrets: {token: {file: ./token.txt}}
";

#[test]
fn short_syntaxes_become_long_ones() {
    let case = one(EVERY_SHORT_SYNTAX);
    fs_err::write(
        case.directory.path().join("web.env"),
        "FROM_FILE=x\nA=overridden\n",
    )
    .unwrap();
    assert_snapshot!(case.yaml(), @r#"
    name: demo
    services:
      db:
        image: postgres:15
        networks:
          default: null
      web:
        build:
          context: docker/web
        command:
          - php
          - -S
          - 0.0.0.0:80
          - my index.php
        depends_on:
          db:
            condition: service_started
            required: true
        environment:
          A: "1"
          B: ""
          FROM_FILE: x
        healthcheck:
          interval: 1m30s
          test:
            - CMD-SHELL
            - curl -f localhost
        networks:
          default: null
        ports:
          - mode: ingress
            protocol: tcp
            published: "8000"
            target: 8080
          - host_ip: 127.0.0.1
            mode: ingress
            protocol: udp
            published: "53"
            target: 53
        secrets:
          - source: token
        tmpfs:
          - /run
        ulimits:
          nofile:
            hard: 100
            soft: 100
        volumes:
          - read_only: true
            source: db
            target: /data
            type: volume
            volume: {}
          - bind:
              create_host_path: true
            source: src
            target: /app
            type: bind
          - target: /cache
            type: volume
            volume: {}
    networks:
      default:
        name: demo_default
    volumes:
      db:
        name: demo_db
    secrets:
      token:
        file: token.txt
        name: demo_token
    "#);
}

#[test]
fn short_syntaxes_are_typed() {
    let case = one(EVERY_SHORT_SYNTAX);
    let variables = "FROM_FILE=x\nA=overridden\n";
    fs_err::write(case.directory.path().join("web.env"), variables).unwrap();
    let project = case.loaded().project;
    let web = &project.services["web"];
    assert_eq!(web.depends_on["db"].condition, Condition::Started);
    assert_eq!(web.container.environment["FROM_FILE"].as_deref(), Some("x"));
    assert_eq!(web.container.mounts.len(), 4);
    assert!(matches!(
        &web.container.mounts[1].source,
        MountSource::Bind { create: true, .. }
    ));
    assert_eq!(project.image_name(web), "demo-web");
}

#[test]
fn anchors_and_merge_keys() {
    let case = one("
x-base: &base
  image: php
  environment: &env {A: '1'}
services:
  one:
    <<: *base
    command: one
  two:
    <<: [*base]
    environment: {<<: *env, B: '2'}
");
    let services = case.loaded().project.services;
    assert_eq!(services["one"].image.as_deref(), Some("php"));
    assert_eq!(services["two"].container.environment.len(), 2);
}

#[test]
fn networks_and_modes() {
    let project = one("
services:
  a: {image: x}
  b: {image: x, networks: {back: {aliases: [bb], ipv4_address: 172.30.0.9}}}
  c: {image: x, network_mode: 'service:a'}
networks:
  back: {internal: true, ipam: {config: [{subnet: 172.30.0.0/24}]}}
  unused: {}
")
    .loaded()
    .project;
    assert_eq!(
        project.networks.keys().collect::<Vec<_>>(),
        ["back", "default"]
    );
    assert_eq!(project.networks["default"].name, "demo_default");
    assert_eq!(
        project.networks["back"]
            .subnet
            .map(|net| net.to_string())
            .as_deref(),
        Some("172.30.0.0/24")
    );
    assert_eq!(
        project.services["c"].container.network,
        NetworkMode::Service("a".to_owned())
    );
    assert!(project.services["c"].depends_on.contains_key("a"));
}

#[test]
fn restart_policies() {
    let project = one("
services:
  a: {image: x, restart: no}
  b: {image: x, restart: 'on-failure:3'}
  c: {image: x, restart: unless-stopped}
  d: {image: x, deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}}
")
    .loaded()
    .project;
    let policy = |name: &str| project.services[name].restart;
    assert_eq!(policy("a"), RestartPolicy::No);
    assert_eq!(policy("b"), RestartPolicy::OnFailure { attempts: Some(3) });
    assert_eq!(policy("c"), RestartPolicy::UnlessStopped);
    assert_eq!(policy("d"), RestartPolicy::OnFailure { attempts: Some(2) });
}

#[test]
fn what_a_build_gives_its_steps() {
    let case = one("services:
  web:
    build:
      context: .
      shm_size: 1m
      ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}
      no_cache_filter: assets
      ssh: {git: /run/agent}
      entitlements: network.host
      privileged: true
  list:
    build: {context: ., ssh: [default, git=/run/agent], no_cache_filter: [a, b]}
");
    assert_eq!(case.warnings(), "");
    let services = case.loaded().project.services;
    let web = services["web"].build.clone().unwrap();
    assert_eq!(web.shm_size, Some(1 << 20));
    assert_eq!(
        (web.ulimits["nofile"], web.ulimits["nproc"]),
        ((10, 10), (1, 2))
    );
    assert_eq!(web.no_cache_filter, ["assets"]);
    assert_eq!(web.ssh, ["git=/run/agent"]);
    assert_eq!(web.entitlements, ["network.host", "security.insecure"]);
    let list = services["list"].build.clone().unwrap();
    assert_eq!(list.ssh, ["default", "git=/run/agent"]);
    assert_eq!(list.no_cache_filter, ["a", "b"]);
}
