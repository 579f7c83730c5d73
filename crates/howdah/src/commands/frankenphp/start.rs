//! `frankenphp start`: `run` in the background. Returns when the server serves.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;

use super::super::CommandError;
use super::serve::Args;

/// What happened first.
enum First {
    Serves,
    Ended,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CommandError> {
    // Faults of the Caddyfile are told here.
    args.source.load()?;
    // The server connects to it when it serves.
    let ready = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(super::NAME).arg("run").process_group(0);
    command
        .arg("--pingback")
        .arg(ready.local_addr()?.to_string());
    if let Some(config) = &args.source.config {
        command.arg("--config").arg(config);
    }
    for file in &args.source.envfile {
        command.arg("--envfile").arg(file);
    }
    if let Some(file) = &args.pidfile {
        command.arg("--pidfile").arg(file);
    }
    // Who reads what this command says does not wait for the server's end. The log goes to standard error.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    if args.watch {
        command.arg("--watch");
    }
    let mut child = command.spawn()?;
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    let ended = sender.clone();
    // Both threads end with this process, whatever comes first.
    std::thread::spawn(move || {
        if ready.accept().is_ok() {
            sender.send(First::Serves).ok();
        }
    });
    std::thread::spawn(move || {
        child.wait().ok();
        ended.send(First::Ended).ok();
    });
    match receiver.recv() {
        Ok(First::Serves) => {
            anstream::println!(
                "Successfully started FrankenPHP (pid={pid}) - FrankenPHP is running in the background"
            );
            Ok(ExitCode::SUCCESS)
        }
        Ok(First::Ended) | Err(_) => Err(CommandError::new(
            "the server did not start; what it said stands above",
        )),
    }
}
