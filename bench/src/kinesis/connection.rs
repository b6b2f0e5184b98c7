//! One connection to a Kinesis door, used by one thread: a call is sent, and its answer waited for.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::kinesis::body::Encoding;

const PATIENCE: Duration = Duration::from_secs(60);
// Nobody checks them: the servers run without credentials. They have to be there, and to look right.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=bench/20261122/us-east-1/kinesis/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
    Signature=0000000000000000000000000000000000000000000000000000000000000000";
const SIGNED_AT: &str = "20261122T000000Z";

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Http {
    /// HTTP/1.1, one call at a time
    #[value(name = "1")]
    One,
    /// HTTP/2 with prior knowledge, in the clear
    #[value(name = "2")]
    Two,
}

/// A connection. Its thread drives it: nothing happens on it but during calls.
pub struct Connection {
    runtime: Runtime,
    sender: Sender,
    address: String,
    http: Http,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Connects to `address`, a host and a port.
    pub fn open(address: &str, http: Http) -> anyhow::Result<Connection> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let sender = runtime
            .block_on(async { anyhow::Ok(timeout(PATIENCE, connect(address, http)).await??) })
            .with_context(|| format!("no connection to {address}"))?;
        Ok(Connection { runtime, sender, address: address.to_owned(), http })
    }

    /// Calls an operation. An answer other than 200 is an error with the answer's body in it.
    pub fn call(
        &mut self,
        operation: &str,
        encoding: Encoding,
        body: Bytes,
    ) -> anyhow::Result<Bytes> {
        let request = self.request(operation, encoding, body)?;
        let Connection { runtime, sender, address, http } = self;
        let answer = runtime.block_on(async {
            timeout(PATIENCE, async {
                sender.open_again(address, *http).await?;
                let response = sender.send(request).await?;
                let status = response.status();
                anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
            })
            .await
        });
        let (status, body) = answer
            .with_context(|| format!("{operation}: no answer for {PATIENCE:?}"))?
            .with_context(|| format!("{operation}: the connection failed"))?;
        if status != StatusCode::OK {
            return Err(refusal(operation, status, &body));
        }
        Ok(body)
    }

    /// Calls an operation whose answer goes on, and returns when it begins.
    pub fn begin(
        &mut self,
        operation: &str,
        encoding: Encoding,
        body: Bytes,
    ) -> anyhow::Result<Incoming> {
        let request = self.request(operation, encoding, body)?;
        let Connection { runtime, sender, .. } = self;
        let response = runtime
            .block_on(async { timeout(PATIENCE, sender.send(request)).await })
            .with_context(|| format!("{operation}: no answer for {PATIENCE:?}"))??;
        let status = response.status();
        if status != StatusCode::OK {
            let body = runtime.block_on(response.into_body().collect())?.to_bytes();
            return Err(refusal(operation, status, &body));
        }
        Ok(response.into_body())
    }

    /// The next bytes of an answer that goes on; none if there are none within `patience`. Its end is an error.
    pub fn more(&self, body: &mut Incoming, patience: Duration) -> anyhow::Result<Option<Bytes>> {
        match self.runtime.block_on(async { timeout(patience, body.frame()).await }) {
            Err(_) => Ok(None),
            Ok(Some(frame)) => Ok(frame?.into_data().ok()),
            Ok(None) => bail!("the server has ended the stream of events"),
        }
    }

    fn request(
        &self,
        operation: &str,
        encoding: Encoding,
        body: Bytes,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder()
            .method(Method::POST)
            .header(CONTENT_TYPE, encoding.content_type())
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .header("x-amz-date", SIGNED_AT)
            .header(AUTHORIZATION, SIGNED);
        let request = match self.sender {
            Sender::Http1(_) => request.uri("/").header(HOST, &self.address),
            Sender::Http2(_) => request.uri(format!("http://{}/", self.address)),
        };
        Ok(request.body(Full::new(body))?)
    }
}

async fn connect(address: &str, http: Http) -> anyhow::Result<Sender> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let socket = TokioIo::new(socket);
    // An end of the connection is seen by the call that wants to use it.
    match http {
        Http::One => {
            let (sender, connection) = http1::handshake(socket).await?;
            tokio::spawn(connection);
            Ok(Sender::Http1(sender))
        }
        Http::Two => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), socket).await?;
            tokio::spawn(connection);
            Ok(Sender::Http2(sender))
        }
    }
}

impl Sender {
    // There are servers that end a connection behind its thousandth answer, and say so; SDKs open another.
    async fn open_again(&mut self, address: &str, http: Http) -> anyhow::Result<()> {
        let ready = match self {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        };
        if ready.is_err() {
            *self = connect(address, http).await?;
        }
        Ok(())
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

fn refusal(operation: &str, status: StatusCode, body: &[u8]) -> anyhow::Error {
    const MOST_SHOWN: usize = 400;
    let shown = body.get(..MOST_SHOWN).unwrap_or(body);
    anyhow!("{operation}: {status}: {}", String::from_utf8_lossy(shown))
}
