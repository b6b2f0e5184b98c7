//! The broker from the journal up to Kafka's wire protocol, in one simulated process, against a
//! plain model.
//!
//! `SEED=n cargo test -p kafka --features simulation --test crash_simulation` replays one seed with
//! the log; `SEEDS=20000` tries so many, `FIRST_SEED=n` begins elsewhere. Start reading at
//! [`scenario`], then [`plain_model`] (what may never happen), then [`coordination`] with
//! [`group_model`] and [`transaction_journal`] (what may never happen in groups and transactions),
//! and [`streams`] with [`shard_lineage`] and [`shard_model`] (what may never happen when shards
//! are split and merged), and [`lease_worker`] with [`lease_model`].
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::field_reassign_with_default,
    reason = "a test: it fails by panicking, and the protocol crate's structs have no constructors"
)]

mod checker;
mod client;
#[path = "../transaction_crashes/committed_reader.rs"]
mod committed_reader;
mod coordination;
mod group_member;
mod group_model;
mod group_worker;
mod lease_model;
mod lease_worker;
mod newer_member;
mod plain_model;
mod producer;
mod scenario;
#[path = "../seeds/mod.rs"]
mod seeds;
mod shard_lineage;
mod shard_model;
mod stream_reader;
mod stream_writer;
mod streams;
#[path = "../transaction_crashes/transaction_journal.rs"]
mod transaction_journal;
#[path = "../transaction_crashes/transactional_producer.rs"]
mod transactional_producer;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use runtime::simulation::{RunRecord, Sabotage, Simulation};

use scenario::{Options, Summary, scenario};
use seeds::on_all_processors;

fn run(seed: u64, options: Options) -> RunRecord<Summary> {
    Simulation::new(seed)
        // Reading a long log over the slowest of networks takes hours.
        .virtual_time_max(Duration::from_secs(24 * 3600))
        .run_recorded(scenario(seed, options))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

/// Runs a seed and turns its failure into a message that says how to see it again.
fn try_run(seed: u64, options: Options) -> Result<RunRecord<Summary>, String> {
    catch_unwind(AssertUnwindSafe(|| run(seed, options))).map_err(|payload| {
        let why = payload.downcast_ref::<String>().cloned().unwrap_or_default();
        let command = "cargo test -p kafka --features simulation --test crash_simulation";
        format!("{why}\nreplay: SEED={seed} {command}")
    })
}

#[test]
fn nothing_acknowledged_is_lost_doubled_or_moved() {
    if let Some(seed) = number("SEED") {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
        let record = run(seed, Options::default());
        println!("seed {seed}: {record:?}");
        return;
    }
    let (first, count) = (number("FIRST_SEED").unwrap_or(0), number("SEEDS").unwrap_or(30));
    let began = Instant::now();
    let results = Mutex::new((Summary::default(), Vec::new()));
    on_all_processors(first..first + count, |seed| {
        let outcome = try_run(seed, Options::default());
        let (total, failures) = &mut *results.lock().unwrap();
        match outcome {
            Ok(record) => total.add(&record.value),
            Err(why) => failures.push(why),
        }
        if (seed + 1).is_multiple_of(1000) {
            println!("up to seed {seed}: {} failed", failures.len());
        }
    });
    let (total, failures) = results.into_inner().unwrap();
    println!("{count} seeds in {:.1} s: {total:?}", began.elapsed().as_secs_f64());
    let failed = failures.len();
    assert!(failed == 0, "{failed} of {count} seeds fail:\n{}", failures.join("\n\n"));
    assert!(total.acknowledged > 0 && total.audits > 0, "the workload must do something");
    let in_some = [
        total.transactions,
        total.assignments,
        total.commits,
        total.stream_records,
        total.reshards,
        total.lease_changes,
    ];
    let has_all = in_some.iter().all(|count| *count > 0);
    assert!(has_all || count < 10, "groups, transactions and streams as well");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [1, 2, 3] {
        let (first, again) = (run(seed, Options::default()), run(seed, Options::default()));
        assert_eq!(first.schedule_hash, again.schedule_hash, "seed {seed} takes two ways");
        assert_eq!(first.value, again.value);
    }
}

/// The proof that the checker sees: with one promise broken it must fail within 50 seeds.
fn must_be_noticed(options: Options) {
    for seed in 0..50 {
        if let Err(why) = try_run(seed, options) {
            println!("{options:?} noticed by seed {seed}: {why}");
            return;
        }
    }
    panic!("50 seeds did not notice {options:?}");
}

fn sabotaged(sabotage: Sabotage, part: &'static str) -> Options {
    Options { sabotage: Some((sabotage, part)), ..Options::default() }
}

#[test]
fn journal_writes_that_are_not_durable_are_noticed() {
    must_be_noticed(sabotaged(Sabotage::SkipDurableWrite, "journal"));
}

#[test]
fn segments_that_are_not_synced_are_noticed() {
    must_be_noticed(sabotaged(Sabotage::SkipFileSync, "topics"));
}

#[test]
fn an_identity_that_is_not_synced_is_noticed() {
    must_be_noticed(sabotaged(Sabotage::SkipFileSync, "meta.json.new$"));
}

#[test]
fn checkpoints_that_are_not_synced_are_noticed() {
    must_be_noticed(sabotaged(Sabotage::SkipFileSync, "state"));
}

/// Each directory whose entries somebody makes durable.
#[test]
fn every_directory_sync_is_noticed_when_it_is_missing() {
    let directories = [
        "/data$",
        "/data/journal$",
        "/data/journal/1$",
        "/core-0$",
        "/data/state$",
        "/data/state/1$",
        "/data/topics$",
        "/data/topics/lasting$",
        // The folders of its partitions.
        "/data/topics/lasting/",
    ];
    for directory in directories {
        must_be_noticed(sabotaged(Sabotage::SkipDirectorySync, directory));
    }
}

#[test]
fn an_acknowledgement_before_the_sync_is_noticed() {
    must_be_noticed(Options { acknowledge_before_sync: true, ..Options::default() });
}
