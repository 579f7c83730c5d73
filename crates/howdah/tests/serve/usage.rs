//! What the processes of a running server hold.

use std::collections::BTreeMap;

use super::server::Server;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) pid: u32,
    pub(crate) resident_kilobytes: u64,
    pub(crate) descriptors: usize,
}

impl Server {
    /// The processes that serve requests: the children of the zygotes.
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        children(self.pid())
            .into_iter()
            .flat_map(children)
            .collect()
    }

    /// Of the server and its workers.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let mut pids = self.worker_pids();
        pids.push(self.pid());
        pids.sort_unstable();
        pids.into_iter().map(usage).collect()
    }

    /// How often the requests to `/count` were run, by their number.
    pub(crate) fn counted(&self) -> BTreeMap<u64, u32> {
        let mut counted = BTreeMap::new();
        for line in self.read("counted").lines() {
            *counted.entry(line.parse().unwrap()).or_default() += 1;
        }
        counted
    }
}

fn usage(pid: u32) -> Usage {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.unwrap().trim().trim_end_matches(" kB");
    Usage {
        pid,
        resident_kilobytes: resident.parse().unwrap(),
        descriptors: fs_err::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
    }
}

/// Of all threads of a process; it may be gone.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs_err::read_dir(format!("/proc/{pid}/task"));
    let lists = threads
        .into_iter()
        .flatten()
        .filter_map(|thread| fs_err::read_to_string(thread.ok()?.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    lists
        .iter()
        .flat_map(|list| list.split_whitespace())
        .map(|pid| pid.parse().unwrap())
        .collect()
}
