//! PHP by processes of their own. A request is lent a worker ([`dispatch`]) and goes through its socket ([`exchange`]); the
//! supervisor keeps the workers ([`supervisor`]), which a zygote forks ([`zygote`]). What happens to a worker costs that
//! worker and at most its request.

mod attempt;
pub(crate) mod body;
mod cards;
mod config;
mod dispatch;
mod error;
mod exchange;
pub(crate) mod head;
mod logs;
mod metrics;
mod size;
mod state;
mod supervisor;
mod watchdog;
mod welcome;
mod worker;
mod zygote;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tokio::sync::{mpsc, oneshot};

pub use body::PhpBody;
pub use config::{Mode, PoolConfig, Size, WorkerScript};
pub use error::{PhpError, StartError};
pub use metrics::{PoolMetrics, Reason};
pub use state::WorkerState;

use crate::cgi::Constants;
use crate::files::lookup::Script;
use crate::http::BodyError;
use crate::http::interim::Interim;
use crate::log::Log;
use cards::Cards;
use dispatch::Dispatch;
use supervisor::{Notice, Supervisor};

/// The body of a request as the client sends it.
pub type RequestBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// A request for PHP.
pub struct PhpRequest {
    /// Method, target as the client asked for it, and header fields.
    pub parts: Parts,
    /// Its body.
    pub body: RequestBody,
    /// The client, by what trusted proxies say.
    pub peer: SocketAddr,
    /// The TLS connection of the client, if it has one.
    pub tls: Option<Tls>,
    /// Does the client use https, be it to a trusted proxy?
    pub is_https: bool,
    /// What to run.
    pub script: Script,
    /// Where interim (1xx) responses go, if they can be sent.
    pub interim: Option<Interim>,
    /// What routes have made of it, if it came by one.
    pub routed: Option<Routed>,
}

/// What is different for a request that came by a route.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The document root.
    pub root: PathBuf,
    /// The query, which a rewrite may have changed.
    pub query: Option<String>,
    /// Added to `$_SERVER`.
    pub variables: Vec<(String, String)>,
    /// The pool of a worker script that answers it, by its place; without one the pool for all scripts does.
    pub worker: Option<usize>,
}

/// What PHP is told about TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// `SSL_PROTOCOL`, e.g. `TLSv1.3`.
    pub protocol: &'static str,
    /// `SSL_CIPHER`.
    pub cipher: String,
}

/// The workers of one application. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    dispatch: Arc<Dispatch>,
    cards: Cards,
    constants: Arc<Constants>,
}

impl Pool {
    /// Starts the workers and waits until all are ready. `constants`: what is equal in all requests' `$_SERVER`.
    pub async fn start(
        config: PoolConfig,
        constants: Constants,
        log: Log,
    ) -> Result<Pool, Arc<StartError>> {
        let (notices, receiver) = mpsc::unbounded_channel();
        let dispatch = Dispatch::new(config, log, notices);
        let cards = Cards::default();
        let supervisor = Supervisor::new(Arc::clone(&dispatch), cards.clone(), receiver);
        tokio::spawn(supervisor.run());
        let pool = Pool {
            dispatch,
            cards,
            constants: Arc::new(constants),
        };
        pool.reload().await?;
        Ok(pool)
    }

    /// Has PHP answer a request. The answer is streamed; when it is dropped early, the worker finishes by itself.
    pub async fn handle(&self, request: Box<PhpRequest>) -> Result<Response<PhpBody>, PhpError> {
        attempt::handle(&self.dispatch, &self.constants, request).await
    }

    /// Replaces all workers by ones that have read the code anew, without a pause: the old ones serve until the new ones are
    /// ready. When those do not start, the old ones go on.
    pub async fn reload(&self) -> Result<(), Arc<StartError>> {
        let (answer, done) = oneshot::channel();
        let sent = self.dispatch.notices.send(Notice::Reload(answer));
        if sent.is_err() {
            return Err(Arc::new(StartError::Stopping));
        }
        done.await
            .unwrap_or_else(|_| Err(Arc::new(StartError::Stopping)))
    }

    /// Ends all workers: those that serve finish first, and what the application has for its end is run. Returns when all
    /// are gone; at `deadline` they are killed.
    pub async fn stop(&self, deadline: Instant) {
        let (answer, done) = oneshot::channel();
        // No supervisor, no workers.
        let notice = Notice::Stop(deadline, answer);
        if self.dispatch.notices.send(notice).is_ok() {
            done.await.ok();
        }
    }

    /// Its name and how it works.
    pub fn config(&self) -> &PoolConfig {
        &self.dispatch.config
    }

    /// What every worker does at the moment.
    pub fn workers(&self) -> Vec<WorkerState> {
        state::workers(&self.cards)
    }

    /// What has been counted.
    pub fn metrics(&self) -> PoolMetrics {
        state::metrics(&self.dispatch, &self.cards)
    }
}

impl std::fmt::Debug for PhpRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PhpRequest")
            .field("parts", &self.parts)
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}
