//! Who the container's program runs as: names are looked up in the image's own /etc/passwd and /etc/group (passwd(5),
//! group(5)), never in the host's.

use super::root::Root;
use crate::protocol::{Failure, Step};
use crate::rootless;

/// A resolved user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups, the primary one first: without it in this list a group's members could be denied what
    /// others are allowed (CVE-2022-36109).
    pub(super) groups: Vec<u32>,
    /// Home directory; `/` for a number without an entry, as Docker has it.
    pub(super) home: String,
}

impl User {
    /// The same, where nobody but root exists.
    fn squashed(self) -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: self.home,
        }
    }
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolves `""`, `name`, `uid`, `name:group`, `uid:gid` and the additional groups.
pub(super) fn resolve(root: &Root, user: &str, additional: &[String]) -> Result<User, Failure> {
    let read = |path: &str| -> Result<String, Failure> {
        let bytes = root
            .read(path)
            .step(&format!("read the image's {path}"))?
            .unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let resolved = resolve_in(
        &read("/etc/passwd")?,
        &read("/etc/group")?,
        user,
        additional,
    )?;
    Ok(if rootless::is_single() {
        resolved.squashed()
    } else {
        resolved
    })
}

fn resolve_in(
    passwd: &str,
    group: &str,
    user: &str,
    additional: &[String],
) -> Result<User, Failure> {
    let (name, primary) = match user.split_once(':') {
        Some((name, primary)) => (name, Some(primary).filter(|primary| !primary.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = parse_id(name);
    // A name made of digits is first looked for as a name, as Docker does.
    let entry = passwd_entries(passwd)
        .find(|entry| entry.name == name)
        .or_else(|| passwd_entries(passwd).find(|entry| Some(entry.uid) == number));
    let (uid, mut gid) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(number)) => (number, 0),
        (None, None) => {
            return Err(Failure::Invalid(format!(
                "user `{name}` is not in the image's /etc/passwd"
            )));
        }
    };
    let mut groups = Vec::new();
    match primary {
        Some(primary) => gid = resolve_group(group, primary)?,
        // Memberships count only while the user's own primary group is used.
        None => groups.extend(
            entry
                .as_ref()
                .map(|entry| memberships(group, entry.name))
                .unwrap_or_default(),
        ),
    }
    groups.insert(0, gid);
    for name in additional {
        groups.push(resolve_group(group, name)?);
    }
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|group| seen.insert(*group));
    let home = entry
        .map(|entry| entry.home)
        .filter(|home| !home.is_empty())
        .unwrap_or("/")
        .to_owned();
    Ok(User {
        uid,
        gid,
        groups,
        home,
    })
}

fn resolve_group(group: &str, name: &str) -> Result<u32, Failure> {
    group_entries(group)
        .find(|entry| entry.name == name)
        .map(|entry| entry.gid)
        .or_else(|| parse_id(name))
        .ok_or_else(|| Failure::Invalid(format!("group `{name}` is not in the image's /etc/group")))
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    group_entries(group)
        .filter(|entry| entry.members.split(',').any(|member| member == user))
        .map(|entry| entry.gid)
        .collect()
}

/// An id below 2^31, as Docker accepts them; `(uid_t) -1` and its neighbours mean other things to the kernel.
fn parse_id(text: &str) -> Option<u32> {
    text.parse::<i32>()
        .ok()
        .and_then(|id| u32::try_from(id).ok())
}

fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = parse_id(fields.nth(1)?)?;
        let gid = parse_id(fields.next()?)?;
        Some(PasswdEntry {
            name,
            uid,
            gid,
            home: fields.nth(1).unwrap_or_default(),
        })
    })
}

fn group_entries(text: &str) -> impl Iterator<Item = GroupEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = parse_id(fields.nth(1)?)?;
        Some(GroupEntry {
            name,
            gid,
            members: fields.next().unwrap_or_default(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nwww-data:x:33:33:www:/var/www:/bin/false\n7:x:70:70::/seven:\n";
    const GROUP: &str =
        "root:x:0:\nwww-data:x:33:\nvideo:x:44:www-data,root\naudio:x:29:other,www-data\n";

    fn groups(user: &str) -> (u32, u32, Vec<u32>) {
        let user = resolve_in(PASSWD, GROUP, user, &[]).unwrap();
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn names_and_numbers_are_looked_up() {
        assert_eq!(groups(""), (0, 0, vec![0, 44]));
        assert_eq!(groups("www-data"), (33, 33, vec![33, 44, 29]));
        assert_eq!(groups("33"), (33, 33, vec![33, 44, 29]));
        assert_eq!(groups("www-data:audio"), (33, 29, vec![29]));
        assert_eq!(groups("1000:1001"), (1000, 1001, vec![1001]));
        assert_eq!(groups("1000"), (1000, 0, vec![0]));
        assert_eq!(groups("7"), (70, 70, vec![70]));
    }

    #[test]
    fn homes_are_the_images() {
        let home = |user: &str| resolve_in(PASSWD, GROUP, user, &[]).unwrap().home;
        assert_eq!(home("www-data"), "/var/www");
        assert_eq!(home("1000"), "/");
        assert_eq!(resolve_in("", "", "", &[]).unwrap().home, "/");
    }

    #[test]
    fn additional_groups_are_joined_once() {
        let user = resolve_in(
            PASSWD,
            GROUP,
            "1000:33",
            &["audio".to_owned(), "33".to_owned(), "5".to_owned()],
        )
        .unwrap();
        assert_eq!(user.groups, [33, 29, 5]);
    }

    #[test]
    fn unknown_and_impossible_names_are_told() {
        for user in ["nobody", "4294967295", "-1", "www-data:nogroup"] {
            let failure = resolve_in(PASSWD, GROUP, user, &[]).unwrap_err();
            assert!(
                failure.to_string().contains("is not in the image's"),
                "{failure}"
            );
        }
    }
}
