//! A worker: one process, one request at a time, frames over its socket.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use howdah_wire::frame::{self, BODY_PIECE, HEADER_LENGTH};
use howdah_wire::request::Ready;
use howdah_wire::{Head, Kind, LogLine};
use rustix::io::Errno;

use crate::shim::{self, Prepared, Request};

/// What is written waits for this many bytes, a flush, or the end.
const OUTPUT_BUFFER: usize = 64 << 10;
/// The space a read is given.
const READ_SIZE: usize = 64 << 10;

/// A script that asks for its next request so soon after each ...
const SOON: Duration = Duration::from_micros(200);
/// ... of so many is taken to be ready when a request ends.
const SOON_ENOUGH: u32 = 16;

/// A frame may be half written: `shim/backtrace.c` must not write one from its signal handler.
#[unsafe(export_name = "howdah_writing")]
static WRITING: AtomicBool = AtomicBool::new(false);
/// The backtrace was asked for meanwhile.
#[unsafe(export_name = "howdah_backtrace_due")]
static BACKTRACE_DUE: AtomicBool = AtomicBool::new(false);

/// What a forked child takes along.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) socket: OwnedFd,
    pub(crate) ledger: OwnedFd,
}

#[derive(Debug)]
pub(crate) struct Worker {
    socket: OwnedFd,
    /// Bytes that came; those before `start` are done with.
    input: Vec<u8>,
    start: usize,
    /// Frames to be written.
    output: Vec<u8>,
    /// Where the `Body` frame at the end of `output` begins that still grows.
    open_body: Option<usize>,
    /// Mapped; lives as long as the process.
    ledger: &'static AtomicU64,
    served: u64,
    request: Option<Prepared>,
    body: Body,
    told: Told,
    /// When the last request's callback ended.
    over_since: Option<Instant>,
    /// Requests in a row after which the script asked for the next one [`SOON`].
    soon: u32,
    response: Response,
    /// The client is gone.
    aborted: bool,
    /// There will be no more requests.
    draining: bool,
}

/// The request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// There are `left` bytes of a piece at the start of the input; more pieces may follow.
    Coming {
        left: usize,
    },
    Ended,
}

/// What the front knows of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// It has begun and waits for its body.
    Begun,
    /// It is over, and the worker ready for the next one.
    Ready,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Response {
    /// No request is served.
    None,
    /// Nothing of it is sent but perhaps interim ones.
    Begun,
    Headed,
    Finished,
}

impl Worker {
    pub(crate) fn new(birth: Birth) -> Worker {
        let ledger = match shim::map_ledger(birth.ledger.as_raw_fd()) {
            // SAFETY: the page is mapped, aligned, and stays mapped; only this process writes it.
            Ok(place) => unsafe { AtomicU64::from_ptr(place) },
            // Without it every request counts as not begun, and would be run twice: better none at all.
            Err(_) => std::process::abort(),
        };
        Worker {
            socket: birth.socket,
            input: Vec::with_capacity(READ_SIZE),
            start: 0,
            output: Vec::with_capacity(OUTPUT_BUFFER),
            open_body: None,
            ledger,
            served: 0,
            request: None,
            body: Body::Ended,
            told: Told::Nothing,
            over_since: None,
            soon: 0,
            response: Response::None,
            aborted: false,
            draining: false,
        }
    }

    pub(crate) fn in_request(&self) -> bool {
        self.response != Response::None
    }

    /// Tells that the worker is free, and waits for a request.
    pub(crate) fn next(
        &mut self,
        memory: usize,
        peak: usize,
        once: bool,
    ) -> Option<*const Request> {
        self.end_response();
        if self.draining || (once && self.served > 0) {
            self.send();
            return None;
        }
        let is_soon = |end: Instant| end.elapsed() < SOON;
        let came_soon = self.over_since.take().is_some_and(is_soon);
        self.soon = if came_soon {
            self.soon.saturating_add(1)
        } else {
            0
        };
        if self.told != Told::Ready {
            self.tell_ready(memory, peak);
        }
        self.send();
        let payload = self.wait_for_request()?;
        self.told = Told::Nothing;
        self.served += 1;
        self.ledger.store(self.served, Ordering::Release);
        self.aborted = false;
        self.body = Body::Coming { left: 0 };
        self.response = Response::Begun;
        let request = self.request.insert(Prepared::new(payload).ok()?);
        Some(request.as_ptr())
    }

    /// The worker script goes on after a request. The response goes out now, as what the script does next may take long; if it
    /// never did, the front is told with the same write that the worker is ready. Should it not be so this once, the next request
    /// waits for it, and goes to another worker if this one ends instead.
    pub(crate) fn request_over(&mut self, memory: usize, peak: usize, once: bool) {
        self.end_response();
        if self.soon >= SOON_ENOUGH && !once && !self.draining {
            self.tell_ready(memory, peak);
        }
        self.send();
        self.over_since = Some(Instant::now());
    }

    fn tell_ready(&mut self, memory: usize, peak: usize) {
        let ready = Ready {
            served: self.served,
            memory_bytes: memory as u64,
            peak_bytes: peak as u64,
        };
        self.put(Kind::Ready, &ready.encode());
        self.told = Told::Ready;
    }

    /// What is left of a request: the rest of its body is passed over when the next one is waited for.
    pub(crate) fn end(&mut self) {
        self.end_response();
        self.send();
    }

    fn end_response(&mut self) {
        if self.in_request() {
            self.finish();
        }
        self.response = Response::None;
    }

    fn wait_for_request(&mut self) -> Option<Vec<u8>> {
        self.skip_piece();
        loop {
            let (kind, length) = self.frame()?;
            match kind {
                Kind::Request => {
                    let payload = self.input[self.start..self.start + length].to_vec();
                    self.start += length;
                    return Some(payload);
                }
                Kind::Drain => {
                    self.draining = true;
                    return None;
                }
                _ => self.start += length,
            }
        }
    }

    fn skip_piece(&mut self) {
        if let Body::Coming { left } = self.body {
            self.start += left;
        }
        self.body = Body::Ended;
    }

    /// Takes the header of the next frame, whose payload is then whole at the start of the input. None: the front is gone.
    fn frame(&mut self) -> Option<(Kind, usize)> {
        loop {
            let first = frame::first(&self.input[self.start..]);
            let found = first
                .ok()?
                .map(|(frame, _)| (frame.kind, frame.payload.len()));
            if let Some((kind, length)) = found {
                self.start += HEADER_LENGTH;
                return Some((kind, length));
            }
            if !self.fill() {
                self.draining = true;
                return None;
            }
        }
    }

    /// Waits for more bytes; false at the end.
    fn fill(&mut self) -> bool {
        self.input.drain(..self.start);
        self.start = 0;
        self.input.reserve(READ_SIZE);
        loop {
            match rustix::io::read(
                &self.socket,
                rustix::buffer::spare_capacity(&mut self.input),
            ) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    pub(crate) fn read_body(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.body {
                Body::Ended => break,
                Body::Coming { left: 0 } => self.next_piece(),
                Body::Coming { left } => {
                    let length = left.min(buffer.len() - filled);
                    let piece = &self.input[self.start..self.start + length];
                    buffer[filled..filled + length].copy_from_slice(piece);
                    self.start += length;
                    filled += length;
                    self.body = Body::Coming {
                        left: left - length,
                    };
                }
            }
        }
        filled
    }

    /// Until it hears that the request has begun, the front keeps back what it could not send to another worker.
    fn tell_begun(&mut self) {
        let is_here = matches!(frame::first(&self.input[self.start..]), Ok(Some(_)));
        if !is_here && self.told == Told::Nothing {
            self.put(Kind::Begun, b"");
            self.send();
            self.told = Told::Begun;
        }
    }

    fn next_piece(&mut self) {
        self.tell_begun();
        match self.frame() {
            Some((Kind::Body, length)) => self.body = Body::Coming { left: length },
            Some((Kind::BodyEnd, length)) => {
                self.start += length;
                self.body = Body::Ended;
            }
            Some((Kind::Drain, length)) => {
                self.start += length;
                self.draining = true;
            }
            Some((_, length)) => {
                self.start += length;
                self.aborted = true;
                self.body = Body::Ended;
            }
            None => {
                self.aborted = true;
                self.body = Body::Ended;
            }
        }
    }

    /// False if the client is gone.
    pub(crate) fn write(&mut self, mut data: &[u8]) -> bool {
        if self.response == Response::Finished {
            return true;
        }
        while !data.is_empty() {
            let start = self.growing_body();
            let length = self.output.len() - start - HEADER_LENGTH;
            let piece = data.len().min(BODY_PIECE - length);
            self.output.extend_from_slice(&data[..piece]);
            data = &data[piece..];
            self.set_length(start);
            if self.output.len() >= OUTPUT_BUFFER && !self.flush() {
                return false;
            }
        }
        !self.aborted
    }

    fn growing_body(&mut self) -> usize {
        match self.open_body {
            Some(start) if self.output.len() - start - HEADER_LENGTH < BODY_PIECE => start,
            _ => {
                let start = self.output.len();
                self.put(Kind::Body, b"");
                self.open_body = Some(start);
                start
            }
        }
    }

    /// The header of the frame that begins at `start` and ends with the output.
    fn set_length(&mut self, start: usize) {
        let length = self.output.len() - start - HEADER_LENGTH;
        if let Ok(length) = u32::try_from(length) {
            self.output[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
    }

    pub(crate) fn flush(&mut self) -> bool {
        self.send();
        if self.in_request() && self.response != Response::Finished {
            self.look_for_abort();
        }
        !self.aborted
    }

    pub(crate) fn head<'a>(
        &mut self,
        interim: bool,
        status: u16,
        lines: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> bool {
        if self.response != Response::Begun {
            return true;
        }
        let start = self.output.len();
        if interim {
            self.put(Kind::Interim, b"");
        } else {
            self.put(Kind::Head, b"");
            self.response = Response::Headed;
        }
        Head::encode_parts(status, lines, &mut self.output);
        self.set_length(start);
        !self.aborted
    }

    /// False if it was finished before.
    pub(crate) fn finish(&mut self) -> bool {
        match self.response {
            Response::Finished | Response::None => return false,
            Response::Begun => {
                self.head(false, 500, std::iter::empty());
            }
            Response::Headed => {}
        }
        self.response = Response::Finished;
        self.put(Kind::Finished, b"");
        true
    }

    pub(crate) fn log(&mut self, line: &LogLine) {
        let line = serde_json::to_vec(line).unwrap_or_default();
        self.put(Kind::Log, &line);
        self.send();
    }

    pub(crate) fn reload(&mut self) {
        self.put(Kind::Reload, b"");
    }

    /// What is too long for a frame is left out; only a log line could be.
    fn put(&mut self, kind: Kind, payload: &[u8]) {
        self.open_body = None;
        let _ = frame::append(&mut self.output, kind, payload);
    }

    /// Writes what waits. If the front is gone it is dropped: the next read ends the process.
    fn send(&mut self) {
        self.open_body = None;
        let mut sent = 0;
        WRITING.store(true, Ordering::SeqCst);
        while sent < self.output.len() {
            match rustix::io::write(&self.socket, &self.output[sent..]) {
                Ok(written) => sent += written,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.aborted = true;
                    self.draining = true;
                    break;
                }
            }
        }
        WRITING.store(false, Ordering::SeqCst);
        if BACKTRACE_DUE.swap(false, Ordering::SeqCst) {
            shim::backtrace();
        }
        self.output.clear();
    }

    /// Takes in what has come without waiting; only when the whole body is here, or nothing would bound it.
    fn look_for_abort(&mut self) {
        if let Body::Coming { left: 0 } = self.body {
            self.peek_body_end();
        }
        if self.body != Body::Ended {
            return;
        }
        while let Ok(Some((frame, length))) = frame::first(&self.input[self.start..]) {
            match frame.kind {
                Kind::Aborted => self.aborted = true,
                Kind::Drain => self.draining = true,
                _ => return,
            }
            self.start += length;
        }
        if self.receive_waiting() {
            self.look_for_abort();
        }
    }

    /// Most bodies are empty: their end came with the request.
    fn peek_body_end(&mut self) {
        if let Ok(Some((frame, length))) = frame::first(&self.input[self.start..])
            && matches!(frame.kind, Kind::BodyEnd | Kind::Aborted)
        {
            self.aborted |= frame.kind == Kind::Aborted;
            self.start += length;
            self.body = Body::Ended;
        }
    }

    /// Whether bytes had come.
    fn receive_waiting(&mut self) -> bool {
        let mut space = [0; 1024];
        match rustix::net::recv(
            &self.socket,
            &mut space[..],
            rustix::net::RecvFlags::DONTWAIT,
        ) {
            Ok((0, _)) => {
                self.aborted = true;
                self.draining = true;
                false
            }
            Ok((length, _)) => {
                self.input.extend_from_slice(&space[..length]);
                true
            }
            Err(_) => false,
        }
    }
}
