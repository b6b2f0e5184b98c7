//! A Kinesis door of the tests' own: one process, streams in memory, as slow and as unwilling as it is told to be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod events;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use events::Answer;

/// Records of an answer to GetRecords.
const PAGE: usize = 3;

/// The door, and what it was asked.
#[derive(Default)]
pub struct FakeKinesis {
    /// Each stream's shards, each with its records' data.
    streams: Mutex<BTreeMap<String, Vec<Vec<Vec<u8>>>>>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Bytes>>>,
    /// How often each operation was called.
    calls: Mutex<BTreeMap<String, u64>>,
    under_way: AtomicU64,
    most_under_way: AtomicU64,
    /// Every put waits so long.
    pub put_takes_ms: AtomicU64,
    /// The next put, and no other, waits so long.
    pub stall_ms: AtomicU64,
    /// Records that each call of PutRecords refuses.
    pub refused_per_call: AtomicU64,
    /// Whether a connection ends behind each answer.
    pub ends_connections: AtomicBool,
    /// Whether a subscription ends with an exception behind its beginning.
    pub ends_subscriptions: AtomicBool,
}

impl FakeKinesis {
    /// Serves until the tests end. Returns its address, too.
    pub fn start() -> (Arc<FakeKinesis>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fake = Arc::new(FakeKinesis::default());
        let serving = fake.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    tokio::spawn(serving.clone().serve(socket));
                }
            });
        });
        (fake, address)
    }

    /// All records of a stream, shard by shard.
    pub fn records(&self, stream: &str) -> Vec<Vec<u8>> {
        self.streams.lock().unwrap()[stream].concat()
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> u64 {
        self.calls.lock().unwrap().get(operation).copied().unwrap_or(0)
    }

    /// The most puts at one time.
    pub fn most_under_way(&self) -> u64 {
        self.most_under_way.load(SeqCst)
    }

    async fn serve(self: Arc<Self>, socket: TcpStream) {
        let mut first = [0; 3];
        loop {
            match socket.peek(&mut first).await {
                Ok(0) | Err(_) => return,
                Ok(3..) => break,
                Ok(_) => tokio::task::yield_now().await,
            }
        }
        let service = service_fn(move |request| {
            let fake = self.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        let socket = TokioIo::new(socket);
        // A client that goes away is the usual end.
        if &first == b"PRI" {
            let _ =
                http2::Builder::new(TokioExecutor::new()).serve_connection(socket, service).await;
        } else {
            let _ = http1::Builder::new().serve_connection(socket, service).await;
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
        let operation = target.strip_prefix("Kinesis_20131202.").unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        *self.calls.lock().unwrap().entry(operation.clone()).or_default() += 1;
        if operation == "SubscribeToShard" {
            return Response::new(self.subscribe());
        }
        let is_put = operation.starts_with("PutRecord");
        if is_put {
            self.wait().await;
        }
        let answered = self.carry_out(&operation, &asked);
        if is_put {
            self.under_way.fetch_sub(1, SeqCst);
        }
        let (status, body) = match answered {
            Ok(body) => (StatusCode::OK, body),
            Err(kind) => (StatusCode::BAD_REQUEST, json!({"__type": kind, "message": "no"})),
        };
        let mut response = Response::new(Answer::Whole(Some(body.to_string().into())));
        *response.status_mut() = status;
        if self.ends_connections.load(SeqCst) {
            response.headers_mut().insert("connection", HeaderValue::from_static("close"));
        }
        response
    }

    async fn wait(&self) {
        let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, SeqCst);
        let wait_ms = self.put_takes_ms.load(SeqCst) + self.stall_ms.swap(0, SeqCst);
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    fn carry_out(&self, operation: &str, asked: &Value) -> Result<Value, &'static str> {
        let stream = asked["StreamName"].as_str().unwrap_or_default();
        match operation {
            "CreateStream" => {
                let shards = asked["ShardCount"].as_u64().unwrap() as usize;
                let made = vec![Vec::new(); shards];
                let mut streams = self.streams.lock().unwrap();
                if streams.contains_key(stream) {
                    return Err("ResourceInUseException");
                }
                streams.insert(stream.to_owned(), made);
                Ok(Value::Null)
            }
            "DescribeStreamSummary" => {
                let summary =
                    json!({"StreamStatus": "ACTIVE", "StreamARN": format!("arn/{stream}")});
                Ok(json!({"StreamDescriptionSummary": summary}))
            }
            "ListShards" => {
                let count = self.streams.lock().unwrap()[stream].len();
                let shards: Vec<Value> =
                    (0..count).map(|id| json!({"ShardId": id.to_string()})).collect();
                Ok(json!({"Shards": shards}))
            }
            "RegisterStreamConsumer" => Ok(json!({"Consumer": {"ConsumerARN": "arn/consumer"}})),
            "DescribeStreamConsumer" => {
                Ok(json!({"ConsumerDescription": {"ConsumerStatus": "ACTIVE"}}))
            }
            "DeregisterStreamConsumer" => Ok(Value::Null),
            "PutRecord" => {
                self.put(stream, asked);
                Ok(json!({"ShardId": "0", "SequenceNumber": "1"}))
            }
            "PutRecords" => {
                let refused = self.refused_per_call.load(SeqCst) as usize;
                for record in asked["Records"].as_array().unwrap().iter().skip(refused) {
                    self.put(stream, record);
                }
                Ok(json!({"FailedRecordCount": refused, "Records": []}))
            }
            "GetShardIterator" => {
                let shard = asked["ShardId"].as_str().unwrap();
                assert_eq!(asked["ShardIteratorType"], "TRIM_HORIZON");
                Ok(json!({"ShardIterator": format!("{stream} {shard} 0")}))
            }
            "GetRecords" => Ok(self.page(asked["ShardIterator"].as_str().unwrap())),
            _ => Err("UnknownOperationException"),
        }
    }

    fn put(&self, stream: &str, record: &Value) {
        let encoded = record["Data"].as_str().unwrap();
        let key: usize = record["PartitionKey"].as_str().unwrap().bytes().map(usize::from).sum();
        let mut streams = self.streams.lock().unwrap();
        let shards = streams.get_mut(stream).unwrap();
        let count = shards.len();
        shards[key % count].push(BASE64.decode(encoded).unwrap());
        let event = json!({"Records": [{"Data": encoded}], "MillisBehindLatest": 0}).to_string();
        let message = events::event("SubscribeToShardEvent", event.as_bytes());
        self.subscribers.lock().unwrap().retain(|to| to.send(message.clone()).is_ok());
    }

    fn page(&self, iterator: &str) -> Value {
        let [stream, shard, from] = iterator.split(' ').collect::<Vec<_>>()[..] else { panic!() };
        let (shard, from): (usize, usize) = (shard.parse().unwrap(), from.parse().unwrap());
        let streams = self.streams.lock().unwrap();
        let all = &streams[stream][shard];
        let until = all.len().min(from + PAGE);
        let records: Vec<Value> =
            all[from..until].iter().map(|data| json!({"Data": BASE64.encode(data)})).collect();
        json!({
            "Records": records,
            "NextShardIterator": format!("{stream} {shard} {until}"),
            "MillisBehindLatest": all.len() - until,
        })
    }

    fn subscribe(&self) -> Answer {
        let (to, from) = mpsc::unbounded_channel();
        to.send(events::event("initial-response", b"{}")).unwrap();
        if self.ends_subscriptions.load(SeqCst) {
            to.send(events::exception("InternalFailureException", b"{}")).unwrap();
        }
        self.subscribers.lock().unwrap().push(to);
        Answer::Events(from)
    }
}
