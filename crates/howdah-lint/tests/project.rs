//! Each rule of projects on a project that breaks it and on one that does not.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

use std::path::Path;

use howdah_lint::{CheckSettings, KnownImages, check_project, compose_targets};

/// What is found in a project of these files, as `file:line`; only by this rule.
fn found(rule: &str, files: &[(&str, &str)]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    check(directory.path())
        .into_iter()
        .filter_map(|finding| {
            let place = finding.strip_prefix(&format!("{rule} "));
            place.map(str::to_owned)
        })
        .collect()
}

/// Everything that is found in a directory, as `Rule file:line`.
fn check(directory: &Path) -> Vec<String> {
    let targets = compose_targets(directory, &[]).unwrap().unwrap_or_else(|| {
        let target = howdah_build::Target::load(&directory.join("Dockerfile"), directory);
        vec![target.unwrap()]
    });
    let images = KnownImages { find: &|_| None };
    let report = check_project(directory, &targets, &CheckSettings::default(), &images);
    assert_eq!(report.faults, []);
    let prefix = format!("{}/", directory.display());
    let findings = report.findings.iter().map(|finding| {
        let name = &report.sources[finding.source].name;
        let name = name.strip_prefix(&prefix).unwrap_or(name);
        format!(
            "{} {name}:{}",
            finding.what.rule.name, finding.what.lines.first
        )
    });
    findings.collect()
}

const NOTHING: [&str; 0] = [];
const PLAIN: (&str, &str) = ("Dockerfile", "FROM php\nUSER app\n");

#[test]
fn stages_written_twice() {
    let compose = (
        "compose.yaml",
        "services:\n  a: {build: {dockerfile: a/Dockerfile}}\n  b: {build: {dockerfile: b/Dockerfile}}\n",
    );
    let stage = "FROM composer AS c\nWORKDIR /app\nCOPY composer.json ./\nRUN composer install\n";
    let other = format!("{stage}FROM php AS b\n");
    let a = ("a/Dockerfile", stage);
    let both = |b: &str| found("StageWrittenTwice", &[compose, a, ("b/Dockerfile", b)]);
    assert_eq!(both(&other), ["b/Dockerfile:1"]);
    assert_eq!(both(&other.replace("/app", "/src")), NOTHING);
    let excused = format!("ARG A\n# check=skip=StageWrittenTwice\n{other}");
    assert_eq!(both(&excused), NOTHING);
    // A Dockerfile that is not built now is looked at as the twin.
    let alone = [("Dockerfile", stage), ("b.dockerfile", &other)];
    assert_eq!(found("StageWrittenTwice", &alone), ["Dockerfile:1"]);
}

#[test]
fn health_checks() {
    let require = r#"{"require": {"laravel/horizon": "*"}}"#;
    let with = |command: &str| {
        let text = format!("FROM php\nHEALTHCHECK CMD php artisan {command}\n");
        let files = [
            ("artisan", ""),
            ("composer.json", require),
            ("app/Own.php", "protected $signature = 'own:check {x}';"),
            ("Dockerfile", &text),
        ];
        found("HealthcheckUnknownCommand", &files)
    };
    assert_eq!(with("queue:health"), ["Dockerfile:2"]);
    for command in ["own:check", "horizon:status", "queue:monitor"] {
        assert_eq!(with(command), NOTHING, "{command}");
    }
    let compose = |command: &str| {
        let text = format!(
            "services:\n  a:\n    image: x\n    healthcheck:\n      test: [CMD, php, artisan, {command}]\n"
        );
        found("HealthcheckSideEffects", &[("compose.yaml", &text)])
    };
    assert_eq!(compose("schedule:run"), ["compose.yaml:5"]);
    assert_eq!(compose("about"), NOTHING);
}

#[test]
fn health_without_php() {
    let rule = "HealthAnsweredWithoutPhp";
    let caddy = |text: &str| found(rule, &[PLAIN, ("docker/Caddyfile", text)]);
    let bad = [
        (
            ":80 {\n\trespond /up 200\n\tphp_server\n}\n",
            "docker/Caddyfile:2",
        ),
        (
            ":80\nhandle /health {\n\trespond \"OK\"\n}\n",
            "docker/Caddyfile:3",
        ),
        (
            ":80 {\n\t@up path /up\n\trespond @up 200\n}\n",
            "docker/Caddyfile:3",
        ),
    ];
    for (text, place) in bad {
        assert_eq!(caddy(text), [place], "{text}");
    }
    let good = ":80 {\n\trespond /robots.txt 200\n\trespond /up 503\n\tphp_server\n}\n";
    assert_eq!(caddy(good), NOTHING);
    let nginx = |text: &str| found(rule, &[PLAIN, ("nginx.conf", text)]);
    let bad =
        "server {\n  location = /health {\n    access_log off;\n    return 200 'ok';\n  }\n}\n";
    assert_eq!(nginx(bad), ["nginx.conf:2"]);
    let good = "server {\n  location = /health {\n    fastcgi_pass php;\n  }\n  location /old { return 301 /new; }\n}\n";
    assert_eq!(nginx(good), NOTHING);
    // The path that the probe asks for, and a server's file inside the Dockerfile.
    let inner = "FROM php\nHEALTHCHECK CMD curl -f http://localhost:8080/alive?x=1\nCOPY <<E /etc/caddy/Caddyfile\n:80 {\n  respond /alive 204\n}\nE\n";
    assert_eq!(found(rule, &[("Dockerfile", inner)]), ["Dockerfile:5"]);
}

#[test]
fn caddyfile_options() {
    let caddy = |text: &str| found("CaddyfileUnknownOption", &[PLAIN, ("Caddyfile", text)]);
    let bad = "{\n\tfrankenphp {\n\t\tworkers 4\n\t\tworker {\n\t\t\tfile x\n\t\t\tcount 4\n\t\t}\n\t}\n\tauto_http off\n\tservers {\n\t\tprotocol h1\n\t}\n}\n:80 {\n\tencode zstd gzip\n\tphp_serve\n}\n";
    let lines = [3, 6, 9, 11, 16].map(|line| format!("Caddyfile:{line}"));
    assert_eq!(caddy(bad), lines);
    let good = "# comment\n{\n\t{$CADDY_GLOBAL_OPTIONS}\n\tfrankenphp {\n\t\tnum_threads 8 # comment\n\t\tworker ./public/worker.php 4\n\t\t{$FRANKENPHP_CONFIG}\n\t}\n\tlog {\n\t\tformat json\n\t}\n}\n\n(headers) {\n\tanything goes\n}\n\n{$SERVER_NAME:localhost} {\n\timport headers\n\troot * public/\n\t@static {\n\t\tfile\n\t\tpath *.css\n\t}\n\theader @static Cache-Control \"max-age=1\"\n\tphp_server {\n\t\tindex index.php\n\t\ttry_files {path} index.php\n\t}\n}\n";
    assert_eq!(caddy(good), NOTHING);
}

#[test]
fn start_scripts_and_supervisors() {
    let dockerfile = (
        "Dockerfile",
        "FROM php\nCOPY docker/start.sh /usr/local/bin/start\nUSER app\nENTRYPOINT [\"start\"]\n",
    );
    let script = |text: &str| {
        found(
            "MigrationsAtStart",
            &[dockerfile, ("docker/start.sh", text)],
        )
    };
    let bad = "#!/bin/sh\nset -e\nphp artisan migrate --force\nexec \"$@\"\n";
    assert_eq!(script(bad), ["docker/start.sh:3"]);
    assert_eq!(
        script("#!/bin/sh\nphp artisan config:cache\nexec \"$@\"\n"),
        NOTHING
    );
    let ini = |text: &str| {
        found(
            "SupervisorAsRoot",
            &[PLAIN, ("docker/supervisord.conf", text)],
        )
    };
    let bad = "[supervisord]\nnodaemon=true\nuser=root ; why\n";
    assert_eq!(ini(bad), ["docker/supervisord.conf:3"]);
    assert_eq!(
        ini("[supervisord]\nnodaemon=true\n[program:a]\nuser=root\n"),
        NOTHING
    );
    let compose = |command: &str| {
        let text = format!("services:\n  a:\n    image: x\n    command: {command}\n");
        found("MigrationsAtStart", &[("compose.yaml", &text)])
    };
    let bad = "sh -c \"php artisan migrate --force && php-fpm\"";
    assert_eq!(compose(bad), ["compose.yaml:4"]);
    assert_eq!(compose("[php, artisan, migrate, --force]"), NOTHING);
}

#[test]
fn hiding_mounts() {
    let dockerfile = (
        "Dockerfile",
        "FROM php AS c\nFROM php\nENV HOME_OF=/app\nWORKDIR ${HOME_OF}\nCOPY --from=c /app/vendor ./vendor\nUSER app\n",
    );
    let mounts = |volumes: &str| {
        let text = format!("services:\n  a:\n    build: .\n    volumes:\n{volumes}");
        found(
            "BindMountHidesFiles",
            &[dockerfile, ("compose.yaml", &text)],
        )
    };
    assert_eq!(mounts("      - .:/app\n"), ["compose.yaml:5"]);
    let long = "      - x:/data\n      - {type: bind, source: ., target: /app}\n";
    assert_eq!(mounts(long), ["compose.yaml:6"]);
    assert_eq!(mounts("      - .:/app\n      - /app/vendor\n"), NOTHING);
    assert_eq!(
        mounts("      - ./app:/app/app\n      - data:/app\n"),
        NOTHING
    );
}

#[test]
fn build_arguments() {
    let dockerfile = ("Dockerfile", "FROM php\nARG A\n");
    let compose = |args: &str| {
        let text = format!("services:\n  a:\n    build:\n      context: .\n      args: {args}\n");
        found(
            "BuildArgNotDeclared",
            &[dockerfile, ("compose.yaml", &text)],
        )
    };
    assert_eq!(compose("{A: 1, B: 2}"), ["Dockerfile:1"]);
    assert_eq!(compose("[A=1]"), NOTHING);
    let workflow = |args: &str| {
        let text = format!(
            "jobs:\n  build:\n    steps:\n      - uses: docker/build-push-action@v6\n        with:\n          build-args: |\n            A=1\n            {args}\n"
        );
        found(
            "BuildArgNotDeclared",
            &[dockerfile, (".github/workflows/ci.yml", &text)],
        )
    };
    assert_eq!(workflow("APP_VERSION=2"), [".github/workflows/ci.yml:8"]);
    assert_eq!(workflow("SOURCE_DATE_EPOCH=0"), NOTHING);
}

/// The lines of a workflow's file on which the steps break a rule; the first step is on line 6.
fn github(rule: &str, steps: &str) -> Vec<String> {
    let text = format!("on: push\njobs:\n  build:\n    runs-on: x\n    steps:\n{steps}");
    let name = ".github/workflows/ci.yml";
    let places = found(rule, &[PLAIN, (name, &text)]);
    places
        .iter()
        .map(|place| place.replace(&format!("{name}:"), ""))
        .collect()
}

fn gitlab(rule: &str, text: &str) -> Vec<String> {
    let places = found(rule, &[PLAIN, (".gitlab-ci.yml", text)]);
    places
        .iter()
        .map(|place| place.replace(".gitlab-ci.yml:", ""))
        .collect()
}

#[test]
fn caches_in_ci() {
    let rule = "CacheNeverExported";
    let step = |with: &str| {
        let action = "      - uses: docker/build-push-action@v6\n        with:\n";
        github(rule, &format!("{action}{with}"))
    };
    assert_eq!(step("          cache-from: type=gha\n"), ["8"]);
    let both = "          cache-from: type=gha\n          cache-to: type=gha,mode=max\n";
    assert_eq!(step(both), NOTHING);
    let elsewhere = "          cache-from: |\n            type=registry,ref=a/b:c\n          cache-to: type=registry,ref=a/b:d\n";
    assert_eq!(step(elsewhere), ["8"]);
    let run = |script: &str| github(rule, &format!("      - run: {script}\n"));
    assert_eq!(run("docker build --cache-from a/b:c ."), ["6"]);
    let inline = "docker build --cache-from=a/b:c --build-arg BUILDKIT_INLINE_CACHE=1 .";
    assert_eq!(run(inline), NOTHING);
}

#[test]
fn pushes_in_ci() {
    let rule = "PushBeforeTest";
    let push = "      - uses: docker/build-push-action@v6\n        with:\n          push: true\n";
    let test = "      - run: docker run app php artisan test\n";
    assert_eq!(github(rule, &format!("{push}{test}")), ["8"]);
    assert_eq!(github(rule, &format!("{test}{push}")), NOTHING);
    let jobs = "release:\n  stage: release\n  script:\n    - docker push a/b\nunit:\n  stage: test\n  script: [vendor/bin/phpunit]\n";
    assert_eq!(
        gitlab(rule, &format!("stages: [release, test]\n{jobs}")),
        ["5"]
    );
    assert_eq!(
        gitlab(rule, &format!("stages: [test, release]\n{jobs}")),
        NOTHING
    );
    let needs = jobs.replace("  stage: release\n", "  needs: []\n");
    assert_eq!(gitlab(rule, &needs), ["4"]);
}

#[test]
fn scanners_in_ci() {
    let scan = "scan:\n  image: aquasec/trivy:latest\n  script: [trivy image a/b]\n  allow_failure: true\n";
    assert_eq!(gitlab("ScannerNotPinned", scan), ["2"]);
    assert_eq!(gitlab("ScannerResultIgnored", scan), ["4"]);
    let good = "scan:\n  image: aquasec/trivy:0.58.1\n  script: [trivy image --exit-code 1 a/b]\n";
    assert_eq!(gitlab("ScannerNotPinned", good), NOTHING);
    assert_eq!(gitlab("ScannerResultIgnored", good), NOTHING);
    let action = "      - uses: aquasecurity/trivy-action@master\n        continue-on-error: true\n        with:\n          image-ref: a/b\n";
    assert_eq!(github("ScannerNotPinned", action), ["6"]);
    assert_eq!(github("ScannerResultIgnored", action), ["7"]);
    let run = "      - run: |\n          docker build .\n          docker run --rm aquasec/trivy image a/b || true\n";
    assert_eq!(github("ScannerNotPinned", run), ["8"]);
    assert_eq!(github("ScannerResultIgnored", run), ["8"]);
}

/// What we give as examples must not have what we find fault with.
#[test]
fn our_own_examples_are_clean() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for entry in fs_err::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(check(&path), NOTHING, "{}", path.display());
    }
}
