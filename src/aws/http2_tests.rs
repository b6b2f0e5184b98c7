//! HTTP/2 with prior knowledge on the port of HTTP/1.1, with clients as they should be and as they
//! should not.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use hyper::{Request, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    AwsLimits, AwsSecurity, AwsServer,
    http_tests::{Parrot, config, limits},
    server::open,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// `:method POST`, `:path /`, `:scheme http`, from HPACK's static table, and an authority.
const REQUEST_HEAD: &[u8] = b"\x83\x84\x86\x41\x01h";
/// `ENHANCE_YOUR_CALM`.
const CALM: u32 = 11;
const SOON: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
const SECONDS: Duration = Duration::from_secs(3);

/// Nothing ends but for the reason that a test is about, however busy the machine.
fn patient() -> AwsLimits {
    AwsLimits { head_timeout: SOON, body_timeout: SOON, write_timeout: SOON, ..limits() }
}

async fn start(limits: AwsLimits) -> AwsServer {
    open(Parrot::default(), config(limits), AwsSecurity::default()).await.unwrap()
}

async fn connect(server: &AwsServer, builder: &Builder) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(server.local_address()).await.unwrap();
    let (client, connection) = builder.handshake::<_, Bytes>(socket).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    client.ready().await.unwrap()
}

fn post(operation: &str) -> Request<()> {
    Request::post("http://any.host/any/path")
        .header("x-amz-target", operation)
        .header("content-type", "application/x-amz-json-1.1")
        .body(())
        .unwrap()
}

async fn send(
    client: &SendRequest<Bytes>,
    operation: &str,
    body: &'static str,
) -> Response<RecvStream> {
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut stream) = client.send_request(post(operation), false).unwrap();
    stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
    timeout(SOON, response).await.unwrap().unwrap()
}

async fn read(response: Response<RecvStream>) -> Vec<u8> {
    let mut body = response.into_body();
    let mut whole = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        whole.extend_from_slice(&part);
    }
    whole
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends frames, and answers with the kinds of frames that come until the connection ends.
async fn hostile(server: &AwsServer, frames: Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    let mut socket = TcpStream::connect(server.local_address()).await.unwrap();
    let (mut reading, mut writing) = socket.split();
    let write = async {
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        // A server that has had enough closes while this is still writing.
        let _ = writing.write_all(&begin).await;
        let _ = writing.write_all(&frames).await;
    };
    let mut told = Vec::new();
    let read = async {
        let _ = reading.read_to_end(&mut told).await;
    };
    let both = async { tokio::join!(write, read) };
    timeout(SOON, both).await.expect("the connection was left open");
    let (mut left, mut found) = (&told[..], Vec::new());
    while left.len() >= 9 {
        let length = u32::from_be_bytes([0, left[0], left[1], left[2]]) as usize;
        let end = (9 + length).min(left.len());
        found.push((left[3], left[9..end].to_vec()));
        left = &left[end..];
    }
    found
}

/// Why the server went, if it said so.
fn goodbye(frames: &[(u8, Vec<u8>)]) -> Option<u32> {
    let last = frames.iter().rev().find(|(kind, _)| *kind == GOAWAY)?;
    Some(u32::from_be_bytes(last.1[4..8].try_into().unwrap()))
}

async fn still_serves(server: &AwsServer) {
    let client = connect(server, &Builder::new()).await;
    assert_eq!(send(&client, "Parrot_1.Echo", "{}").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_with_prior_knowledge_is_served_on_the_same_port() {
    let server = start(patient()).await;
    let client = connect(&server, &Builder::new()).await;
    let response = send(&client, "Parrot_1.Echo", "{\"a\":1}").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.1");
    assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
    assert_eq!(read(response).await, b"us-east-1 {\"a\":1}");

    let response = send(&client, "Parrot_1.Fly", "{}").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(read(response).await, br#"{"__type":"UnknownOperationException"}"#);
    // Far more than any window.
    assert_eq!(read(send(&client, "Parrot_1.Big", "{}").await).await.len(), 1 << 20);
}

#[tokio::test]
async fn requests_share_a_connection_up_to_a_limit() {
    let server = start(patient()).await;
    let client = connect(&server, &Builder::new()).await;
    send(&client, "Parrot_1.Echo", "{}").await;
    assert_eq!(client.current_max_send_streams(), 64);
    let sleep_once = || async { read(send(&client, "Parrot_1.Sleep", "{}").await).await };
    let slept = join_all((0..100).map(|_| sleep_once())).await;
    assert!(slept.len() == 100 && slept.iter().all(|body| body == b"slept"));
}

#[tokio::test]
async fn events_are_made_as_the_client_takes_them() {
    let parrot = Parrot::default();
    let made = parrot.flooded.clone();
    let server = open(parrot, config(patient()), AwsSecurity::default()).await.unwrap();
    let client = connect(&server, Builder::new().initial_window_size(65_535)).await;
    let response = send(&client, "Parrot_1.Flood", "{}").await;
    let mut body = response.into_body();
    let mut held = 0;
    while held < 65_535 {
        held += timeout(SOON, body.data()).await.unwrap().unwrap().unwrap().len();
    }
    sleep(Duration::from_millis(200)).await;
    let while_shut = made.load(Ordering::SeqCst);
    assert!((7..20).contains(&while_shut), "{while_shut} events of 10 kB for a window of 64 KiB");
    body.flow_control().release_capacity(held).unwrap();
    while made.load(Ordering::SeqCst) == while_shut {
        let part = timeout(SOON, body.data()).await.unwrap().unwrap().unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
    }
}

#[tokio::test]
async fn a_subscriber_that_leaves_events_lying_is_ended_and_gives_back_the_memory() {
    let parrot = Parrot::default();
    let made = parrot.flooded.clone();
    // Memory for one event at a time: whoever leaves one lying holds up all others' events.
    let limits = AwsLimits { memory_bytes: 30 << 10, write_timeout: SECONDS, ..patient() };
    let server = open(parrot, config(limits), AwsSecurity::default()).await.unwrap();
    let mut builder = Builder::new();
    builder.initial_window_size(15_000).initial_connection_window_size(1 << 20);
    let client = connect(&server, &builder).await;
    let mut left_lying = send(&client, "Parrot_1.Flood", "{}").await.into_body();
    let mut held = 0;
    while held < 15_000 {
        held += timeout(SOON, left_lying.data()).await.unwrap().unwrap().unwrap().len();
    }

    // The stream is ended, and the next one of the same connection has all that it needs.
    let mut taken = send(&client, "Parrot_1.Flood", "{}").await.into_body();
    let made_before = made.load(Ordering::SeqCst);
    while made.load(Ordering::SeqCst) < made_before + 20 {
        let part = timeout(SOON, taken.data()).await.unwrap().unwrap().unwrap();
        taken.flow_control().release_capacity(part.len()).unwrap();
    }
    let ended = timeout(SOON, left_lying.data()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(ended.reason(), Some(h2::Reason::CANCEL));
    let answer = send(&client, "Parrot_1.Echo", "{}").await;
    assert_eq!(read(answer).await, b"us-east-1 {}");
}

#[tokio::test]
async fn a_stream_of_events_ends_when_the_door_closes() {
    let server = start(patient()).await;
    let client = connect(&server, &Builder::new()).await;
    let mut body = send(&client, "Parrot_1.Flood", "{}").await.into_body();
    let stopping = tokio::spawn(server.stop());
    while let Some(part) = timeout(SOON, body.data()).await.unwrap() {
        body.flow_control().release_capacity(part.unwrap().len()).unwrap();
    }
    drop((body, client));
    timeout(SOON, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_its_windows_shut_gives_back_the_memory() {
    let server =
        start(AwsLimits { memory_bytes: 64 << 10, write_timeout: SECONDS, ..patient() }).await;
    let mut shut = Builder::new();
    shut.initial_window_size(0);
    let client = connect(&server, &shut).await;
    // As many replies as there is memory for: a request without a length is admitted as the
    // largest, of 1000 bytes, three times over. The client goes on answering pings.
    let replies = join_all((0..21).map(|_| send(&client, "Parrot_1.Big", "{}"))).await;
    still_serves(&server).await;
    for reply in replies {
        let part = timeout(SOON, reply.into_body().data()).await.unwrap();
        assert!(part.is_none_or(|part| part.is_err()));
    }
}

#[tokio::test]
async fn connections_without_requests_are_closed() {
    let second = Duration::from_secs(1);
    let server = start(AwsLimits { head_timeout: second, ..patient() }).await;
    assert_eq!(goodbye(&hostile(&server, Vec::new()).await), Some(0));
    // After a request, too.
    let socket = TcpStream::connect(server.local_address()).await.unwrap();
    let (client, connection) = Builder::new().handshake::<_, Bytes>(socket).await.unwrap();
    let ended = tokio::spawn(async move { connection.await.ok() });
    assert_eq!(send(&client, "Parrot_1.Echo", "{}").await.status(), StatusCode::OK);
    timeout(SOON, ended).await.unwrap().unwrap();
    drop(client);
    // A beginning that is none yet.
    let mut socket = TcpStream::connect(server.local_address()).await.unwrap();
    socket.write_all(&PREFACE[..10]).await.unwrap();
    let mut nothing = Vec::new();
    timeout(SOON, socket.read_to_end(&mut nothing)).await.unwrap().ok();
}

#[tokio::test]
async fn headers_and_bodies_that_do_not_end_are_not_waited_for() {
    let server = start(AwsLimits { head_timeout: SHORT, ..patient() }).await;
    let told = hostile(&server, frame(HEADERS, 0, 1, REQUEST_HEAD)).await;
    assert!(goodbye(&told).is_some(), "{told:?}");

    let server = start(AwsLimits { body_timeout: SHORT, ..patient() }).await;
    let client = connect(&server, &Builder::new()).await;
    let mut client = client.ready().await.unwrap();
    let (response, _body) = client.send_request(post("Parrot_1.Echo"), false).unwrap();
    let response = timeout(SOON, response).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn floods_end_their_connection_and_nobody_elses() {
    let server = start(patient()).await;
    // Requests that are taken back as soon as they are made.
    let resets: Vec<u8> = (0..20_000u32)
        .flat_map(|n| {
            let stream = n * 2 + 1;
            let begun = frame(HEADERS, END_HEADERS, stream, REQUEST_HEAD);
            [begun, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    assert_eq!(goodbye(&hostile(&server, resets).await), Some(CALM));

    // Headers that go on and on.
    let more = frame(CONTINUATION, 0, 1, &b"\x00\x01a\x01b".repeat(3000));
    let headers = [frame(HEADERS, 0, 1, REQUEST_HEAD), more.repeat(2000)].concat();
    assert!(goodbye(&hostile(&server, headers).await).is_some());
    let empty = frame(CONTINUATION, 0, 1, &[]);
    let headers = [frame(HEADERS, 0, 1, REQUEST_HEAD), empty.repeat(200_000)].concat();
    assert!(goodbye(&hostile(&server, headers).await).is_some());

    // Frames that are none, or not allowed here.
    for nonsense in [
        frame(DATA, 0, 0, b"x"),
        frame(DATA, 0, 1, b"x"),
        frame(PING, 0, 0, b"short"),
        frame(SETTINGS, 0, 0, b"seven!!"),
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01".to_vec(),
    ] {
        assert!(goodbye(&hostile(&server, nonsense.clone()).await).is_some(), "{nonsense:x?}");
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn headers_larger_than_the_limit_are_refused() {
    let server = start(patient()).await;
    let client = connect(&server, &Builder::new()).await;
    let mut request = post("Parrot_1.Echo");
    request.headers_mut().insert("x-long", "y".repeat(40_000).parse().unwrap());
    let mut client = client.ready().await.unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let refused = timeout(SOON, response).await.unwrap();
    let status = refused.map(|response| response.status());
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    assert!(status.as_ref().is_ok_and(|status| *status == too_large), "{status:?}");
    still_serves(&server).await;
}
