//! A worker's boot, from its fork to its first `Ready`; and its end, when it has no zygote to tell of it.

use std::sync::Arc;

use howdah_wire::Kind;
use tokio::sync::mpsc;

use super::dispatch::Dispatch;
use super::logs;
use super::supervisor::Notice;
use super::worker::{Card, Worker};

/// Waits until the worker can serve. If it never can, its end is reported by its zygote.
pub(super) async fn wait_for_boot(dispatch: Arc<Dispatch>, mut worker: Worker) {
    loop {
        match worker.frame().await {
            Ok((Kind::Ready, _)) => {
                dispatch.notices.send(Notice::Booted(worker)).ok();
                return;
            }
            Ok((kind, payload)) => {
                logs::from_worker(&dispatch.log, &worker.card, kind, &payload);
            }
            Err(_) => {
                worker.card.kill();
                return;
            }
        }
    }
}

/// Waits for the end of a worker whose zygote is gone.
pub(super) async fn wait_for_end(card: Arc<Card>, notices: mpsc::UnboundedSender<Notice>) {
    // A process that cannot be watched counts as ended, and must therefore be so.
    if card.ended().await.is_err() {
        card.kill();
    }
    notices.send(Notice::Ended(card.generation, card.pid)).ok();
}
