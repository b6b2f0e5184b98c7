//! Descriptors of sockets: in a process of its own, because those of the whole process are counted.
#![cfg(not(feature = "simulation"))]
#![expect(clippy::unwrap_used, reason = "tests may fail this way")]

use std::{net::SocketAddr, time::Duration};

use runtime::net::{Listener, connect};

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Given accepted connections, when they are dropped, also while a read waits, then their descriptors are closed
/// and the peer sees the end; and an accept that was given up loses no connection.
#[test]
fn dropped_connections_are_closed() {
    runtime::run_single(|| async {
        let listener = Listener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let given_up = runtime::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(given_up.is_err());
        // The first connection takes what stays for good.
        drop((connect(address).await.unwrap(), listener.accept().await.unwrap()));
        runtime::sleep(Duration::from_millis(20)).await;
        let before = open_descriptors();
        for _ in 0..50 {
            let client = connect(address).await.unwrap();
            let server = listener.accept().await.unwrap();
            assert_eq!(server.peer_address().ip(), address.ip());
            let (mut server_read, server_write) = server.split();
            let mut buffer = [0; 10];
            let waiting =
                runtime::timeout(Duration::from_millis(1), server_read.read(&mut buffer)).await;
            assert!(waiting.is_err());
            drop((server_read, server_write));
            let (mut read, _write) = client.split();
            assert_eq!(read.read(&mut [0; 10]).await.unwrap(), 0);
        }
        runtime::sleep(Duration::from_millis(20)).await;
        assert!(
            open_descriptors() <= before,
            "{} descriptors, {before} before",
            open_descriptors()
        );
    })
    .unwrap();
}
