//! What a container may not do, and what it is given to be able to do it.
#![allow(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "all of this file is a test"
)]

mod support;

use howdah_runtime::{Device, Mount, Seccomp, Ulimit};
use support::Lab;

#[test]
fn capabilities_are_dockers_and_no_more() {
    let lab = Lab::new();
    let docker = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n";
    assert_eq!(lab.sh("grep Cap /proc/self/status"), docker);
    let mut spec = lab.shell("one", "grep -e CapEff -e CapBnd /proc/self/status");
    spec.user = "app".to_owned();
    assert_eq!(
        lab.run_ok(&spec),
        "CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"
    );
    spec.security.cap_drop = vec!["ALL".to_owned()];
    spec.security.cap_add = vec!["CAP_CHOWN".to_owned()];
    spec.user = String::new();
    assert_eq!(
        lab.run_ok(&spec),
        "CapEff:\t0000000000000001\nCapBnd:\t0000000000000001\n"
    );
}

#[test]
fn the_system_call_filter_is_on_unless_told_otherwise() {
    let lab = Lab::new();
    assert!(lab.sh("grep Seccomp: /proc/self/status").ends_with("2\n"));
    assert_eq!(lab.sh("unshare -U true; echo $?"), "1\n");
    let mut spec = lab.shell("one", "grep -e Seccomp: -e NoNewPrivs /proc/self/status");
    assert_eq!(lab.run_ok(&spec), "NoNewPrivs:\t0\nSeccomp:\t2\n");
    spec.security.no_new_privileges = true;
    assert_eq!(lab.run_ok(&spec), "NoNewPrivs:\t1\nSeccomp:\t2\n");
    spec.security.seccomp = Seccomp::Unconfined;
    assert_eq!(lab.run_ok(&spec), "NoNewPrivs:\t1\nSeccomp:\t0\n");
}

#[test]
fn kernel_interfaces_are_read_only_or_masked() {
    let lab = Lab::new();
    let script = "
        for path in /sys/fs/cgroup/x /sys/fs/cgroup/memory/x /sys/fs/cgroup/pids/x /sys/x /proc/x; do
            mkdir $path 2>/dev/null && echo \"made $path\"
        done
        echo 1 2>/dev/null > /proc/sys/kernel/panic && echo changed
        echo b 2>/dev/null > /proc/sysrq-trigger && echo triggered
        cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | wc -c
        ls /sys/firmware | wc -l
        mount -t tmpfs none /tmp 2>/dev/null && echo mounted
        mount -o remount,rw /sys 2>/dev/null && echo remounted
        true";
    assert_eq!(lab.sh(script), "0\n0\n");
}

#[test]
fn the_own_control_groups_are_seen() {
    let lab = Lab::new();
    let mut spec = lab.shell("one", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; grep -c -v ':/$' /proc/self/cgroup; true");
    spec.limits.memory_bytes = Some(64 << 20);
    assert_eq!(lab.run_ok(&spec).lines().next(), Some("67108864"));
}

#[test]
fn disks_of_the_host_cannot_be_opened_even_by_a_new_node() {
    let lab = Lab::new();
    let script = "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem; mknod /tmp/null c 1 3 && echo ok > /tmp/null && echo null";
    let outcome = lab.run(&lab.shell("one", script)).unwrap();
    assert_eq!(outcome.stdout, "null\n");
    assert!(
        outcome.stderr.contains("Operation not permitted"),
        "{outcome:?}"
    );
}

#[test]
fn devices_are_there_and_more_on_request() {
    let lab = Lab::new();
    let list = lab.sh("ls /dev; head -c 4 /dev/urandom | wc -c; echo x > /dev/full || echo full; mount | grep -c -e devpts -e mqueue -e /dev/shm");
    for name in [
        "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd",
        "stdin", "stdout", "stderr", "4", "3",
    ] {
        assert!(list.lines().any(|line| line == name), "{name} in {list}");
    }
    let mut spec = lab.shell(
        "one",
        "stat -c %t /dev/filesystem && head -c 0 /dev/filesystem",
    );
    spec.devices = vec![Device {
        source: "/dev/fuse".into(),
        target: "/dev/filesystem".into(),
        permissions: "rw".to_owned(),
    }];
    assert_eq!(lab.run_ok(&spec), "a\n");
}

#[test]
fn limits_hold() {
    let lab = Lab::new();
    let mut spec = lab.shell(
        "one",
        "head -c 200000000 /dev/zero | tail -n 1 | wc -c; echo survived",
    );
    spec.limits.memory_bytes = Some(32 << 20);
    let outcome = lab.run(&spec).unwrap();
    assert!(outcome.exit.oom_killed, "{outcome:?}");
    assert!(outcome.exit.usage.peak_memory_bytes <= 32 << 20);
    assert!(outcome.exit.usage.peak_memory_bytes > 16 << 20);

    let mut spec = lab.shell("two", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; true");
    spec.limits.pids = Some(4);
    assert!(lab.run(&spec).unwrap().stderr.contains("can't fork"));

    let mut spec = lab.shell("three", "ulimit -n; df /dev/shm | tail -n 1; cat /proc/self/oom_score_adj; cat /proc/sys/kernel/msgmax");
    spec.limits.ulimits = vec![Ulimit {
        name: "nofile".to_owned(),
        soft: 123,
        hard: 456,
    }];
    spec.limits.shm_bytes = Some(1 << 20);
    spec.limits.oom_score_adj = Some(500);
    spec.limits.cpus = Some(0.5);
    spec.sysctls
        .insert("kernel.msgmax".to_owned(), "12345".to_owned());
    spec.user = "app".to_owned();
    let output = lab.run_ok(&spec);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!((lines[0], lines[2], lines[3]), ("123", "500", "12345"));
    assert!(lines[1].contains(" 1024 "), "{output}");
}

#[test]
fn a_privileged_container_may_mount_and_see_devices() {
    let lab = Lab::new();
    let mut spec = lab.shell("one", "mkdir /mnt; mount -t tmpfs none /mnt && echo mounted; grep Seccomp: /proc/self/status; ls /dev/kmsg");
    spec.security.privileged = true;
    assert_eq!(lab.run_ok(&spec), "mounted\nSeccomp:\t0\n/dev/kmsg\n");
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn namespaces_are_the_containers_own() {
    let lab = Lab::new();
    let own = |name: &str| {
        fs_err::read_link(format!("/proc/self/ns/{name}"))
            .unwrap()
            .display()
            .to_string()
    };
    let inside = lab.sh("for name in pid mnt uts ipc net cgroup; do readlink /proc/self/ns/$name; done; echo $$; ps | wc -l; ulimit -u >/dev/null; ls /proc/self/fd | wc -l");
    for name in ["pid", "mnt", "uts", "ipc", "net", "cgroup"] {
        assert!(!inside.contains(&own(name)), "{name} in {inside}");
    }
    // Nothing of the helper's is open: three streams, and the directory being listed.
    assert_eq!(inside.lines().last(), Some("4"));
    assert_eq!(inside.lines().nth(6), Some("1"));
}

#[test]
fn signals_and_the_mask_are_as_a_fresh_login_has_them() {
    let lab = Lab::new();
    assert_eq!(
        lab.sh("grep -e SigBlk -e SigIgn /proc/self/status; umask"),
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\n"
    );
}

#[test]
fn links_in_an_image_do_not_lead_mounts_to_the_host() {
    let lab = Lab::new();
    let outside = lab.path("outside");
    fs_err::create_dir(&outside).unwrap();
    fs_err::os::unix::fs::symlink(&outside, lab.path("base/escape")).unwrap();
    fs_err::os::unix::fs::symlink(outside.join("hosts"), lab.path("base/etc/hosts")).unwrap();
    let mut spec = lab.shell("one", "true");
    spec.mounts = vec![Mount::Tmpfs {
        target: "/escape/below".into(),
        size_bytes: None,
        mode: None,
        read_only: false,
    }];
    // Whether it is refused or made inside does not matter.
    lab.run(&spec).ok();
    assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}
