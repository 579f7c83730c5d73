//! In what an unprivileged container gives: /proc partly covered, /sys read-only, few capabilities or none to be gained.

use std::process::Command;

use crate::user::User;
use crate::{context, succeed};

/// What Docker does to every container that is not privileged.
const COVER: &str =
    "mount -t tmpfs tmpfs /proc/irq && mount -o remount,bind,ro /sys && exec \"$@\"";
/// Docker's capabilities.
const CAPABILITIES: &str = "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                            +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
const STEPS: &str = "RUN test \"$(id -u)\" = 0 && chown 1000:1000 /d && ls /proc/irq /sys/class > /dev/null\n\
                     RUN --network=none ls /sys/class > /list\n\
                     RUN --network=host readlink /proc/self\n";

#[test]
fn root_without_privileges_keeps_its_ids() {
    // Only its directory is needed.
    let user = User::without_ranges();
    context(&user, "context", STEPS);
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "bash",
            "-c",
            COVER,
            "bash",
            "setpriv",
            CAPABILITIES,
        ])
        .arg(env!("CARGO_BIN_EXE_howdah"))
        .args([
            "build",
            "--allow=network.host",
            "-o",
            "type=tar,dest=out.tar",
            "context",
        ])
        .current_dir(user.path(""))
        .env("HOWDAH_ROOT", user.path("store"));
    let told = succeed(&mut command);
    assert!(told.contains("ids beside root"), "{told}");
    let mut list = Command::new("tar");
    list.args(["--numeric-owner", "-tvf"])
        .arg(user.path("out.tar"));
    let list = succeed(&mut list);
    let given = |line: &str| line.contains("1000/1000") && line.ends_with(" d/");
    assert!(list.lines().any(given), "{list}");
}

#[test]
fn a_user_who_may_not_gain_privileges_has_one_id() {
    let user = User::with_ranges();
    context(&user, "context", STEPS);
    let mut command = user.surrounded("unshare");
    command
        .args([
            "--mount",
            "bash",
            "-c",
            COVER,
            "bash",
            "setpriv",
            "--no-new-privs",
        ])
        .args(user.identity())
        .arg(user.path("howdah"))
        .args(["build", "--allow=network.host", "context"]);
    let told = succeed(&mut command);
    assert!(told.contains("a single id (newuidmap: "), "{told}");
}
