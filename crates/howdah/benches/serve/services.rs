//! A `PostgreSQL` and a Redis of the benchmark's own, on unix sockets alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::process::{Process, command};
use crate::site::open_to_all;

const POSTGRESQL: &str = "/usr/lib/postgresql/15/bin";
const CUSTOMERS: &str = "CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL); \
    INSERT INTO customers SELECT id, 'Customer ' || id FROM generate_series(0, 999) id";

/// Dropped, both end.
pub(crate) struct Services {
    /// Where their sockets are.
    pub(crate) directory: PathBuf,
    _postgresql: Process,
    _redis: Process,
}

impl Services {
    pub(crate) fn start(directory: &Path) -> Services {
        let directory = directory.join("run");
        fs_err::create_dir(&directory).unwrap();
        open_to_all(&directory);
        let postgresql = start_postgresql(&directory);
        let redis = start_redis(&directory);
        Services {
            directory,
            _postgresql: postgresql,
            _redis: redis,
        }
    }
}

/// It refuses to run as root.
fn as_postgres(program: &str) -> Command {
    let mut command = command("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    command.args(["--pdeathsig=INT", "--"]);
    command.arg(format!("{POSTGRESQL}/{program}"));
    command
}

fn start_postgresql(directory: &Path) -> Process {
    let (data, log) = (directory.join("data"), directory.join("postgresql.log"));
    let mut make = as_postgres("initdb");
    make.args(["--auth=trust", "--no-sync", "--pgdata"])
        .arg(&data);
    run(&mut make);
    let mut server = as_postgres("postgres");
    server.arg("-D").arg(&data).arg("-k").arg(directory);
    server.args(["-h", "", "-c", "fsync=off"]);
    let mut server = Process::start(server, &log).ended_by(Signal::INT);
    let client = |statement: &str| {
        let mut client = as_postgres("psql");
        client.arg("-h").arg(directory).args(["-qc", statement]);
        client.current_dir("/").output().unwrap().status.success()
    };
    server.wait_until(&log, || client("SELECT 1"));
    assert!(client(CUSTOMERS), "the table cannot be made");
    server
}

fn start_redis(directory: &Path) -> Process {
    let (socket, log) = (directory.join("redis.sock"), directory.join("redis.log"));
    let mut server = command("redis-server");
    server
        .args(["--port", "0", "--save", "", "--unixsocketperm", "777"])
        .arg("--unixsocket")
        .arg(&socket)
        .current_dir(directory);
    let mut server = Process::start(server, &log);
    server.wait_until(&log, || socket.exists());
    server
}

pub(crate) fn run(command: &mut Command) {
    let output = command.current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
