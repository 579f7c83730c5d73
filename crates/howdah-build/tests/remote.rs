//! `ADD` from a real web server and a real Git server, and contexts that come from elsewhere.
#![expect(
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

#[path = "support/git.rs"]
mod git;
#[path = "support/http.rs"]
mod http;
mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use git::GitServer;
use howdah_build::{Cancel, ContextSource, NamedContext, Remote, RemoteContext, Secret};
use http::{Page, Server};
use support::{Project, explain};

#[test]
fn add_takes_a_url() {
    let (project, server) = (Project::new(&[]), Server::start());
    let page = Page {
        body: b"hello".to_vec(),
        modified: Some("Tue, 15 Nov 1994 08:12:31 GMT"),
        ..Page::default()
    };
    server.put("/a.txt", page);
    server.put(
        "/moved",
        Page {
            location: Some(server.url("/a.txt")),
            ..Page::default()
        },
    );
    let (file, moved) = (server.url("/a.txt"), server.url("/moved"));
    let report = project.build(&format!(
        "FROM scratch\nADD {file} /named\nADD {file} {moved} /in/\nADD --chmod=755 --chown=7:8 {file} /x/mode\n"
    ));
    project.inspect(report.image(), |root| {
        for name in ["named", "in/a.txt", "in/moved", "x/mode"] {
            assert_eq!(
                fs_err::read_to_string(root.join(name)).unwrap(),
                "hello",
                "{name}"
            );
        }
        let named = fs_err::metadata(root.join("named")).unwrap();
        assert_eq!(named.permissions().mode() & 0o7777, 0o600);
        assert_eq!(
            (named.uid(), named.gid(), named.mtime()),
            (0, 0, 784_887_151)
        );
        let mode = fs_err::metadata(root.join("x/mode")).unwrap();
        assert_eq!(
            (mode.permissions().mode() & 0o7777, mode.uid(), mode.gid()),
            (0o755, 7, 8)
        );
    });
}

#[test]
fn an_unchanged_url_is_a_hit_and_a_changed_one_is_not() {
    let (project, server) = (Project::new(&[]), Server::start());
    let page = |body: &str, etag| Page {
        body: body.into(),
        etag: Some(etag),
        ..Page::default()
    };
    server.put("/a", page("one", "\"1\""));
    let dockerfile = format!("FROM scratch\nADD {} /a\n", server.url("/a"));
    assert_eq!(project.build(&dockerfile).executed.len(), 1);
    assert!(project.build(&dockerfile).executed.is_empty());
    assert_eq!(server.log(), ["/a 200", "/a 304"]);
    server.put("/a", page("two", "\"2\""));
    let changed = project.build(&dockerfile);
    assert_eq!(project.read(changed.image(), "a").as_deref(), Some("two"));
    // Without a validator it is downloaded, and its content decides.
    server.put_text("/a", "two");
    assert!(project.build(&dockerfile).executed.is_empty());
    assert_eq!(server.log(), ["/a 200", "/a 200"]);
}

#[test]
fn with_a_checksum_a_hit_asks_nobody() {
    let (project, server) = (Project::new(&[]), Server::start());
    server.put_text("/a", "one");
    let digest = howdah_image::Digest::of("one");
    let dockerfile = format!(
        "FROM scratch\nADD --checksum={digest} {} /a\n",
        server.url("/a")
    );
    assert_eq!(
        project
            .read(project.build(&dockerfile).image(), "a")
            .as_deref(),
        Some("one")
    );
    assert_eq!(server.log(), ["/a 200"]);
    assert!(project.build(&dockerfile).executed.is_empty());
    assert!(server.log().is_empty());

    let wrong = dockerfile.replace(
        &digest.to_string(),
        &howdah_image::Digest::of("x").to_string(),
    );
    let report = project.build(&wrong);
    assert!(
        explain(report.error()).contains("was expected"),
        "{}",
        explain(report.error())
    );
    let nonsense = dockerfile.replace("sha256:", "md5:");
    assert!(explain(project.build(&nonsense).error()).contains("sha256:<64 hex digits>"));
    let two = format!(
        "FROM scratch\nADD --checksum={digest} {0} {0} /a/\n",
        server.url("/a")
    );
    assert!(explain(project.build(&two).error()).contains("takes one source"));
}

#[test]
fn a_broken_download_goes_on_where_it_was() {
    let (project, server) = (Project::new(&[]), Server::start());
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let page = Page {
        body: body.clone(),
        etag: Some("\"1\""),
        breaks: Some((2, 150_000)),
        failures: vec![503],
        ..Page::default()
    };
    server.put("/a", page);
    let report = project.build(&format!("FROM scratch\nADD {} /a\n", server.url("/a")));
    let found = project.inspect(report.image(), |root| fs_err::read(root.join("a")).unwrap());
    assert!(found == body);
    assert_eq!(server.log(), ["/a 503", "/a 200", "/a 206", "/a 206"]);
    let missing = project.build(&format!("FROM scratch\nADD {} /a\n", server.url("/none")));
    assert!(explain(missing.error()).contains("404 Not Found"));
    assert_eq!(server.log(), ["/none 404"]);
}

#[test]
fn an_archive_is_unpacked_when_it_is_asked_for() {
    let project = Project::new(&[("pack/a", "1"), ("pack/d/b", "2")]);
    let server = Server::start();
    let archive = archive(&project, "pack");
    server.put(
        "/x.tar.gz",
        Page {
            body: archive.clone(),
            ..Page::default()
        },
    );
    fs_err::write(project.path("x.tar.gz"), &archive).unwrap();
    let url = server.url("/x.tar.gz");
    let report = project.build(&format!(
        "FROM scratch\nADD {url} /url/\nADD --unpack {url} /url-unpacked/\nADD x.tar.gz /local/\n\
         ADD --unpack=false x.tar.gz /local-packed/\n"
    ));
    project.inspect(report.image(), |root| {
        for directory in ["url-unpacked", "local"] {
            assert_eq!(
                fs_err::read_to_string(root.join(directory).join("d/b")).unwrap(),
                "2"
            );
        }
        for directory in ["url", "local-packed"] {
            assert_eq!(
                fs_err::read(root.join(directory).join("x.tar.gz")).unwrap(),
                archive
            );
        }
    });
}

#[test]
fn copy_takes_nothing_from_elsewhere() {
    let project = Project::new(&[]);
    for source in ["http://127.0.0.1:1/a", "git://127.0.0.1:1/a"] {
        let report = project.build(&format!("FROM scratch\nCOPY {source} /\n"));
        assert!(explain(report.error()).contains("COPY takes nothing from elsewhere"));
    }
}

#[test]
fn add_takes_a_repository() {
    let (project, server) = (Project::new(&[]), GitServer::start());
    let repository = server.repository("a");
    let first = repository.commit(&[("f", "1"), ("sub/g", "1")]);
    repository.git(&["tag", "-a", "-m", "x", "v1"]);
    fs_err::set_permissions(
        repository.path().join("f"),
        std::fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    symlink("f", repository.path().join("link")).unwrap();
    let second = repository.commit(&[("sub/g", "2")]);
    let url = server.url("a");
    let report = project.build(&format!(
        "FROM scratch\nADD {url} /head\nADD {url}#v1 /v1/\nADD {url}#{first}:sub /sub\nADD --keep-git-dir {url}#main /kept\n\
         ADD --checksum={second} {url}#main /two/\nADD {url}#v1 {url}#main:sub /both/\n"
    ));
    project.inspect(report.image(), |root| {
        let read = |name: &str| fs_err::read_to_string(root.join(name)).unwrap();
        let found = [
            "head/sub/g",
            "v1/sub/g",
            "sub/g",
            "two/sub/g",
            "both/f",
            "both/g",
        ]
        .map(read);
        assert_eq!(found, ["2", "1", "1", "2", "1", "2"]);
        let file = fs_err::metadata(root.join("head/f")).unwrap();
        assert_eq!((file.permissions().mode() & 0o7777, file.uid()), (0o755, 0));
        assert_eq!(
            fs_err::read_link(root.join("head/link")).unwrap().to_str(),
            Some("f")
        );
        assert!(!root.join("head/.git").exists());
        assert_eq!(read("kept/.git/HEAD").trim(), second);
        assert!(read("kept/.git/config").contains(&url));
    });
}

#[test]
fn a_commit_is_fetched_once_and_a_branch_is_followed() {
    let (project, server) = (Project::new(&[]), GitServer::start());
    let repository = server.repository("a");
    let first = repository.commit(&[("f", "1")]);
    let dockerfile = format!("FROM scratch\nADD {}#main /a\n", server.url("a"));
    project.build(&dockerfile).image();
    assert!(project.build(&dockerfile).executed.is_empty());
    repository.commit(&[("f", "2")]);
    assert_eq!(
        project
            .read(project.build(&dockerfile).image(), "a/f")
            .as_deref(),
        Some("2")
    );
    // What was promised is not there any more.
    let pinned = dockerfile.replace("ADD ", &format!("ADD --checksum={first} "));
    assert!(explain(project.build(&pinned).error()).contains("was expected"));
    for wrong in ["#none", "#main:none"] {
        let report = project.build(&dockerfile.replace("#main", wrong));
        assert!(
            explain(report.error()).contains("has no"),
            "{}",
            explain(report.error())
        );
    }
}

#[test]
fn submodules_come_along_and_local_ones_do_not() {
    let (project, server) = (Project::new(&[]), GitServer::start());
    server.repository("inner").commit(&[("i", "inner")]);
    let outer = server.repository("outer");
    outer.git(&["submodule", "--quiet", "add", "../inner", "lib"]);
    outer.commit(&[("o", "outer")]);
    let url = server.url("outer");
    let report = project.build(&format!(
        "FROM scratch\nADD {url} /a\nADD {url}?submodules=false /b\n"
    ));
    project.inspect(report.image(), |root| {
        assert_eq!(
            fs_err::read_to_string(root.join("a/lib/i")).unwrap(),
            "inner"
        );
        assert!(!root.join("a/lib/.git").exists());
        assert!(!root.join("b/lib/i").exists());
    });
    let evil = server.repository("evil");
    evil.git(&["submodule", "--quiet", "add", "../inner", "lib"]);
    let modules = "[submodule \"lib\"]\n\tpath = lib\n\turl = file:///etc\n";
    evil.commit(&[(".gitmodules", modules)]);
    let refused = project.build(&format!("FROM scratch\nADD {} /a\n", server.url("evil")));
    assert!(
        explain(refused.error()).contains("submodules"),
        "{}",
        explain(refused.error())
    );
}

#[test]
fn named_contexts_stand_for_stages_and_images() {
    let (project, server, web) = (
        Project::new(&[
            ("lib/l", "lib"),
            ("lib/out", "out"),
            ("lib/.dockerignore", "out"),
        ]),
        GitServer::start(),
        Server::start(),
    );
    server.repository("a").commit(&[("f", "git")]);
    web.put_text("/file", "web");
    let mut target = project.target(
        "FROM missing:1 AS base\nFROM scratch AS replaced\nRUN false\nFROM scratch AS last\n\
         COPY --from=lib / /lib\nCOPY --from=repo f /f\nCOPY --from=web context /web\nCOPY --from=base bin/sh /sh\n\
         COPY --from=replaced f /replaced\n\
         FROM files\nCOPY --from=last / /\n",
    );
    let directory = NamedContext::Directory(project.path("lib"));
    target.contexts.extend([
        ("lib".to_owned(), directory.clone()),
        ("files".to_owned(), directory),
        ("repo".to_owned(), NamedContext::Remote(server.url("a"))),
        ("replaced".to_owned(), NamedContext::Remote(server.url("a"))),
        ("web".to_owned(), NamedContext::Remote(web.url("/file"))),
        (
            "docker.io/library/missing:1".to_owned(),
            NamedContext::Image("busybox:test".to_owned()),
        ),
    ]);
    let report = project.build_all(&[target]);
    project.inspect(report.image(), |root| {
        let read = |name: &str| fs_err::read_to_string(root.join(name)).unwrap();
        assert_eq!(
            [
                read("lib/l"),
                read("f"),
                read("web"),
                read("replaced"),
                read("l")
            ],
            ["lib", "git", "web", "git", "lib"]
        );
        assert!(!root.join("lib/out").exists());
        assert!(fs_err::symlink_metadata(root.join("sh")).is_ok());
    });
}

#[test]
fn mounts_read_contexts_from_elsewhere() {
    let (project, server) = (Project::new(&[]), GitServer::start());
    server.repository("a").commit(&[("f", "git")]);
    let mut target =
        project.target("FROM busybox:test\nRUN --mount=from=repo,target=/m cat /m/f > /copied\n");
    target
        .contexts
        .insert("repo".to_owned(), NamedContext::Remote(server.url("a")));
    let report = project.build_all(&[target]);
    assert_eq!(
        project.read(report.image(), "copied").as_deref(),
        Some("git")
    );
}

#[test]
fn a_whole_context_comes_from_elsewhere() {
    let (project, server) = (
        Project::new(&[
            ("pack/f", "tar"),
            ("pack/Dockerfile", "FROM scratch\nCOPY f /\n"),
        ]),
        GitServer::start(),
    );
    let repository = server.repository("a");
    repository.commit(&[
        ("d/f", "git"),
        ("d/Dockerfile", "FROM scratch\nCOPY f /\n"),
        ("d/.dockerignore", "f"),
    ]);
    let remote = Remote::new(&project.store, &project.options, &Cancel::default());
    let git = remote
        .context(&format!("{}#main:d", server.url("a")), false)
        .unwrap();
    let tar = remote
        .stream("-", archive(&project, "pack").as_slice())
        .unwrap();
    for (context, content) in [(git, "git"), (tar, "tar")] {
        let RemoteContext::Tree(tree) = context else {
            panic!("a tree")
        };
        let text = remote.read(&tree, "Dockerfile").unwrap().unwrap();
        let mut target = project.target(&text);
        target.context = ContextSource::Fetched(tree);
        let report = project.build_all(&[target]);
        assert_eq!(project.read(report.image(), "f").as_deref(), Some(content));
    }
    let text = remote.stream("-", &b"FROM scratch\n"[..]).unwrap();
    assert!(matches!(text, RemoteContext::Text { text, .. } if text == "FROM scratch\n"));
}

#[test]
fn secrets_open_private_repositories_and_are_not_kept() {
    let mut project = Project::new(&[]);
    let server = Server::start();
    let secret = Secret::Value(b"t0ps3cret".to_vec());
    project
        .options
        .secrets
        .insert("GIT_AUTH_TOKEN".to_owned(), secret);
    // A web server that has no repository: what counts is what it was sent.
    let url = server.url("/a.git").replace("://", "://me:pa55word@");
    let report = project.build(&format!("FROM scratch\nADD {url} /a\n"));
    let told = explain(report.error());
    assert!(
        told.contains("cannot reach") && !told.contains("pa55word"),
        "{told}"
    );
}

/// A compressed archive of a directory of the project.
fn archive(project: &Project, directory: &str) -> Vec<u8> {
    let output = std::process::Command::new("tar")
        .args(["-cz", "-C"])
        .arg(project.path(directory))
        .arg(".")
        .output()
        .expect("tar starts");
    assert!(output.status.success());
    output.stdout
}
