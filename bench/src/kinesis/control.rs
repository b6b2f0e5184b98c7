//! What is done to streams and consumers before and after a load.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::kinesis::body::Encoding;
use crate::kinesis::connection::{Connection, Http};
use crate::kinesis::options::Stream;
use crate::measure::clock::now_ns;

const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Whether a Kinesis door answers at `address`.
pub fn is_ready(address: &str) -> bool {
    Connection::open(address, Http::One)
        .and_then(|mut connection| connection.ask("ListStreams", &json!({})))
        .is_ok()
}

impl Connection {
    /// Calls an operation of which nothing is measured.
    pub fn ask(&mut self, operation: &str, members: &Value) -> anyhow::Result<Value> {
        let answer = self.call(operation, Encoding::Json, members.to_string().into())?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).with_context(|| format!("{operation}: no JSON"))
    }

    /// Makes the stream if it is missing, and waits until it can be used. Returns its shards' ids.
    pub fn ensure(&mut self, stream: &Stream) -> anyhow::Result<Vec<String>> {
        let made = self.ask(
            "CreateStream",
            &json!({"StreamName": stream.stream, "ShardCount": stream.shards}),
        );
        match made {
            Err(error) if !error.to_string().contains("ResourceInUseException") => {
                return Err(error);
            }
            _ => {}
        }
        self.wait_until_active("DescribeStreamSummary", &json!({"StreamName": stream.stream}))?;
        self.shards(&stream.stream)
    }

    /// The ids of a stream's shards.
    pub fn shards(&mut self, stream: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.ask("ListShards", &json!({"StreamName": stream}))?;
        let shards = answer.get("Shards").and_then(Value::as_array);
        let ids = shards.map(|shards| {
            let id = |shard: &Value| Some(shard.get("ShardId")?.as_str()?.to_owned());
            shards.iter().filter_map(id).collect::<Vec<String>>()
        });
        ids.filter(|ids| !ids.is_empty())
            .with_context(|| format!("stream {stream} has no shards: {answer}"))
    }

    /// An iterator from a shard's first record on.
    pub fn oldest(&mut self, stream: &str, shard: &str) -> anyhow::Result<String> {
        let answer = self.ask(
            "GetShardIterator",
            &json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}),
        )?;
        let iterator = answer.get("ShardIterator").and_then(Value::as_str);
        Ok(iterator.with_context(|| format!("no iterator: {answer}"))?.to_owned())
    }

    /// Deletes the stream; servers may take a while for it behind their answer.
    pub fn delete(&mut self, stream: &str) -> anyhow::Result<()> {
        self.ask("DeleteStream", &json!({"StreamName": stream, "EnforceConsumerDeletion": true}))?;
        Ok(())
    }

    /// Registers a consumer with the stream, and waits until it can be used. Returns its ARN.
    pub fn register(&mut self, stream: &str, consumer: &str) -> anyhow::Result<String> {
        let summary = self.ask("DescribeStreamSummary", &json!({"StreamName": stream}))?;
        let arn = summary.pointer("/StreamDescriptionSummary/StreamARN").and_then(Value::as_str);
        let arn = arn.with_context(|| format!("no ARN of {stream}: {summary}"))?;
        let answer = self
            .ask("RegisterStreamConsumer", &json!({"StreamARN": arn, "ConsumerName": consumer}))?;
        let arn = answer.pointer("/Consumer/ConsumerARN").and_then(Value::as_str);
        let arn = arn.with_context(|| format!("no ARN of {consumer}: {answer}"))?;
        self.wait_until_active("DescribeStreamConsumer", &json!({"ConsumerARN": arn}))?;
        Ok(arn.to_owned())
    }

    /// Takes a consumer off its stream.
    pub fn deregister(&mut self, consumer_arn: &str) -> anyhow::Result<()> {
        self.ask("DeregisterStreamConsumer", &json!({"ConsumerARN": consumer_arn}))?;
        Ok(())
    }

    fn wait_until_active(&mut self, operation: &str, whose: &Value) -> anyhow::Result<()> {
        let deadline = now_ns() + PATIENCE.as_nanos() as u64;
        loop {
            let answer = self.ask(operation, whose)?;
            let described = answer.as_object().and_then(|members| members.values().next());
            let status = ["StreamStatus", "ConsumerStatus"]
                .iter()
                .find_map(|name| described?.get(name)?.as_str());
            if status == Some("ACTIVE") {
                return Ok(());
            }
            if now_ns() > deadline {
                bail!("{operation}: {whose} is not active after {PATIENCE:?}: {answer}");
            }
            std::thread::sleep(LOOK);
        }
    }
}
