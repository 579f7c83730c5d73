//! Tests of the model as a whole: real files in a temporary directory, findings as snapshots.

use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::{Condition, LoadError, LoadOptions, Loaded, MountSource, NetworkMode, RestartPolicy, load_with_document};

struct Case {
    directory: TempDir,
    options: LoadOptions,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::with_prefix("compose-").unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let options = LoadOptions {
            working_directory: directory.path().to_owned(),
            project_name: Some("demo".to_owned()),
            ..LoadOptions::default()
        };
        Self { directory, options }
    }

    fn load(&self) -> Result<Loaded, LoadError> {
        load_with_document(&self.options)
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|error| panic!("{}", self.relative(&error.to_string())))
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "").replace(&self.directory.path().display().to_string(), "<dir>")
    }

    fn faults(&self) -> String {
        self.relative(&self.load().expect_err("must be refused").to_string())
    }

    fn warnings(&self) -> String {
        let lines: Vec<String> = self.loaded().warnings.iter().map(ToString::to_string).collect();
        self.relative(&lines.join("\n"))
    }

    fn yaml(&self) -> String {
        self.relative(&self.loaded().document.to_yaml(false))
    }
}

fn one(text: &str) -> Case {
    Case::new(&[("compose.yaml", text)])
}

#[test]
fn short_syntaxes_become_long_ones() {
    let case = one("
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
");
    fs_err::write(case.directory.path().join("web.env"), "FROM_FILE=x\nA=overridden\n").unwrap();
    assert_snapshot!(case.yaml(), @"");
    let project = case.loaded().project;
    let web = &project.services["web"];
    assert_eq!(web.depends_on["db"].condition, Condition::Started);
    assert_eq!(web.container.environment["FROM_FILE"].as_deref(), Some("x"));
    assert_eq!(web.container.mounts.len(), 4);
    assert!(matches!(&web.container.mounts[1].source, MountSource::Bind { create: true, .. }));
    assert_eq!(project.image_name(web), "demo-web");
}

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
    assert_snapshot!(case.faults(), @"");
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
    assert_snapshot!(case.warnings(), @"");
    assert_eq!(case.loaded().project.services["web"].replicas, 2);
}

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
    assert_snapshot!(case.yaml(), @"");
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
fn aliases_cannot_grow_without_end() {
    let mut text = String::from("x-a: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(9);
        text.push_str(&format!("x-{level}: &a{level} [{}]\n", previous.trim_end_matches(", ")));
    }
    assert!(one(&text).faults().contains("the file unfolds to more than 200000 values"));
    assert!(one(&"[".repeat(100)).faults().contains("nested deeper than 64 levels"));
}

#[test]
fn yaml_faults_have_a_place() {
    assert_snapshot!(one("services:\n  web: [\n").faults(), @"");
    assert_snapshot!(one("services:\n\tweb: x\n").faults(), @"");
    assert_snapshot!(one("just text").faults(), @"");
    assert_snapshot!(one("").faults(), @"");
}

#[test]
fn variables_come_from_the_shell_then_the_env_file() {
    let mut case = Case::new(&[
        ("compose.yaml", "services:\n  web:\n    image: ${IMAGE}:${TAG:-latest}\n    privileged: ${P}\n    scale: ${N}\n"),
        (".env", "IMAGE=from-file\nTAG=1\nP=true\nN=3\n"),
        ("other.env", "IMAGE=other\nP=false\nN=0\n"),
    ]);
    case.options.environment.insert("TAG".to_owned(), "2".to_owned());
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
fn interpolation_faults_have_a_place() {
    let case = one("services:\n  web:\n    image: ${MISSING:?set it}\n    command: echo $1 ${\n");
    assert_snapshot!(case.faults(), @"");
}

#[test]
fn extends_in_and_across_files() {
    let case = Case::new(&[
        ("compose.yaml", "
services:
  base: {image: php, environment: {A: 1}, volumes: ['./x:/x']}
  web: {extends: base, environment: {B: 2}}
  far: {extends: {file: sub/common.yaml, service: worker}}
"),
        ("sub/common.yaml", "
services:
  inner: {image: inner, volumes: ['./y:/y']}
  worker: {extends: inner, command: work}
"),
    ]);
    let project = case.loaded().project;
    let web = &project.services["web"];
    assert_eq!((web.image.as_deref(), web.container.environment.len()), (Some("php"), 2));
    let far = &project.services["far"];
    assert_eq!(far.container.command.as_deref(), Some(&["work".to_owned()][..]));
    let MountSource::Bind { path, .. } = &far.container.mounts[0].source else { panic!("a bind") };
    assert_eq!(path, &case.directory.path().join("sub/y"));
    let looped = one("services: {a: {extends: b}, b: {extends: a}}");
    assert_snapshot!(looped.faults(), @"");
    assert_snapshot!(one("services: {a: {extends: b}}").faults(), @"");
}

#[test]
fn includes_bring_their_own_directory_and_may_not_collide() {
    let files = [
        ("compose.yaml", "include: [sub/compose.yaml]\nservices: {web: {image: nginx, depends_on: [db]}}"),
        ("sub/compose.yaml", "services: {db: {image: '${DB}', volumes: ['./data:/data', 'v:/v']}}\nvolumes: {v: {}}"),
        ("sub/.env", "DB=postgres"),
    ];
    let project = Case::new(&files).loaded().project;
    assert_eq!(project.services["db"].image.as_deref(), Some("postgres"));
    assert!(project.volumes.contains_key("v"));
    let mut files = files;
    files[0].1 = "include:\n  - path: sub/compose.yaml\nservices:\n  db: {image: mysql}\n";
    assert_snapshot!(Case::new(&files).faults(), @"");
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
    assert_snapshot!(one(&text.replace("required: false", "required: true")).faults(), @"");
}

#[test]
fn the_name_of_the_project() {
    let mut case = one("name: from-${X:-file}\nservices: {web: {image: nginx}}");
    assert_eq!(case.loaded().project.name, "demo");
    case.options.project_name = None;
    assert_eq!(case.loaded().project.name, "from-file");
    case.options.environment.insert("COMPOSE_PROJECT_NAME".to_owned(), "shell".to_owned());
    assert_eq!(case.loaded().project.name, "shell");
    case.options.project_name = Some("Not Good".to_owned());
    assert_snapshot!(case.faults(), @"");
}

#[test]
fn files_are_found_upwards_and_listed_ones_need_not_have_standard_names() {
    let mut case = Case::new(&[("compose.yml", "services: {a: {image: x}}"), ("deep/er/file", ""), ("other.yaml", "services: {b: {image: y}}")]);
    case.options.working_directory = case.directory.path().join("deep/er");
    assert_eq!(case.loaded().project.directory, case.directory.path());
    case.options.environment.insert("COMPOSE_FILE".to_owned(), "../../compose.yml:../../other.yaml".to_owned());
    assert_eq!(case.loaded().project.services.len(), 2);
    case.options.environment.clear();
    case.options.files = vec!["-".into()];
    case.options.stdin = Some("services: {c: {image: z}}".to_owned());
    assert_eq!(case.loaded().project.services.keys().collect::<Vec<_>>(), ["c"]);
    let empty = TempDir::new().unwrap();
    let options = LoadOptions { working_directory: empty.path().to_owned(), ..LoadOptions::default() };
    assert!(matches!(load_with_document(&options), Err(LoadError::NotFound { .. })));
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
").loaded().project;
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["back", "default"]);
    assert_eq!(project.networks["default"].name, "demo_default");
    assert_eq!(project.networks["back"].subnet.map(|net| net.to_string()).as_deref(), Some("172.30.0.0/24"));
    assert_eq!(project.services["c"].container.network, NetworkMode::Service("a".to_owned()));
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
").loaded().project;
    let policy = |name: &str| project.services[name].restart;
    assert_eq!(policy("a"), RestartPolicy::No);
    assert_eq!(policy("b"), RestartPolicy::OnFailure { attempts: Some(3) });
    assert_eq!(policy("c"), RestartPolicy::UnlessStopped);
    assert_eq!(policy("d"), RestartPolicy::OnFailure { attempts: Some(2) });
}

#[test]
fn names_cannot_leave_their_directory() {
    let case = one("services: {web: {image: x, volumes: ['v:/v']}}\nvolumes: {v: {name: ../../etc}}\n");
    assert_snapshot!(case.faults(), @"");
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let case = Case::new(&[("compose.yaml", "services: {web: {image: x, env_file: [missing.env, {path: also, required: false}]}}")]);
    let text = case.faults();
    assert!(text.contains("missing.env"), "{text}");
    assert!(!text.contains("also"), "{text}");
    assert!(Path::new("/").is_absolute());
}
