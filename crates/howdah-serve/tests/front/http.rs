//! TLS, HTTP/2, certificates that change, compressed files, and the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use howdah_serve::Order;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::running::{LARGE, start};

fn request(path: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::get(path).header("host", "localhost");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

async fn get(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Response<Incoming> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request(path, fields)).await.unwrap()
}

async fn get_http2<S>(stream: S, uri: &str) -> Response<Incoming>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let executor = TokioExecutor::new();
    let handshake = http2::handshake(executor, TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    sender.send_request(request).await.unwrap()
}

async fn content(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Between two looks whether something has happened.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[tokio::test]
async fn http2_over_tls_and_without() {
    let running = start();
    let plain = TcpStream::connect(running.addresses[0]).await.unwrap();
    let response = get_http2(plain, "http://localhost/ten.txt").await;
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(content(response).await, "0123456789");
    let connector = TlsConnector::from(Arc::new(running.client("h2")));
    let name = ServerName::try_from("localhost").unwrap();
    let mut certificates = Vec::new();
    for order in [None, Some(Order::Reload)] {
        if let Some(order) = order {
            running.orders.send(order).await.unwrap();
        }
        // The order may be carried out a little later.
        loop {
            pause().await;
            let stream = TcpStream::connect(running.addresses[1]).await.unwrap();
            let stream = connector.connect(name.clone(), stream).await.unwrap();
            let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
            let response = get_http2(stream, "https://localhost/ten.txt").await;
            assert_eq!(content(response).await, "0123456789");
            if !certificates.contains(&certificate) {
                certificates.push(certificate);
                break;
            }
        }
    }
}

#[tokio::test]
async fn files_are_compressed_for_those_who_take_it() {
    let running = start();
    let address = running.addresses[0];
    for (coding, most) in [("br", 100), ("zstd", 100), ("gzip", 200)] {
        let response = get(address, "/text.txt", &[("accept-encoding", coding)]).await;
        assert_eq!(response.headers()["content-encoding"], coding);
        assert_eq!(response.headers()["vary"], "Accept-Encoding");
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        assert!(content(response).await.len() < most, "{coding}");
        let fields = [("accept-encoding", coding), ("if-none-match", &etag)];
        assert_eq!(get(address, "/text.txt", &fields).await.status(), 304);
        let other = [("if-none-match", etag.as_str())];
        assert_eq!(get(address, "/text.txt", &other).await.status(), 200);
    }
}

#[tokio::test]
async fn what_is_in_flight_finishes() {
    let mut running = start();
    let address = running.addresses[0];
    assert_eq!(get(running.admin, "/readyz", &[]).await.status(), 200);
    let response = get(address, "/large", &[]).await;
    running.orders.send(Order::Drain).await.unwrap();
    while get(running.admin, "/readyz", &[]).await.status() == 200 {
        pause().await;
    }
    assert_eq!(get(running.admin, "/livez", &[]).await.status(), 200);
    while TcpStream::connect(address).await.is_ok() {
        pause().await;
    }
    assert!(!running.report.is_finished());
    assert_eq!(content(response).await.len(), LARGE);
    let report = running.report.await.unwrap();
    assert_eq!(
        (report.in_flight, report.finished, report.lost()),
        (1, 1, 0)
    );
    let mut told = Vec::new();
    while let Some(line) = running.lines.recv().await {
        told.push(line);
    }
    let line = told.iter().find(|line| line.message == "handled request");
    let fields = &line.unwrap().fields;
    assert_eq!(fields["request"]["uri"], "/large");
    assert_eq!(fields["size"], LARGE);
    assert_eq!(fields["status"], 200);
}
