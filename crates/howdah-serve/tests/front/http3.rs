//! HTTP/3 with a client of the same crates: requests, limits, certificates that change, and the end.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use howdah_serve::Order;
use http::{Method, Request, Response};
use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::running::{LARGE, Running, start};

/// A connection, and the task that drives it.
async fn connect(
    running: &Running,
) -> (
    quinn::Connection,
    SendRequest<OpenStreams, Bytes>,
    JoinHandle<()>,
) {
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let tls = QuicClientConfig::try_from(running.client("h3")).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let connecting = endpoint.connect(running.datagrams, "localhost").unwrap();
    let connection = connecting.await.unwrap();
    let quic = h3_quinn::Connection::new(connection.clone());
    let (mut driver, requests) = h3::client::new(quic).await.unwrap();
    let driver = tokio::spawn(async move {
        driver.wait_idle().await;
    });
    (connection, requests, driver)
}

async fn ask(
    requests: &mut SendRequest<OpenStreams, Bytes>,
    request: Request<()>,
    body: &[u8],
) -> (Response<()>, Bytes) {
    let mut stream = requests.send_request(request).await.unwrap();
    // A server that has seen enough need not take it all.
    stream.send_data(Bytes::copy_from_slice(body)).await.ok();
    stream.finish().await.ok();
    let response = stream.recv_response().await.unwrap();
    let mut content = BytesMut::new();
    while let Some(mut data) = stream.recv_data().await.unwrap() {
        content.extend(data.copy_to_bytes(data.remaining()));
    }
    (response, content.freeze())
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://localhost{path}"))
        .body(())
        .unwrap()
}

#[tokio::test]
async fn requests_over_quic() {
    let running = start();
    let (_connection, mut requests, _driver) = connect(&running).await;
    let (response, content) = ask(&mut requests, get("/ten.txt"), b"").await;
    assert_eq!(
        (response.status().as_u16(), &content[..]),
        (200, &b"0123456789"[..])
    );
    let mut part = get("/ten.txt");
    part.headers_mut()
        .insert("range", "bytes=0-1".parse().unwrap());
    assert_eq!(ask(&mut requests, part, b"").await.1, "01");
    assert_eq!(
        ask(&mut requests, get("/%2e%2e/x"), b"").await.0.status(),
        400
    );
    assert_eq!(ask(&mut requests, get("/none"), b"").await.0.status(), 404);
    let (response, content) = ask(&mut requests, get("/large"), b"").await;
    assert_eq!(response.headers()["content-length"], LARGE.to_string());
    assert_eq!(content.len(), LARGE);
    let mut head = get("/ten.txt");
    *head.method_mut() = Method::HEAD;
    let (response, content) = ask(&mut requests, head, b"").await;
    assert_eq!(response.headers()["content-length"], "10");
    assert!(response.headers().contains_key("date"));
    assert!(content.is_empty());
}

#[tokio::test]
async fn limits_hold_over_quic() {
    let running = start();
    let (_connection, mut requests, _driver) = connect(&running).await;
    let post = |length: &str| {
        let mut request = get("/ten.txt");
        *request.method_mut() = Method::POST;
        request
            .headers_mut()
            .insert("content-length", length.parse().unwrap());
        request
    };
    assert_eq!(
        ask(&mut requests, post("1001"), &[7; 1001])
            .await
            .0
            .status(),
        413
    );
    let mut unsaid = post("0");
    unsaid.headers_mut().remove("content-length");
    assert_eq!(ask(&mut requests, unsaid, &[7; 1001]).await.0.status(), 413);
    // A body must be as long as it says (RFC 9114 section 4.1.2).
    assert_eq!(ask(&mut requests, post("5"), b"hi").await.0.status(), 400);
    assert_eq!(ask(&mut requests, post("1"), b"hi").await.0.status(), 400);
    assert_eq!(ask(&mut requests, post("2"), b"hi").await.0.status(), 405);
    let mut many = get("/ten.txt");
    for number in 0..101 {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        many.headers_mut().insert(name, "1".parse().unwrap());
    }
    assert_eq!(ask(&mut requests, many, b"").await.0.status(), 431);
    let mut other_host = get("/ten.txt");
    other_host
        .headers_mut()
        .insert("host", "other".parse().unwrap());
    let stream = requests.send_request(other_host).await;
    // h3's own client or server may refuse it before we do.
    if let Ok(mut stream) = stream
        && stream.finish().await.is_ok()
        && let Ok(response) = stream.recv_response().await
    {
        assert_eq!(response.status(), 400);
    }
}

#[tokio::test]
async fn new_certificates_are_for_new_connections() {
    let running = start();
    let certificate = |connection: &quinn::Connection| {
        let identity = connection.peer_identity().unwrap();
        let chain = identity.downcast::<Vec<CertificateDer<'static>>>().unwrap();
        chain[0].clone()
    };
    let (connection, mut requests, _driver) = connect(&running).await;
    let before = certificate(&connection);
    running.orders.send(Order::Reload).await.unwrap();
    // The order may be carried out a little later.
    while certificate(&connect(&running).await.0) == before {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        ask(&mut requests, get("/ten.txt"), b"").await.1,
        "0123456789"
    );
}

#[tokio::test]
async fn what_is_in_flight_over_quic_finishes() {
    let running = start();
    let (connection, mut requests, driver) = connect(&running).await;
    let mut stream = requests.send_request(get("/large")).await.unwrap();
    stream.finish().await.unwrap();
    stream.recv_response().await.unwrap();
    running.orders.send(Order::Drain).await.unwrap();
    let mut length = 0;
    while let Some(data) = stream.recv_data().await.unwrap() {
        length += data.remaining();
    }
    assert_eq!(length, LARGE);
    drop((stream, requests));
    // The server says that it goes away; the client does not wait to be thrown out.
    driver.await.unwrap();
    connection.close(0_u32.into(), b"");
    assert_eq!(running.report.await.unwrap().lost(), 0);
}
