//! A server of some files, and what its clients trust.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use howdah_serve::config::{AdminAddress, Listener};
use howdah_serve::log::{Line, Log};
use howdah_serve::tls::Certificates;
use howdah_serve::{Order, Report, ServeConfig, Server};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The length of `/large`: more than the buffers of two sockets hold.
pub(crate) const LARGE: usize = 32 << 20;
/// More is too much of a request's body.
const MOST: u64 = 1000;

pub(crate) struct Running {
    directory: tempfile::TempDir,
    /// Plain and with TLS.
    pub(crate) addresses: [SocketAddr; 2],
    /// Of HTTP/3.
    pub(crate) datagrams: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) report: JoinHandle<Report>,
    pub(crate) lines: mpsc::UnboundedReceiver<Line>,
}

pub(crate) fn start() -> Running {
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
    config.http3 = true;
    config.limits.body_bytes = MOST;
    let (told, lines) = mpsc::unbounded_channel();
    let log = Log::new(move |line| drop(told.send(line)));
    let server = Server::bind(config, None, log).unwrap();
    let (orders, receiver) = mpsc::channel(1);
    Running {
        directory,
        addresses: server.addresses().try_into().unwrap(),
        datagrams: server.http3_addresses()[0],
        admin: match server.admin_address() {
            Some(AdminAddress::Tcp(address)) => address,
            other => panic!("{other:?}"),
        },
        orders,
        report: tokio::spawn(server.run(receiver)),
        lines,
    }
}

impl Running {
    /// A client that trusts the authority for development, and nobody else.
    pub(crate) fn client(&self, protocol: &str) -> ClientConfig {
        let root = self.directory.path().join("authority/root.crt");
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(root).unwrap();
        roots.add(root).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        config
    }
}
