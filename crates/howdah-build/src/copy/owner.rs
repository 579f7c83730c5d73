//! `--chown`: names are those of the image that is being built.

use super::CopyError;
use crate::view::View;

/// Larger account files are not an image's.
const ACCOUNTS_LIMIT: u64 = 4 << 20;

/// A user and a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Reads `user[:group]`, both names or numbers. Without a group it is the user's own from `/etc/passwd`; a number stands
/// for both, as in moby/buildkit `solver/llbsolver/file/user_linux.go`.
pub(crate) fn resolve_owner(text: &str, root: &View) -> Result<Owner, CopyError> {
    let (user, group) = text
        .split_once(':')
        .map_or((text, None), |(user, group)| (user, Some(group)));
    let mut owner = match user.parse() {
        Ok(number) => Owner {
            uid: number,
            gid: number,
        },
        Err(_) if user.is_empty() => Owner::default(),
        Err(_) => {
            let [uid, gid] = account(root, user, "/etc/passwd", [2, 3])?;
            Owner { uid, gid }
        }
    };
    if let Some(group) = group {
        owner.gid = match group.parse() {
            // BuildKit's reading of `user:`, and not chown(1)'s.
            _ if group.is_empty() => 0,
            Ok(number) => number,
            Err(_) => account(root, group, "/etc/group", [2, 2])?[0],
        };
    }
    Ok(owner)
}

/// Two numeric fields of the line that begins with `name:` (passwd(5), group(5)).
fn account(
    root: &View,
    name: &str,
    file: &'static str,
    fields: [usize; 2],
) -> Result<[u32; 2], CopyError> {
    let unknown = || CopyError::UnknownOwner {
        name: name.to_owned(),
        file,
    };
    let content = root
        .read(file.as_bytes(), ACCOUNTS_LIMIT)
        .map_err(CopyError::io(format!("read `{file}` of the image")))?;
    let content = content.ok_or_else(unknown)?;
    let text = String::from_utf8_lossy(&content);
    let line: Vec<&str> = text
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|line| line[0] == name)
        .ok_or_else(unknown)?;
    let number = |index: usize| {
        line.get(index)
            .and_then(|field| field.parse().ok())
            .ok_or_else(unknown)
    };
    Ok([number(fields[0])?, number(fields[1])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_numbers_are_not() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("etc")).unwrap();
        fs_err::write(
            root.path().join("etc/passwd"),
            "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\nbad:x:y\n",
        )
        .unwrap();
        fs_err::write(root.path().join("etc/group"), "root:x:0:\nweb:x:33:app\n").unwrap();
        let view = View::new(vec![root.path().to_owned()]);
        let owner = |text| resolve_owner(text, &view).map(|owner| (owner.uid, owner.gid));
        assert_eq!(owner("app").unwrap(), (1000, 1001));
        assert_eq!(owner("app:web").unwrap(), (1000, 33));
        assert_eq!(owner("app:").unwrap(), (1000, 0));
        assert_eq!(owner("1234").unwrap(), (1234, 1234));
        assert_eq!(owner("1234:web").unwrap(), (1234, 33));
        assert_eq!(owner(":web").unwrap(), (0, 33));
        assert!(matches!(
            owner("nobody"),
            Err(CopyError::UnknownOwner {
                file: "/etc/passwd",
                ..
            })
        ));
        assert!(matches!(
            owner("app:none"),
            Err(CopyError::UnknownOwner {
                file: "/etc/group",
                ..
            })
        ));
        assert!(owner("bad").is_err());
        assert!(resolve_owner("app", &View::new(Vec::new())).is_err());
    }
}
