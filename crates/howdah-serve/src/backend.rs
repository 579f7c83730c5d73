//! What answers the requests for PHP.

use std::sync::Arc;
use std::time::Instant;

use http::Response;

use crate::pool::{PhpBody, PhpError, PhpRequest, Pool, StartError};

/// The PHP of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Backend {
    /// Processes of our own.
    Pool(Pool),
}

impl Backend {
    /// Has PHP answer a request.
    pub async fn handle(&self, request: PhpRequest) -> Result<Response<PhpBody>, PhpError> {
        match self {
            Backend::Pool(pool) => pool.handle(request).await,
        }
    }

    /// The workers behind it.
    pub fn pools(&self) -> &[Pool] {
        match self {
            Backend::Pool(pool) => std::slice::from_ref(pool),
        }
    }

    /// Has PHP read the code anew, without a pause.
    pub async fn reload(&self) -> Result<(), Arc<StartError>> {
        match self {
            Backend::Pool(pool) => pool.reload().await,
        }
    }

    /// Ends PHP, when no more requests come; at `deadline` what is left of it is killed.
    pub async fn stop(&self, deadline: Instant) {
        match self {
            Backend::Pool(pool) => pool.stop(deadline).await,
        }
    }
}
