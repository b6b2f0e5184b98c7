//! The journal alone, on the simulated runtime: appends meet kills, power cuts and a full disk, and
//! after each restart every command that was durable is there, in order, as it was appended.
//!
//! `SEED=n cargo test -p journal --features simulation --test simulation` replays one seed,
//! `SEEDS=n` tries so many.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use journal::{Journal, JournalConfig, JournalPosition, RecoveredCommand};
use model::{CommandIndex, LaneId, Term};
use runtime::simulation::{self, CrashKind, Random, Sabotage, Simulation};

const DIRECTORY: &str = "/data/journal";

/// What a life of the journal leaves to the next: all it appended, and how much of that was durable.
#[derive(Default)]
struct Memory {
    appended: RefCell<Vec<(JournalPosition, CommandIndex, Bytes)>>,
    durable: Cell<JournalPosition>,
    replay_from: Cell<JournalPosition>,
}

impl Memory {
    fn next_index(&self) -> CommandIndex {
        self.appended.borrow().last().map_or(CommandIndex(1), |(_, index, _)| index.next())
    }
}

fn config(memory: &Memory) -> JournalConfig {
    JournalConfig {
        file_size_bytes: 64 << 10,
        replay_from: memory.replay_from.get().max(JournalPosition::FIRST),
        ..JournalConfig::new(DIRECTORY)
    }
}

/// Opens the journal and compares what it replays with what was appended.
async fn open(memory: &Rc<Memory>) -> Journal {
    let mut found: Vec<RecoveredCommand> = Vec::new();
    let (journal, _) = Journal::open(config(memory), |command| {
        found.push(command);
        Ok::<(), Infallible>(())
    })
    .await
    .unwrap_or_else(|error| panic!("the journal does not open: {error}"));
    let mut appended = memory.appended.borrow_mut();
    let from = memory.replay_from.get();
    appended.retain(|(position, ..)| *position >= from);
    for (recovered, (position, index, command)) in found.iter().zip(appended.iter()) {
        assert_eq!(recovered.position, *position);
        assert_eq!(recovered.index, *index, "commands come back in order");
        assert_eq!(recovered.command, *command, "and as they were");
    }
    assert!(found.len() <= appended.len(), "commands that nobody appended");
    let durable = memory.durable.get();
    let lost = appended.iter().skip(found.len()).find(|(position, ..)| *position <= durable);
    assert!(lost.is_none(), "{:?} was durable ({durable:?}) and is lost", lost.map(|(p, ..)| p));
    appended.truncate(found.len());
    // What was read back counts as durable, also what no life before had heard to be.
    memory.durable.set(journal.durable());
    let acknowledging = Rc::clone(memory);
    journal.set_durable_listener(Box::new(move |position| acknowledging.durable.set(position)));
    journal
}

/// One life: appends, and checkpoints now and then, until it is killed.
async fn live(memory: Rc<Memory>, random: Random) {
    let journal = open(&memory).await;
    let bytes_max = random.choose([100, 3_000, 40_000]);
    loop {
        for _ in 0..random.between(1, 20) {
            if journal.is_full() {
                break;
            }
            let index = memory.next_index();
            let byte = index.0 as u8;
            let command = Bytes::from(vec![byte; random.below(bytes_max) as usize + 1]);
            let position = journal.append(LaneId(1), Term(0), index, &[&command]);
            let position = position.expect("small enough");
            memory.appended.borrow_mut().push((position, index, command));
        }
        journal.wait_for_room().await;
        runtime::sleep(Duration::from_micros(random.below(3_000))).await;
        if random.chance(1, 20) {
            let covered = JournalPosition(journal.durable().0 + 1);
            memory.replay_from.set(covered);
            journal.free_before(covered).await;
        }
    }
}

async fn lives(seed: u64, sabotage: Option<Sabotage>) {
    let random = Random::new(seed ^ 0xd1a);
    if let Some(sabotage) = sabotage {
        simulation::sabotage(sabotage, "");
    }
    runtime::fs::create_directory_all(DIRECTORY).await.expect("an empty disk");
    for directory in ["/data", "/"] {
        runtime::fs::sync_directory(directory).await.expect("just made");
    }
    let memory: Rc<Memory> = Rc::default();
    for _ in 0..6 {
        let life = simulation::start_process("life", live(Rc::clone(&memory), random.split()));
        // Short ones end while the journal is opened, or with its first write.
        let longest_us = random.choose([1_000, 10_000, 300_000]);
        runtime::sleep(Duration::from_micros(random.between(10, longest_us))).await;
        if random.chance(1, 4) {
            simulation::set_free_bytes(Some(random.below(200_000)));
            runtime::sleep(Duration::from_millis(random.below(200))).await;
            simulation::set_free_bytes(None);
            runtime::sleep(Duration::from_millis(random.below(50))).await;
        }
        simulation::crash(random.choose([CrashKind::Kill, CrashKind::PowerCut]));
        assert!(life.await.is_err());
    }
    let last = Rc::clone(&memory);
    let opened = simulation::start_process("last", async move {
        let journal = open(&last).await;
        // More at once than a file holds: it must go out all the same.
        let command = [7; 30_000];
        let mut index = last.next_index();
        let mut position = JournalPosition::NONE;
        for _ in 0..20 {
            let appended = journal.append(LaneId(1), Term(0), index, &[&command]);
            position = appended.expect("small enough");
            index = index.next();
        }
        let durable = journal.wait_durable(position);
        let in_time = runtime::timeout(Duration::from_secs(60), durable).await;
        assert!(in_time.is_ok(), "what is appended must become durable");
    });
    opened.await.expect("nobody crashes this one");
}

fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<(), String> {
    let simulated = || Simulation::new(seed).run(lives(seed, sabotage));
    catch_unwind(AssertUnwindSafe(simulated))
        .map_err(|payload| payload.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn what_was_durable_survives_every_crash() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse().expect("a number"));
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(60),
    };
    let failed: Vec<String> = seeds
        .filter_map(|seed| run(seed, None).err().map(|why| format!("SEED={seed}: {why}")))
        .collect();
    assert!(failed.is_empty(), "{} seeds fail: {}", failed.len(), failed.join("\n"));
}

#[test]
fn the_same_seed_replays_the_same_run() {
    let hash = |seed| Simulation::new(seed).run_recorded(lives(seed, None)).schedule_hash;
    assert_eq!(hash(4), hash(4));
}

#[test]
fn every_sync_is_needed() {
    use Sabotage::{SkipDirectorySync, SkipDurableWrite};
    for sabotage in [SkipDurableWrite, SkipDirectorySync] {
        let noticed = (0..50).find(|seed| run(*seed, Some(sabotage)).is_err());
        assert!(noticed.is_some(), "50 seeds did not notice {sabotage:?}");
    }
}
