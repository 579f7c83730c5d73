//! `howdah top`: what a running `howdah serve` does.

use std::io::{IsTerminal as _, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use howdah_serve::admin::{PoolStatus, ServerStatus};
use howdah_serve::config::AdminAddress;
use howdah_serve::pool::WorkerState;

use super::display::Table;
use super::serve::{admin_address, file};
use super::signals::Watch;
use super::{CommandError, Context};

/// For a server to answer; it does so at once, or is not well.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer beyond this is none of ours.
const MOST: u64 = 16 << 20;

/// Show what the workers of a running `howdah serve` do.
///
/// On a terminal until Ctrl-C, else once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `howdah serve` was given as --admin; without it what `howdah.toml` says.
    #[arg(long, value_name = "ADDRESS|PATH", env = "HOWDAH_ADMIN", value_parser = admin_address)]
    admin: Option<AdminAddress>,
    /// Show it once and end.
    #[arg(long)]
    once: bool,
    /// Print the server's answer as JSON, once.
    #[arg(long)]
    json: bool,
    /// Seconds between two looks.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,
}

pub(crate) fn run(_context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let admin = match &args.admin {
        Some(admin) => admin.clone(),
        None => file::admin()?.ok_or_else(|| {
            CommandError::new("nobody said where the server is administrated")
                .hint("start `howdah serve` with --admin PATH, and give the same here; HOWDAH_ADMIN or howdah.toml say it for both")
                .code(2)
        })?,
    };
    if args.json {
        anstream::println!("{}", fetch(&admin)?.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let first = look(&admin)?;
    if args.once || !std::io::stdout().is_terminal() {
        anstream::print!("{}", page(&first, None));
        return Ok(ExitCode::SUCCESS);
    }
    let (signalled, signals) = mpsc::channel();
    let _watch = Watch::start(move |_| {
        // The receiver is gone only when the command ends anyway.
        signalled.send(()).ok();
    })?;
    let mut before = None;
    let mut now = first;
    loop {
        // Home, and what was there before is cleared behind the new text, so that nothing flickers.
        let text = page(&now, before.as_ref()).replace('\n', "\x1b[K\n");
        anstream::print!("\x1b[H{text}\x1b[J");
        std::io::stdout().flush()?;
        let pause = Duration::from_secs(args.interval.into());
        if signals.recv_timeout(pause) != Err(mpsc::RecvTimeoutError::Timeout) {
            return Ok(ExitCode::SUCCESS);
        }
        before = Some(now);
        now = look(&admin)?;
    }
}

fn look(admin: &AdminAddress) -> Result<ServerStatus, CommandError> {
    let text = fetch(admin)?;
    serde_json::from_str(&text).map_err(|error| {
        CommandError::from(error).about(format!("`{admin}` did not answer as a `howdah serve`"))
    })
}

/// What the server says of itself.
fn fetch(admin: &AdminAddress) -> Result<String, CommandError> {
    let answer = match admin {
        AdminAddress::Tcp(address) => {
            TcpStream::connect_timeout(address, PATIENCE).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream)
            })
        }
        AdminAddress::Unix(path) => UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            exchange(stream)
        }),
    };
    let answer = answer.map_err(|error| {
        CommandError::from(error)
            .about(format!("no `howdah serve` answers at `{admin}`"))
            .hint("start it with the same --admin, or the same HOWDAH_ADMIN")
    })?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(CommandError::new(format!(
            "`{admin}` did not answer as a `howdah serve`"
        ))),
    }
}

/// HTTP/1.0: the answer ends with the connection.
fn exchange(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    Ok(answer)
}

/// `before`: what the server said the last time, for rates.
fn page(now: &ServerStatus, before: Option<&ServerStatus>) -> String {
    let state = if now.ready { "ready" } else { "draining" };
    let mut text = format!(
        "howdah serve {}, {state}, up {}: {} connections, {} requests in flight, {} answered ({} failed){}\n",
        now.pid,
        seconds(now.uptime_seconds),
        now.connections,
        now.in_flight,
        now.responses,
        now.failures,
        rate(now, before),
    );
    for pool in &now.pools {
        text += "\n";
        text += &pool_head(pool);
        text += &workers(&pool.workers).to_text();
    }
    text
}

fn rate(now: &ServerStatus, before: Option<&ServerStatus>) -> String {
    let Some(before) = before.filter(|before| before.pid == now.pid) else {
        return String::new();
    };
    let time = now.uptime_seconds - before.uptime_seconds;
    let count = now.responses.saturating_sub(before.responses);
    #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
    let rate = count as f64 / time.max(0.001);
    format!(", {rate:.0} per second")
}

fn pool_head(pool: &PoolStatus) -> String {
    let busy = pool.workers.iter().filter(|worker| worker.state == "busy");
    format!(
        "pool {} ({}): {} of {} workers busy, {} requests wait, {} served, {} replaced, {} died\n",
        pool.name,
        pool.mode,
        busy.count(),
        pool.workers.len(),
        pool.waiting,
        pool.requests,
        pool.restarts,
        pool.crashes,
    )
}

/// The busy ones first, the longest request at the top.
fn workers(workers: &[WorkerState]) -> Table<7> {
    let mut table = Table::new(["PID", "STATE", "FOR", "AGE", "SERVED", "MEMORY", "REQUEST"]);
    let mut sorted: Vec<&WorkerState> = workers.iter().collect();
    sorted.sort_by(|one, other| {
        let busy = |worker: &WorkerState| worker.state != "busy";
        let order = busy(one).cmp(&busy(other));
        order.then(other.state_seconds.total_cmp(&one.state_seconds))
    });
    for worker in sorted {
        let request =
            [&worker.method, &worker.path].map(|part| part.as_deref().unwrap_or_default());
        table.row([
            worker.pid.to_string(),
            worker.state.clone(),
            seconds(worker.state_seconds),
            seconds(worker.age_seconds),
            worker.requests.to_string(),
            format!("{} MiB", worker.memory_bytes >> 20),
            printable(request.join(" ").trim_end()),
        ]);
    }
    table
}

/// A request's path is a stranger's: it must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect()
}

/// `0.3 s`, `59 s`, `12 min`, `3 h`.
fn seconds(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pid: i32, state: &str, state_seconds: f64, path: Option<&str>) -> WorkerState {
        WorkerState {
            pid,
            generation: 1,
            state: state.into(),
            state_seconds,
            age_seconds: 4000.0,
            requests: 12,
            memory_bytes: 5 << 20,
            method: path.map(|_| "GET".into()),
            path: path.map(Into::into),
        }
    }

    #[test]
    fn the_longest_request_is_at_the_top() {
        let now = ServerStatus {
            pid: 7,
            uptime_seconds: 60.0,
            ready: true,
            connections: 3,
            in_flight: 2,
            responses: 150,
            failures: 1,
            pools: vec![PoolStatus {
                name: "php".into(),
                mode: "worker".into(),
                waiting: 4,
                requests: 140,
                crashes: 1,
                restarts: 2,
                workers: vec![
                    worker(1, "idle", 50.0, None),
                    worker(2, "busy", 0.25, Some("/short")),
                    worker(3, "busy", 30.0, Some("/long\u{1b}[2J")),
                ],
            }],
        };
        let before = ServerStatus {
            uptime_seconds: 58.0,
            responses: 50,
            ..now.clone()
        };
        insta::assert_snapshot!(page(&now, Some(&before)), @"
        howdah serve 7, ready, up 60 s: 3 connections, 2 requests in flight, 150 answered (1 failed), 50 per second

        pool php (worker): 2 of 3 workers busy, 4 requests wait, 140 served, 2 replaced, 1 died
        PID   STATE   FOR     AGE      SERVED   MEMORY   REQUEST
        3     busy    30 s    67 min   12       5 MiB    GET /long[2J
        2     busy    0.2 s   67 min   12       5 MiB    GET /short
        1     idle    50 s    67 min   12       5 MiB
        ");
    }
}
