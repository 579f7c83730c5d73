//! HTTP to the authority by reqwest, which resolves names without the system's library (decision 0001).

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio_rustls::rustls::crypto::ring;

use super::AcmeError;

const PATIENCE: Duration = Duration::from_secs(30);

/// A client that also trusts the authorities in `authority`.
pub(super) fn client(authority: Option<&Path>) -> Result<Box<dyn HttpClient>, AcmeError> {
    // Whoever came first chose the same one.
    drop(ring::default_provider().install_default());
    let mut builder = reqwest::Client::builder().timeout(PATIENCE);
    if let Some(path) = authority {
        let fault = |source: Box<dyn std::error::Error + Send + Sync>| AcmeError::Authority {
            path: path.to_owned(),
            source,
        };
        let pem = fs_err::read(path).map_err(|error| fault(error.into()))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fault(error.into()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    let client = builder.build().map_err(|error| AcmeError::Protocol {
        what: "get a connection",
        source: Error::Other(error.into()),
    })?;
    Ok(Box::new(Client(client)))
}

struct Client(reqwest::Client);

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, body.to_bytes());
            let request = reqwest::Request::try_from(request).map_err(other)?;
            let response = client.execute(request).await.map_err(other)?;
            Ok(Response::<reqwest::Body>::from(response).into())
        })
    }
}

fn other(error: reqwest::Error) -> Error {
    Error::Other(error.into())
}
