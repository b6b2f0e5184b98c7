//! One connection, from its first byte to its last.

use std::{convert::Infallible, error::Error, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, interval, timeout},
};

use crate::{
    limits::HttpLimits,
    pace::{Pace, PacedBody, Stuck},
    patient::Patient,
    preface::{self, Protocol},
    stream_task::{StreamEnd, StreamTasks},
    tls::TlsIdentity,
};

/// An HTTP/1.1 connection's read buffer grows to this; heads are far smaller, bodies are read in
/// parts.
const READ_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Requests under way on one HTTP/2 connection. Clients open another one for more.
const STREAMS_MAX: u32 = 64;
/// What a client may send of one body before somebody reads it.
const STREAM_WINDOW_BYTES: u32 = 32 << 10;
/// All its streams at once: one that waits for memory must not hold up one that has it.
const CONNECTION_WINDOW_BYTES: u32 = STREAMS_MAX * STREAM_WINDOW_BYTES;
/// All headers of one request, as HTTP/2 counts them. It bounds CONTINUATION frames, too.
const HEADER_LIST_BYTES_MAX: u32 = 32 << 10;
/// Streams that a client has reset and that are not yet cleared away. More end the connection.
const RESET_STREAMS_MAX: usize = 20;
/// Streams that were reset here because of what the client did. More end the connection.
const FAULTY_STREAMS_MAX: usize = 100;
/// A client that nothing is heard of is asked for a sign of life …
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// … and has so long to give it.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How often an HTTP/2 connection is looked at, as a part of its shortest limit.
const LOOKS_PER_LIMIT: u32 = 4;

type Served = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves a connection until it ends, or until `stopped` turns true and its requests are answered.
pub(crate) async fn serve<A, F, B>(
    socket: TcpStream,
    tls: Option<TlsIdentity>,
    limits: HttpLimits,
    answer: A,
    stopped: watch::Receiver<bool>,
) where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let served = match tls {
        None => serve_stream(socket, limits, answer, stopped).await,
        Some(tls) => match timeout(limits.head_timeout, tls.accept(socket)).await {
            Ok(Ok(stream)) => serve_stream(stream, limits, answer, stopped).await,
            Ok(Err(error)) => Err(error.into()),
            Err(late) => Err(late.into()),
        },
    };
    // Clients that vanish, stall or send what is no HTTP are not the operator's business.
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

async fn serve_stream<T, A, F, B>(
    mut socket: T,
    limits: HttpLimits,
    answer: A,
    mut stopped: watch::Receiver<bool>,
) -> Served
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let begun = tokio::select! {
        begun = timeout(limits.head_timeout, preface::read(&mut socket)) => begun,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    let (protocol, read_ahead) = begun??;
    let socket = Patient::new(socket, read_ahead, limits.write_timeout);
    match protocol {
        Protocol::Http1 => serve_http1(socket, limits, answer, stopped).await,
        Protocol::Http2 => serve_http2(socket, limits, answer, stopped).await,
    }
}

async fn serve_http1<T, A, F, B>(
    socket: Patient<T>,
    limits: HttpLimits,
    answer: A,
    mut stopped: watch::Receiver<bool>,
) -> Served
where
    T: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(READ_BUFFER_BYTES_MAX)
        .serve_connection(socket, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        served = connection.as_mut() => Some(served),
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    match ended {
        Some(served) => served?,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await?;
        }
    }
    Ok(())
}

async fn serve_http2<T, A, F, B>(
    socket: Patient<T>,
    limits: HttpLimits,
    answer: A,
    mut stopped: watch::Receiver<bool>,
) -> Served
where
    T: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let pace = Pace::new();
    let noting = Arc::clone(&pace);
    let service = service_fn(move |request| {
        let exchange = noting.begin();
        let answer = answer(request);
        async move {
            let end = StreamEnd::of_this_task();
            Ok::<_, Infallible>(answer.await.map(|body| PacedBody::new(body, exchange, end)))
        }
    });
    let connection = http2::Builder::new(StreamTasks)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(socket, service);
    let mut connection = std::pin::pin!(connection);
    let look = limits.head_timeout.min(limits.write_timeout) / LOOKS_PER_LIMIT;
    let mut looks = interval(look);
    let mut told_to_go: Option<Instant> = None;
    loop {
        let end = tokio::select! {
            // The connection first: what it has to say goes out before it is given up.
            biased;
            served = connection.as_mut() => return Ok(served?),
            _ = stopped.wait_for(|stop| *stop), if told_to_go.is_none() => true,
            _ = looks.tick() => {
                if pace.give_up_stalled(limits.write_timeout) == Err(Stuck) {
                    return Err("the client takes nothing of a reply".into());
                }
                let idle = pace.idle();
                if idle.is_some() && told_to_go.is_some_and(|since| since.elapsed() >= look) {
                    // It has nothing to wait for, and stays.
                    return Ok(());
                }
                idle.is_some_and(|idle| idle >= limits.head_timeout)
            }
        };
        if end && told_to_go.is_none() {
            connection.as_mut().graceful_shutdown();
            told_to_go = Some(Instant::now());
        }
    }
}
