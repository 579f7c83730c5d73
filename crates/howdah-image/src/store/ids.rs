//! Which ids the files of a store have: those of the machine, or those of an ordinary user's namespace. The numbers on the
//! disk mean something else in each of them, so a store belongs to the maps it was made with.

use std::io;
use std::path::Path;

use super::StoreError;

const FILE: &str = "ids";

/// Refuses a store of other ids; records ours in one that has none yet.
pub(super) fn check(root: &Path) -> Result<(), StoreError> {
    let here = ids().map_err(StoreError::io("read", Path::new("/proc/self/uid_map")))?;
    let path = root.join(FILE);
    match fs_err::read_to_string(&path) {
        Ok(found) if found == here => Ok(()),
        Ok(found) => Err(StoreError::OtherIds {
            root: root.to_owned(),
            found: told(&found),
            here: told(&here),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            record(&path, &here).map_err(StoreError::io("write", &path))
        }
        Err(error) => Err(StoreError::io("read", &path)(error)),
    }
}

/// Whole or not at all. Of two first commands the same is written.
fn record(path: &Path, ids: &str) -> io::Result<()> {
    let temporary = path.with_extension(std::process::id().to_string());
    fs_err::write(&temporary, ids)?;
    fs_err::rename(&temporary, path)
}

/// The maps of user and group ids, one a line (`user_namespaces(7)`).
fn ids() -> io::Result<String> {
    let line = |file: &str| {
        let map = fs_err::read_to_string(file)?;
        let words: Vec<&str> = map.split_ascii_whitespace().collect();
        Ok::<_, io::Error>(words.join(" ") + "\n")
    };
    Ok(line("/proc/self/uid_map")? + &line("/proc/self/gid_map")?)
}

/// The user ids in words: each extent is its first id here, its first id on the host, and their count.
fn told(ids: &str) -> String {
    let users = ids.lines().next().unwrap_or_default();
    match users.split(' ').collect::<Vec<_>>()[..] {
        ["0", "0", _] => "the machine's ids".to_owned(),
        ["0", own, "1"] => format!("the single id {own}"),
        ["0", own, "1", "1", first, count] => {
            format!("user {own} and the {count} ids from {first}")
        }
        _ => format!("the id map `{users}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_told_in_words() {
        assert_eq!(
            told("0 0 4294967295\n0 0 4294967295\n"),
            "the machine's ids"
        );
        assert_eq!(told("0 1000 1\n0 100 1\n"), "the single id 1000");
        assert_eq!(
            told("0 1000 1 1 100000 65536\n"),
            "user 1000 and the 65536 ids from 100000"
        );
        assert_eq!(told(""), "the id map ``");
    }

    #[test]
    fn a_store_belongs_to_the_ids_it_was_made_with() {
        let root = tempfile::tempdir().unwrap();
        check(root.path()).unwrap();
        check(root.path()).unwrap();
        fs_err::write(root.path().join(FILE), "0 1000 1\n0 1000 1\n").unwrap();
        let refused = check(root.path()).unwrap_err().to_string();
        assert!(refused.contains("the single id 1000"), "{refused}");
    }
}
