//! Sockets, as `kafka` uses them.
#![cfg(not(feature = "simulation"))]

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use runtime::net::{Listener, connect};

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Given a listener, when a client sends and finishes, then the other side reads it all, then the end; and can
/// still answer.
#[test]
fn both_directions_work_and_end_apart() {
    runtime::run_single(|| async {
        let listener = Listener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = runtime::spawn_joinable("server", async move {
            let (mut read, mut write) = listener.accept().await.unwrap().split();
            let mut all = vec![0; 1_000_000];
            read.read_exact(&mut all).await.unwrap();
            assert_eq!(read.read(&mut [0; 10]).await.unwrap(), 0, "the end");
            let early = read.read_exact(&mut [0; 10]).await;
            assert_eq!(early.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            all.reverse();
            write.write_all(&all).await.unwrap();
        });
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n / 3) as u8).collect();
        let (mut read, mut write) = connect(address).await.unwrap().split();
        write.write_all(&sent).await.unwrap();
        write.close().await.unwrap();
        let mut answer = vec![0; sent.len()];
        read.read_exact(&mut answer).await.unwrap();
        answer.reverse();
        assert!(answer == sent);
        server.await;
    })
    .unwrap();
}

/// Given bytes that come in pieces, small and large, when they are read into spare memory, then they come in order,
/// within the limit, up to the end.
#[test]
fn spare_memory_is_filled_in_order() {
    runtime::run_single(|| async {
        let listener = Listener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n / 3) as u8).collect();
        let expected = sent.clone();
        let server = runtime::spawn_joinable("server", async move {
            let (mut read, _write) = listener.accept().await.unwrap().split();
            let mut all = BytesMut::with_capacity(expected.len());
            assert_eq!(read.read_into(&mut all, 0).await.unwrap(), 0, "nothing was asked for");
            while all.len() < expected.len() {
                let limit = 1 + all.len() % 7000;
                let count = read.read_into(&mut all, limit).await.unwrap();
                assert!((1..=limit).contains(&count), "{count} of {limit}");
            }
            assert!(all == expected);
            let mut more = BytesMut::with_capacity(10);
            assert_eq!(read.read_into(&mut more, 10).await.unwrap(), 0, "the end");
        });
        let (_read, mut write) = connect(address).await.unwrap().split();
        for piece in sent.chunks(9_999) {
            write.write_all(piece).await.unwrap();
            runtime::sleep(Duration::from_micros(300)).await;
        }
        write.close().await.unwrap();
        server.await;
    })
    .unwrap();
}

/// Given a connection that a core has used, when it moves to another core while the peer sends, then the other core
/// reads on where the first stopped, and answers; and one that nobody takes up is closed.
#[test]
fn a_connection_moves_to_another_core() {
    use model::CoreId;
    use runtime::net::MovingStream;
    let running = runtime::start(runtime::CoresConfig::new(2), |_, _| ()).unwrap();
    let cores = running.cores().clone();
    let elsewhere = cores.clone();
    let listening = cores.call(CoreId(0), move |_| async move {
        let listener = Listener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        runtime::spawn("accept", async move {
            loop {
                let (mut read, write) = listener.accept().await.unwrap().split();
                let mut first = [0; 3];
                read.read_exact(&mut first).await.unwrap();
                let moving = MovingStream::depart(read, write).ok().unwrap();
                if first == *b"end" {
                    continue;
                }
                elsewhere.post(CoreId(1), move |_| {
                    runtime::spawn("echo", async move {
                        let (mut read, mut write) = moving.arrive().split();
                        let mut rest = [0; 6];
                        read.read_exact(&mut rest).await.unwrap();
                        write.write_all(&rest).await.unwrap();
                        write.write_all(&[runtime::current_core().0 as u8]).await.unwrap();
                    });
                });
            }
        });
        address
    });
    let address = futures_lite::future::block_on(listening).unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    // The second three may come before, while or after it moves.
    for part in [b"abc", b"def", b"ghi"] {
        std::io::Write::write_all(&mut stream, part).unwrap();
    }
    let mut answer = [0; 7];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(answer, *b"defghi\x01");

    let mut dropped = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut dropped, b"end").unwrap();
    assert_eq!(std::io::Read::read(&mut dropped, &mut answer).unwrap(), 0, "the end");
    running.stop().unwrap();
}

/// Given pieces of all sizes, more than the kernel takes at once, when they are written together, then they arrive in
/// order, at most `limit_bytes` at a time.
#[test]
fn pieces_are_written_in_order() {
    use std::io::IoSlice;
    runtime::run_single(|| async {
        let listener = Listener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let pieces: Vec<Vec<u8>> =
            (0..300usize).map(|n| vec![n as u8; (n * n * 7) % 200_000]).collect();
        let expected = pieces.concat();
        let server = runtime::spawn_joinable("server", async move {
            let (mut read, _write) = listener.accept().await.unwrap().split();
            let mut all = vec![0; expected.len()];
            // So late that the writer must wait.
            runtime::sleep(Duration::from_millis(20)).await;
            read.read_exact(&mut all).await.unwrap();
            assert!(all == expected);
        });
        let (_read, mut write) = connect(address).await.unwrap().split();
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = slices.as_mut_slice();
        assert_eq!(write.write_vectored(&[], 10).await.unwrap(), 0);
        while !rest.is_empty() {
            let count = write.write_vectored(rest, 100_000).await.unwrap();
            assert!(count <= 100_000);
            IoSlice::advance_slices(&mut rest, count);
        }
        server.await;
    })
    .unwrap();
}

/// Given two cores that listen on one address, when many connections come, then both get some.
#[test]
fn cores_share_a_port() {
    use model::CoreId;
    let running = runtime::start(runtime::CoresConfig::new(2), |_, _| ()).unwrap();
    let cores = running.cores().clone();
    let bind = |core, address| {
        let call = cores.call(core, move |_| async move {
            let listener = Listener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            runtime::spawn("accept", async move {
                loop {
                    let (_, mut write) = listener.accept().await.unwrap().split();
                    write.write_all(&[runtime::current_core().0 as u8]).await.unwrap();
                }
            });
            address
        });
        futures_lite::future::block_on(call).unwrap()
    };
    let address = bind(CoreId(0), any_port());
    assert_eq!(bind(CoreId(1), address), address);
    let taken = runtime::check_address_unused(address);
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    let mut answered = [0; 2];
    for _ in 0..100 {
        let mut byte = [0];
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
        answered[usize::from(byte[0])] += 1;
    }
    assert!(answered.iter().all(|count| *count > 10), "{answered:?}");
    running.stop().unwrap();
}
