//! Debian's QEMU, which the kernel knows for one command only, and programs for it to run.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::FlockOperation;

/// How Debian's package `qemu-user-static` describes the emulator to the kernel (binfmt.d(5)).
const DESCRIPTION: &str = "/usr/lib/binfmt.d/qemu-aarch64.conf";

/// Runs a command in a user namespace whose `binfmt_misc` is its own (Linux 6.7), so that nothing is left on the machine and
/// nothing of the machine's is seen. `is_known`: whether the kernel is told of the emulator.
pub(crate) fn within(command: &Command, is_known: bool) -> Output {
    let script = "echo ready && read _ && mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && \
                  printf %s \"$1\" >\"$2\" && shift 2 && exec \"$@\"";
    let (text, place) = if is_known {
        let text = fs_err::read_to_string(DESCRIPTION).unwrap();
        (text.trim().to_owned(), "/proc/sys/fs/binfmt_misc/register")
    } else {
        (String::new(), "/dev/null")
    };
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--mount", "sh", "-c", script, "sh", &text, place]);
    unshare.arg(command.get_program()).args(command.get_args());
    unshare.current_dir(command.get_current_dir().unwrap());
    unshare.env_clear();
    unshare.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut child = unshare
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // Everybody is who they are outside. Not the map of all ids: by that, programs know the first namespace.
    for map in ["uid_map", "gid_map"] {
        fs_err::write(format!("/proc/{}/{map}", child.id()), "0 0 4294967294").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut out = Vec::new();
    stdout.read_to_end(&mut out).unwrap();
    let output = child.wait_with_output().unwrap();
    Output {
        stdout: out,
        ..output
    }
}

/// Debian's busybox-static for a platform; another machine's is fetched once, with an apt(8) that shares nothing with the machine's.
pub(crate) fn busybox(platform: &str) -> PathBuf {
    let (_, architecture) = platform.split_once('/').unwrap();
    if platform == super::PLATFORMS[0] {
        return PathBuf::from("/bin/busybox");
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("busybox-{architecture}"));
    fs_err::create_dir_all(&directory).unwrap();
    let lock = fs_err::File::create(directory.join("lock")).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    let program = directory.join("busybox");
    if !program.exists() {
        let state = tempfile::tempdir_in(&directory).unwrap();
        let found = fetch(state.path(), architecture);
        fs_err::set_permissions(&found, std::fs::Permissions::from_mode(0o755)).unwrap();
        fs_err::rename(found, &program).unwrap();
    }
    program
}

fn fetch(state: &Path, architecture: &str) -> PathBuf {
    let below = |name: &str| state.join(name).display().to_string();
    for name in ["lists/partial", "cache/archives/partial"] {
        fs_err::create_dir_all(state.join(name)).unwrap();
    }
    let options = [
        format!("APT::Architecture={architecture}"),
        format!("APT::Architectures={architecture}"),
        format!("Dir::State={}", state.display()),
        format!("Dir::State::Lists={}", below("lists")),
        format!("Dir::Cache={}", below("cache")),
        "Dir::State::status=/dev/null".to_owned(),
        // Its sandbox may not enter other people's directories.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Retries=3".to_owned(),
    ];
    for words in [&["update"][..], &["download", "busybox-static"]] {
        let mut apt = Command::new("apt-get");
        apt.current_dir(state).arg("-q").args(words);
        super::succeeded(apt.args(options.iter().flat_map(|option| ["-o", option])));
    }
    let files = fs_err::read_dir(state).unwrap();
    let package = files
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let root = state.join("root");
    let mut unpack = Command::new("dpkg-deb");
    super::succeeded(unpack.arg("--extract").arg(package.unwrap()).arg(&root));
    root.join("bin/busybox")
}
