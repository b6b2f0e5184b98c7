//! A Kafka client small enough to trust: one connection, requests in order, Kafka's real bytes.

use runtime::net::SocketAddr;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use runtime::net::{ReadHalf, WriteHalf};

/// A request that is not answered in this time is given up, and its connection with it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where the broker listens in every simulation.
pub fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9092))
}

/// One connection.
pub struct Client {
    reader: ReadHalf,
    writer: WriteHalf,
    next_correlation: i32,
    next_answer: i32,
}

impl Client {
    /// Connects to the broker.
    pub async fn connect() -> io::Result<Client> {
        let (reader, writer) = runtime::net::connect(address()).await?.split();
        Ok(Client { reader, writer, next_correlation: 1, next_answer: 1 })
    }

    /// Connects, again and again until it works.
    pub async fn connect_patiently() -> Client {
        loop {
            if let Ok(client) = Client::connect().await {
                return client;
            }
            runtime::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a request without waiting for its answer.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> io::Result<()> {
        let mut header = RequestHeader::default();
        header.request_api_key = R::KEY;
        header.request_api_version = version;
        header.correlation_id = self.next_correlation;
        header.client_id = Some(StrBytes::from_static_str("simulation"));
        self.next_correlation += 1;
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version)).map_err(io::Error::other)?;
        request.encode(&mut body, version).map_err(io::Error::other)?;
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        within_patience(self.writer.write_all(&frame)).await
    }

    /// The answer to the oldest request that is not answered yet.
    pub async fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut length = [0; 4];
        within_patience(self.reader.read_exact(&mut length)).await?;
        let length = u32::from_be_bytes(length) as usize;
        assert!(length <= 64 << 20, "a reply of {length} bytes");
        let mut frame = vec![0; length];
        within_patience(self.reader.read_exact(&mut frame)).await?;
        let mut frame = Bytes::from(frame);
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).expect("a reply's header");
        assert_eq!(header.correlation_id, self.next_answer, "replies come in order");
        self.next_answer += 1;
        let response = R::Response::decode(&mut frame, version).expect("a reply's body");
        assert!(frame.is_empty(), "{} bytes behind a reply", frame.len());
        Ok(response)
    }

    /// Sends a request and waits for its answer.
    pub async fn ask<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.send(request, version).await?;
        self.receive::<R>(version).await
    }
}

async fn within_patience<T>(io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match runtime::timeout(PATIENCE, io).await {
        Ok(result) => result,
        Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
    }
}
