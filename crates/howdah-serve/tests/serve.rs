//! A whole server: TLS, HTTP/2, certificates that change, compressed files, and the end.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use howdah_serve::config::{AdminAddress, Listener};
use howdah_serve::log::{Line, Log};
use howdah_serve::tls::Certificates;
use howdah_serve::{Order, Report, ServeConfig, Server};
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// More than the buffers of two sockets hold.
const LARGE: usize = 32 << 20;

struct Running {
    directory: tempfile::TempDir,
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
    orders: mpsc::Sender<Order>,
    report: JoinHandle<Report>,
    lines: mpsc::UnboundedReceiver<Line>,
}

/// A server of some files: plain at its first address, with TLS at its second.
fn start() -> Running {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("public");
    fs_err::create_dir(&root).unwrap();
    fs_err::write(root.join("ten.txt"), "0123456789").unwrap();
    fs_err::write(root.join("text.txt"), "Jumbo. ".repeat(1000)).unwrap();
    fs_err::write(root.join("large"), vec![7; LARGE]).unwrap();
    let mut config = ServeConfig::new(root);
    config.admin = Some(AdminAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    config.certificates = Some(Certificates::Local {
        directory: directory.path().join("authority"),
        names: vec!["localhost".into()],
    });
    let tls = Listener {
        tls: true,
        ..config.listeners[0]
    };
    config.listeners.push(tls);
    let (told, lines) = mpsc::unbounded_channel();
    let log = Log::new(move |line| drop(told.send(line)));
    let server = Server::bind(config, None, log).unwrap();
    let (orders, receiver) = mpsc::channel(1);
    Running {
        directory,
        addresses: server.addresses(),
        admin: match server.admin_address() {
            Some(AdminAddress::Tcp(address)) => address,
            other => panic!("{other:?}"),
        },
        orders,
        report: tokio::spawn(server.run(receiver)),
        lines,
    }
}

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

/// A client that trusts the authority for development, and nobody else.
fn connector(authority: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(authority.join("root.crt")).unwrap();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn http2_over_tls_and_without() {
    let running = start();
    let plain = TcpStream::connect(running.addresses[0]).await.unwrap();
    let response = get_http2(plain, "http://localhost/ten.txt").await;
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(content(response).await, "0123456789");
    let connector = connector(&running.directory.path().join("authority"));
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
