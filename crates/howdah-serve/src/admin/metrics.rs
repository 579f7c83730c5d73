//! The page of metrics: FrankenPHP's by their names, for the dashboards that there are, and our own.

use crate::backend::Backend;
use crate::handler::Handler;
use crate::http::access::Activity;
use crate::metrics::Page;
use crate::pool::{Pool, PoolMetrics};

/// A number of a pool: its name, its kind, what it is, and where it is read.
type Family = (
    &'static str,
    &'static str,
    &'static str,
    fn(&PoolMetrics) -> f64,
);

/// Those of FrankenPHP, by worker; a worker is there what a pool is here.
const FRANKENPHP: [Family; 8] = [
    (
        "frankenphp_total_workers",
        "gauge",
        "PHP workers of this pool",
        |pool| float(pool.total_workers),
    ),
    (
        "frankenphp_busy_workers",
        "gauge",
        "PHP workers that serve a request",
        |pool| float(pool.busy_workers),
    ),
    (
        "frankenphp_ready_workers",
        "gauge",
        "PHP workers that have booted",
        |pool| float(pool.ready_workers),
    ),
    (
        "frankenphp_worker_queue_depth",
        "gauge",
        "Requests that wait for a PHP worker",
        |pool| float(pool.queue_depth),
    ),
    (
        "frankenphp_worker_crashes",
        "counter",
        "PHP workers that died",
        |pool| count(pool.crashes()),
    ),
    (
        "frankenphp_worker_restarts",
        "counter",
        "PHP workers that were replaced",
        |pool| count(pool.restarts()),
    ),
    (
        "frankenphp_worker_request_time",
        "counter",
        "Seconds of all requests together",
        |pool| pool.request_seconds,
    ),
    (
        "frankenphp_worker_request_count",
        "counter",
        "Requests that were finished",
        |pool| count(pool.requests),
    ),
];

/// Our own.
const OWN: [Family; 9] = [
    (
        "howdah_pool_memory_bytes",
        "gauge",
        "Memory of PHP in all workers, after their last requests",
        |pool| count(pool.memory_bytes),
    ),
    (
        "howdah_pool_largest_worker_memory_bytes",
        "gauge",
        "The same of the worker that has most",
        |pool| count(pool.largest_memory_bytes),
    ),
    (
        "howdah_pool_queue_full_total",
        "counter",
        "Requests refused because the queue was full",
        |pool| count(pool.refused),
    ),
    (
        "howdah_pool_queue_timeouts_total",
        "counter",
        "Requests refused because they had waited too long",
        |pool| count(pool.gave_up),
    ),
    (
        "howdah_pool_request_timeouts_total",
        "counter",
        "Requests that took too long, and whose worker was killed",
        |pool| count(pool.timeouts),
    ),
    (
        "howdah_pool_slow_requests_total",
        "counter",
        "Requests in the slow log",
        |pool| count(pool.slow),
    ),
    (
        "howdah_pool_retries_total",
        "counter",
        "Requests given to another worker because the first one died",
        |pool| count(pool.retries),
    ),
    (
        "howdah_pool_reloads_total",
        "counter",
        "Times that all workers were replaced by new ones",
        |pool| count(pool.reloads),
    ),
    (
        "howdah_pool_failed_reloads_total",
        "counter",
        "Times that new workers did not start, and the old ones went on",
        |pool| count(pool.failed_reloads),
    ),
];

/// In the text format of Prometheus.
pub(super) fn page(handler: &Handler) -> String {
    let mut page = Page::default();
    http(&mut page, &handler.activity);
    let pools: Vec<(&Pool, PoolMetrics)> = handler
        .backend
        .iter()
        .flat_map(Backend::pools)
        .map(|pool| (pool, pool.metrics()))
        .collect();
    if !pools.is_empty() {
        frankenphp(&mut page, &pools);
        own(&mut page, &pools);
    }
    page.into()
}

fn http(page: &mut Page, activity: &Activity) {
    const REQUESTS: &str = "howdah_http_requests_total";
    const BYTES: &str = "howdah_http_response_bytes_total";
    const DURATION: &str = "howdah_http_request_duration_seconds";
    page.family(
        REQUESTS,
        "counter",
        "Responses by status, and by who made them",
    );
    for (by, answered) in activity.answered() {
        for (status, count) in answered.statuses() {
            let labels = [("handler", by.name()), ("code", &status.to_string())];
            page.sample(REQUESTS, &labels, count);
        }
    }
    page.family(BYTES, "counter", "Bytes of the bodies of responses");
    for (by, answered) in activity.answered() {
        page.sample(BYTES, &[("handler", by.name())], answered.bytes());
    }
    page.family(
        DURATION,
        "histogram",
        "From a request's head to the end of its response",
    );
    for (by, answered) in activity.answered() {
        page.histogram(DURATION, ("handler", by.name()), &answered.durations);
    }
    let (connections, accepted) = activity.connections();
    let help = "Requests that are being answered";
    page.single(
        "howdah_http_requests_in_flight",
        "gauge",
        help,
        activity.active(),
    );
    page.single(
        "howdah_connections",
        "gauge",
        "Connections that are open",
        connections,
    );
    page.single(
        "howdah_connections_total",
        "counter",
        "Connections that were taken",
        accepted,
    );
    let help = "Should requests be sent here?";
    page.single("howdah_ready", "gauge", help, u8::from(activity.is_ready()));
}

fn frankenphp(page: &mut Page, pools: &[(&Pool, PoolMetrics)]) {
    let sum = |read: fn(&PoolMetrics) -> usize| -> usize {
        pools.iter().map(|(_, metrics)| read(metrics)).sum()
    };
    let total = sum(|pool| pool.total_workers);
    page.single(
        "frankenphp_total_threads",
        "gauge",
        "PHP workers of all pools",
        total,
    );
    let busy = sum(|pool| pool.busy_workers);
    page.single(
        "frankenphp_busy_threads",
        "gauge",
        "PHP workers that serve a request",
        busy,
    );
    let waiting = sum(|pool| pool.queue_depth);
    page.single(
        "frankenphp_queue_depth",
        "gauge",
        "Requests that wait for a PHP worker",
        waiting,
    );
    families(page, pools, "worker", &FRANKENPHP);
}

fn own(page: &mut Page, pools: &[(&Pool, PoolMetrics)]) {
    const INFO: &str = "howdah_pool_info";
    const WORKERS: &str = "howdah_pool_workers";
    const WAIT: &str = "howdah_pool_queue_wait_seconds";
    const ENDED: &str = "howdah_pool_worker_ends_total";
    page.family(INFO, "gauge", "The pools and their modes");
    for (pool, _) in pools {
        let labels = [("pool", name(pool)), ("mode", pool.config().mode.name())];
        page.sample(INFO, &labels, 1);
    }
    page.family(WORKERS, "gauge", "PHP workers by what they do");
    for (pool, metrics) in pools {
        let idle = metrics.ready_workers - metrics.busy_workers;
        let other = metrics.total_workers - metrics.ready_workers;
        for (state, count) in [
            ("idle", idle),
            ("busy", metrics.busy_workers),
            ("other", other),
        ] {
            page.sample(WORKERS, &[("pool", name(pool)), ("state", state)], count);
        }
    }
    page.family(WAIT, "summary", "How long requests waited that had to");
    for (pool, metrics) in pools {
        let label = [("pool", name(pool))];
        page.sample(&format!("{WAIT}_sum"), &label, metrics.queue_seconds);
        page.sample(&format!("{WAIT}_count"), &label, metrics.queued);
    }
    page.family(ENDED, "counter", "PHP workers that ended, by the reason");
    for (pool, metrics) in pools {
        for (reason, count) in &metrics.ended {
            page.sample(
                ENDED,
                &[("pool", name(pool)), ("reason", reason.name())],
                count,
            );
        }
    }
    families(page, pools, "pool", &OWN);
}

fn families(page: &mut Page, pools: &[(&Pool, PoolMetrics)], label: &str, families: &[Family]) {
    for (family, kind, help, read) in families {
        page.family(family, kind, help);
        for (pool, metrics) in pools {
            page.sample(family, &[(label, name(pool))], read(metrics));
        }
    }
}

fn name(pool: &Pool) -> &str {
    &pool.config().name
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers in this format are doubles"
)]
fn count(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers in this format are doubles"
)]
fn float(number: usize) -> f64 {
    number as f64
}
