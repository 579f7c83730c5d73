//! Where what PHP says goes, and where requests come from, in each stage of the process: boot, warm-up, service.

use std::collections::BTreeSet;
use std::os::fd::RawFd;

use howdah_wire::LogLine;
use howdah_wire::control::Event;

use crate::arguments::{Mode, Options};
use crate::boot;
use crate::connections;
use crate::shim::{self, Prepared, Request};
use crate::worker::Worker;
use crate::zygote::Zygote;

/// Lines of the boot that a report of its failure repeats.
const REPORTED_LINES: usize = 20;

/// The one object behind the callbacks of C. It is made once and lives for ever; C holds its address, and so nobody else keeps a
/// reference while PHP runs.
#[derive(Debug)]
pub(crate) struct Link {
    options: Options,
    /// Open before PHP started: not the application's.
    descriptors: BTreeSet<RawFd>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// In the zygote: PHP starts, the application boots.
    Booting { zygote: Zygote, said: Vec<String> },
    /// In the zygote: a request of nobody's is served.
    WarmingUp { zygote: Zygote, request: Prepared },
    /// In a worker.
    Serving(Worker),
}

impl Link {
    /// It is never freed.
    pub(crate) fn new(options: Options) -> *mut Link {
        let descriptors = connections::descriptors();
        let stage = Stage::Booting {
            zygote: Zygote::greet(),
            said: Vec::new(),
        };
        Box::into_raw(Box::new(Link {
            options,
            descriptors,
            stage,
        }))
    }

    /// Waits for a request. A zygote forks workers here, and returns in them only.
    pub(crate) fn next(&mut self, memory: usize, peak: usize) -> Option<*const Request> {
        match &mut self.stage {
            Stage::Booting { zygote, .. } => {
                let peers = connections::opened_since(&self.descriptors);
                if !peers.is_empty() {
                    zygote.leave_for_connections(peers);
                }
                if self.options.mode == Mode::Fork && self.options.warm_up {
                    return self.warm_up();
                }
            }
            Stage::WarmingUp { zygote, .. } => {
                let peers = connections::opened_since(&self.descriptors);
                if !peers.is_empty() {
                    zygote.start_again_cold(&peers);
                }
            }
            Stage::Serving(worker) => {
                let once = self.options.mode == Mode::Fork;
                return worker.next(memory, peak, once);
            }
        }
        if self.options.mode == Mode::Fork {
            shim::prepare_once();
        }
        self.become_worker();
        self.next(memory, peak)
    }

    fn warm_up(&mut self) -> Option<*const Request> {
        let script = self.options.script.as_ref()?;
        let mut payload = Vec::new();
        boot::request(&script.to_string_lossy()).encode(&mut payload);
        let request = Prepared::new(payload).ok()?;
        let zygote = self.take_zygote()?;
        self.stage = Stage::WarmingUp { zygote, request };
        match &self.stage {
            Stage::WarmingUp { request, .. } => Some(request.as_ptr()),
            Stage::Booting { .. } | Stage::Serving(_) => None,
        }
    }

    fn take_zygote(&mut self) -> Option<Zygote> {
        match &mut self.stage {
            Stage::Booting { zygote, .. } | Stage::WarmingUp { zygote, .. } => {
                Some(std::mem::take(zygote))
            }
            Stage::Serving(_) => None,
        }
    }

    fn become_worker(&mut self) {
        if let Some(zygote) = self.take_zygote() {
            let birth = zygote.run();
            self.stage = Stage::Serving(Worker::new(birth));
        }
    }

    fn script_ended(&mut self, status: i32) {
        match &mut self.stage {
            Stage::Booting { zygote, said } => zygote.send(&Event::BootFailed {
                status,
                message: said.join("\n"),
            }),
            Stage::WarmingUp { zygote, .. } => zygote.send(&Event::BootFailed {
                status,
                message: "the worker script ended after the warm-up request".to_owned(),
            }),
            Stage::Serving(worker) => worker.end(),
        }
    }

    pub(crate) fn request_over(&mut self, memory: usize, peak: usize) {
        if let Stage::Serving(worker) = &mut self.stage {
            let once = self.options.mode == Mode::Fork;
            worker.request_over(memory, peak, once);
        }
    }

    pub(crate) fn read_body(&mut self, buffer: &mut [u8]) -> usize {
        match &mut self.stage {
            Stage::Serving(worker) => worker.read_body(buffer),
            Stage::Booting { .. } | Stage::WarmingUp { .. } => 0,
        }
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> bool {
        match &mut self.stage {
            Stage::Serving(worker) if worker.in_request() => return worker.write(data),
            Stage::WarmingUp { .. } => {}
            Stage::Booting { .. } | Stage::Serving(_) => self.log(0, data.trim_ascii_end(), b""),
        }
        true
    }

    pub(crate) fn flush(&mut self) -> bool {
        match &mut self.stage {
            Stage::Serving(worker) => worker.flush(),
            Stage::Booting { .. } | Stage::WarmingUp { .. } => true,
        }
    }

    pub(crate) fn head<'a>(
        &mut self,
        interim: bool,
        status: u16,
        lines: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> bool {
        match &mut self.stage {
            Stage::Serving(worker) => worker.head(interim, status, lines),
            Stage::Booting { .. } | Stage::WarmingUp { .. } => true,
        }
    }

    pub(crate) fn finish(&mut self) -> bool {
        match &mut self.stage {
            Stage::Serving(worker) => worker.finish(),
            Stage::Booting { .. } | Stage::WarmingUp { .. } => true,
        }
    }

    pub(crate) fn log(&mut self, level: i64, message: &[u8], context: &[u8]) {
        let line = LogLine {
            level,
            message: String::from_utf8_lossy(message).into_owned(),
            context: serde_json::from_slice(context).ok(),
        };
        match &mut self.stage {
            Stage::Booting { zygote, said } => {
                if said.len() < REPORTED_LINES {
                    said.push(line.message.clone());
                }
                zygote.send(&Event::Log(line));
            }
            Stage::WarmingUp { zygote, .. } => zygote.send(&Event::Log(line)),
            Stage::Serving(worker) => worker.log(&line),
        }
    }

    pub(crate) fn reload(&mut self) {
        if let Stage::Serving(worker) = &mut self.stage {
            worker.reload();
        }
    }
}

/// Forks workers before any script runs; returns in them only.
///
/// # Safety
/// `link` is of [`Link::new`], and no callback runs.
pub(crate) unsafe fn fork_workers(link: *mut Link) {
    // SAFETY: the caller's promise: nobody else uses it now.
    unsafe { &mut *link }.become_worker();
}

/// Tells the front how the worker script ended.
///
/// # Safety
/// As of [`fork_workers`].
pub(crate) unsafe fn script_ended(link: *mut Link, status: i32) {
    // SAFETY: the caller's promise: nobody else uses it now.
    unsafe { &mut *link }.script_ended(status);
}
