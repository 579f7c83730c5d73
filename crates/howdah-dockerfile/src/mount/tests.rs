use std::collections::BTreeMap;

use super::*;
use crate::{Span, Word};

fn resolve(options: &str) -> Result<Mount, String> {
    let variables = BTreeMap::from([
        ("ID".to_owned(), "1000".to_owned()),
        ("DIR".to_owned(), "/a,b".to_owned()),
    ]);
    let mount = RunMount {
        options: Word {
            text: options.into(),
            span: Span::default(),
        },
    };
    mount
        .resolve(&Lexer::new('\\'), &variables, &mut Names::default())
        .map_err(|fault| fault.message)
}

#[test]
fn every_type() {
    let mount = |target: &str, read_only, kind| {
        Ok(Mount {
            target: target.into(),
            read_only,
            kind,
        })
    };
    let bind = |from: Option<&str>, source: &str| {
        MountKind::Bind(Bind {
            from: from.map(Into::into),
            source: source.into(),
        })
    };
    assert_eq!(resolve("target=/x"), mount("/x", true, bind(None, "")));
    assert_eq!(
        resolve("type=bind,from=a,src=/s,dst=/x,rw"),
        mount("/x", false, bind(Some("a"), "/s"))
    );
    assert_eq!(
        resolve("TYPE=BIND,destination=/x,readonly=false"),
        mount("/x", false, bind(None, ""))
    );
    let cache = Cache {
        id: "/x".into(),
        from: None,
        source: String::new(),
        sharing: Sharing::Locked,
        mode: Some(0o755),
        uid: Some(1000),
        gid: None,
    };
    assert_eq!(
        resolve("type=cache,target=/x,sharing=LOCKED,mode=0755,uid=$ID"),
        mount("/x", false, MountKind::Cache(cache))
    );
    let tmpfs = Tmpfs {
        size_bytes: Some(64 << 20),
    };
    assert_eq!(
        resolve("type=tmpfs,target=/x,size=64m"),
        mount("/x", false, MountKind::Tmpfs(tmpfs))
    );
    let ssh = Ssh {
        id: "default".into(),
        required: true,
        mode: 0o600,
        uid: 0,
        gid: 0,
    };
    assert_eq!(
        resolve("type=ssh,required"),
        mount("", true, MountKind::Ssh(ssh))
    );
    // The comma of a value does not make new options; that of the text does.
    assert_eq!(resolve("target=$DIR"), mount("/a,b", true, bind(None, "")));
    assert_eq!(
        resolve("\"target=/a,b\",ro"),
        mount("/a,b", true, bind(None, ""))
    );
}

#[test]
fn secrets_find_their_place() {
    let secret = |options: &str| match resolve(options).unwrap() {
        Mount {
            target,
            kind: MountKind::Secret(secret),
            ..
        } => (target, secret.id, secret.env, secret.mode),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        secret("type=secret,id=a/key"),
        ("/run/secrets/key".into(), "a/key".into(), None, 0o400)
    );
    assert_eq!(
        secret("type=secret,target=/root/.npmrc,mode=0444"),
        ("/root/.npmrc".into(), ".npmrc".into(), None, 0o444)
    );
    assert_eq!(
        secret("type=secret,id=token,env=TOKEN"),
        (String::new(), "token".into(), Some("TOKEN".into()), 0o400)
    );
    assert_eq!(
        secret("type=secret,source=s,target=/x"),
        ("/x".into(), "s".into(), None, 0o400)
    );
}

#[test]
fn faults() {
    let cases = [
        ("type=bnd,target=/x", "unknown mount type `bnd`"),
        ("traget=/x", "unknown mount option `traget`"),
        ("target", "the mount option `target` has no value"),
        (
            "type=bind,target=/x,uid=1",
            "a mount of type `bind` takes no option `uid`",
        ),
        (
            "type=cache,target=/x,required",
            "a mount of type `cache` takes no option `required`",
        ),
        (
            "type=secret,id=a,source=b",
            "a secret mount has both `source` and `id`",
        ),
        ("type=secret", "a secret mount needs an `id` or a `target`"),
        (
            "type=secret,id=a,from=b",
            "a mount of type `secret` takes no option `from`",
        ),
        (
            "type=cache,target=/x,mode=9",
            "the mount option `mode` is `9`, which is not an octal number such as 0755",
        ),
        (
            "target=/x,ro=yes",
            "the mount option `ro` is `yes`, which is not true or false",
        ),
        (
            "target=\"/x\"",
            "a quote stands inside the mount option `target=\"/x\"`",
        ),
        (
            "\"target=/x",
            "a quote in the mount options is never closed",
        ),
        (
            "\"target=/x\"y",
            "expected a comma between mount options, found `y`",
        ),
        (
            "target=${",
            "cannot expand `target=${`: `${` is never closed by `}`",
        ),
    ];
    for (options, wanted) in cases {
        assert_eq!(resolve(options).unwrap_err(), wanted, "{options}");
    }
}
