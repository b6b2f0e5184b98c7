//! The door with TLS, for clients of both kinds of HTTP, and for those that speak none.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use hyper::{Request, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{
    AwsLimits, AwsSecurity, AwsServer, AwsTls, TlsSource,
    http_tests::{Parrot, config, limits},
    server::open,
};

const SOON: Duration = Duration::from_secs(60);

async fn start(directory: &Path) -> AwsServer {
    let limits = AwsLimits { head_timeout: SOON, body_timeout: SOON, ..limits() };
    start_with(directory, limits).await
}

async fn start_with(directory: &Path, limits: AwsLimits) -> AwsServer {
    let source =
        TlsSource::SelfSigned { directory: directory.to_owned(), names: vec!["a.name".into()] };
    let tls = AwsTls { listen: SocketAddr::from(([127, 0, 0, 1], 0)), source };
    let security = AwsSecurity { tls: Some(tls), credentials: None };
    open(Parrot::default(), config(limits), security).await.unwrap()
}

async fn connect(
    server: &AwsServer,
    directory: &Path,
    name: &'static str,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(directory.join("certificate.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(server.tls_address().unwrap()).await.unwrap();
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_speaks_what_it_agreed_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;

    let mut socket = connect(&server, folder.path(), "localhost", b"http/1.1").await.unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let text = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Amz-Target: Parrot_1.Echo\r\n\
                Content-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n{}";
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    assert!(reply.ends_with("us-east-1 {}"), "{reply}");

    for name in ["127.0.0.1", "a.name"] {
        let socket = connect(&server, folder.path(), name, b"h2").await.unwrap();
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(async move { connection.await.ok() });
        let request = Request::post("https://h/")
            .header("x-amz-target", "Parrot_1.Echo")
            .header("content-type", "application/x-amz-json-1.1")
            .body(())
            .unwrap();
        let mut client = client.ready().await.unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        assert_eq!(timeout(SOON, response).await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_certificate_is_good_for_its_names_alone_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    assert!(connect(&server, folder.path(), "b.name", b"h2").await.is_err());
    server.stop().await;
    // What clients were told to trust stays good.
    let certificate = std::fs::read(folder.path().join("certificate.pem")).unwrap();
    let server = start(folder.path()).await;
    assert_eq!(std::fs::read(folder.path().join("certificate.pem")).unwrap(), certificate);
    connect(&server, folder.path(), "localhost", b"h2").await.unwrap();
}

#[tokio::test]
async fn who_speaks_no_tls_or_nothing_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = start_with(folder.path(), limits()).await;
    for text in [&b"POST / HTTP/1.1\r\nHost: h\r\n\r\n"[..], b"", b"\x16\x03\x01\x02\x00\x01"] {
        let mut socket = TcpStream::connect(server.tls_address().unwrap()).await.unwrap();
        socket.write_all(text).await.unwrap();
        let mut reply = Vec::new();
        timeout(SOON, socket.read_to_end(&mut reply)).await.expect("it was left open").ok();
    }
}
