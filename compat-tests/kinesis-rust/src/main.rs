//! The AWS SDK for Rust behind the commands of compat-tests/README.md: kinesis-session ENDPOINT

use std::{
    io::{BufRead, Write, stdin, stdout},
    process::ExitCode,
    time::Duration,
};

use aws_sdk_kinesis::{
    Client, Config, Error,
    config::{BehaviorVersion, Credentials, Region},
    error::{DisplayErrorContext, ProvideErrorMetadata},
    primitives::{Blob, DateTime},
    types::{
        PutRecordsRequestEntry, Record, ScalingType, ShardIteratorType, StartingPosition,
        SubscribeToShardEventStream,
    },
};
use tokio::{runtime::Runtime, time::timeout};

const PATIENCE: Duration = Duration::from_secs(30);

type Lines = Result<Vec<String>, Error>;

fn main() -> ExitCode {
    let endpoint = std::env::args().nth(1).expect("an endpoint");
    let runtime = Runtime::new().expect("threads");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("any", "thing", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = Client::from_conf(config);
    for line in stdin().lock().lines() {
        let line = line.expect("commands are text");
        let words: Vec<&str> = line.split('\t').collect();
        let answer = async { timeout(PATIENCE, answer(&client, words[0], &words[1..])).await };
        let lines = match runtime.block_on(answer).expect("an answer in time") {
            Ok(lines) => lines,
            Err(refused) => match (refused.code(), refused.message()) {
                (Some(code), message) => {
                    vec![format!("error\t{code}\t{}", message.unwrap_or_default())]
                }
                (None, _) => {
                    eprintln!("{line}: {}", DisplayErrorContext(&refused));
                    return ExitCode::FAILURE;
                }
            },
        };
        let mut told = stdout().lock();
        for line in lines.iter().map(String::as_str).chain(["."]) {
            writeln!(told, "{line}").expect("a reader");
        }
        told.flush().expect("a reader");
    }
    ExitCode::SUCCESS
}

async fn answer(client: &Client, command: &str, words: &[&str]) -> Lines {
    let stream = words[0];
    match command {
        "create" => {
            client.create_stream().stream_name(stream).shard_count(number(words[1])).send().await?;
        }
        "delete" => {
            client.delete_stream().stream_name(stream).send().await?;
        }
        "split" => {
            let split = client.split_shard().stream_name(stream).shard_to_split(words[1]);
            split.new_starting_hash_key(words[2]).send().await?;
        }
        "merge" => {
            let merge = client.merge_shards().stream_name(stream).shard_to_merge(words[1]);
            merge.adjacent_shard_to_merge(words[2]).send().await?;
        }
        "count" => {
            let count = client.update_shard_count().stream_name(stream);
            let count = count.target_shard_count(number(words[1]));
            count.scaling_type(ScalingType::UniformScaling).send().await?;
        }
        "put" => return put(client, stream, &words[1..]).await,
        "puts" => return puts(client, stream, &words[1..]).await,
        "iterator" => return iterator(client, words).await,
        "records" => return records(client, words[0], number(words[1])).await,
        "shards" => return shards(client, stream).await,
        "subscribe" => return subscribe(client, words[0], words[1], number(words[2])).await,
        _ => panic!("no such command: {command}"),
    }
    Ok(Vec::new())
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse().expect("a number")
}

fn data(word: &str) -> Blob {
    Blob::new(hex::decode(word).expect("hexadecimal digits"))
}

/// A hash key, if there is one.
fn hash(word: &str) -> Option<String> {
    (word != "-").then(|| word.to_owned())
}

async fn put(client: &Client, stream: &str, words: &[&str]) -> Lines {
    let put = client.put_record().stream_name(stream).partition_key(words[0]);
    let told = put.set_explicit_hash_key(hash(words[1])).data(data(words[2])).send().await?;
    Ok(vec![format!("{}\t{}", told.shard_id(), told.sequence_number())])
}

async fn puts(client: &Client, stream: &str, words: &[&str]) -> Lines {
    let entries = words.chunks_exact(3).map(|entry| {
        let key = PutRecordsRequestEntry::builder().partition_key(entry[0]);
        key.set_explicit_hash_key(hash(entry[1])).data(data(entry[2])).build().expect("all is set")
    });
    let put = client.put_records().stream_name(stream);
    let told = put.set_records(Some(entries.collect())).send().await?;
    let one = |(shard, number)| format!("{shard}\t{number}");
    let records = told.records().iter();
    Ok(records
        .filter_map(|record| record.shard_id().zip(record.sequence_number()).map(one))
        .collect())
}

async fn iterator(client: &Client, words: &[&str]) -> Lines {
    let kind = ShardIteratorType::from(words[2]);
    let get = client.get_shard_iterator().stream_name(words[0]).shard_id(words[1]);
    let get = match words.get(3) {
        Some(place) if kind == ShardIteratorType::AtTimestamp => {
            get.timestamp(DateTime::from_millis(number(place)))
        }
        place => get.set_starting_sequence_number(place.map(|place| (*place).to_owned())),
    };
    let told = get.shard_iterator_type(kind).send().await?;
    Ok(told.shard_iterator.into_iter().collect())
}

async fn records(client: &Client, iterator: &str, limit: i32) -> Lines {
    let got = client.get_records().shard_iterator(iterator).limit(limit).send().await?;
    let children: Vec<_> = got.child_shards().iter().map(|child| child.shard_id()).collect();
    let first = format!(
        "{}\t{}\t{}",
        got.next_shard_iterator().unwrap_or("-"),
        got.millis_behind_latest().expect("how far behind"),
        children.join(",")
    );
    Ok([first].into_iter().chain(got.records().iter().map(record_line)).collect())
}

fn record_line(record: &Record) -> String {
    let time = record.approximate_arrival_timestamp().and_then(|time| time.to_millis().ok());
    format!(
        "{}\t{}\t{}\t{}",
        record.sequence_number(),
        record.partition_key().expect("a key"),
        hex::encode(record.data()),
        time.expect("a time")
    )
}

async fn shards(client: &Client, stream: &str) -> Lines {
    let told = client.list_shards().stream_name(stream).send().await?;
    let line = |shard: &aws_sdk_kinesis::types::Shard| {
        let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
        let parents: Vec<_> = parents.into_iter().flatten().collect();
        let keys = shard.hash_key_range().expect("hash keys");
        let numbers = shard.sequence_number_range().expect("sequence numbers");
        let is_open = numbers.ending_sequence_number().is_none();
        [
            shard.shard_id(),
            &parents.join(","),
            keys.starting_hash_key(),
            keys.ending_hash_key(),
            if is_open { "open" } else { "closed" },
        ]
        .join("\t")
    };
    Ok(told.shards().iter().map(line).collect())
}

/// The first records of a shard, pushed.
async fn subscribe(client: &Client, consumer: &str, shard: &str, count: usize) -> Lines {
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let start = start.build().expect("all is set");
    let subscribe = client.subscribe_to_shard().consumer_arn(consumer).shard_id(shard);
    let mut events = subscribe.starting_position(start).send().await?.event_stream;
    let mut lines = Vec::new();
    while lines.len() < count {
        let event = events.recv().await?.expect("the stream goes on");
        if let SubscribeToShardEventStream::SubscribeToShardEvent(pushed) = event {
            lines.extend(pushed.records().iter().map(record_line));
        }
    }
    Ok(lines)
}
