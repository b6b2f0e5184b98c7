//! The door as an HTTP client meets it, over a real socket.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{AdminConfig, AdminServer, BadDirectives, Build, LogLevels, serve};

/// Takes every directive but `nonsense`.
struct AnyLevels(Mutex<String>);

impl LogLevels for AnyLevels {
    fn directives(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set_directives(&self, directives: &str) -> Result<(), BadDirectives> {
        if directives == "nonsense" {
            let reason = "nonsense".to_owned();
            return Err(BadDirectives { directives: directives.to_owned(), reason });
        }
        *self.0.lock().unwrap() = directives.to_owned();
        Ok(())
    }
}

async fn start() -> AdminServer {
    let config = AdminConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        build: Build { version: "1.2.3", commit: Some("abc") },
        log: Arc::new(AnyLevels(Mutex::new("info".to_owned()))),
    };
    serve(config).await.unwrap()
}

/// Status and body.
async fn ask(server: &AdminServer, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(server.local_address()).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn before_recovery_is_done_it_lives_but_is_not_ready_and_says_why() {
    let server = start().await;
    assert_eq!(ask(&server, "GET", "/livez", "").await, (200, "alive\n".to_owned()));
    let (status, why) = ask(&server, "GET", "/readyz", "").await;
    assert_eq!(status, 503);
    assert!(why.contains("recovering"), "{why}");

    server.note_stopping();
    let (status, why) = ask(&server, "GET", "/readyz", "").await;
    assert_eq!(status, 503);
    assert!(why.contains("stopping"), "{why}");
}

#[tokio::test]
async fn the_version_is_json() {
    let server = start().await;
    let (status, body) = ask(&server, "GET", "/version", "").await;
    assert_eq!(status, 200);
    let version: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(version["version"], "1.2.3");
    assert_eq!(version["commit"], "abc");
}

#[tokio::test]
async fn the_log_level_is_shown_changed_and_kept_when_the_new_one_is_nonsense() {
    let server = start().await;
    assert_eq!(ask(&server, "GET", "/log-level", "").await, (200, "info\n".to_owned()));
    let changed = ask(&server, "PUT", "/log-level", "warn,kafka=debug\n").await;
    assert_eq!(changed, (200, "warn,kafka=debug\n".to_owned()));
    let (status, why) = ask(&server, "PUT", "/log-level", "nonsense").await;
    assert_eq!(status, 400);
    assert!(why.contains("nonsense"), "{why}");
    let shown = ask(&server, "GET", "/log-level", "").await;
    assert_eq!(shown, (200, "warn,kafka=debug\n".to_owned()));
    let (status, _) = ask(&server, "PUT", "/log-level", &"x".repeat(5000)).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_wrong_method_405() {
    let server = start().await;
    assert_eq!(ask(&server, "GET", "/secrets", "").await.0, 404);
    assert_eq!(ask(&server, "POST", "/readyz", "").await.0, 405);
    assert_eq!(ask(&server, "DELETE", "/log-level", "").await.0, 405);
    let (status, body) = ask(&server, "HEAD", "/livez", "").await;
    assert_eq!((status, body.as_str()), (200, ""));
}

#[tokio::test]
async fn it_closes_when_it_is_stopped() {
    let server = start().await;
    let address = server.local_address();
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn before_recovery_is_done_metrics_tell_of_the_process() {
    let server = start().await;
    let (status, page) = ask(&server, "GET", "/metrics", "").await;
    assert_eq!(status, 200);
    for line in [
        "thalweg_serving 0",
        "thalweg_build_info{version=\"1.2.3\",commit=\"abc\"} 1",
        "# TYPE process_resident_memory_bytes gauge",
    ] {
        assert!(page.lines().any(|one| one == line), "{line}:\n{page}");
    }
}
