//! `user = www-data` resolved by reading /etc/passwd and /etc/group: a static executable has no NSS to ask.

use std::path::Path;

use nix::unistd::{Gid, Uid};

use crate::program::Identity;

/// Resolves a user name, a numeric id, or `user:group`, with files below `etc`.
pub(crate) fn resolve(etc: &Path, written: &str) -> Result<Identity, String> {
    let passwd = fs_err::read_to_string(etc.join("passwd")).unwrap_or_default();
    let groups = fs_err::read_to_string(etc.join("group")).unwrap_or_default();
    let (user, group) = match written.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (written, None),
    };
    let record = records(&passwd).find(|fields| fields[0] == user || fields.get(2) == Some(&user));
    let numeric = user.parse::<u32>().ok();
    let field = |at: usize| {
        record
            .as_ref()
            .and_then(|fields| fields.get(at))
            .and_then(|id| id.parse::<u32>().ok())
    };
    let id = field(2)
        .or(numeric)
        .ok_or_else(|| format!("names user `{user}`, who is not in /etc/passwd"))?;
    let primary = match group {
        Some(group) => group_id(&groups, group)
            .ok_or_else(|| format!("names group `{group}`, which is not in /etc/group"))?,
        // As Docker: a bare id without a record belongs to group 0.
        None => field(3).unwrap_or(0),
    };
    let name = record.map_or(user, |fields| fields[0]);
    let member_of = records(&groups)
        .filter(|fields| {
            fields
                .get(3)
                .is_some_and(|members| members.split(',').any(|member| member == name))
        })
        .filter_map(|fields| fields.get(2)?.parse().ok());
    let mut supplementary: Vec<u32> = member_of.filter(|id| *id != primary).collect();
    supplementary.insert(0, primary);
    Ok(Identity {
        user: Uid::from_raw(id),
        group: Gid::from_raw(primary),
        groups: supplementary.into_iter().map(Gid::from_raw).collect(),
    })
}

fn records(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(':').collect())
}

fn group_id(groups: &str, written: &str) -> Option<u32> {
    let found = records(groups)
        .find(|fields| fields[0] == written)
        .and_then(|fields| fields.get(2)?.parse().ok());
    found.or_else(|| written.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_names_ids_and_groups() {
        let etc = tempfile::tempdir().unwrap();
        fs_err::write(
            etc.path().join("passwd"),
            "root:x:0:0::/:\nwww-data:x:33:33::/var/www:\n",
        )
        .unwrap();
        fs_err::write(
            etc.path().join("group"),
            "www-data:x:33:\nredis:x:101:www-data,other\n",
        )
        .unwrap();
        let ids = |written: &str| {
            resolve(etc.path(), written).map(|identity| {
                let groups: Vec<u32> = identity.groups.iter().map(|group| group.as_raw()).collect();
                (identity.user.as_raw(), identity.group.as_raw(), groups)
            })
        };
        assert_eq!(ids("www-data").unwrap(), (33, 33, vec![33, 101]));
        assert_eq!(ids("33").unwrap(), (33, 33, vec![33, 101]));
        assert_eq!(ids("1000").unwrap(), (1000, 0, vec![0]));
        assert_eq!(ids("1000:redis").unwrap(), (1000, 101, vec![101]));
        assert!(ids("nobody-here").unwrap_err().contains("`nobody-here`"));
        assert!(ids("root:none").unwrap_err().contains("`none`"));
    }
}
