//! What answers the requests for PHP.

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
}

impl Backend {
    /// Has PHP answer a request.
    pub async fn handle(&self, request: PhpRequest) -> Result<Response<PhpBody>, PhpError> {
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
            Backend::Routes(routes) => routes.all().flat_map(Backend::pools).collect(),
            Backend::FastCgi(_) => Vec::new(),
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
        }
    }

    /// Ends PHP, when no more requests come; at `deadline` what is left of it is killed.
    pub async fn stop(&self, deadline: Instant) {
        let pools = self.pools().into_iter().cloned();
        let stops = pools.map(|pool| async move { pool.stop(deadline).await });
        stops.collect::<JoinSet<()>>().join_all().await;
    }
}
