//! What the surroundings ask of a server: is it alive, should it get requests, and its counts. On a listener of its own.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::handler::Handler;
use crate::http::{Body, response};

/// Answers until it is dropped: health is asked for until the very end.
pub(crate) async fn serve(listener: TcpListener, handler: Arc<Handler>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let handler = Arc::clone(&handler);
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = answer(&request, &handler);
                async move { Ok::<_, Infallible>(response) }
            });
            // What ends the connection is the other side's affair.
            http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

fn answer(request: &Request<Incoming>, handler: &Handler) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return response::plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    match request.uri().path() {
        "/livez" => response::plain(StatusCode::OK),
        "/readyz" if handler.activity.is_ready() => response::plain(StatusCode::OK),
        "/readyz" => response::plain(StatusCode::SERVICE_UNAVAILABLE),
        "/metrics" => metrics(handler),
        _ => response::plain(StatusCode::NOT_FOUND),
    }
}

/// In the text format of Prometheus.
fn metrics(handler: &Handler) -> Response<Body> {
    let mut text = String::from(
        "# HELP howdah_http_responses_total Responses by the first digit of their status.\n\
         # TYPE howdah_http_responses_total counter\n",
    );
    for (class, count) in handler.activity.statuses() {
        // A String takes everything.
        writeln!(
            text,
            "howdah_http_responses_total{{class=\"{class}xx\"}} {count}"
        )
        .ok();
    }
    let active = handler.activity.active();
    write!(
        text,
        "# HELP howdah_http_requests_in_flight Requests that are answered at the moment.\n\
         # TYPE howdah_http_requests_in_flight gauge\n\
         howdah_http_requests_in_flight {active}\n"
    )
    .ok();
    let mut response = Response::new(Body::from(text));
    let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}
