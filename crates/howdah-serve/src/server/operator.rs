//! What a running server does on order, be it a signal's or one of the administration.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::Order;
use crate::handler::Handler;
use crate::log::{Level, chain};
use crate::tls::Tls;

/// One for the whole server.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) handler: Arc<Handler>,
    pub(crate) started: Instant,
    tls: Option<Arc<Tls>>,
    orders: mpsc::Sender<Order>,
    ended: watch::Sender<bool>,
    successor: Successor,
}

/// The operator of the server that has taken the place of this one, once there is one.
pub(super) type Successor = Arc<OnceLock<Arc<Operator>>>;

impl Operator {
    pub(super) fn new(
        handler: Arc<Handler>,
        tls: Option<Arc<Tls>>,
        orders: mpsc::Sender<Order>,
        successor: Successor,
    ) -> Self {
        Self {
            handler,
            started: Instant::now(),
            tls,
            orders,
            ended: watch::Sender::new(false),
            successor,
        }
    }

    /// Who answers now. Two servers may take connections from one socket, and both must say the same.
    pub(crate) fn current(self: &Arc<Self>) -> Arc<Self> {
        let mut current = Arc::clone(self);
        while let Some(next) = current.successor.get().map(Arc::clone) {
            current = next;
        }
        current
    }

    /// Has the server finish what is in flight and end.
    pub(crate) fn drain(&self) {
        // No room: it has been told already.
        self.orders.try_send(Order::Drain).ok();
    }

    /// Everything has ended but the administration.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until everything else has ended.
    pub(crate) async fn wait_for_end(&self) {
        // The sender is this one's own.
        self.ended.subscribe().wait_for(|ended| *ended).await.ok();
    }

    /// Waits until no server is left that could answer: neither this one nor one that has taken its place.
    pub(crate) async fn wait_for_last_end(self: &Arc<Self>) {
        loop {
            let current = self.current();
            current.wait_for_end().await;
            if Arc::ptr_eq(&current, &self.current()) {
                return;
            }
        }
    }

    /// Reads the certificates anew, and has PHP read the code anew; when that fails, what was there before goes on, and the
    /// log and the caller are told why.
    pub(crate) async fn reload(&self) -> Result<(), String> {
        let certificates = self.reload_certificates();
        let php = self.reload_php().await;
        certificates.and(php)
    }

    fn reload_certificates(&self) -> Result<(), String> {
        let log = &self.handler.log;
        match self.tls.as_ref().map(|tls| tls.reload()) {
            None => Ok(()),
            Some(Ok(())) => {
                log.line(Level::Info, "tls", "certificates reloaded", json!({}));
                Ok(())
            }
            Some(Err(error)) => {
                let message = "certificates not reloaded, the ones from before stay";
                let error = chain(&error);
                log.line(Level::Error, "tls", message, json!({ "error": error }));
                Err(format!("{message}: {error}"))
            }
        }
    }

    async fn reload_php(&self) -> Result<(), String> {
        let Some(backend) = &self.handler.backend else {
            return Ok(());
        };
        let log = &self.handler.log;
        match backend.reload().await {
            Ok(()) => {
                log.line(Level::Info, "php", "reloaded", json!({}));
                Ok(())
            }
            Err(error) => {
                let message = "the reload failed, the workers from before go on";
                let error = chain(&*error);
                log.line(Level::Error, "php", message, json!({ "error": error }));
                Err(format!("{message}: {error}"))
            }
        }
    }
}
