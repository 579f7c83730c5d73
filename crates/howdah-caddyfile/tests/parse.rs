//! What Caddyfiles mean, and what is said of those that mean nothing.
#![expect(
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

use howdah_caddyfile::{Caddyfile, File, Handler, Matcher, Route, Surroundings, parse};

#[derive(Clone, Copy)]
struct Environment(&'static [(&'static str, &'static str)]);

impl Surroundings for Environment {
    fn variable(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(one, _)| *one == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn import(&self, name: &str, _from: &str) -> Result<Vec<File>, String> {
        match name {
            "none/*" => Ok(Vec::new()),
            _ => Err("no such file".to_owned()),
        }
    }
}

fn read(text: &str, environment: Environment) -> Result<Caddyfile, String> {
    let file = File {
        name: "Caddyfile".to_owned(),
        text: text.to_owned(),
    };
    parse(&file, &environment).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

fn site(text: &str) -> Result<Vec<Route>, String> {
    let text = format!(":80 {{\n{text}\n}}");
    Ok(read(&text, Environment(&[]))?.sites.remove(0).routes)
}

#[test]
fn the_file_of_octane() {
    let text = include_str!("corpus/octane");
    let caddyfile = read(
        text,
        Environment(&[
            ("CADDY_GLOBAL_OPTIONS", "auto_https disable_redirects"),
            ("CADDY_SERVER_ADMIN_HOST", "localhost"),
            ("CADDY_SERVER_ADMIN_PORT", "2020"),
            ("APP_PUBLIC_PATH", "/app/public"),
            ("CADDY_SERVER_WORKER_DIRECTIVE", "num 3"),
            ("CADDY_SERVER_WATCH_DIRECTIVES", "watch app\n\twatch routes"),
            ("CADDY_SERVER_SERVER_NAME", "http://:8000"),
            ("CADDY_SERVER_LOG_LEVEL", "WARN"),
            ("CADDY_SERVER_LOGGER", "json"),
            (
                "CADDY_SERVER_EXTRA_DIRECTIVES",
                "mercure {\n\t\tanonymous\n\t}",
            ),
        ]),
    )
    .unwrap();
    assert_eq!(caddyfile.options.admin.as_deref(), Some("localhost:2020"));
    let worker = &caddyfile.options.php.workers[0];
    assert_eq!(worker.file_name, "/app/public/frankenphp-worker.php");
    assert_eq!((worker.num, worker.watch.len()), (Some(3), 2));
    let site = &caddyfile.sites[0];
    assert_eq!((site.addresses[0].port, site.errors.len()), (Some(8000), 1));
    let redactions = &site.log.as_ref().unwrap().redactions;
    assert_eq!(redactions[0].1.as_deref(), Some("REDACTED"));
    assert!(caddyfile.warnings[0].message.contains("Mercure"));
}

#[test]
fn other_files_of_the_wild() {
    for text in [
        include_str!("corpus/symfony"),
        include_str!("corpus/many"),
        include_str!("corpus/bare"),
    ] {
        if let Err(faults) = read(text, Environment(&[])) {
            panic!("{faults}");
        }
    }
    let image = include_str!("corpus/image").replace("Caddyfile.d/*.caddyfile", "none/*");
    let environment = Environment(&[("FRANKENPHP_CONFIG", "worker ./public/index.php")]);
    let caddyfile = read(&image, environment).unwrap();
    assert_eq!(
        caddyfile.options.php.workers[0].file_name,
        "./public/index.php"
    );
    assert_eq!(caddyfile.sites[0].addresses[0].host, "localhost");
}

/// In the manner of what people serve with FrankenPHP.
#[test]
fn files_of_the_wild() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/wild");
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs_err::read_to_string(&path).unwrap();
        if let Err(faults) = read(&text, Environment(&[])) {
            panic!("{}: {faults}", path.display());
        }
    }
}

#[test]
fn the_order_of_directives_can_be_changed() {
    let last = |options: &str| {
        let text = format!("{{\n{options}\n}}\n:80 {{\nrespond a\nphp_server\n}}");
        let routes = read(&text, Environment(&[]))
            .unwrap()
            .sites
            .remove(0)
            .routes;
        matches!(routes.last().unwrap().handler, Handler::Respond { .. })
    };
    assert!(!last("") && last("order php_server before respond"));
    assert!(last("order respond last") && last("order respond after php_server"));
    assert!(!last("order respond first"));
}

#[test]
fn expressions_are_read_or_told() {
    for good in [
        "`path('/a') && (method('GET', \"POST\") || !host('b'))`",
        "`{path}.startsWith('/a') == true`.",
        "expression {http.request.uri.query} != \"a b\"",
        "expression `{port} >= 1024 && {host} in ['a', \"b\"]`",
        "`query({'a': ['1', '2']}) || header({\"X-A\": '*'})`",
        "`path_regexp('name', '^/a\\\\.php$')`",
    ] {
        let told = site(&format!("@x {good}\nrespond @x a"));
        // What gives no truth cannot be compared with one.
        assert_eq!(told.is_ok(), !good.contains("== true"), "{good}: {told:?}");
    }
    for (bad, expected) in [
        ("`path('/a'`", "is not an expression"),
        ("`{path}`", "is not an expression"),
        ("`path('/a') && {path}`", "is not an expression"),
        ("`nothing('/a')`", "`nothing` is unknown in a matcher"),
        ("`{path}.size() > 3`", "is not an expression"),
        ("`{path}.matches('(')`", "is not a regular expression"),
        ("`a ? b : c`", "is not an expression"),
        ("`file({'root': '/a'})`", "name the files"),
    ] {
        let told = site(&format!("@x {bad}")).unwrap_err();
        assert!(
            told.contains(expected) && told.starts_with("Caddyfile:2"),
            "{bad}: {told}"
        );
    }
    let deep = format!("@x `{}true`", "!".repeat(10_000));
    assert!(site(&deep).unwrap_err().contains("nested too deeply"));
}

#[test]
fn directives_come_in_their_own_order() {
    let routes =
        site("respond b\nheader X 1\nredir /old /new\nhandle /a {\n}\nhandle /a/b {\n}\nroot /srv")
            .unwrap();
    let names: Vec<&str> = routes
        .iter()
        .map(|route| match route.handler {
            Handler::Root(_) => "root",
            Handler::Header(_) => "header",
            Handler::Redirect { .. } => "redir",
            Handler::Subroute(_) => "handle",
            Handler::Respond { .. } => "respond",
            _ => "other",
        })
        .collect();
    assert_eq!(
        names,
        ["root", "header", "redir", "handle", "handle", "respond"]
    );
    // The longer path first, and only one of them.
    let path = |route: &Route| match route.matcher.as_deref() {
        Some([Matcher::Path(paths)]) => paths[0].clone(),
        _ => String::new(),
    };
    assert_eq!(
        (path(&routes[3]), path(&routes[4])),
        ("/a/b".into(), "/a".into())
    );
    assert!(routes[3].group.is_some() && routes[3].group == routes[4].group);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, expected) in [
        (
            "php_servr",
            "Caddyfile:2: `php_servr` is unknown in a site; there are",
        ),
        (
            "php_fastcgi app:9000",
            "Caddyfile:2: `php_fastcgi` is not supported: use php_server",
        ),
        (
            "reverse_proxy unix//run/a.sock",
            "`unix//run/a.sock` is not a server such as app:8080",
        ),
        ("reverse_proxy {\n}", "`reverse_proxy` is written as"),
        (
            "basic_auth {\n bob secret\n}",
            "Caddyfile:3: `bob` is not a name with a hash by bcrypt",
        ),
        (
            "php_server {\n  roof x\n}",
            "Caddyfile:3: `roof` is unknown in php_server",
        ),
        (
            "respond @none 200",
            "the matcher `@none` is not defined in this site",
        ),
        ("@a path_regexp (", "`(` is not a regular expression"),
        (
            "request_body {\n max_size lots\n}",
            "Caddyfile:3: `lots` is not a size",
        ),
        ("respond hello 99", "`99` is not a status"),
        ("file_server browse", "directories are not listed"),
        (
            "import nowhere",
            "Caddyfile:2: there is no snippet `nowhere` before this line, and no such file",
        ),
        ("handle {", "Caddyfile:1: the block of `:80` has no `}`"),
    ] {
        let told = site(text).unwrap_err();
        assert!(told.contains(expected), "{text}: {told}");
    }
    let two = site("aaa\nbbb").unwrap_err();
    assert_eq!(two.lines().count(), 2, "{two}");
    let late = read(":80 {\n}\n{\n}", Environment(&[])).unwrap_err();
    assert!(
        late.starts_with("Caddyfile:3: a block without an address"),
        "{late}"
    );
}

#[test]
fn snippets_take_arguments() {
    let text =
        "(s) {\n header {args[0]} {args[1]}\n respond {args[:]}\n}\n:80 {\n import s X-A b\n}";
    let caddyfile = read(text, Environment(&[])).unwrap_err();
    assert!(caddyfile.contains("`b` is not a status"), "{caddyfile}");
    let endless = read("(s) {\n import s\n}\n:80 {\n import s\n}", Environment(&[])).unwrap_err();
    assert!(endless.contains("nested too deeply"), "{endless}");
}
