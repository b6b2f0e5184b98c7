//! Reads as a `read_committed` consumer does: while transactions go on, holding what it is shown
//! against the journal, and once more when everything is over.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io,
    rc::Rc,
    time::Duration,
};

use batch::BatchHeader;
use kafka_protocol::messages::{
    FetchRequest, GroupId, OffsetFetchRequest,
    fetch_request::{FetchPartition, FetchTopic},
    fetch_response::PartitionData,
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
};
use kafka_protocol::protocol::StrBytes;
use runtime::simulation::Random;

use crate::{
    client::Client,
    transaction_journal::{Attempt, Journal, Outcome},
    transactional_producer::{PARTITIONS, topic_name},
};

/// The partitions in which each key is seen, and how often.
pub type Seen = BTreeMap<String, BTreeMap<usize, usize>>;

/// What one fetch brought.
struct Page {
    stable: i64,
    high: i64,
    /// Where to read on.
    next: i64,
    records: Vec<(i64, String)>,
}

/// Where and how much to fetch.
struct FetchFrom {
    partition: usize,
    position: i64,
    max_bytes: i32,
    max_wait_ms: i32,
}

/// Follows a partition until it is stopped, now and then from its beginning again.
pub async fn follow(
    journal: Rc<RefCell<Journal>>,
    partition: usize,
    random: Random,
    stop: Rc<Cell<bool>>,
) {
    let mut position = 0;
    while !stop.get() {
        let mut client = Client::connect_patiently().await;
        while !stop.get() {
            let watch = journal.borrow().watch(partition);
            let from = FetchFrom {
                partition,
                position,
                max_bytes: 1 << random.between(0, 16),
                max_wait_ms: random.between(0, 300) as i32,
            };
            let Ok(page) = fetch(&mut client, &from).await else { break };
            let mut journal = journal.borrow_mut();
            journal.check_ends(partition, &watch, page.stable, page.high);
            for (offset, key) in &page.records {
                journal.show(partition, *offset, key);
            }
            position = page.next;
        }
        runtime::sleep(Duration::from_millis(10)).await;
        if random.chance(1, 4) {
            position = 0;
        }
    }
}

/// When everything is over: transactions are there as a whole or not at all, each record once, and
/// nothing is open.
pub async fn check(journal: &Journal) -> Seen {
    let mut client = Client::connect_patiently().await;
    let mut seen = Seen::new();
    for partition in 0..PARTITIONS {
        read(&mut client, journal, partition, &mut seen).await;
    }
    for attempt in &journal.attempts {
        let found = seen.get(&attempt.key);
        let whole: BTreeMap<usize, usize> =
            attempt.written.iter().map(|(partition, it)| (*partition, it.records)).collect();
        let is_whole = found.map_or(whole.is_empty(), |found| *found == whole);
        match attempt.outcome {
            Outcome::Committed => assert!(is_whole, "committed, found in {found:?}: {attempt:?}"),
            Outcome::Aborted => {
                assert!(found.is_none(), "aborted, found in {found:?}: {attempt:?}")
            }
            Outcome::Unknown => {
                assert!(is_whole || found.is_none(), "torn, found in {found:?}: {attempt:?}");
            }
        }
    }
    check_offsets(&mut client, journal, &seen).await;
    seen
}

/// A group's offset is that of the last transaction that committed one.
async fn check_offsets(client: &mut Client, journal: &Journal, seen: &Seen) {
    let with_offset = || journal.attempts.iter().filter(|it| it.offset.is_some());
    let groups: BTreeSet<&str> = with_offset().map(|it| it.group.as_str()).collect();
    for group in groups {
        let committed = committed(client, group, 0).await;
        let of_group = || with_offset().filter(|it| it.group == group);
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

/// The offset that a group has committed, when nothing is under way.
pub async fn committed(client: &mut Client, group: &str, partition: usize) -> i64 {
    let mut topic = OffsetFetchRequestTopics::default();
    topic.name = topic_name();
    topic.partition_indexes = vec![partition as i32];
    let mut asked = OffsetFetchRequestGroup::default();
    asked.group_id = GroupId(StrBytes::from_string(group.to_owned()));
    asked.topics = Some(vec![topic]);
    let mut request = OffsetFetchRequest::default();
    request.groups = vec![asked];
    request.require_stable = true;
    let response = client.ask(&request, 8).await.expect("nobody disturbs this");
    let found = &response.groups[0].topics[0].partitions[0];
    assert_eq!(found.error_code, 0, "{group}: an offset hangs");
    found.committed_offset
}

async fn read(client: &mut Client, journal: &Journal, partition: usize, seen: &mut Seen) {
    let random = Random::new(partition as u64);
    let mut found = BTreeMap::new();
    let mut position = 0;
    loop {
        let max_bytes = random.choose([1, 500, 5000]);
        let from = FetchFrom { partition, position, max_bytes, max_wait_ms: 0 };
        let page = fetch(client, &from).await.expect("nobody disturbs this");
        assert_eq!(page.stable, page.high, "a transaction hangs in partition {partition}");
        if position == page.high {
            journal.check_shown(partition, &found);
            return;
        }
        assert!(page.next > position, "nothing at {position} of {}", page.high);
        position = page.next;
        for (offset, key) in page.records {
            *seen.entry(key.clone()).or_default().entry(partition).or_default() += 1;
            found.insert(offset, key);
        }
    }
}

async fn fetch(client: &mut Client, from: &FetchFrom) -> io::Result<Page> {
    let mut wanted = FetchPartition::default();
    wanted.partition = from.partition as i32;
    wanted.fetch_offset = from.position;
    wanted.partition_max_bytes = from.max_bytes;
    let mut topic = FetchTopic::default();
    topic.topic = topic_name();
    topic.partitions = vec![wanted];
    let mut request = FetchRequest::default();
    request.max_bytes = 1 << 20;
    request.min_bytes = 1;
    request.max_wait_ms = from.max_wait_ms;
    request.isolation_level = 1;
    request.topics = vec![topic];
    let response = client.ask(&request, 11).await?;
    let answer = &response.responses[0].partitions[0];
    let FetchFrom { partition, position, .. } = from;
    assert_eq!(answer.error_code, 0, "fetch of partition {partition} at {position}");
    Ok(committed_records(answer, *position))
}

/// As the Java client does it: from the first offset of an aborted transaction to its marker a
/// producer is skipped.
fn committed_records(answer: &PartitionData, position: i64) -> Page {
    let (stable, high) = (answer.last_stable_offset, answer.high_watermark);
    let mut page = Page { stable, high, next: position, records: Vec::new() };
    let mut aborted: Vec<(i64, i64)> = answer
        .aborted_transactions
        .iter()
        .flatten()
        .map(|it| (it.first_offset, it.producer_id.0))
        .collect();
    aborted.sort_unstable();
    let mut skipped = BTreeSet::new();
    let mut bytes = answer.records.clone().unwrap_or_default();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).expect("a whole batch");
        let batch = bytes.split_to(header.size_bytes());
        let (first, last) = (header.base_offset.0, header.last_offset().0);
        assert!((first..=last).contains(&page.next), "offset {first} instead of {}", page.next);
        page.next = last + 1;
        while let Some((_, producer)) = aborted.first().copied().filter(|(from, _)| *from <= last) {
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
        for (record, offset) in batch::records(&batch, 1 << 20).expect("readable").zip(first..) {
            let key = record.expect("whole").key.expect("every record has one");
            let key = String::from_utf8(key.to_vec()).expect("text");
            page.records.push((offset, key));
        }
    }
    assert!(page.next <= stable.max(position), "{} was read of {stable} stable offsets", page.next);
    page
}
