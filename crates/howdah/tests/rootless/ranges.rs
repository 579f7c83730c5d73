//! A user with subordinate ids.

use crate::user::User;
use crate::{context, fail, howdah_as_root, succeed};

/// Everything that is different on the disk of a user namespace: owners, whiteouts, opaque directories, modes, links.
const STEPS: &str = r"FROM base
COPY --chown=1000:1001 file /app/file
RUN chown -R 65534:65535 /bin/vi && chown 33:33 /d/sub && rm -rf /d && mkdir /d && echo new > /d/new && chmod 4755 /d/new
RUN rm /bin/wget && ln /d/new /d/link && mkfifo /fifo && mkdir -m 1777 /tmp
RUN --mount=type=cache,target=/cache,uid=1000 --mount=type=tmpfs,target=/t touch /cache/x /t/x && id -u > /who
USER app
RUN id -u > /tmp/who && test $(cat /tmp/who) = 1000 && ! touch /etc/x 2>/dev/null
";

#[test]
fn the_image_is_the_one_that_root_builds() {
    let user = User::with_ranges();
    context(&user, "context", STEPS);
    let arguments = |output: &str| {
        let words = "build --source-date-epoch 1 --network none -t same -o";
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.extend([
            format!("type=oci,dest={output}"),
            user.path("context").display().to_string(),
        ]);
        words
    };
    let build = |output: &str, command: &dyn Fn(&[&str]) -> std::process::Command| {
        let output = user.path(output).display().to_string();
        let words = arguments(&output);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        (succeed(&mut command(&words)), fs_err::read(output).unwrap())
    };
    let (told, by_user) = build("user.tar", &|words| user.howdah(words));
    assert!(
        told.contains("rootless with 65536 ids beside root"),
        "{told}"
    );
    let store = tempfile::tempdir().unwrap();
    let (told, by_root) = build("root.tar", &|words| howdah_as_root(store.path(), words));
    assert!(!told.contains("rootless"), "{told}");
    assert!(by_user == by_root, "the archives differ");
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn caches_go_from_a_user_to_root_and_back() {
    let (user, other) = (User::with_ranges(), User::with_ranges());
    for user in [&user, &other] {
        context(user, "context", STEPS);
    }
    let words = |context: &User, cache: &str| {
        let place = context.path("context").display().to_string();
        let words = ["build", "--network", "none", cache, &place];
        words.map(str::to_owned).to_vec()
    };
    let written = user.path("cache");
    let to = format!("--cache-to=type=local,dest={}", written.display());
    succeed(&mut user.howdah(&borrowed(&words(&user, &to))));
    let store = tempfile::tempdir().unwrap();
    let from = format!("--cache-from=type=local,src={}", written.display());
    let mut by_root = howdah_as_root(store.path(), &borrowed(&words(&user, &from)));
    let passed_on = other.path("cache");
    by_root.arg(format!(
        "--cache-to=type=local,dest={}",
        passed_on.display()
    ));
    let told = succeed(&mut by_root);
    assert!(told.contains(" cached, 0 executed"), "{told}");
    other.give(&passed_on);
    let from = format!("--cache-from=type=local,src={}", passed_on.display());
    let result = format!("--output={}", other.path("result").display());
    let mut words = words(&other, &from);
    words.push(result);
    let told = succeed(&mut other.howdah(&borrowed(&words)));
    assert!(told.contains(" cached, 0 executed"), "{told}");
    let kept = fs_err::read_to_string(other.path("result/d/new")).unwrap();
    assert_eq!(kept, "new\n");
}

#[test]
fn the_store_is_the_users_and_has_its_ids() {
    let user = User::with_ranges();
    context(&user, "context", "RUN chown app /d\n");
    succeed(&mut user.howdah(&["build", "--network", "none", "-t", "mine", "context"]));
    let images = succeed(&mut user.howdah(&["images"]));
    assert!(images.contains("mine"), "{images}");
    let store = user.path(".local/share/howdah");
    let refused = fail(&mut howdah_as_root(&store, &["images"]));
    assert!(
        refused.contains("the 65536 ids from 1000000000") && refused.contains("--root"),
        "{refused}"
    );
    succeed(&mut user.howdah(&["image", "rm", "mine"]));
    assert!(user.path("run/howdah").exists());
}

#[test]
fn files_that_leave_are_the_users() {
    use std::os::unix::fs::MetadataExt as _;
    let user = User::with_ranges();
    context(
        &user,
        "context",
        "RUN chown app /d && touch /d/new && chown 33 /d/new\n",
    );
    let build = "build --network none -o out --iidfile id context";
    succeed(&mut user.howdah(&build.split(' ').collect::<Vec<_>>()));
    let owner = |name: &str| fs_err::metadata(user.path(name)).unwrap().uid();
    let own = owner("context");
    assert_eq!([owner("out/d"), owner("out/d/new"), owner("id")], [own; 3]);
}

#[test]
fn networks_are_the_users_to_choose() {
    let user = User::with_ranges();
    let steps = "RUN --network=none test \"$(ls /sys/class/net)\" = lo\n\
                 RUN --network=host test -e /sys/class/net/lo\n\
                 RUN ip route > /routes; cat /routes /etc/resolv.conf\n";
    context(&user, "context", steps);
    let build = [
        "build",
        "--allow",
        "network.host",
        "--progress",
        "plain",
        "context",
    ];
    let told = succeed(&mut user.howdah_with_tun(&build));
    assert!(told.contains("through slirp4netns"), "{told}");
    assert!(told.contains("default via 10.0.2.2"), "{told}");
    assert!(told.contains("nameserver 10.0.2.3"), "{told}");
}

#[test]
fn what_needs_root_is_refused_clearly() {
    let user = User::with_ranges();
    let refused = fail(&mut user.howdah(&["up"]));
    assert!(refused.contains("stacks need root"), "{refused}");
    context(&user, "context", "RUN mknod /null c 1 3\n");
    let refused = fail(&mut user.howdah(&["build", "context"]));
    assert!(refused.contains("Operation not permitted"), "{refused}");
}
