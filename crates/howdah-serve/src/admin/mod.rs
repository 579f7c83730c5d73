//! What the surroundings ask of a server, and may tell it: is it alive, should it get requests, its counts, what its workers
//! do; read everything anew, come to an end. On a listener of its own, never on those of the clients.

mod caddy;
mod listener;
mod metrics;
mod status;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::handler::Handler;
use crate::http::{Body, response};
use crate::server::Operator;
pub(crate) use listener::AdminListener;
pub use status::{PoolStatus, ServerStatus};

/// After a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(50);
/// The text format of Prometheus.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers until everything else has ended: health is asked for until the very end.
pub(crate) async fn serve(listener: Arc<AdminListener>, operator: Arc<Operator>) {
    let mut connections = JoinSet::new();
    let ended = operator.wait_for_end();
    tokio::pin!(ended);
    loop {
        while connections.try_join_next().is_some() {}
        tokio::select! {
            () = &mut ended => break,
            () = accept(&listener, &operator, &mut connections) => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Takes the next connection.
async fn accept(listener: &AdminListener, operator: &Arc<Operator>, connections: &mut JoinSet<()>) {
    let operator = Arc::clone(operator);
    let accepted = match listener {
        AdminListener::Tcp(listener) => {
            let accepted = listener.accept().await;
            accepted.map(|(stream, _)| connections.spawn(connection(stream, operator)))
        }
        AdminListener::Unix(socket) => {
            let accepted = socket.listener.accept().await;
            accepted.map(|(stream, _)| connections.spawn(connection(stream, operator)))
        }
    };
    if accepted.is_err() {
        // Without descriptors the connection stays where it is; asking again at once would only burn the processor.
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connection<S>(stream: S, operator: Arc<Operator>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let asked = Arc::clone(&operator);
    let service = service_fn(move |request: Request<Incoming>| {
        let operator = asked.current();
        async move { Ok::<_, Infallible>(answer(request, &operator).await) }
    });
    // What ends the connection is the other side's affair.
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        served = &mut serving => drop(served),
        // A connection that was taken while another server took the place of this one is one of that server's, too.
        () = operator.wait_for_last_end() => {
            serving.as_mut().graceful_shutdown();
            serving.await.ok();
        }
    }
}

async fn answer(request: Request<Incoming>, operator: &Operator) -> Response<Body> {
    let request = match &operator.handler.config.caddy {
        None => request,
        Some(api) => match caddy::answer(request, api, operator).await {
            Ok(answer) => return answer,
            Err(request) => request,
        },
    };
    let path = request.uri().path();
    match path {
        "/reload" | "/drain" => {
            if request.method() != Method::POST {
                return not_allowed("POST");
            }
            // A browser says so when a page of somebody else sends this.
            if request.headers().contains_key(ORIGIN) {
                return response::plain(StatusCode::FORBIDDEN);
            }
            command(path, operator).await
        }
        _ if request.method() != Method::GET && request.method() != Method::HEAD => {
            not_allowed("GET, HEAD")
        }
        _ => told(path, operator),
    }
}

/// Does what it is told, and answers when that is done; a drain is only begun.
async fn command(path: &str, operator: &Operator) -> Response<Body> {
    if path == "/drain" {
        operator.drain();
        return response::plain(StatusCode::ACCEPTED);
    }
    match operator.reload().await {
        Ok(()) => Response::new(Body::from("reloaded\n")),
        Err(reason) => {
            let mut response = Response::new(Body::from(format!("{reason}\n")));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

fn told(path: &str, operator: &Operator) -> Response<Body> {
    match path {
        "/livez" => response::plain(StatusCode::OK),
        "/readyz" if operator.handler.activity.is_ready() => response::plain(StatusCode::OK),
        "/readyz" => response::plain(StatusCode::SERVICE_UNAVAILABLE),
        "/metrics" => metrics_page(&operator.handler),
        "/status" => match serde_json::to_string_pretty(&status::of(operator)) {
            Ok(text) => of_type(JSON, text + "\n"),
            Err(_) => response::plain(StatusCode::INTERNAL_SERVER_ERROR),
        },
        _ => response::plain(StatusCode::NOT_FOUND),
    }
}

/// What is at `/metrics`.
pub(crate) fn metrics_page(handler: &Handler) -> Response<Body> {
    of_type(METRICS, metrics::page(handler))
}

fn of_type(content_type: HeaderValue, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = response::plain(StatusCode::METHOD_NOT_ALLOWED);
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(ALLOW, allowed);
    response
}
