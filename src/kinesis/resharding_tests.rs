//! Puts and reads around splits and merges, over a log in memory.

use broker::Resharding;
use md5::{Digest, Md5};
use model::HashKey;
use state::shards::{ReshardStep, Shard, Shards};

use crate::{
    Kinesis, Log, answers,
    fake::{FakeLog, stream_of},
    log::StreamKey,
    operation_tests::{caller, done, iterator, number, put, read, record, texts, with_stream},
    requests,
};

fn shards(kinesis: &Kinesis<FakeLog>) -> Vec<Shard> {
    let key = StreamKey::Name(model::TopicName::new("s").unwrap());
    done(kinesis.log.stream(key)).unwrap().unwrap().shards
}

fn hash(key: &str) -> HashKey {
    HashKey(u128::from_be_bytes(Md5::digest(key.as_bytes()).into()))
}

#[test]
fn a_put_whose_shard_closes_under_it_goes_to_the_child_that_owns_its_key() {
    let kinesis = with_stream(1);
    put(&kinesis, vec![record("a", "before")]);
    // MD5("a") begins with 0c, MD5("b") with 92.
    kinesis.log.reshard_after_route("s", Resharding::Uniform(2));

    let answer = put(&kinesis, vec![record("a", "low"), record("b", "high"), record("a", "low2")]);

    assert_eq!(answer.failed_record_count, 0);
    let placed: Vec<_> = answer.records.iter().map(|result| number(result).1).collect();
    let (low, high) = ("shardId-000000000001", "shardId-000000000002");
    assert_eq!(placed, [low, high, low]);
    for (shard, expected) in
        [("shardId-000000000000", vec!["before"]), (low, vec!["low", "low2"]), (high, vec!["high"])]
    {
        let start = iterator(&kinesis, shard, "TRIM_HORIZON", |_| {}).unwrap();
        assert_eq!(texts(&read(&kinesis, &start, 100)), expected, "{shard}");
    }
}

#[test]
fn records_that_are_durable_keep_their_numbers_if_the_rest_cannot_follow_its_shard() {
    let kinesis = with_stream(2);
    // MD5("a") begins with 0c and is in the first shard, MD5("b") with 92 and is in the second.
    let middle_of_second = HashKey(3 << 126);
    let split = ReshardStep::Split { shard: shards(&kinesis)[1].id, at: middle_of_second };
    kinesis.log.reshard_after_route("s", Resharding::Steps(vec![split]));
    kinesis.log.stop_after_route();

    let answer = put(&kinesis, vec![record("a", "stays"), record("b", "moves")]);

    assert_eq!(answer.failed_record_count, 1);
    assert_eq!(number(&answer.records[0]).1, "shardId-000000000000");
    assert!(matches!(answer.records[1], answers::PutRecordsResult::Failed { .. }));
    let start = iterator(&kinesis, "shardId-000000000000", "TRIM_HORIZON", |_| {}).unwrap();
    assert_eq!(texts(&read(&kinesis, &start, 100)), ["stays"]);
}

#[test]
fn records_without_a_key_are_taken_where_the_stream_spreads_them() {
    let kinesis = with_stream(2);
    let keyless = || requests::PutRecordsEntry { partition_key: None, ..record("", "x") };
    let request = requests::PutRecords {
        stream_name: Some("s".into()),
        records: Some(vec![record("a", ""), keyless()]),
        ..Default::default()
    };
    let refused = done(kinesis.put_records(&caller(), request)).unwrap_err();
    assert_eq!(
        refused.message,
        "1 validation error detected: Value null at 'records.2.member.partitionKey' failed to \
         satisfy constraint: Member must not be null"
    );
    kinesis.log.change("s", |stream| stream.properties.spreads_puts = true);
    let answer = put(&kinesis, vec![keyless(), keyless(), keyless(), keyless()]);
    let placed: Vec<_> = answer.records.iter().map(|result| number(result).1).collect();
    let (first, second) = ("shardId-000000000000", "shardId-000000000001");
    assert_eq!(placed, [first, second, first, second]);
}

/// A small generator: the property is about the shards, not about the numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn random_change(dice: &mut Dice, shards: &Shards) -> Resharding {
    let open: Vec<&Shard> = shards.open().collect();
    let place = dice.below(open.len() as u64) as usize;
    match dice.below(3) {
        0 if open.len() > 1 => {
            let place = place.min(open.len() - 2);
            let (lower, upper) = (open[place].id, open[place + 1].id);
            let (into, from) = if dice.below(2) == 0 { (lower, upper) } else { (upper, lower) };
            Resharding::Steps(vec![ReshardStep::Merge { into, from }])
        }
        1 => Resharding::Uniform(1 + dice.below(5) as u32),
        _ => {
            let range = open[place].range;
            let at = HashKey(range.start().0 + range.width_less_one() / 2 + 1);
            Resharding::Steps(vec![ReshardStep::Split { shard: open[place].id, at }])
        }
    }
}

/// Reads a stream as a KCL does, a shard once its parents have ended, in pieces of a few records,
/// each piece by another iterator type. Gives each record's key, its text, its sequence number and
/// its shard.
fn read_all(kinesis: &Kinesis<FakeLog>) -> Vec<(String, String, String, Shard)> {
    let mut all = Vec::new();
    // Shards are listed by number, parents before children.
    for shard in shards(kinesis) {
        let mut next = iterator(kinesis, &shard.id.to_string(), "TRIM_HORIZON", |_| {}).ok();
        while let Some(position) = next {
            let answer = read(kinesis, &position, 3);
            let last = answer.records.last().map(|record| record.sequence_number.clone());
            let data = texts(&answer);
            for (record, text) in answer.records.into_iter().zip(data) {
                all.push((record.partition_key, text, record.sequence_number, shard.clone()));
            }
            next = match (answer.next_shard_iterator, last) {
                (None, _) => {
                    assert!(!shard.is_open() && !answer.child_shards.is_empty(), "{}", shard.id);
                    None
                }
                (Some(_), None) => None,
                // The place after the last record is the same by its number.
                (Some(_), Some(number)) => {
                    let after = |r: &mut requests::GetShardIterator| {
                        r.starting_sequence_number = Some(number.clone());
                    };
                    let shard = shard.id.to_string();
                    iterator(kinesis, &shard, "AFTER_SEQUENCE_NUMBER", after).ok()
                }
            };
        }
    }
    all
}

/// Random puts, splits and merges, some of them between a put's routing and its append.
#[test]
fn every_record_lies_once_in_the_shard_that_owned_its_key_and_keys_keep_their_order() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let log = FakeLog::new();
        log.add(stream_of("s", 1 + dice.below(3) as u32));
        let kinesis = Kinesis::new(log, b"secret");
        let mut written: Vec<(String, String, String)> = Vec::new();
        for step in 0..25 {
            kinesis.log.pass_time(dice.below(3) as i64);
            let change = random_change(&mut dice, &Shards::from_all(shards(&kinesis)));
            match dice.below(3) {
                0 => done(kinesis.log.reshard(stream_of_id(&kinesis), change)).unwrap(),
                1 => kinesis.log.reshard_after_route("s", change),
                _ => {}
            }
            let entries: Vec<_> = (0..1 + dice.below(6))
                .map(|n| (format!("key{}", dice.below(7)), format!("{step}.{n}")))
                .collect();
            let records = entries.iter().map(|(key, text)| record(key, text)).collect();
            let answer = put(&kinesis, records);
            assert_eq!(answer.failed_record_count, 0);
            for ((key, text), result) in entries.into_iter().zip(&answer.records) {
                written.push((key, text, number(result).0));
            }
        }
        let found = read_all(&kinesis);
        assert_eq!(found.len(), written.len(), "seed {seed}: each record once");
        for (key, text, _, shard) in &found {
            assert!(shard.range.contains(hash(key)), "seed {seed}: {key} {text} in {}", shard.id);
        }
        for key in (0..7).map(|n| format!("key{n}")) {
            let put: Vec<_> = written.iter().filter(|(k, ..)| *k == key).collect();
            let mut got: Vec<_> = found.iter().filter(|(k, ..)| *k == key).collect();
            // By sequence number, which must be the order in which they were put.
            got.sort_by(|a, b| a.2.cmp(&b.2));
            let got: Vec<_> = got.iter().map(|(_, text, number, _)| (text, number)).collect();
            let put: Vec<_> = put.iter().map(|(_, text, number)| (text, number)).collect();
            assert_eq!(got, put, "seed {seed}, {key}");
        }
    }
}

fn stream_of_id(kinesis: &Kinesis<FakeLog>) -> model::TopicId {
    let key = StreamKey::Name(model::TopicName::new("s").unwrap());
    done(kinesis.log.stream(key)).unwrap().unwrap().id
}
