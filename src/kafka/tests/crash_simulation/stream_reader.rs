//! Reads the stream: shards as Kinesis consumers do, partitions as Kafka's do.

use std::{cell::Cell, collections::BTreeSet, rc::Rc, time::Duration};

use broker::{Broker, BrokerError, FetchPartition, FetchRequest, Fetched};
use kinesis::{answers, requests};
use model::{Offset, PartitionIndex, SequenceNumber, TopicPartition};
use state::shards::Shard;

use crate::{
    shard_model::{Found, WholeStream},
    stream_writer::number_of,
    streams::{STREAM, Stream, caller},
};

/// Between two reads at the end of a shard that is about to close: shorter than a write to the disk.
const FOLLOW_PAUSE: Duration = Duration::from_micros(20);

/// Every partition, then every shard: what a partition shows is in a shard from then on.
pub async fn read_whole(stream: &Stream) -> Result<WholeStream, String> {
    let mut found = WholeStream::default();
    let shards = stream.settled_shards().await.map_err(text)?;
    let partitions: BTreeSet<PartitionIndex> = shards.iter().map(|shard| shard.partition).collect();
    for partition in partitions {
        let records = read_partition(stream, partition).await.map_err(text)?;
        found.partitions.insert(partition, records);
    }
    for shard in stream.settled_shards().await.map_err(text)? {
        found.shards.insert(shard.id, read_shard(stream, &shard, 10_000).await?);
    }
    Ok(found)
}

fn text(error: BrokerError) -> String {
    error.to_string()
}

async fn read_partition(
    stream: &Stream,
    partition: PartitionIndex,
) -> Result<Vec<(i64, usize)>, BrokerError> {
    let topic = TopicPartition { topic: stream.id, partition };
    let (mut offset, mut found) = (Offset::ZERO, Vec::new());
    loop {
        let fetch = FetchPartition {
            topic,
            offset,
            max_bytes: 1 << 20,
            leader_epoch: None,
            read_committed: false,
        };
        let request = FetchRequest {
            partitions: vec![fetch],
            max_bytes: 1 << 20,
            min_bytes: 0,
            max_wait: Duration::ZERO,
        };
        let fetched: Fetched = stream
            .handle()
            .ask(move |broker: Rc<Broker>| async move { broker.fetch(request).await })
            .await?
            .remove(0)?;
        for batch in &fetched.batches {
            for record in batch::records(batch, 1 << 20).expect("an intact batch") {
                let record = record.expect("an intact record");
                let value = record.value.expect("a value");
                found.push((record.offset.0, number_of(&value)));
                offset = record.offset.next();
            }
        }
        if offset >= fetched.high_watermark {
            return Ok(found);
        }
    }
}

/// Reads a shard from its first record to its end, or to where it is caught up, so many at a time.
pub async fn read_shard(stream: &Stream, shard: &Shard, limit: i64) -> Result<Vec<Found>, String> {
    let mut iterator = iterator(stream, shard, "TRIM_HORIZON", None).await?;
    let mut found: Vec<Found> = Vec::new();
    loop {
        let read = found.len();
        let (next, behind_ms) = read_on(stream, shard, iterator, limit, &mut found).await?;
        match next {
            Some(next) if behind_ms > 0 || found.len() > read => iterator = next,
            _ => break,
        }
    }
    if let Some(place) = found.len().checked_sub(2) {
        let place = runtime::random_u64() as usize % (place + 1);
        check_iterators(stream, shard, &found[place], &found[place + 1]).await?;
    }
    Ok(found)
}

/// Reads a shard from its first record on, and goes on at its end until `done`: what is shown while
/// it closes is shown once.
pub async fn follow(stream: &Stream, shard: &Shard, done: &Cell<bool>) -> Result<(), String> {
    let mut iterator = iterator(stream, shard, "TRIM_HORIZON", None).await?;
    let mut found = Vec::new();
    while !done.get() {
        match read_on(stream, shard, iterator, 10_000, &mut found).await? {
            (Some(next), _) => iterator = next,
            (None, _) => break,
        }
        runtime::sleep(FOLLOW_PAUSE).await;
    }
    Ok(())
}

/// One call of GetRecords. Gives the next iterator and the milliseconds to the shard's end.
async fn read_on(
    stream: &Stream,
    shard: &Shard,
    iterator: String,
    limit: i64,
    found: &mut Vec<Found>,
) -> Result<(Option<String>, i64), String> {
    let request = requests::GetRecords {
        shard_iterator: Some(iterator),
        limit: Some(limit),
        ..Default::default()
    };
    let answer = stream.kinesis().get_records(&caller(), request).await;
    let answer = answer.map_err(|error| error.to_string())?;
    take(stream, shard, answer.records, found);
    if answer.next_shard_iterator.is_none() {
        end(stream, shard, found.len(), &answer.child_shards);
    }
    Ok((answer.next_shard_iterator, answer.millis_behind_latest))
}

async fn iterator(
    stream: &Stream,
    shard: &Shard,
    kind: &str,
    at: Option<SequenceNumber>,
) -> Result<String, String> {
    let request = requests::GetShardIterator {
        stream_name: Some(STREAM.to_owned()),
        shard_id: Some(shard.id.to_string()),
        shard_iterator_type: Some(kind.to_owned()),
        starting_sequence_number: at.map(|at| at.to_string()),
        ..Default::default()
    };
    let answer = stream.kinesis().get_shard_iterator(&caller(), request).await;
    Ok(answer.map_err(|error| error.to_string())?.shard_iterator)
}

fn take(stream: &Stream, shard: &Shard, records: Vec<answers::Record>, found: &mut Vec<Found>) {
    for record in records {
        let sequence: SequenceNumber = record.sequence_number.parse().expect("a sequence number");
        assert_eq!(sequence.shard, shard.id, "the shard in a record's sequence number");
        let last = found.last().map(|last| last.sequence.offset);
        assert!(last.is_none_or(|last| last < sequence.offset), "{sequence} comes after {last:?}");
        let number = number_of(&record.data.0);
        let record = Found { sequence, key: record.partition_key, number };
        stream.model.borrow_mut().see(&record);
        found.push(record);
    }
}

/// A reader is at the end of a closed shard, and was told where it goes on.
fn end(stream: &Stream, shard: &Shard, records: usize, children: &[answers::ChildShard]) {
    let mut model = stream.model.borrow_mut();
    model.finish(shard.id, records);
    let known = model.lineage.newest().iter().filter(|child| child.parents.contains(&shard.id));
    let known: Vec<String> = known.map(|child| child.id.to_string()).collect();
    let told: Vec<String> = children.iter().map(|child| child.shard_id.clone()).collect();
    // A reader may know of the children before the model does.
    assert!(known.is_empty() || known == told, "the children of {}: {known:?}, {told:?}", shard.id);
    assert!(!told.is_empty(), "{} is at its end without children", shard.id);
}

/// An iterator begins at the record that it names, or behind it.
async fn check_iterators(
    stream: &Stream,
    shard: &Shard,
    one: &Found,
    next: &Found,
) -> Result<(), String> {
    for (kind, expected) in [("AT_SEQUENCE_NUMBER", one), ("AFTER_SEQUENCE_NUMBER", next)] {
        let request = requests::GetRecords {
            shard_iterator: Some(iterator(stream, shard, kind, Some(one.sequence)).await?),
            limit: Some(1),
            ..Default::default()
        };
        let answer = stream.kinesis().get_records(&caller(), request).await;
        let mut records = Vec::new();
        take(stream, shard, answer.map_err(|error| error.to_string())?.records, &mut records);
        let first = records.first().map(|found| found.sequence);
        assert_eq!(first, Some(expected.sequence), "{kind} of {}", one.sequence);
    }
    Ok(())
}
