//! `bench floor`: the least that can be called a broker. It takes batches and gives them back, and does nothing
//! else: no checks, no producers' sequences, no groups, no files that anybody could read again. Its figures say
//! what the client, the loopback and the kernel cost by themselves, with and without one durable write for each
//! produce request; what a real broker takes beyond them is its own.
//!
//! One thread for each connection, which reads a request, does it and answers. The records stay in memory until
//! their topic is deleted, so it is for short runs only.

mod answers;
mod disk;
mod log;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;

use crate::floor::answers::Answers;
use crate::floor::disk::Disk;
use crate::floor::log::Log;

/// `bench floor`.
#[derive(Args, Clone, Debug)]
pub struct FloorOptions {
    /// Where it listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub listen: SocketAddr,
    /// Write each produce request to this file before answering it, over and over the same 64 MiB, O_DIRECT and
    /// O_DSYNC. Without it nothing is written
    #[arg(long, value_name = "FILE")]
    pub write_to: Option<PathBuf>,
}

/// Serves until the process ends.
pub fn serve(options: &FloorOptions) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen)
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    serve_on(listener, options.write_to.as_deref().map(Disk::open).transpose()?)
}

fn serve_on(listener: TcpListener, disk: Option<Disk>) -> anyhow::Result<()> {
    let answers = Arc::new(Answers::new(listener.local_addr()?, Log::default(), disk));
    for socket in listener.incoming() {
        let (socket, answers) = (socket?, answers.clone());
        std::thread::spawn(move || {
            // A client that goes away is the usual end.
            if let Err(error) = converse(socket, &answers) {
                eprintln!("bench floor: {error:#}");
            }
        });
    }
    Ok(())
}

fn converse(mut socket: TcpStream, answers: &Answers) -> anyhow::Result<()> {
    const MOST_REQUEST_BYTES: usize = 128 << 20;
    socket.set_nodelay(true)?;
    let mut size = [0; 4];
    while socket.read_exact(&mut size).is_ok() {
        let size = u32::from_be_bytes(size) as usize;
        anyhow::ensure!(size <= MOST_REQUEST_BYTES, "a client announces {size} bytes");
        let mut frame = vec![0; size];
        if socket.read_exact(&mut frame).is_err() {
            break;
        }
        if let Some(answer) = answers.to(Bytes::from(frame))?
            && socket.write_all(&answer).is_err()
        {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Connection, batch_of_one};

    fn floor(disk: Option<Disk>) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || serve_on(listener, disk));
        Connection::open(&address).unwrap()
    }

    #[test]
    fn what_was_produced_is_fetched_from_where_one_asks() {
        let mut client = floor(None);
        client.create_topic("topic", 2).unwrap();
        let batch = batch_of_one(Bytes::from_static(b"value")).unwrap();
        assert_eq!(client.produce("topic", 1, &batch).unwrap(), 0);
        assert_eq!(client.produce("topic", 1, &batch).unwrap(), 1);
        assert_eq!(client.fetch("topic", 1, 0).unwrap(), 2 * batch.len());
        assert_eq!(client.fetch("topic", 1, 1).unwrap(), batch.len());
        assert_eq!(client.fetch("topic", 0, 0).unwrap(), 0);
        client.delete_topic("topic").unwrap();
        client.produce("topic", 1, &batch).unwrap_err();
    }

    #[test]
    fn with_a_file_every_request_is_in_it_when_it_is_answered() {
        let path = std::env::temp_dir().join(format!("floor-{}", std::process::id()));
        let mut client = floor(Some(Disk::open(&path).unwrap()));
        client.create_topic("topic", 1).unwrap();
        let batch = batch_of_one(Bytes::from_static(b"on the disk")).unwrap();
        client.produce("topic", 0, &batch).unwrap();
        let written = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(written.windows(batch.len()).any(|bytes| bytes == batch));
    }
}
