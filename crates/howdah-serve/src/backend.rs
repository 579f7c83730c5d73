//! What answers the requests for PHP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use http::Response;
use tokio::task::JoinSet;

use crate::fastcgi::FastCgi;
use crate::pool::{PhpBody, PhpError, PhpRequest, Pool, StartError};
use crate::routes::Routes;

/// The PHP of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Backend {
    /// Processes of our own.
    Pool(Pool),
    /// Several of these, by the paths of requests.
    Routes(Arc<Routes>),
    /// A PHP-FPM server.
    FastCgi(FastCgi),
    /// Several worker scripts, and a pool for all other scripts.
    Several(Arc<Pools>),
}

impl Backend {
    /// Has PHP answer a request.
    pub async fn handle(&self, request: PhpRequest) -> Result<Response<PhpBody>, PhpError> {
        match self {
            Backend::Pool(pool) => pool.handle(request).await,
            Backend::FastCgi(server) => server.handle(request).await,
            // Boxed, because it may have routes again.
            Backend::Routes(routes) => Box::pin(routes.of(&request).handle(request)).await,
            Backend::Several(pools) => pools.of(&request).handle(request).await,
        }
    }

    /// The workers behind it; those of PHP-FPM are not ours.
    pub fn pools(&self) -> Vec<&Pool> {
        match self {
            Backend::Pool(pool) => vec![pool],
            Backend::Routes(routes) => routes.all().flat_map(Backend::pools).collect(),
            Backend::FastCgi(_) => Vec::new(),
            Backend::Several(pools) => pools.0.iter().collect(),
        }
    }

    /// Has PHP read the code anew, without a pause. Of several all are tried, and the first fault is told.
    pub async fn reload(&self) -> Result<(), Arc<StartError>> {
        match self {
            Backend::Pool(pool) => pool.reload().await,
            // PHP-FPM reads the code by itself, or is told so itself.
            Backend::FastCgi(_) => Ok(()),
            Backend::Routes(routes) => {
                let mut result = Ok(());
                for backend in routes.all() {
                    result = result.and(Box::pin(backend.reload()).await);
                }
                result
            }
            Backend::Several(pools) => {
                let mut result = Ok(());
                for pool in &pools.0 {
                    result = result.and(pool.reload().await);
                }
                result
            }
        }
    }

    /// Ends PHP, when no more requests come; at `deadline` what is left of it is killed.
    pub async fn stop(&self, deadline: Instant) {
        let pools = self.pools().into_iter().cloned();
        let stops = pools.map(|pool| async move { pool.stop(deadline).await });
        stops.collect::<JoinSet<()>>().join_all().await;
    }

    /// The worker script that this file is, by its place.
    pub(crate) fn worker_of(&self, file: &Path) -> Option<usize> {
        match self {
            Backend::Pool(_) | Backend::Routes(_) | Backend::FastCgi(_) => None,
            Backend::Several(pools) => {
                let mut scripts = pools.0.iter().map(worker_file);
                scripts.position(|script| script == Some(file))
            }
        }
    }

    /// The file of a worker script.
    pub(crate) fn worker_script(&self, index: usize) -> Option<PathBuf> {
        match self {
            Backend::Pool(_) | Backend::Routes(_) | Backend::FastCgi(_) => None,
            Backend::Several(pools) => worker_file(pools.0.get(index)?).map(Path::to_path_buf),
        }
    }
}

fn worker_file(pool: &Pool) -> Option<&Path> {
    pool.config().script.as_ref()?.file()
}

/// Pools side by side: those of worker scripts, and at last the one for every other script.
#[derive(Debug)]
pub struct Pools(Vec<Pool>);

impl Pools {
    /// `workers`: of worker scripts; `scripts`: for every other script.
    pub fn new(mut workers: Vec<Pool>, scripts: Pool) -> Pools {
        workers.push(scripts);
        Pools(workers)
    }

    fn of(&self, request: &PhpRequest) -> &Pool {
        let worker = request.routed.as_ref().and_then(|routed| routed.worker);
        let last = self.0.len() - 1;
        worker
            .and_then(|index| self.0.get(index))
            .unwrap_or(&self.0[last])
    }
}
