//! What comes from elsewhere: files of URLs, commits of Git repositories, and archives, each kept in the store.

mod downloads;
mod error;
mod fetch;
mod git;
mod git_tree;
mod http;
mod reference;

use std::collections::BTreeMap;
use std::path::PathBuf;

use howdah_image::Store;
use howdah_solver::Cancel;

use crate::request::{DEFAULT_AGENT, Options, Secret};

pub use error::RemoteError;
pub use fetch::{Fetched, RemoteContext};
pub use reference::{GitReference, ParseGitReferenceError};

pub(crate) use fetch::{FILE_MODE, FetchOp};
pub(crate) use http::file_name;
pub(crate) use reference::shown;

/// Gets things from elsewhere into a store.
#[derive(Debug)]
pub struct Remote {
    store: Store,
    secrets: BTreeMap<String, Secret>,
    ssh_agent: Option<PathBuf>,
    cancel: Cancel,
}

impl Remote {
    /// `options` has the secrets and the agent that private repositories ask for.
    pub fn new(store: &Store, options: &Options, cancel: &Cancel) -> Remote {
        Remote {
            store: store.clone(),
            secrets: options.secrets.clone(),
            ssh_agent: options.ssh_agents.get(DEFAULT_AGENT).cloned(),
            cancel: cancel.clone(),
        }
    }
}
