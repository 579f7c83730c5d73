//! Programs that a test's application needs, in directories of their own and on sockets in them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// `PostgreSQL`'s of Debian 12.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin";

/// A program that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Service(Child);

impl Service {
    /// Starts it and waits until `is_ready`.
    pub(crate) fn start(command: &mut Command, is_ready: impl Fn() -> bool) -> Service {
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut service = Service(silent.stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while !is_ready() {
            assert!(start.elapsed() < super::DEADLINE, "{command:?}");
            assert_eq!(service.0.try_wait().unwrap(), None, "{command:?}");
            std::thread::yield_now();
        }
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // PostgreSQL's fast shutdown; the others end by it, too.
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-s", "INT", &pid]).status().ok();
        self.0.wait().ok();
    }
}

/// Redis, at `directory/redis.sock`.
pub(crate) fn redis(directory: &Path) -> Service {
    let socket = directory.join("redis.sock");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]);
    command.arg(&socket).current_dir(directory);
    Service::start(&mut command, || {
        let ping = Command::new("redis-cli")
            .arg("-s")
            .arg(&socket)
            .arg("ping")
            .output();
        ping.unwrap().stdout == b"PONG\n"
    })
}

/// `PostgreSQL`, whose socket is in `directory`, with a user `invoices`.
pub(crate) fn postgres(directory: &Path) -> Service {
    // It refuses to be root; and the user that it is must get here.
    fs_err::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
    let data = directory.join("postgres");
    fs_err::create_dir(&data).unwrap();
    succeeds(Command::new("chown").arg("postgres").arg(&data));
    let initdb = format!("{POSTGRES}/initdb");
    let options = [
        "--username=invoices",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ];
    succeeds(
        as_postgres(&initdb, &data)
            .args(options)
            .arg("-D")
            .arg(&data),
    );
    let mut command = as_postgres(&format!("{POSTGRES}/postgres"), &data);
    command
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-D"])
        .arg(&data);
    command
        .arg("-c")
        .arg(format!("unix_socket_directories={}", data.display()));
    Service::start(&mut command, || sql(&data, "postgres", "select 1"))
}

/// Executes a statement; true if that could be done.
pub(crate) fn sql(socket: &Path, database: &str, statement: &str) -> bool {
    let mut psql = Command::new("psql");
    psql.args([
        "--quiet",
        "--no-psqlrc",
        "--username=invoices",
        "--dbname",
        database,
        "--host",
    ]);
    psql.arg(socket).args(["--command", statement]);
    psql.output().unwrap().status.success()
}

fn as_postgres(program: &str, directory: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let identity = [
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--pdeathsig=INT",
    ];
    command.args(identity).arg(program).current_dir(directory);
    command
}

/// Runs a program that must succeed.
pub(crate) fn succeeds(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
