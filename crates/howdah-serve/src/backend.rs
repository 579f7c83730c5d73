//! What answers the requests for PHP.

use std::path::Path;
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
    /// A PHP-FPM server.
    FastCgi(FastCgi),
    /// Several of these.
    Routes(Arc<Routes>),
}

impl Backend {
    /// Has PHP answer a request.
    pub async fn handle(&self, request: Box<PhpRequest>) -> Result<Response<PhpBody>, PhpError> {
        match self {
            Backend::Pool(pool) => pool.handle(request).await,
            Backend::FastCgi(server) => server.handle(request).await,
            // Boxed, because it may have routes again.
            Backend::Routes(routes) => Box::pin(routes.of(&request).handle(request)).await,
        }
    }

    /// The workers behind it; those of PHP-FPM are not ours.
    pub fn pools(&self) -> Vec<&Pool> {
        match self {
            Backend::Pool(pool) => vec![pool],
            Backend::FastCgi(_) => Vec::new(),
            Backend::Routes(routes) => routes.all().flat_map(Backend::pools).collect(),
        }
    }

    /// Has PHP read the code anew, without a pause. Of several all are tried, and the first fault is told. PHP-FPM reads the
    /// code by itself, or is told so itself.
    pub async fn reload(&self) -> Result<(), Arc<StartError>> {
        let mut result = Ok(());
        for pool in self.pools() {
            result = result.and(pool.reload().await);
        }
        result
    }

    /// Ends PHP, when no more requests come; at `deadline` what is left of it is killed.
    pub async fn stop(&self, deadline: Instant) {
        let pools = self.pools().into_iter().cloned();
        let stops = pools.map(|pool| async move { pool.stop(deadline).await });
        stops.collect::<JoinSet<()>>().join_all().await;
    }

    /// The one of several that answers a request.
    pub(crate) fn of(&self, request: &PhpRequest) -> &Backend {
        match self {
            Backend::Pool(_) | Backend::FastCgi(_) => self,
            Backend::Routes(routes) => routes.of(request).of(request),
        }
    }

    /// Are there workers that a slow request could have to itself, without others having to wait? Nobody knows it of PHP-FPM.
    pub(crate) fn has_many_idle(&self) -> bool {
        let Backend::Pool(pool) = self else {
            return false;
        };
        let workers = pool.workers();
        let idle = workers.iter().filter(|worker| worker.state == "idle");
        let idle = idle.count();
        idle > 1 && idle * 2 > workers.len()
    }

    /// The place of the route whose worker script this file is.
    pub(crate) fn route_of(&self, file: &Path) -> Option<usize> {
        let is_meant = |backend: &Backend| backend.worker_script() == Some(file);
        self.routes()?.behind().position(is_meant)
    }

    /// The worker script of the route at this place.
    pub(crate) fn script_of(&self, route: usize) -> Option<&Path> {
        self.routes()?.behind().nth(route)?.worker_script()
    }

    fn routes(&self) -> Option<&Routes> {
        match self {
            Backend::Routes(routes) => Some(routes),
            Backend::Pool(_) | Backend::FastCgi(_) => None,
        }
    }

    fn worker_script(&self) -> Option<&Path> {
        match self {
            Backend::Pool(pool) => pool.config().script.as_ref()?.file(),
            Backend::FastCgi(_) | Backend::Routes(_) => None,
        }
    }
}
