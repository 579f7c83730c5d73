//! Clients that leave at every stage of a request for PHP. Nothing of them stays, and nobody else notices.

use std::net::SocketAddr;

use howdah_serve::log::Log;
use howdah_serve::{Order, ServeConfig, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::case::Case;
use crate::{client, directory, php};

const REQUEST: &[u8] =
    b"POST /echo.php HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789";

/// Sends the beginning of a request and leaves, with a reset if `is_rude`.
async fn leave(address: SocketAddr, sent: &[u8], is_rude: bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    if is_rude {
        stream.set_zero_linger().unwrap();
    }
}

#[tokio::test]
async fn clients_may_leave_at_every_stage() {
    let (_directory, root) = directory(php::site);
    let backend = php::backend(&root).await;
    let config = ServeConfig::new(root);
    let server = Server::bind(config, Some(backend), Log::new(drop)).unwrap();
    let address = server.addresses()[0];
    let (orders, receiver) = mpsc::channel(1);
    let running = tokio::spawn(server.run(receiver));
    for end in 0..=REQUEST.len() {
        leave(address, &REQUEST[..end], end % 2 == 0).await;
    }
    // In the middle of a response, by more clients than there are workers.
    for is_rude in [true, false, true, false] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /endless.php HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).await.unwrap();
        stream.read_exact(&mut vec![0; 100_000]).await.unwrap();
        if is_rude {
            stream.set_zero_linger().unwrap();
        }
    }
    let cases = Case::all(
        "case: those who stay\n\
         send: POST /echo.php HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 2\\r\\n\\r\\nhi\n\
         expect: 200 open\n\
         body: hi",
    );
    for _ in 0..8 {
        client::run(address, &cases[0]).await.unwrap();
    }
    orders.send(Order::Drain).await.unwrap();
    running.await.unwrap();
}
