//! Reads everything back as a `read_committed` consumer does, and holds it against what the
//! producers were told.

use std::collections::{BTreeMap, BTreeSet};

use batch::BatchHeader;
use kafka_protocol::messages::{
    FetchRequest, GroupId, OffsetFetchRequest,
    fetch_request::{FetchPartition, FetchTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
};
use kafka_protocol::protocol::StrBytes;
use runtime::simulation::Random;

use crate::{
    PARTITIONS,
    client::Client,
    producer::{Attempt, Journal, Outcome, topic_name},
};

/// The partitions in which each key is seen, and how often.
type Seen = BTreeMap<String, BTreeMap<usize, usize>>;

pub async fn check(journal: &Journal) {
    let mut client = Client::connect_patiently().await;
    let mut seen = Seen::new();
    for partition in 0..PARTITIONS {
        read(&mut client, partition, &mut seen).await;
    }
    for attempt in &journal.attempts {
        let found: BTreeSet<usize> =
            seen.get(&attempt.key).into_iter().flat_map(|of| of.keys().copied()).collect();
        let is_whole = found == attempt.partitions;
        match attempt.outcome {
            Outcome::Committed => assert!(is_whole, "committed, found in {found:?}: {attempt:?}"),
            Outcome::Aborted => {
                assert!(found.is_empty(), "aborted, found in {found:?}: {attempt:?}")
            }
            Outcome::Unknown => {
                assert!(is_whole || found.is_empty(), "torn, found in {found:?}: {attempt:?}");
            }
        }
    }
    check_offsets(&mut client, journal, &seen).await;
}

/// A group's offset is that of the last transaction that committed one.
async fn check_offsets(client: &mut Client, journal: &Journal, seen: &Seen) {
    let groups: BTreeSet<&str> = journal.attempts.iter().map(|it| it.group.as_str()).collect();
    for group in groups {
        let committed = committed(client, group).await;
        let of_group = || journal.attempts.iter().filter(|it| it.group == group);
        let is_seen = |attempt: &Attempt| seen.contains_key(&attempt.key);
        // Of a transaction with offsets alone and no answer nobody knows.
        let is_open = |attempt: &Attempt| {
            attempt.outcome == Outcome::Unknown && attempt.partitions.is_empty()
        };
        let certain = of_group()
            .filter(|it| it.outcome == Outcome::Committed || is_seen(it))
            .filter_map(|it| it.offset)
            .max()
            .unwrap_or(-1);
        let possible: BTreeSet<i64> = of_group()
            .filter(|it| is_open(it))
            .filter_map(|it| it.offset)
            .filter(|offset| *offset > certain)
            .chain([certain])
            .collect();
        assert!(possible.contains(&committed), "{group}: {committed}, not one of {possible:?}");
    }
}

async fn committed(client: &mut Client, group: &str) -> i64 {
    let mut topic = OffsetFetchRequestTopics::default();
    topic.name = topic_name();
    topic.partition_indexes = vec![0];
    let mut asked = OffsetFetchRequestGroup::default();
    asked.group_id = GroupId(StrBytes::from_string(group.to_owned()));
    asked.topics = Some(vec![topic]);
    let mut request = OffsetFetchRequest::default();
    request.groups = vec![asked];
    request.require_stable = true;
    let response = client.ask(&request, 8).await.expect("nobody disturbs this");
    let partition = &response.groups[0].topics[0].partitions[0];
    assert_eq!(partition.error_code, 0, "{group}: an offset hangs");
    partition.committed_offset
}

async fn read(client: &mut Client, partition: usize, seen: &mut Seen) {
    let random = Random::new(partition as u64);
    let mut position = 0;
    loop {
        let mut wanted = FetchPartition::default();
        wanted.partition = partition as i32;
        wanted.fetch_offset = position;
        wanted.partition_max_bytes = random.choose([1, 500, 5000]);
        let mut topic = FetchTopic::default();
        topic.topic = topic_name();
        topic.partitions = vec![wanted];
        let mut request = FetchRequest::default();
        request.max_bytes = 1 << 20;
        request.isolation_level = 1;
        request.topics = vec![topic];
        let response = client.ask(&request, 11).await.expect("nobody disturbs this");
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        assert_eq!(
            answer.last_stable_offset, answer.high_watermark,
            "a transaction hangs in partition {partition}"
        );
        if position == answer.high_watermark {
            return;
        }
        // As the Java client does it: from its first offset to its marker a producer is skipped.
        let mut aborted: Vec<(i64, i64)> = answer
            .aborted_transactions
            .iter()
            .flatten()
            .map(|it| (it.first_offset, it.producer_id.0))
            .collect();
        aborted.sort_unstable();
        let mut skipped = BTreeSet::new();
        let mut bytes = answer.records.clone().expect("never null");
        assert!(!bytes.is_empty(), "nothing at {position} of {}", answer.high_watermark);
        while !bytes.is_empty() {
            let header = BatchHeader::parse(&bytes).expect("a whole batch");
            let batch = bytes.split_to(header.size_bytes());
            position = header.next_offset().0;
            while let Some((_, producer)) =
                aborted.first().copied().filter(|(first, _)| *first <= header.last_offset().0)
            {
                aborted.remove(0);
                skipped.insert(producer);
            }
            if header.attributes.is_control() {
                if batch::ControlType::of_batch(&batch) == Some(batch::ControlType::Abort) {
                    skipped.remove(&header.producer_id.0);
                }
                continue;
            }
            if header.attributes.is_transactional() && skipped.contains(&header.producer_id.0) {
                continue;
            }
            for record in batch::records(&batch, 1 << 20).expect("readable") {
                let key = record.expect("whole").key.expect("every record has one");
                let key = String::from_utf8(key.to_vec()).expect("text");
                *seen.entry(key).or_default().entry(partition).or_default() += 1;
            }
        }
    }
}
