//! The subordinate ids of a user: /etc/subuid and /etc/subgid (subuid(5)), and their place in a user namespace.

use std::io;

/// Ids of the host that a user may use beside its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// The user's ranges in /etc/subuid or /etc/subgid; none when the file is missing.
pub(super) fn of_user(path: &str, uid: u32) -> io::Result<Vec<Range>> {
    let text = read_optional(path)?;
    let passwd = read_optional("/etc/passwd")?;
    Ok(ranges(&text, uid, name(&passwd, uid)))
}

/// What the user is called in /etc/passwd.
pub(super) fn name_of(uid: u32) -> Option<String> {
    let passwd = read_optional("/etc/passwd").unwrap_or_default();
    name(&passwd, uid).map(str::to_owned)
}

/// The lines of `uid_map` or `gid_map` (`user_namespaces(7)`): the user's own id is 0, its ranges follow without a gap.
pub(super) fn map(own: u32, ranges: &[Range]) -> Vec<[u32; 3]> {
    let mut lines = vec![[0, own, 1]];
    let mut next: u32 = 1;
    for range in ranges {
        let count = range.count.min(u32::MAX - next);
        if count > 0 {
            lines.push([next, range.first, count]);
            next += count;
        }
    }
    lines
}

fn ranges(text: &str, uid: u32, name: Option<&str>) -> Vec<Range> {
    let number = uid.to_string();
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let is_own = owner == number || Some(owner) == name;
        let range = Range {
            first: fields.next()?.parse().ok()?,
            count: fields.next()?.parse().ok()?,
        };
        (is_own && range.count > 0).then_some(range)
    };
    text.lines().filter_map(range).collect()
}

fn name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then_some(name)
    })
}

fn read_optional(path: &str) -> io::Result<String> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_named_by_user_or_number() {
        let text = "other:1:2\nada:100000:65536\n# ada:9:9\n1000:300000:10\nada:bad:1\nada:7:0\n";
        let range = |first, count| Range { first, count };
        assert_eq!(
            ranges(text, 1000, Some("ada")),
            [range(100_000, 65_536), range(300_000, 10)]
        );
        assert_eq!(ranges(text, 1001, None), []);
    }

    #[test]
    fn the_users_own_id_is_root_and_the_ranges_follow() {
        let ranges = [
            Range {
                first: 100_000,
                count: 65_536,
            },
            Range {
                first: 300_000,
                count: u32::MAX,
            },
        ];
        assert_eq!(
            map(1000, &ranges),
            [
                [0, 1000, 1],
                [1, 100_000, 65_536],
                [65_537, 300_000, u32::MAX - 65_537]
            ]
        );
    }

    #[test]
    fn a_name_is_found_by_its_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name(passwd, 1000), Some("ada"));
        assert_eq!(name(passwd, 5), None);
    }
}
