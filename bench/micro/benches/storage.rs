//! What a record costs on its core: into the journal, and out of a partition's tail into a reply.
//! The journal lies in the build's target folder, which should be on the disk that matters.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail this way")]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use batch::{BatchBuilder, BatchHeader};
use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;
use journal::{Journal, JournalConfig};
use kafka::codec::fetch::{
    FetchedHead, FetchedPartition, FetchedTopic, response_bytes, write_response,
};
use kafka::codec::topic_ref::TopicRef;
use kafka::wire::Writer;
use model::{
    CommandIndex, Compression, CoreId, LaneId, Offset, PartitionIndex, Term, Timestamp,
    TopicConfig, TopicId, TopicPartition,
};
use partition::{CoreStorage, Partition, StorageConfig};
use runtime::CoresConfig;

/// What the one core owns, once it is made.
#[derive(Default)]
struct State {
    journal: RefCell<Option<Journal>>,
    next_index: Cell<u64>,
    partition: RefCell<Option<Partition>>,
}

fn start() -> runtime::RunningCores<State> {
    runtime::start(CoresConfig::new(1), |_, _| State::default()).unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

async fn open_journal(state: Rc<State>, directory: PathBuf) {
    let visit = |_| Ok::<(), Infallible>(());
    let (journal, _) = Journal::open(JournalConfig::new(directory), visit).await.unwrap();
    *state.journal.borrow_mut() = Some(journal);
}

/// Appends `count` commands and waits until each, or only the last, is durable.
async fn append(
    state: Rc<State>,
    count: u64,
    size_bytes: usize,
    each: bool,
) -> std::time::Duration {
    let journal = state.journal.borrow().clone().unwrap();
    let command = vec![0x5A; size_bytes];
    let started = Instant::now();
    let mut last = journal.durable();
    for _ in 0..count {
        let index = state.next_index.get() + 1;
        state.next_index.set(index);
        journal.wait_for_room().await;
        last = journal.append(LaneId(1), Term(1), CommandIndex(index), &[&command]).unwrap();
        if each {
            journal.wait_durable(last).await;
        }
        // Nothing needs to be replayed: files are freed and used again.
        if index.is_multiple_of(1024) {
            journal.free_before(journal.durable()).await;
        }
    }
    journal.wait_durable(last).await;
    started.elapsed()
}

fn journal_append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal append");
    group.sample_size(10);
    let (running, directory) = (start(), folder());
    let path = directory.path().join("journal");
    block_on(running.cores().call(CoreId(0), move |state| open_journal(state, path))).unwrap();
    for (name, size_bytes, each) in [
        ("1 KiB, one at a time", 1024, true),
        ("1 KiB, gathered", 1024, false),
        ("64 KiB, gathered", 64 << 10, false),
    ] {
        group.throughput(Throughput::Bytes(size_bytes as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let work = move |state| append(state, count, size_bytes, each);
                block_on(running.cores().call(CoreId(0), work)).unwrap()
            });
        });
    }
    group.finish();
    running.stop().unwrap();
}

fn batch_of(base: Offset, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).base_offset(base);
    for _ in 0..records {
        builder.push(Timestamp(1_700_000_000_000), None, Some(&[7; 1024]), &[]);
    }
    builder.build().unwrap().freeze()
}

/// A partition whose tail holds `batches` batches of `records` records.
async fn fill(state: Rc<State>, directory: PathBuf, batches: usize, records: usize) {
    let storage = CoreStorage::new(StorageConfig::default());
    let id = TopicPartition { topic: TopicId(1), partition: PartitionIndex(0) };
    let config = Rc::new(TopicConfig::default());
    let partition = Partition::create(&storage, directory, id, config).await.unwrap();
    for _ in 0..batches {
        let batch = batch_of(partition.log_end(), records);
        let header = BatchHeader::parse(&batch).unwrap();
        partition.append(batch, &header).unwrap();
    }
    *state.partition.borrow_mut() = Some(partition);
}

/// Reads a megabyte from the beginning, and makes a reply of it, `count` times.
async fn fetch(state: Rc<State>, count: u64) -> std::time::Duration {
    const VERSION: i16 = 12;
    let partition = state.partition.borrow().clone().unwrap();
    let head = FetchedHead { error_code: 0, read_committed: false };
    let started = Instant::now();
    for _ in 0..count {
        let read = partition.read(Offset::ZERO, 1 << 20, partition.log_end()).await.unwrap();
        let end = partition.log_end().0;
        let fetched = FetchedPartition {
            index: 0,
            error_code: 0,
            high_watermark: end,
            last_stable_offset: end,
            log_start_offset: 0,
            aborted: Vec::new(),
            batches: read.batches,
        };
        let topic = TopicRef::Name("measurements".into());
        let topics = [FetchedTopic { topic, partitions: vec![fetched] }];
        let mut writer = Writer::new(BytesMut::with_capacity(response_bytes(&topics)), true);
        write_response(&mut writer, VERSION, head, &topics);
        assert!(writer.into_bytes().len() > 900 << 10);
    }
    started.elapsed()
}

fn fetch_assembly(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fetch assembly, 1 MiB from the tail");
    group.throughput(Throughput::Bytes(1 << 20));
    for (batches, records) in [(1024, 1), (16, 64), (2, 500)] {
        let (running, directory) = (start(), folder());
        let path = directory.path().join("partition");
        let filled =
            running.cores().call(CoreId(0), move |state| fill(state, path, batches, records));
        block_on(filled).unwrap();
        let id = BenchmarkId::from_parameter(format!("{batches} batches of {records} x 1 KiB"));
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|count| {
                block_on(running.cores().call(CoreId(0), move |state| fetch(state, count))).unwrap()
            });
        });
        running.stop().unwrap();
    }
    group.finish();
}

criterion_group!(benches, journal_append, fetch_assembly);
criterion_main!(benches);
