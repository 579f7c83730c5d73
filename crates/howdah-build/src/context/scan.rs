//! A context as a tree: walked, and read only where it changed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use howdah_dockerfile::ignore::Ignore;
use rayon::prelude::*;

use super::content::digest_file;
use super::known::StatCache;
use super::walk::{Node, Walk};
use crate::tree::{self, Entry, Tree, TreePath};

/// A context as it was at one moment.
#[derive(Debug)]
pub(crate) struct Scan {
    root: Arc<Path>,
    /// In the order of [`tree::compare`]; every regular file has its digest. The root itself comes first.
    entries: Vec<Entry>,
    /// The topmost paths that are left out.
    excluded: Vec<TreePath>,
}

impl Scan {
    /// Walks `root` and reads the files that `known` does not have. The second value is the cache to keep, if it
    /// differs from `known`.
    pub(crate) fn new(
        root: &Path,
        ignore: &Ignore,
        known: &StatCache,
    ) -> io::Result<(Scan, Option<StatCache>)> {
        let began = SystemTime::now();
        let walk = Walk::new(root, ignore, began)?;
        let mut top = walk.everything(known.top())?;
        let mut unread = Vec::new();
        top.collect_unread(&mut unread);
        let is_known = unread.is_empty() && !walk.has_news();
        unread.into_par_iter().try_for_each(|entry| {
            entry.digest = Some(digest_file(&entry.real(), entry.size)?);
            Ok::<(), io::Error>(())
        })?;
        let cache = (!is_known).then(|| walk.record(&top));
        Ok((Scan::of(root, top), cache))
    }

    fn of(root: &Path, top: Node) -> Scan {
        let (mut entries, mut excluded) = (Vec::with_capacity(top.len()), Vec::new());
        top.unfold(&mut entries, &mut excluded);
        Scan {
            root: root.into(),
            entries,
            excluded,
        }
    }

    /// Everything in a directory of our own, without reading any file.
    pub(crate) fn list(root: &Path) -> io::Result<Vec<Entry>> {
        let ignore = Ignore::default();
        let walk = Walk::new(root, &ignore, SystemTime::now())?;
        let top = walk.everything(None)?;
        Ok(Scan::of(root, top).entries)
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The topmost paths that `.dockerignore` leaves out.
    pub(crate) fn excluded(&self) -> &[TreePath] {
        &self.excluded
    }

    /// Whether a path that is not here is one that was left out.
    pub(crate) fn ignores(&self, path: &[u8]) -> bool {
        let path = tree::clean(path);
        let holds = |top: &TreePath| {
            path.strip_prefix(top.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        self.excluded.iter().any(holds)
    }

    fn position(&self, path: &[u8]) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| tree::compare(&entry.path, path))
    }

    fn slice_below(&self, directory: &[u8]) -> &[Entry] {
        let Ok(start) = self.position(directory) else {
            return &[];
        };
        let rest = &self.entries[start + 1..];
        let is_below = |entry: &Entry| {
            directory.is_empty()
                || entry
                    .path
                    .strip_prefix(directory)
                    .is_some_and(|rest| rest.starts_with(b"/"))
        };
        &rest[..rest.partition_point(is_below)]
    }
}

impl Tree for Scan {
    fn entry(&self, path: &[u8]) -> io::Result<Option<Entry>> {
        Ok(self
            .position(path)
            .ok()
            .map(|index| self.entries[index].clone()))
    }

    fn names(&self, directory: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let names = self.slice_below(directory).iter().filter_map(|entry| {
            let (parent, name) = tree::split(&entry.path)?;
            (parent == directory).then(|| name.to_vec())
        });
        Ok(names.collect())
    }

    fn below(&self, directory: &[u8]) -> io::Result<Vec<Entry>> {
        Ok(self.slice_below(directory).to_vec())
    }

    fn is_context(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind;

    fn ignore(text: &str) -> Ignore {
        Ignore::parse(text).unwrap()
    }

    fn context() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("app/a.php", "a"),
            ("app/sub/b.php", "b"),
            ("app.php", "c"),
            ("node_modules/x/y", "d"),
        ] {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("app.php", directory.path().join("link")).unwrap();
        directory
    }

    fn paths(scan: &Scan) -> Vec<String> {
        scan.entries
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
            .collect()
    }

    /// Puts the times of all files an hour back, so that nothing is racy.
    fn age(directory: &Path) {
        let (scan, _) = Scan::new(directory, &ignore(""), &StatCache::default()).unwrap();
        let hour_ago = SystemTime::now() - std::time::Duration::from_hours(1);
        for entry in scan.entries.iter().filter(|entry| entry.kind == Kind::File) {
            let file = fs_err::File::options()
                .write(true)
                .open(entry.real())
                .unwrap();
            file.set_modified(hour_ago).unwrap();
        }
    }

    #[test]
    fn walks_in_order_and_prunes() {
        let directory = context();
        let (scan, _) = Scan::new(
            directory.path(),
            &ignore("node_modules"),
            &StatCache::default(),
        )
        .unwrap();
        assert_eq!(
            paths(&scan),
            [
                "",
                "app",
                "app/a.php",
                "app/sub",
                "app/sub/b.php",
                "app.php",
                "link"
            ]
        );
        assert_eq!(scan.excluded(), [b"node_modules"]);
        assert_eq!(scan.names(b"app").unwrap(), [&b"a.php"[..], b"sub"]);
        assert_eq!(scan.below(b"app").unwrap().len(), 3);
        assert_eq!(
            scan.entry(b"link").unwrap().unwrap().kind,
            Kind::Symlink(b"app.php".to_vec())
        );
        assert!(scan.entry(b"none").unwrap().is_none());
    }

    #[test]
    fn a_dropped_directory_stays_for_what_is_kept_in_it() {
        let directory = context();
        let (scan, _) = Scan::new(
            directory.path(),
            &ignore("*\n!app/sub/b.php"),
            &StatCache::default(),
        )
        .unwrap();
        assert_eq!(paths(&scan), ["", "app", "app/sub", "app/sub/b.php"]);
    }

    #[test]
    fn reads_only_what_changed() {
        let directory = context();
        age(directory.path());
        // The change time cannot be put back, so the first cache may be empty; wait for the clock, not for luck.
        let scan = |known: &StatCache| Scan::new(directory.path(), &ignore(""), known).unwrap();
        let (mut known, started) = (StatCache::default(), SystemTime::now());
        let again = loop {
            assert!(started.elapsed().unwrap().as_secs() < 30);
            let (again, changed) = scan(&known);
            // A scan that reads a file or a directory has a new cache.
            match changed {
                Some(changed) => known = changed,
                None => break again,
            }
        };
        fs_err::write(directory.path().join("app/a.php"), "changed").unwrap();
        let (third, cache) = scan(&known);
        assert_ne!(
            third.entry(b"app/a.php").unwrap().unwrap().digest,
            again.entry(b"app/a.php").unwrap().unwrap().digest
        );
        assert!(cache.is_some());
        assert_eq!(paths(&third), paths(&again));
        fs_err::remove_file(directory.path().join("app.php")).unwrap();
        let (fourth, cache) = scan(&known);
        assert!(cache.is_some() && fourth.entry(b"app.php").unwrap().is_none());
    }

    /// Scans until everything is known: what was made just now is not trusted yet.
    fn settled(directory: &Path, ignore: &Ignore) -> StatCache {
        let started = SystemTime::now();
        let mut known = StatCache::default();
        while let Some(changed) = Scan::new(directory, ignore, &known).unwrap().1 {
            assert!(started.elapsed().unwrap().as_secs() < 30);
            known = changed;
        }
        known
    }

    #[test]
    fn every_change_of_names_is_seen() {
        let directory = context();
        let at = |name: &str| directory.path().join(name);
        let ignore = ignore("node_modules\n*.md\n!keep.md");
        let changes: [(&str, &dyn Fn()); 6] = [
            ("a new file", &|| {
                fs_err::write(at("app/sub/c.php"), "n").unwrap();
            }),
            ("a new directory", &|| {
                fs_err::create_dir_all(at("new/below")).unwrap();
            }),
            ("a file renamed", &|| {
                fs_err::rename(at("app/a.php"), at("app/z.php")).unwrap();
            }),
            ("a directory moved", &|| {
                fs_err::rename(at("app/sub"), at("new/sub")).unwrap();
            }),
            ("a directory instead of a file", &|| {
                fs_err::remove_file(at("app.php")).unwrap();
                fs_err::create_dir(at("app.php")).unwrap();
            }),
            ("something kept in a directory that is left out", &|| {
                fs_err::write(at("new/keep.md"), "k").unwrap();
            }),
        ];
        for (what, change) in changes {
            let known = settled(directory.path(), &ignore);
            change();
            let (seen, cache) = Scan::new(directory.path(), &ignore, &known).unwrap();
            let (anew, _) = Scan::new(directory.path(), &ignore, &StatCache::default()).unwrap();
            assert_eq!(paths(&seen), paths(&anew), "{what}");
            assert_eq!(seen.excluded(), anew.excluded(), "{what}");
            assert!(cache.is_some(), "{what}");
        }
    }

    #[test]
    fn what_is_left_out_does_not_make_the_cache_anew() {
        let directory = context();
        fs_err::create_dir_all(directory.path().join("docs/old")).unwrap();
        fs_err::write(directory.path().join("docs/old/a.txt"), "a").unwrap();
        let ignore = ignore("*\n!app/sub/b.php\n!docs/**/*.md");
        let known = settled(directory.path(), &ignore);
        fs_err::write(directory.path().join("node_modules/x/z"), "new").unwrap();
        let (scan, changed) = Scan::new(directory.path(), &ignore, &known).unwrap();
        assert_eq!(changed, None);
        fs_err::write(directory.path().join("docs/old/b.md"), "b").unwrap();
        let (scan_with, changed) = Scan::new(directory.path(), &ignore, &known).unwrap();
        assert!(changed.is_some());
        assert_eq!(paths(&scan_with).len(), paths(&scan).len() + 3);
    }
}
