//! The HTTP layer as a client meets it, over a real socket, with a service of five operations.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::stream::{self, Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    AwsConfig, AwsLimits, AwsSecurity, AwsServer,
    encoding::Encoding,
    fault::Fault,
    memory::Memory,
    server::open,
    service::{Answer, Call, Event, Service, Weight},
};

/// `Echo` says what it got, `Sleep` takes 300 ms, `Big` answers with a MiB, `Count` with events,
/// `Flood` with events without end.
#[derive(Default)]
pub(crate) struct Parrot {
    /// Events that were made for `Flood`.
    pub flooded: Arc<AtomicUsize>,
}

impl Service for Parrot {
    const TARGET: &'static str = "Parrot_1";
    const SIGNING_NAME: &'static str = "parrot";

    fn operations() -> impl Iterator<Item = &'static str> {
        ["Echo", "Sleep", "Big", "Count", "Flood"].into_iter()
    }

    fn weight(&self, _operation: &str) -> Weight {
        Weight { body_bytes_max: 1000, answer_bytes_max: 1000 }
    }

    async fn call(&self, operation: &str, call: Call) -> Result<Answer, Fault> {
        Ok(Answer::Whole(match operation {
            "Echo" => [call.caller.region.as_bytes(), b" ", &call.body].concat(),
            "Sleep" => {
                sleep(Duration::from_millis(300)).await;
                b"slept".to_vec()
            }
            "Big" => vec![b'x'; 1 << 20],
            "Flood" => {
                let made = Arc::clone(&self.flooded);
                let events = stream::repeat_with(move || {
                    made.fetch_add(1, Ordering::SeqCst);
                    vec![b'x'; 10_000]
                });
                return Ok(Answer::Events(Box::pin(numbers(events, call.memory))));
            }
            "Count" => {
                let counted =
                    numbers(stream::iter([b"one".to_vec(), b"two".to_vec()]), call.memory);
                let failure = stream::iter([Err(Fault::internal("no more".into()))]);
                return Ok(Answer::Events(Box::pin(counted.chain(failure))));
            }
            _ => return Err(Fault::unknown_operation()),
        }))
    }
}

/// Events with these contents.
fn numbers(
    contents: impl Stream<Item = Vec<u8>> + Send + 'static,
    memory: Memory,
) -> impl Stream<Item = Result<Event, Fault>> + Send {
    contents.then(move |payload| {
        let memory = memory.clone();
        async move {
            let share = memory.admit_event(payload.len()).await.unwrap();
            Ok(Event { kind: "Number", payload, share })
        }
    })
}

pub(crate) fn limits() -> AwsLimits {
    AwsLimits {
        connections_max: 3,
        memory_bytes: 1 << 20,
        head_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        write_timeout: Duration::from_millis(300),
        stop_timeout: Duration::from_secs(2),
    }
}

async fn start(limits: AwsLimits) -> AwsServer {
    open(Parrot::default(), config(limits), AwsSecurity::default()).await.unwrap()
}

pub(crate) fn config(limits: AwsLimits) -> AwsConfig {
    AwsConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
        secret: vec![1],
        limits,
    }
}

fn request(operation: &str, headers: &str, body: &str) -> String {
    format!(
        "POST /any/path HTTP/1.1\r\nHost: 123.control-kinesis.example\r\nConnection: close\r\n\
         X-Amz-Target: {operation}\r\nContent-Type: application/x-amz-json-1.1\r\n\
         Content-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

async fn exchange(server: &AwsServer, text: &str) -> String {
    let mut socket = TcpStream::connect(server.local_address()).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut reply)).await;
    read.expect("the connection ends").ok();
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn a_target_chooses_the_operation_whatever_host_and_path() {
    let server = start(limits()).await;
    let reply = exchange(&server, &request("Parrot_1.Echo", "", "{\"a\":1}")).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.ends_with("\r\n\r\nus-east-1 {\"a\":1}"), "{reply}");
    assert!(reply.contains("content-type: application/x-amz-json-1.1\r\n"), "{reply}");
    let id = reply.split("x-amzn-requestid: ").nth(1).unwrap();
    assert_eq!(id.split("\r\n").next().unwrap().len(), 36);
    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=AK/20261121/eu-west-1/kinesis/\
                  aws4_request, SignedHeaders=host, Signature=0\r\n";
    let reply = exchange(&server, &request("Parrot_1.Echo", signed, "{}")).await;
    assert!(reply.ends_with("eu-west-1 {}"), "{reply}");
}

#[tokio::test]
async fn what_cannot_be_served_is_said_in_awss_form() {
    let server = start(limits()).await;
    let long = "x".repeat(1001);
    for (text, status, said) in [
        (request("Parrot_1.Fly", "", "{}"), 400, r#"{"__type":"UnknownOperationException"}"#),
        (request("Other_1.Echo", "", "{}"), 400, r#"{"__type":"UnknownOperationException"}"#),
        (request("Echo", "", "{}"), 400, r#"{"__type":"UnknownOperationException"}"#),
        (
            request("Parrot_1.Echo", "", "{}").replace("amz-json", "amz-yaml"),
            415,
            "application/x-amz-yaml-1.1 is not served",
        ),
        (
            request("Parrot_1.Echo", "Content-Encoding: gzip\r\n", "{}"),
            415,
            "Content-Encoding gzip is not served",
        ),
        (request("Parrot_1.Echo", "", &long), 413, "larger than 1000 bytes"),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into(), 403, "AccessDenied"),
        ("\x16\x03\x01 no HTTP\r\n\r\n".into(), 400, ""),
    ] {
        let reply = exchange(&server, &text).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{text}\n{reply}");
        assert!(reply.contains(said), "{text}\n{reply}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_bounded_as_it_arrives() {
    let server = start(limits()).await;
    let chunked = |size: usize| {
        let head = request("Parrot_1.Echo", "Transfer-Encoding: chunked\r\n", "");
        let head = head.replace("Content-Length: 0\r\n", "");
        format!("{head}{size:x}\r\n{}\r\n0\r\n\r\n", "y".repeat(size))
    };
    assert!(exchange(&server, &chunked(1000)).await.starts_with("HTTP/1.1 200 "));
    assert!(exchange(&server, &chunked(1001)).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn who_sends_all_before_reading_gets_the_refusal() {
    let server = start(AwsLimits { body_timeout: Duration::from_secs(30), ..limits() }).await;
    // More than the sockets' buffers hold.
    let long = "x".repeat(16 << 20);
    for (text, status) in [
        (request("Parrot_1.Echo", "", &long), 413),
        (request("Other_1.Echo", "", &long), 400),
        (request("Parrot_1.Echo", "Content-Encoding: gzip\r\n", &long), 415),
    ] {
        let reply = exchange(&server, &text).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {reply}");
    }
    // Who asks first is not made to send.
    let asking = request("Parrot_1.Echo", "Expect: 100-continue\r\n", &long);
    let head = asking.split_inclusive("\r\n\r\n").next().unwrap();
    assert!(exchange(&server, head).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn slow_heads_and_bodies_are_not_waited_for() {
    let server = start(limits()).await;
    let whole = request("Parrot_1.Echo", "", "{\"a\":1}");
    let head = exchange(&server, &whole[..60]).await;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    let body = exchange(&server, &whole[..whole.len() - 2]).await;
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection_and_gives_back_its_memory() {
    let server = start(AwsLimits { memory_bytes: 64 << 10, ..limits() }).await;
    let mut stuck = TcpStream::connect(server.local_address()).await.unwrap();
    // Far more than two sockets' buffers hold.
    for _ in 0..40 {
        let text = request("Parrot_1.Big", "", "{}").replace("Connection: close\r\n", "");
        if stuck.write_all(text.as_bytes()).await.is_err() {
            break;
        }
    }
    sleep(Duration::from_millis(1000)).await;
    let reply = exchange(&server, &request("Parrot_1.Echo", "", "{}")).await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    let mut rest = Vec::new();
    let drained = timeout(Duration::from_secs(5), stuck.read_to_end(&mut rest)).await;
    assert!(drained.is_ok(), "the connection was left open");
    assert!(rest.len() < 40 << 20);
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let server = start(limits()).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(TcpStream::connect(server.local_address()).await.unwrap());
    }
    sleep(Duration::from_millis(50)).await;
    let text = request("Parrot_1.Echo", "", "{}");
    let fourth = exchange(&server, &text);
    let mut fourth = std::pin::pin!(fourth);
    assert!(timeout(Duration::from_millis(100), fourth.as_mut()).await.is_err());
    drop(idle);
    assert!(fourth.await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn stopping_lets_a_request_finish_and_takes_no_more() {
    let minute = Duration::from_secs(60);
    let server = start(AwsLimits { head_timeout: minute, stop_timeout: minute, ..limits() }).await;
    let address = server.local_address();
    // Open, and with nothing to say: not a reason to wait.
    let _idle = TcpStream::connect(address).await.unwrap();
    let under_way = tokio::spawn(async move {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let text = request("Parrot_1.Sleep", "", "{}");
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).await.unwrap();
        reply
    });
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(30), "it waited for the idle connection");
    assert!(under_way.await.unwrap().ends_with("slept"));
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn a_serialization_error_has_its_text_under_another_name() {
    let text = |fault: Fault| String::from_utf8(fault.body(Encoding::Json)).unwrap();
    assert_eq!(
        text(Fault::serialization("no JSON".into())),
        r#"{"Message":"no JSON","__type":"SerializationException"}"#
    );
    assert_eq!(
        text(kinesis::ApiError::not_built("SplitShard").into()),
        r#"{"__type":"NotImplementedException","message":"SplitShard is not served by thalweg yet."}"#
    );
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_error() {
    let server = start(limits()).await;
    for _ in 0..3 {
        exchange(&server, &request("Parrot_1.Echo", "", "{}")).await;
    }
    exchange(&server, &request("Parrot_1.Echo", "Content-Encoding: gzip\r\n", "{}")).await;
    exchange(&server, &request("Parrot_1.Sing", "", "{}")).await;

    let counts = server.reader().read();
    let [echo, other] = &counts.operations[..] else { panic!("{counts:?}") };
    assert_eq!((echo.name, echo.requests, echo.time_ns.count()), ("Echo", 4, 4));
    assert_eq!(echo.errors.iter().collect::<Vec<_>>(), [(&"UnsupportedMediaTypeException", &1)]);
    assert_eq!((other.name, other.requests), ("(other)", 1));
    assert_eq!(other.errors.iter().collect::<Vec<_>>(), [(&"UnknownOperationException", &1)]);
    assert_eq!(counts.connections_accepted, 5);
    assert_eq!(counts.memory_max_bytes, 1 << 20);
}

#[tokio::test]
async fn an_answer_mirrors_the_encoding_of_its_request() {
    let server = start(limits()).await;
    let cbor = |operation| request(operation, "", "").replace("amz-json", "amz-cbor");
    let reply = exchange(&server, &cbor("Parrot_1.Echo")).await;
    assert!(reply.contains("content-type: application/x-amz-cbor-1.1\r\n"), "{reply}");

    let reply = exchange(&server, &cbor("Parrot_1.Fly")).await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(reply.contains("content-type: application/x-amz-cbor-1.1\r\n"), "{reply}");
    assert!(reply.contains("x-amzn-errortype: UnknownOperationException\r\n"), "{reply}");
    assert!(reply.contains("f__typex\u{19}UnknownOperationException"), "{reply:?}");
}

#[tokio::test]
async fn events_follow_each_other_behind_an_initial_response() {
    let server = start(limits()).await;
    let reply = exchange(&server, &request("Parrot_1.Count", "", "{}")).await;
    assert!(reply.contains("content-type: application/vnd.amazon.eventstream\r\n"), "{reply}");
    let places: Vec<_> = ["initial-response", "Number", "one", "two", "InternalFailure", "no more"]
        .iter()
        .map(|part| reply.find(part).unwrap_or_else(|| panic!("no {part} in {reply}")))
        .collect();
    assert!(places.is_sorted(), "{reply}");
}

#[tokio::test]
async fn with_credentials_a_request_has_to_be_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "[a]\naws_access_key_id = AK\naws_secret_access_key = s\n").unwrap();
    let credentials = Some(crate::Credentials::read(&file).unwrap());
    let security = AwsSecurity { credentials, tls: None };
    let server = open(Parrot::default(), config(limits()), security).await.unwrap();
    let signed_by = |key: &str| {
        format!(
            "X-Amz-Date: 20261121T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={key}/20261121/eu-west-1/parrot/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature=0\r\n"
        )
    };
    for (headers, error) in [
        (String::new(), "MissingAuthenticationTokenException"),
        (signed_by("OTHER"), "UnrecognizedClientException"),
        (signed_by("AK"), "InvalidSignatureException"),
    ] {
        let reply = exchange(&server, &request("Parrot_1.Echo", &headers, "{}")).await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
        assert!(reply.contains(&format!("x-amzn-errortype: {error}\r\n")), "{reply}");
        assert!(reply.contains(&format!("{{\"__type\":\"{error}\"")), "{reply}");
    }
}
