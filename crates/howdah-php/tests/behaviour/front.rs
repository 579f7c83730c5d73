//! The front's side of the wire, as little of it as the tests need.

use std::io::{Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use howdah_wire::control::{Event, Exit, MAX_MESSAGE, Order};
use howdah_wire::frame::{self, BODY_PIECE};
use howdah_wire::{Head, Kind, LogLine, Request, ledger};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair,
};

use crate::cases::Case;

/// What no answer takes, however slow the machine is.
const DEADLINE: Duration = Duration::from_mins(2);

const INI: [&str; 14] = [
    "display_errors=0",
    "log_errors=1",
    "html_errors=0",
    "error_reporting=32767",
    "opcache.enable=1",
    "opcache.file_update_protection=0",
    "memory_limit=128M",
    "post_max_size=2M",
    "upload_max_filesize=1M",
    "output_buffering=0",
    "expose_php=0",
    "variables_order=EGPCS",
    "precision=14",
    "zend.assertions=-1",
];

/// Where the PHP of the test is unpacked, not installed, no configuration names what else it has.
fn extensions() -> Vec<String> {
    let Some(root) = option_env!("HOWDAH_PHP_ROOT") else {
        return Vec::new();
    };
    let directory = fs_err::read_dir(Path::new(root).join("usr/lib/php"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("opcache.so").exists())
        .unwrap();
    vec![
        format!("extension_dir={}", directory.display()),
        "zend_extension=opcache".to_owned(),
        "extension=mbstring".to_owned(),
        "extension=posix".to_owned(),
        "extension=zip".to_owned(),
    ]
}

/// A zygote.
pub(crate) struct Front {
    control: OwnedFd,
    process: Child,
}

pub(crate) struct Worker {
    stream: UnixStream,
    input: Vec<u8>,
    pub(crate) pid: i32,
    /// Its pidfd and its ledger.
    others: Vec<OwnedFd>,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
    pub(crate) log: String,
    /// `103 Link: </a>`, one each.
    pub(crate) interim: Vec<String>,
    /// The worker waits for another request.
    pub(crate) ready: bool,
}

impl Front {
    /// A zygote of `mode` for the cases, booted.
    pub(crate) fn start(mode: &str, script: &Path, directory: &Path) -> Front {
        let mut front = Front::launch(&["--mode", mode], script, directory);
        front.booted();
        front
    }

    /// A zygote, with the arguments that come before its script.
    pub(crate) fn launch(arguments: &[&str], script: &Path, directory: &Path) -> Front {
        let (control, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        // The shell puts the socket where the program looks for it.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 0</dev/null", "sh"])
            .stdin(theirs)
            .arg(env!("CARGO_BIN_EXE_howdah-php"))
            .arg("zygote")
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C")
            .env("FROM_ENVIRONMENT", "yes");
        if !arguments.contains(&"classic") {
            command.arg("--script").arg(script);
            command.env("FRANKENPHP_WORKER", "1");
        }
        for entry in INI.map(str::to_owned).into_iter().chain(extensions()) {
            command.arg("-d").arg(entry);
        }
        for key in ["session.save_path", "upload_tmp_dir"] {
            command
                .arg("-d")
                .arg(format!("{key}={}", directory.display()));
        }
        let process = command.spawn().unwrap();
        Front { control, process }
    }

    pub(crate) fn booted(&mut self) {
        self.wait_for(|event| matches!(event, Event::Booted { .. }));
    }

    /// How the next worker that ends does so.
    pub(crate) fn exit(&mut self) -> Exit {
        loop {
            if let (Event::Exited { status, .. }, _) = self.event() {
                return status;
            }
        }
    }

    pub(crate) fn fork(&mut self) -> Worker {
        let order = serde_json::to_vec(&Order::Fork).unwrap();
        send(&self.control, &order, SendFlags::empty()).unwrap();
        let mut pid = 0;
        let mut descriptors = self.wait_for(|event| {
            if let Event::Worker { pid: born } = event {
                pid = *born;
            }
            pid != 0
        });
        let stream = UnixStream::from(descriptors.remove(0));
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut worker = Worker {
            stream,
            input: Vec::new(),
            pid,
            others: descriptors,
        };
        assert!(worker.answer().ready, "no worker came up");
        worker
    }

    fn wait_for(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Vec<OwnedFd> {
        loop {
            let (event, descriptors) = self.event();
            if wanted(&event) {
                return descriptors;
            }
            let fatal = matches!(
                event,
                Event::BootFailed { .. } | Event::Connections { .. } | Event::ForkFailed { .. }
            );
            assert!(!fatal, "{event:?}");
        }
    }

    pub(crate) fn event(&self) -> (Event, Vec<OwnedFd>) {
        let mut message = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            &self.control,
            &mut [std::io::IoSliceMut::new(&mut message)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .unwrap();
        assert!(received.bytes > 0, "the zygote is gone");
        let descriptors = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        let event = serde_json::from_slice(&message[..received.bytes]).unwrap();
        (event, descriptors)
    }
}

impl Drop for Front {
    /// Its children end by themselves: their sockets are closed.
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        self.process.wait().unwrap();
    }
}

impl Worker {
    pub(crate) fn ask(&mut self, case: &Case, script: &Path) -> Answer {
        self.send(case, script, Kind::BodyEnd);
        self.answer()
    }

    /// Asks, and ends the body so.
    pub(crate) fn send(&mut self, case: &Case, script: &Path, end: Kind) {
        let mut frames = Vec::new();
        let mut payload = Vec::new();
        request(case, script).encode(&mut payload);
        frame::append(&mut frames, Kind::Request, &payload).unwrap();
        for piece in case.body.as_bytes().chunks(BODY_PIECE) {
            frame::append(&mut frames, Kind::Body, piece).unwrap();
        }
        frame::append(&mut frames, end, b"").unwrap();
        self.stream.write_all(&frames).unwrap();
    }

    pub(crate) fn tell(&mut self, kind: Kind) {
        self.stream
            .write_all(&frame::header(kind, 0).unwrap())
            .unwrap();
    }

    /// Requests it has begun.
    pub(crate) fn begun(&self) -> u64 {
        let mut content = [0; ledger::LENGTH];
        rustix::io::pread(&self.others[1], &mut content, 0).unwrap();
        ledger::begun(content)
    }

    /// Waits for the next frame of that kind; its payload.
    pub(crate) fn until(&mut self, wanted: Kind) -> Vec<u8> {
        loop {
            let (kind, payload) = self.frame().expect("the worker is there");
            if kind == wanted {
                return payload;
            }
        }
    }

    /// Up to `Ready`, or the worker's end.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        let mut body = Vec::new();
        while let Some((kind, payload)) = self.frame() {
            match kind {
                Kind::Head => answer.take_head(&payload),
                Kind::Interim => {
                    let head = Head::decode(&payload).unwrap();
                    let lines: Vec<_> = head.headers.iter().map(|line| text(line)).collect();
                    answer
                        .interim
                        .push(format!("{} {}", head.status, lines.join(" ")));
                }
                Kind::Body => body.extend_from_slice(&payload),
                Kind::Log => answer.take_log(&payload),
                Kind::Ready => {
                    answer.ready = true;
                    break;
                }
                _ => {}
            }
        }
        answer.body = text(&body);
        answer
    }

    fn frame(&mut self) -> Option<(Kind, Vec<u8>)> {
        loop {
            if let Some((frame, length)) = frame::first(&self.input).unwrap() {
                let found = (frame.kind, frame.payload.to_vec());
                self.input.drain(..length);
                return Some(found);
            }
            let mut bytes = [0; 8192];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => self.input.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Answer {
    fn take_head(&mut self, payload: &[u8]) {
        let head = Head::decode(payload).unwrap();
        self.status = head.status;
        self.headers = head.headers.iter().map(|line| text(line)).collect();
    }

    /// `[level] message context`
    fn take_log(&mut self, payload: &[u8]) {
        let line: LogLine = serde_json::from_slice(payload).unwrap();
        let context = line.context.map(|context| format!(" {context}"));
        let context = context.unwrap_or_default();
        let line = format!("[{}] {}{context}\n", line.level, line.message);
        self.log.push_str(&line);
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|header| {
            header
                .split_once(':')
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn request(case: &Case, script: &Path) -> Request {
    let path = PathBuf::from(script);
    let script = script.to_str().unwrap();
    let query = case.uri.split_once('?').map_or("", |(_, query)| query);
    let name = format!("/{}", path.file_name().unwrap().to_str().unwrap());
    let mut variables = vec![
        ("SCRIPT_FILENAME", script),
        ("SCRIPT_NAME", &name),
        ("PHP_SELF", &name),
        ("REQUEST_METHOD", &case.method),
        ("REQUEST_URI", &case.uri),
        ("QUERY_STRING", query),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("REMOTE_ADDR", "192.0.2.1"),
    ];
    if let Some((_, value)) = case.headers.iter().find(|(name, _)| name == "Content-Type") {
        variables.push(("CONTENT_TYPE", value));
    }
    let length = case.body.len().to_string();
    if !case.body.is_empty() {
        variables.push(("CONTENT_LENGTH", &length));
    }
    let pair = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let mut headers = vec![(b"Host".to_vec(), b"localhost".to_vec())];
    headers.extend(
        case.headers
            .iter()
            .map(|(name, value)| (name.clone().into(), value.clone().into())),
    );
    Request {
        script: script.into(),
        method: case.method.clone().into(),
        uri: case.uri.clone().into(),
        query: query.into(),
        content_length: (!case.body.is_empty()).then_some(case.body.len() as u64),
        variables: variables.iter().map(pair).collect(),
        headers,
    }
}
