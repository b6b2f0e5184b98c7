//! The rdkafka crate behind the commands of compat-tests/README.md.

use std::{
    error::Error,
    io::{BufRead, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, DeliveryResult, Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};

type Outcome = Result<(), Box<dyn Error>>;

const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[1..] {
        ["produce", bootstrap, topic, codec, idempotent] => {
            produce(bootstrap, topic, codec, idempotent)
        }
        ["consume", bootstrap, topic, partition, offset, count] => {
            consume(bootstrap, topic, partition.parse()?, offset.parse()?, count.parse()?)
        }
        ["offset", bootstrap, topic, partition, timestamp] => {
            offset(bootstrap, topic, partition.parse()?, timestamp.parse()?)
        }
        ["create", bootstrap, topic, partitions, ref configs @ ..] => {
            admin::create(bootstrap, topic, partitions.parse()?, configs)
        }
        ["delete", bootstrap, topic] => admin::delete(bootstrap, topic),
        _ => Err("see compat-tests/README.md".into()),
    }
}

mod admin {
    use std::{
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Wake, Waker},
        thread::{self, Thread},
    };

    use rdkafka::{
        admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
        client::DefaultClientContext,
    };

    use super::*;

    fn client(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>, Box<dyn Error>> {
        Ok(ClientConfig::new().set("bootstrap.servers", bootstrap).create()?)
    }

    fn options() -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(TIMEOUT))
    }

    pub fn create(bootstrap: &str, topic: &str, partitions: i32, configs: &[&str]) -> Outcome {
        let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in configs.iter().filter_map(|pair| pair.split_once('=')) {
            wanted = wanted.set(name, value);
        }
        let client = client(bootstrap)?;
        first_of(block_on(client.create_topics([&wanted], &options()))?)
    }

    pub fn delete(bootstrap: &str, topic: &str) -> Outcome {
        let client = client(bootstrap)?;
        first_of(block_on(client.delete_topics(&[topic], &options()))?)
    }

    fn first_of(results: Vec<rdkafka::admin::TopicResult>) -> Outcome {
        match results.into_iter().next() {
            Some(Err((topic, code))) => Err(format!("{topic}: {code}").into()),
            _ => Ok(()),
        }
    }

    /// Waits on this thread: the crate's admin futures need no runtime.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
}

/// Prints what was delivered, and remembers what was not.
#[derive(Clone, Default)]
struct Deliveries {
    failures: Arc<Mutex<Vec<String>>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => println!("{}\t{}", message.partition(), message.offset()),
            Err((error, _)) => self.failures.lock().unwrap().push(error.to_string()),
        }
    }
}

fn produce(bootstrap: &str, topic: &str, codec: &str, idempotent: &str) -> Outcome {
    let deliveries = Deliveries::default();
    let producer: BaseProducer<Deliveries> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("compression.type", codec)
        .set("enable.idempotence", idempotent)
        .set("acks", "all")
        .set("linger.ms", "20")
        .set("message.timeout.ms", "30000")
        .create_with_context(deliveries.clone())?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split('\t').collect();
        let (key, value) = (from_text(fields[2])?, from_text(fields[3])?);
        let mut headers = OwnedHeaders::new();
        for (name, text) in fields[4].split(',').filter_map(|pair| pair.split_once('=')) {
            let name = String::from_utf8(from_hex(name)?)?;
            headers = headers.insert(Header { key: &name, value: from_text(text)?.as_ref() });
        }
        let mut record = BaseRecord::to(topic)
            .partition(fields[0].parse()?)
            .timestamp(fields[1].parse()?)
            .headers(headers);
        if let Some(key) = &key {
            record = record.key(key);
        }
        if let Some(value) = &value {
            record = record.payload(value);
        }
        producer.send::<Vec<u8>, Vec<u8>>(record).map_err(|(error, _)| error)?;
        producer.poll(Duration::ZERO);
    }
    producer.flush(TIMEOUT)?;
    let failures = deliveries.failures.lock().unwrap();
    if failures.is_empty() { Ok(()) } else { Err(format!("not delivered: {failures:?}").into()) }
}

fn consumer(bootstrap: &str) -> Result<BaseConsumer, Box<dyn Error>> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused") // the client insists; nothing is committed
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .create()?)
}

fn consume(bootstrap: &str, topic: &str, partition: i32, offset: i64, count: usize) -> Outcome {
    let consumer = consumer(bootstrap)?;
    let mut source = TopicPartitionList::new();
    source.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&source)?;
    let mut out = std::io::stdout().lock();
    for _ in 0..count {
        let message = consumer.poll(TIMEOUT).ok_or("not consumed: timed out")??;
        writeln!(
            out,
            "{}\t{}\t{}\t{}\t{}\t{}",
            message.offset(),
            message.partition(),
            message.timestamp().to_millis().unwrap_or(-1),
            to_text(message.key()),
            to_text(message.payload()),
            headers_to_text(&message),
        )?;
    }
    Ok(())
}

fn offset(bootstrap: &str, topic: &str, partition: i32, timestamp: i64) -> Outcome {
    let mut question = TopicPartitionList::new();
    question.add_partition_offset(topic, partition, Offset::Offset(timestamp))?;
    let answer = consumer(bootstrap)?.offsets_for_times(question, TIMEOUT)?;
    match answer.find_partition(topic, partition).map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => println!("{offset}"),
        _ => println!("-1"),
    }
    Ok(())
}

fn headers_to_text(message: &BorrowedMessage<'_>) -> String {
    let pairs: Vec<String> = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .map(|header| format!("{}={}", to_hex(header.key.as_bytes()), to_text(header.value)))
        .collect();
    pairs.join(",")
}

fn from_text(text: &str) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
    if text == "-" { Ok(None) } else { from_hex(text).map(Some) }
}

fn to_text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_owned(), to_hex)
}

fn from_hex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    (0..text.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(text.get(at..at + 2).ok_or("odd hex")?, 16)?))
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
