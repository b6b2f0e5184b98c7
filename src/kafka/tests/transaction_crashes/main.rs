//! Transactions under crashes: producers that commit and abort, in both protocols, while the broker
//! is killed at every step; then everything is read back.
//!
//! What may never happen: a transaction that is there in part, one that was committed and is gone or
//! there twice, one that was aborted and is seen, an offset that does not belong to the last
//! transaction that committed, a last stable offset that is not exact, or hangs.
//!
//! `SEED=n cargo test -p kafka --features simulation --test transaction_crashes` replays one seed;
//! `SEEDS=2000` tries so many, `FIRST_SEED=n` begins elsewhere.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::field_reassign_with_default,
    reason = "a test: it fails by panicking, and the protocol crate's structs have no constructors"
)]

#[path = "../crash_simulation/client.rs"]
mod client;
mod committed_reader;
#[path = "../seeds/mod.rs"]
mod seeds;
#[expect(dead_code, reason = "../crash_simulation uses all of it")]
mod transaction_journal;
mod transactional_producer;

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    rc::Rc,
    sync::Mutex,
    time::Duration,
};

use broker::{BrokerSettings, RunningBroker, StorageSettings};
use kafka::{Doors, KafkaConfig};
use kafka_protocol::messages::{
    CreateTopicsRequest,
    create_topics_request::{CreatableTopic, CreatableTopicConfig},
};
use kafka_protocol::protocol::StrBytes;
use runtime::{
    simulation::{self, CrashKind, Random, Simulation},
    sync::oneshot,
};

use client::{Client, address};
use seeds::on_all_processors;
use transaction_journal::{Journal, Outcome};
use transactional_producer::{PARTITIONS, Producer};

/// What all seeds did together.
#[derive(Debug, Default, Clone, Copy)]
struct Summary {
    committed: usize,
    aborted: usize,
    unknown: usize,
    crashes: usize,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

fn run(seed: u64) -> Summary {
    Simulation::new(seed).virtual_time_max(Duration::from_secs(24 * 3600)).run(scenario(seed))
}

#[test]
fn transactions_are_all_or_nothing_whenever_the_broker_dies() {
    if let Some(seed) = number("SEED") {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
        println!("seed {seed}: {:?}", run(seed));
        return;
    }
    let (first, count) = (number("FIRST_SEED").unwrap_or(0), number("SEEDS").unwrap_or(40));
    let results = Mutex::new((Summary::default(), Vec::new()));
    on_all_processors(first..first + count, |seed| {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(seed)));
        let (total, failures) = &mut *results.lock().unwrap();
        match outcome {
            Ok(summary) => {
                total.committed += summary.committed;
                total.aborted += summary.aborted;
                total.unknown += summary.unknown;
                total.crashes += summary.crashes;
            }
            Err(payload) => {
                let why = payload.downcast_ref::<String>().cloned().unwrap_or_default();
                failures.push(format!("SEED={seed}: {why}"));
            }
        }
    });
    let (total, failures) = results.into_inner().unwrap();
    println!("{count} seeds: {total:?}");
    assert!(failures.is_empty(), "{} seeds fail:\n{}", failures.len(), failures.join("\n"));
    assert!(total.committed > 0 && total.aborted > 0 && total.unknown > 0 && total.crashes > 0);
}

async fn scenario(seed: u64) -> Summary {
    let random = Random::new(seed ^ 0x7472_616e_7361_6374);
    let settings = settings(&random);
    start(&settings).await;
    create_topic(&random).await;

    let journal = Rc::new(RefCell::new(Journal::default()));
    let stop = Rc::new(Cell::new(false));
    let mut work = Vec::new();
    for number in 0..random.between(1, 4) as usize {
        let producer = Producer {
            // Two of the same id fence each other.
            id: format!("tx-{}", number / 2),
            number,
            is_v2: random.chance(1, 2),
            timeout_ms: random.choose([2_000, 60_000]),
            random: random.split(),
            journal: Rc::clone(&journal),
            stop: Rc::clone(&stop),
        };
        work.push(runtime::spawn_joinable("producer", producer.run()));
    }
    for partition in 0..PARTITIONS {
        let (journal, stop) = (Rc::clone(&journal), Rc::clone(&stop));
        let reader = committed_reader::follow(journal, partition, random.split(), stop);
        work.push(runtime::spawn_joinable("reader", reader));
    }
    let mut summary = Summary::default();
    for _ in 0..random.between(2, 6) {
        runtime::sleep(Duration::from_micros(random.between(1_000, 1_200_000))).await;
        let kind = if random.chance(1, 2) { CrashKind::Kill } else { CrashKind::PowerCut };
        simulation::crash(kind);
        summary.crashes += 1;
        start(&settings).await;
    }
    stop.set(true);
    for task in work {
        runtime::timeout(Duration::from_secs(600), task).await.expect("a task hangs");
    }
    // Whatever is still open ends by its timeout.
    runtime::sleep(Duration::from_secs(80)).await;
    let journal = journal.take();
    committed_reader::check(&journal).await;
    summary.committed = journal.count(Outcome::Committed);
    summary.aborted = journal.count(Outcome::Aborted);
    summary.unknown = journal.count(Outcome::Unknown);
    summary
}

fn settings(random: &Random) -> BrokerSettings {
    let configs = [
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
        ("auto.create.topics.enable", "false"),
    ];
    BrokerSettings {
        data_dir: PathBuf::from("/data"),
        cores: random.between(1, 3) as usize,
        pin_cores: false,
        idle_spin_us: 0,
        memory_bytes: 64 << 20,
        advertised_host: "127.0.0.1".to_owned(),
        advertised_port: address().port(),
        configs: configs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        storage: StorageSettings {
            journal_file_bytes: random.choose([256 << 10, 1 << 20]),
            checkpoint_bytes: random.choose([16 << 10, 256 << 10]),
            checkpoint_interval_ms: random.choose([50, 300, 2000]),
            open_files_max: random.choose([2, 100]),
            lanes: random.choose([2, 3, 9]),
        },
    }
}

async fn start(settings: &BrokerSettings) {
    let (ready, started) = oneshot::channel();
    let settings = settings.clone();
    drop(simulation::start_process("broker", async move {
        let running = serve(settings).await;
        ready.send(()).ok();
        std::future::pending::<()>().await;
        drop(running);
    }));
    let started = runtime::timeout(Duration::from_secs(180), started).await;
    started.expect("the broker does not start").expect("it died while starting");
}

async fn serve(settings: BrokerSettings) -> (RunningBroker, Doors) {
    let running = RunningBroker::start(settings).await.expect("a healthy start");
    let doors = Doors::open(running.handle(), KafkaConfig { listen: address() }).await;
    (running, doors.expect("the address is free"))
}

async fn create_topic(random: &Random) {
    let mut config = CreatableTopicConfig::default();
    config.name = StrBytes::from_static_str("segment.ms");
    config.value = Some(StrBytes::from_string(random.choose([50, 100_000]).to_string()));
    let mut topic = CreatableTopic::default();
    topic.name = transactional_producer::topic_name();
    topic.num_partitions = PARTITIONS as i32;
    topic.replication_factor = 1;
    topic.configs = vec![config];
    let mut request = CreateTopicsRequest::default();
    request.topics = vec![topic];
    request.timeout_ms = 10_000;
    let mut client = Client::connect_patiently().await;
    let response = client.ask(&request, 5).await.expect("nobody disturbs this");
    assert_eq!(response.topics[0].error_code, 0);
}
