use super::*;

fn ignored(patterns: &[&str], path: &str) -> bool {
    Ignore::from_patterns(patterns.iter().copied())
        .unwrap()
        .is_ignored(path)
}

/// The table of moby/patternmatcher's own tests.
#[test]
fn as_docker_matches() {
    let cases = [
        ("**", "file", true),
        ("**/", "file", true),
        ("**", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir3/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**file", "dir/otherfile", true),
        ("**/file", "dir/dir/file", true),
        ("**/file", "dir/otherfile", false),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a**b", "a/x/b", true),
        ("a**b", "a/ab", false),
        ("a**b", "acb", false),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        (r"a\\", r"a\", true),
        (r"a\*b", "a*b", true),
        (r"a\*b", "axb", false),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        (
            "dist/*.whl",
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            true,
        ),
        ("docs/", "docs/a", true),
        ("./docs/../src", "src/a", true),
        ("foo", "dir/foo", false),
        ("foo*", "foobar/x", true),
    ];
    for (pattern, path, wanted) in cases {
        assert_eq!(ignored(&[pattern], path), wanted, "{pattern} {path}");
    }
}

#[test]
fn the_last_match_wins() {
    let cases: [(&[&str], &str, bool); 11] = [
        (&["*.go", "!main.go"], "main.go", false),
        (&["!main.go", "*.go"], "main.go", true),
        (&["docs", "!docs/README.md"], "docs/README.md", false),
        (&["docs", "!docs/README.md"], "docs/other.md", true),
        (&["docs/*", "!docs/README.md"], "docs/README.md", false),
        (&["**", "!util/docker/web"], "util/docker/web/foo", false),
        (
            &["**", "!util/docker/web", "util/docker/web/foo"],
            "util/docker/web/foo",
            true,
        ),
        (&["**", "!dist/*.whl"], "dist/a-1+g0.whl", false),
        (&["*", "!*/", "a/b"], "a/b", true),
        // BuildKit does not remember the negation that had nothing to take back for `a/b` itself.
        (&["a/b/c", "!a/b"], "a/b/c", true),
        (&["a/b", "!a/b/c", "a/b/c/d"], "a/b/c/d/e", true),
    ];
    for (patterns, path, wanted) in cases {
        assert_eq!(ignored(patterns, path), wanted, "{patterns:?} {path}");
    }
}

#[test]
fn files_are_read_as_docker_reads_them() {
    let text =
        "\u{feff}# comment\r\n\r\n  /vendor/  \n!  /vendor/keep\n #not-a-comment\nnode_modules//\n";
    let ignore = Ignore::parse(text).unwrap();
    let cases = [
        ("vendor", true),
        ("vendor/a", true),
        ("vendor/keep", false),
        ("vendor/keep/b", false),
        ("#not-a-comment", true),
        ("node_modules/x", true),
        ("src", false),
    ];
    for (path, wanted) in cases {
        assert_eq!(ignore.is_ignored(path), wanted, "{path}");
    }
    assert!(Ignore::parse("").unwrap().is_empty());
    assert_eq!(
        Ignore::parse("a\n!").unwrap_err(),
        IgnoreError::LoneNegation { line: 2 }
    );
    let error = Ignore::parse("a\n\n[").unwrap_err();
    assert_eq!(error.to_string(), "cannot read line 3 of the ignore file");
    assert_eq!(
        Ignore::parse(&"a\n".repeat(IGNORE_PATTERNS + 1)).unwrap_err(),
        IgnoreError::TooMany
    );
}

#[test]
fn directories_are_pruned_only_when_nothing_can_come_back() {
    let cases: [(&[&str], &str, bool); 12] = [
        (&["vendor"], "vendor", true),
        (&["vendor"], "src", false),
        (&["vendor", "!vendor/a/b"], "vendor", false),
        (&["vendor", "!vendor/a/b"], "vendor/c", true),
        (&["vendor", "!vendor/a/b"], "vendor/a", false),
        (&["vendor", "!src/x"], "vendor", true),
        (&["vendor", "!**/*.md"], "vendor", false),
        (&["vendor", "!*.md"], "vendor", true),
        (&["vendor", "!v*/x"], "vendor", false),
        (&["vendor", "!v*/x"], "vendor/y", true),
        (&["a", "!b/**"], "a", true),
        (&["a/b", "!a/**"], "a/b", false),
    ];
    for (patterns, path, prune) in cases {
        let ignore = Ignore::from_patterns(patterns.iter().copied()).unwrap();
        let mut parent = ignore.root();
        for (slash, _) in path.match_indices('/') {
            parent = ignore.directory(&path[..slash], &parent).directory;
        }
        assert_eq!(
            ignore.directory(path, &parent).prune,
            prune,
            "{patterns:?} {path}"
        );
    }
}

/// A pruned directory holds no path that is kept: all pairs of a set of patterns over all paths of a small tree.
#[test]
fn pruning_loses_nothing() {
    let texts = [
        "a", "a/b", "**/a", "**/b", "a/**", "*/b", "b*", "**", "a/b/a", "?/a",
    ];
    let names = ["a", "b"];
    let mut paths: Vec<String> = names.map(str::to_owned).into();
    for depth in 0..2 {
        let parents: Vec<String> = paths
            .iter()
            .filter(|path| path.matches('/').count() == depth)
            .cloned()
            .collect();
        paths.extend(
            parents
                .iter()
                .flat_map(|parent| names.map(|name| format!("{parent}/{name}"))),
        );
    }
    for first in texts {
        for second in texts {
            let negated = format!("!{second}");
            let ignore = Ignore::from_patterns([first, &negated]).unwrap();
            for path in &paths {
                let mut parent = ignore.root();
                for (slash, _) in path.match_indices('/') {
                    let verdict = ignore.directory(&path[..slash], &parent);
                    assert!(
                        !verdict.prune || ignore.is_ignored(path),
                        "{first} {negated} {path}"
                    );
                    parent = verdict.directory;
                }
            }
        }
    }
}

#[test]
fn clean_paths() {
    let cases = [
        ("", ""),
        (".", "."),
        ("a//b/", "a/b"),
        ("/a/../..", "/"),
        ("../a/./..", ".."),
        ("a/..", "."),
        ("./", "."),
        ("//", "/"),
    ];
    for (path, wanted) in cases {
        assert_eq!(clean(path), wanted, "{path}");
    }
}
