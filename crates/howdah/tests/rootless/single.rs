//! A user that has its own id only.

use crate::user::User;
use crate::{context, fail, succeed};

const STEPS: &str = r"FROM base
COPY --chown=1000:1000 file /app/file
RUN mkdir -p /etc/apt/apt.conf.d && chown -R app /app && chmod 4755 /bin/vi
RUN --mount=type=cache,target=/cache,uid=1000 --mount=type=secret,id=s,uid=1000,target=/s cat /s > /cache/x
RUN rm -rf /d && mkdir /d && touch /d/new && cat /etc/apt/apt.conf.d/* > /apt
USER app
RUN id -u > /who && test -w /app/file
RUN --network=none su app -c id
";

#[test]
fn everything_is_roots_and_the_steps_do_not_notice() {
    let user = User::without_ranges();
    context(&user, "context", STEPS);
    let build = "build --network host --progress plain -t single --secret id=s,src=context/file -o type=tar,dest=out.tar context";
    let words: Vec<&str> = build.split(' ').collect();
    let told = succeed(&mut user.howdah(&words));
    assert!(told.contains("rootless with a single id"), "{told}");
    assert!(told.contains("usermod --add-subuids"), "{told}");
    let mut list = std::process::Command::new("tar");
    list.args(["--numeric-owner", "-tvf"])
        .arg(user.path("out.tar"));
    let list = succeed(&mut list);
    assert!(list.contains("d/new") && !list.contains("d/sub"), "{list}");
    assert!(list.contains("-rwsr-xr-x"), "{list}");
    assert!(list.lines().all(|line| line.contains(" 0/0 ")), "{list}");
    // What tells apt to stay root is there while a step runs, and in no layer.
    assert!(!list.contains("howdah"), "{list}");
    let mut extract = std::process::Command::new("tar");
    extract
        .arg("-xOf")
        .arg(user.path("out.tar"))
        .args(["who", "apt"]);
    assert_eq!(succeed(&mut extract), "APT::Sandbox::User \"root\";\n0\n");
    let config = succeed(&mut user.howdah(&["image", "inspect", "single"]));
    assert!(config.contains("\"User\": \"app\""), "{config}");
}

#[test]
fn a_store_is_not_used_with_other_ids() {
    let user = User::without_ranges();
    succeed(&mut user.howdah(&["images"]));
    user.add_ranges();
    let refused = fail(&mut user.howdah(&["images"]));
    assert!(refused.contains("the single id"), "{refused}");
    succeed(&mut user.howdah(&["images", "--root", "other"]));
}
