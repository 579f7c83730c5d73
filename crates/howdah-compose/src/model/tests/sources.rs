//! Files over files: discovery, variables, merge, extends, include, profiles.

use insta::assert_snapshot;
use tempfile::TempDir;

use super::{Case, one};
use crate::model::{LoadError, LoadOptions, MountSource, load_with_document};

#[test]
fn files_merge_by_composes_rules() {
    let base = "
services:
  web:
    image: nginx
    command: [a, b]
    ports: ['80:80', '443:443']
    volumes: ['data:/data', './a:/a']
    environment: {A: 1, B: 2}
    dns: [1.1.1.1]
    cap_add: [NET_ADMIN]
    labels: {x: y}
    healthcheck: {test: [CMD, a]}
volumes: {data: {}}
";
    let over = "
services:
  web:
    image: caddy
    command: c
    ports: ['443:443', '8080:80']
    volumes: ['./b:/data']
    environment: ['B=3', 'C=4']
    dns: 8.8.8.8
    cap_add: [NET_ADMIN, SYS_TIME]
    labels: !reset {}
    healthcheck: !override {disable: true}
";
    let case = Case::new(&[("compose.yaml", base), ("compose.override.yaml", over)]);
    assert_snapshot!(case.yaml(), @r#"
    name: demo
    services:
      web:
        cap_add:
          - NET_ADMIN
          - SYS_TIME
        command:
          - c
        dns:
          - 1.1.1.1
          - 8.8.8.8
        environment:
          A: "1"
          B: "3"
          C: "4"
        healthcheck:
          disable: true
        image: caddy
        networks:
          default: null
        ports:
          - mode: ingress
            protocol: tcp
            published: "80"
            target: 80
          - mode: ingress
            protocol: tcp
            published: "443"
            target: 443
          - mode: ingress
            protocol: tcp
            published: "8080"
            target: 80
        volumes:
          - bind:
              create_host_path: true
            source: b
            target: /data
            type: bind
          - bind:
              create_host_path: true
            source: a
            target: /a
            type: bind
    networks:
      default:
        name: demo_default
    volumes:
      data:
        name: demo_data
    "#);
}

#[test]
fn variables_come_from_the_shell_then_the_env_file() {
    let mut case = Case::new(&[
        (
            "compose.yaml",
            "services:\n  web:\n    image: ${IMAGE}:${TAG:-latest}\n    privileged: ${P}\n    scale: ${N}\n",
        ),
        (".env", "IMAGE=from-file\nTAG=1\nP=true\nN=3\n"),
        ("other.env", "IMAGE=other\nP=false\nN=0\n"),
    ]);
    case.options
        .environment
        .insert("TAG".to_owned(), "2".to_owned());
    let web = &case.loaded().project.services["web"];
    assert_eq!(web.image.as_deref(), Some("from-file:2"));
    assert!(web.container.security.privileged);
    assert_eq!(web.replicas, 3);
    case.options.env_files = vec!["other.env".into()];
    let web = &case.loaded().project.services["web"];
    assert_eq!(web.image.as_deref(), Some("other:2"));
    assert_eq!(web.replicas, 0);
}

#[test]
fn extends_in_and_across_files() {
    let case = Case::new(&[
        (
            "compose.yaml",
            "
services:
  base: {image: php, environment: {A: 1}, volumes: ['./x:/x']}
  web: {extends: base, environment: {B: 2}}
  far: {extends: {file: sub/common.yaml, service: worker}}
",
        ),
        (
            "sub/common.yaml",
            "
services:
  inner: {image: inner, volumes: ['./y:/y']}
  worker: {extends: inner, command: work}
",
        ),
    ]);
    let project = case.loaded().project;
    let web = &project.services["web"];
    assert_eq!(
        (web.image.as_deref(), web.container.environment.len()),
        (Some("php"), 2)
    );
    let far = &project.services["far"];
    assert_eq!(
        far.container.command.as_deref(),
        Some(&["work".to_owned()][..])
    );
    let MountSource::Bind { path, .. } = &far.container.mounts[0].source else {
        panic!("a bind")
    };
    assert_eq!(path, &case.directory.path().join("sub/y"));
    let looped = one("services: {a: {extends: b}, b: {extends: a}}");
    assert_snapshot!(looped.faults(), @r"
    compose.yaml:1:25: services extend each other: b -> a -> b
    compose.yaml:1:25: services.b: needs `image:` or `build:`
    compose.yaml:1:42: services extend each other: a -> b -> a
    compose.yaml:1:42: services.a: needs `image:` or `build:`
    ");
    assert_snapshot!(one("services: {a: {extends: b}}").faults(), @r"
    compose.yaml:1:15: services.a: needs `image:` or `build:`
    compose.yaml:1:25: services.a.extends: there is no service `b`
    ");
}

#[test]
fn includes_bring_their_own_directory_and_may_not_collide() {
    let files = [
        (
            "compose.yaml",
            "include: [sub/compose.yaml]\nservices: {web: {image: nginx, depends_on: [db]}}",
        ),
        (
            "sub/compose.yaml",
            "services: {db: {image: '${DB}', volumes: ['./data:/data', 'v:/v']}}\nvolumes: {v: {}}",
        ),
        ("sub/.env", "DB=postgres"),
    ];
    let project = Case::new(&files).loaded().project;
    assert_eq!(project.services["db"].image.as_deref(), Some("postgres"));
    assert!(project.volumes.contains_key("v"));
    let mut files = files;
    files[0].1 = "include:\n  - path: sub/compose.yaml\nservices:\n  db: {image: mysql}\n";
    assert_snapshot!(Case::new(&files).faults(), @"compose.yaml:4:3: services.db: is also defined by the included sub/compose.yaml:1:12");
}

#[test]
fn profiles_select_services() {
    let text = "
services:
  web: {image: nginx, depends_on: {debug: {condition: service_started, required: false}}}
  debug: {image: debug, profiles: [debug]}
";
    let mut case = one(text);
    let project = case.loaded().project;
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(project.disabled.keys().collect::<Vec<_>>(), ["debug"]);
    assert!(project.services["web"].depends_on.is_empty());
    case.options.profiles = vec!["debug".to_owned()];
    assert_eq!(case.loaded().project.services.len(), 2);
    case.options.profiles.clear();
    case.options.services = vec!["debug".to_owned()];
    assert_eq!(case.loaded().project.services.len(), 2);
    case.options.services = vec!["nope".to_owned()];
    assert_eq!(case.faults(), "no such service: nope");
    assert_snapshot!(one(&text.replace("required: false", "required: true")).faults(), @"services.web.depends_on: `debug` is left out by its profiles (debug) (add --profile debug)");
}

#[test]
fn the_name_of_the_project() {
    let mut case = one("name: from-${X:-file}\nservices: {web: {image: nginx}}");
    assert_eq!(case.loaded().project.name, "demo");
    case.options.project_name = None;
    assert_eq!(case.loaded().project.name, "from-file");
    case.options
        .environment
        .insert("COMPOSE_PROJECT_NAME".to_owned(), "shell".to_owned());
    assert_eq!(case.loaded().project.name, "shell");
    case.options.project_name = Some("Not Good".to_owned());
    assert_snapshot!(case.faults(), @"`Not Good` is not a project name; use lower case letters, digits, `_` and `-`, starting with a letter or digit");
}

#[test]
fn files_are_found_upwards_and_listed_ones_need_not_have_standard_names() {
    let mut case = Case::new(&[
        ("compose.yml", "services: {a: {image: x}}"),
        ("deep/er/file", ""),
        ("other.yaml", "services: {b: {image: y}}"),
    ]);
    case.options.working_directory = case.directory.path().join("deep/er");
    assert_eq!(case.loaded().project.directory, case.directory.path());
    case.options.environment.insert(
        "COMPOSE_FILE".to_owned(),
        "../../compose.yml:../../other.yaml".to_owned(),
    );
    assert_eq!(case.loaded().project.services.len(), 2);
    case.options.environment.clear();
    case.options.files = vec!["-".into()];
    case.options.stdin = Some("services: {c: {image: z}}".to_owned());
    assert_eq!(
        case.loaded().project.services.keys().collect::<Vec<_>>(),
        ["c"]
    );
    let empty = TempDir::new().unwrap();
    let options = LoadOptions {
        working_directory: empty.path().to_owned(),
        ..LoadOptions::default()
    };
    assert!(matches!(
        load_with_document(&options),
        Err(LoadError::NotFound { .. })
    ));
}
