//! A WebSocket of another server: a real one behind, a real client in front.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use howdah_serve::config::WebSocketRoute;
use howdah_serve::log::Log;
use howdah_serve::{Order, Report, ServeConfig, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

/// What the server behind saw of a connection: the fields of the handshake, and at the end the code of the close.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Forwarded(String),
    Closed(Option<u16>),
}

/// Gives back every text; refuses `/app/refused`.
async fn behind() -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream, seen.clone()));
        }
    });
    (address, receiver)
}

#[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
async fn echo(stream: TcpStream, seen: mpsc::UnboundedSender<Seen>) {
    let told = seen.clone();
    let handshake = move |request: &Request, response: Response| {
        if request.uri().path() == "/app/refused" {
            let mut refusal = ErrorResponse::new(Some("not you".into()));
            *refusal.status_mut() = http::StatusCode::FORBIDDEN;
            return Err(refusal);
        }
        let forwarded = request.headers()["x-forwarded-for"].to_str().unwrap();
        told.send(Seen::Forwarded(forwarded.into())).unwrap();
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, handshake).await else {
        return;
    };
    let mut code = None;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(_) => socket.send(message).await.unwrap(),
            Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
            _ => {}
        }
    }
    seen.send(Seen::Closed(code)).unwrap();
}

struct Running {
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
    report: JoinHandle<Report>,
}

fn start(upstream: SocketAddr, idle: Option<Duration>) -> Running {
    let mut config = ServeConfig::new(std::env::temp_dir());
    config.websockets = vec![WebSocketRoute {
        path: "/app".into(),
        upstream: upstream.to_string(),
    }];
    config.timeouts.websocket = idle.unwrap_or(config.timeouts.websocket);
    let server = Server::bind(config, None, Log::new(drop)).unwrap();
    let address = server.addresses()[0];
    let (orders, receiver) = mpsc::channel(1);
    Running {
        address,
        orders,
        report: tokio::spawn(server.run(receiver)),
    }
}

async fn connect(running: &Running, path: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(running.address).await.unwrap();
    let url = format!("ws://localhost{path}");
    Ok(client_async(url, stream).await?.0)
}

fn status(error: Error) -> u16 {
    match error {
        Error::Http(response) => response.status().as_u16(),
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn both_sides_hear_each_other() {
    let (upstream, mut seen) = behind().await;
    let running = start(upstream, None);
    let mut socket = connect(&running, "/app/key?protocol=7").await.unwrap();
    assert_eq!(seen.recv().await, Some(Seen::Forwarded("127.0.0.1".into())));
    for text in ["hello".to_owned(), "x".repeat(1 << 20)] {
        socket.send(Message::text(&text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    let close = CloseFrame {
        code: 4000.into(),
        reason: "enough".into(),
    };
    socket.close(Some(close)).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(seen.recv().await, Some(Seen::Closed(Some(4000))));
}

#[tokio::test]
async fn who_is_not_let_in_is_told() {
    let (upstream, _seen) = behind().await;
    let running = start(upstream, None);
    // What the server behind says.
    assert_eq!(
        status(connect(&running, "/app/refused").await.unwrap_err()),
        403
    );
    // Another path is none of its own.
    assert_eq!(status(connect(&running, "/other").await.unwrap_err()), 404);
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let running = start(address, None);
    assert_eq!(status(connect(&running, "/app").await.unwrap_err()), 502);
}

#[tokio::test]
async fn the_end_is_told_to_both_sides() {
    let (upstream, mut seen) = behind().await;
    let running = start(upstream, None);
    let mut socket = connect(&running, "/app").await.unwrap();
    seen.recv().await;
    running.orders.send(Order::Drain).await.unwrap();
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else {
        panic!("no close");
    };
    assert_eq!(u16::from(frame.code), 1001);
    // The client answers when it is asked for more.
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(seen.recv().await, Some(Seen::Closed(Some(1001))));
    assert_eq!(running.report.await.unwrap().lost(), 0);
}

#[tokio::test]
async fn nobody_is_kept_who_says_nothing() {
    let (upstream, mut seen) = behind().await;
    let running = start(upstream, Some(Duration::from_millis(300)));
    let mut socket = connect(&running, "/app").await.unwrap();
    seen.recv().await;
    assert!(!matches!(socket.next().await, Some(Ok(_))));
    assert_eq!(seen.recv().await, Some(Seen::Closed(None)));
}
