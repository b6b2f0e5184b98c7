//! The journal on the simulator: crashes, power cuts, full disks, and what must hold after each.
//! A failing seed replays with `SEED=n cargo test -p journal --features simulation --test crashes`.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use journal::{Journal, JournalConfig, JournalError, JournalPosition};
use model::{CommandIndex, LaneId, Term};
use runtime::simulation::{
    self, CrashKind, DiskOperation, Sabotage, Simulation, corrupt_file, crash, fail_next,
    set_free_bytes, start_process,
};

const DIRECTORY: &str = "/journal/core-0";
const FILE_BYTES: u64 = 64 << 10;

fn config(replay_from: JournalPosition) -> JournalConfig {
    JournalConfig {
        file_size_bytes: FILE_BYTES,
        frame_bytes_max: 16 << 10,
        second_write_bytes_min: 2_000,
        buffered_bytes_max: 64 << 10,
        replay_from,
        ..JournalConfig::new(DIRECTORY)
    }
}

/// What the test knows outside of the process that crashes.
#[derive(Default)]
struct Known {
    /// Commands up to here were reported durable.
    acknowledged: Cell<u64>,
    /// The last checkpoint: where to replay from, and the command before that.
    replay_from: Cell<JournalPosition>,
    checkpoint: Cell<u64>,
    /// Of this process: the frame of each command after the recovered ones.
    frames: RefCell<Vec<(u64, JournalPosition)>>,
}

/// The bytes of command `index`: of any length, and no two alike.
fn command(index: u64) -> Vec<u8> {
    let mut bytes = index.to_le_bytes().to_vec();
    let length = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
    let length = if index.is_multiple_of(50) { 40_000 } else { length as usize % 6_000 };
    bytes.resize(8 + length, index as u8);
    bytes
}

fn draw(below: u64) -> u64 {
    runtime::random_u64() % below
}

/// One life of the process: recover, compare, append until the end.
async fn live(known: Rc<Known>) {
    let mut expected = known.checkpoint.get() + 1;
    let (journal, _) = Journal::open(config(known.replay_from.get()), |recovered| {
        assert_eq!(recovered.index, CommandIndex(expected), "commands are dense and in order");
        assert_eq!(recovered.command, command(expected), "command {expected} is unchanged");
        expected += 1;
        Ok::<(), Infallible>(())
    })
    .await
    .unwrap();
    let acknowledged = known.acknowledged.get();
    assert!(expected > acknowledged, "command {acknowledged} was acknowledged, then lost");
    // What was recovered is durable: it counts from now on.
    known.acknowledged.set(expected - 1);
    known.frames.borrow_mut().clear();
    let heard = Rc::clone(&known);
    journal.set_durable_listener(Box::new(move |durable| {
        let frames = heard.frames.borrow();
        let reached = frames.partition_point(|(_, position)| *position <= durable);
        if let Some((index, _)) = reached.checked_sub(1).and_then(|last| frames.get(last)) {
            heard.acknowledged.set(*index);
        }
    }));
    let pause = 1 + draw(400);
    for index in expected.. {
        if !journal.is_full() {
            let bytes = command(index);
            let parts = [&bytes[..3], &bytes[3..]];
            let position = journal.append(LaneId(1), Term(1), CommandIndex(index), &parts).unwrap();
            known.frames.borrow_mut().push((index, position));
        } else {
            runtime::sleep(Duration::from_millis(100)).await;
            panic!("the disk is not full");
        }
        match draw(20) {
            0..8 => {}
            8..14 => runtime::yield_now().await,
            14..18 => runtime::sleep(Duration::from_micros(draw(pause))).await,
            18 => journal.wait_for_room().await,
            _ => checkpoint(&journal, &known).await,
        }
    }
}

async fn checkpoint(journal: &Journal, known: &Known) {
    let replay_from = journal.durable().next();
    known.replay_from.set(replay_from);
    known.checkpoint.set(known.acknowledged.get());
    journal.free_before(replay_from).await;
}

/// Several lives, each ended at a random moment.
fn crash_again_and_again(seed: u64, sabotage: Option<Sabotage>) {
    Simulation::new(seed).run(async move {
        if let Some(sabotage) = sabotage {
            simulation::sabotage(sabotage, DIRECTORY);
        }
        let known = Rc::new(Known::default());
        for _ in 0..6 {
            let process = start_process("life", live(Rc::clone(&known)));
            let long = draw(2) == 0;
            runtime::sleep(Duration::from_micros(draw(if long { 200_000 } else { 5_000 }))).await;
            crash(if draw(3) == 0 { CrashKind::Kill } else { CrashKind::PowerCut });
            assert!(process.await.is_err());
        }
    });
}

#[test]
fn nothing_acknowledged_is_lost_or_changed_by_crashes_and_power_cuts() {
    if let Some(seed) = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        return crash_again_and_again(seed, None);
    }
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    for seed in 0..seeds {
        crash_again_and_again(seed, None);
    }
}

#[test]
fn a_disk_that_does_not_keep_its_promise_is_noticed() {
    for sabotage in [Sabotage::SkipDurableWrite, Sabotage::SkipDirectorySync] {
        let noticed = (0..50).any(|seed| {
            catch_unwind(AssertUnwindSafe(|| crash_again_and_again(seed, Some(sabotage)))).is_err()
        });
        assert!(noticed, "{sabotage:?}");
    }
}

async fn open_new() -> Journal {
    Journal::open(config(JournalPosition::FIRST), |_| Ok::<(), Infallible>(())).await.unwrap().0
}

async fn append_durably(journal: &Journal, index: u64, length: usize) -> JournalPosition {
    let bytes = vec![index as u8; length];
    let position = journal.append(LaneId(1), Term(1), CommandIndex(index), &[&bytes]).unwrap();
    journal.wait_durable(position).await;
    position
}

#[test]
fn a_full_disk_is_reported_and_heals_when_space_is_back() {
    for seed in 0..20 {
        Simulation::new(seed).run(async {
            let journal = open_new().await;
            append_durably(&journal, 1, 100).await;
            // The file that stands ready is all there will be.
            runtime::sleep(Duration::from_secs(1)).await;
            set_free_bytes(Some(10_000));
            let mut index = 1;
            while !journal.is_full() {
                index += 1;
                append_durably(&journal, index, 3_000).await;
                runtime::sleep(Duration::from_millis(5)).await;
                assert!(index < 40, "two files hold 30 of these");
            }
            // Full, but what was taken before is durable, and there is room in the current file.
            append_durably(&journal, index + 1, 3_000).await;
            set_free_bytes(None);
            runtime::sleep(Duration::from_secs(1)).await;
            assert!(!journal.is_full());
            for more in 0..40 {
                append_durably(&journal, index + 2 + more, 3_000).await;
            }
            journal.close().await;
        });
    }
}

#[test]
fn a_full_disk_heals_when_a_checkpoint_frees_a_file() {
    Simulation::new(1).run(async {
        let journal = open_new().await;
        append_durably(&journal, 1, 100).await;
        runtime::sleep(Duration::from_secs(1)).await;
        set_free_bytes(Some(10_000));
        let mut index = 1;
        while !journal.is_full() {
            index += 1;
            append_durably(&journal, index, 3_000).await;
            runtime::sleep(Duration::from_millis(5)).await;
        }
        journal.free_before(journal.durable().next()).await;
        runtime::sleep(Duration::from_millis(100)).await;
        assert!(!journal.is_full(), "the freed file is used again: no space is needed");
        for more in 0..20 {
            append_durably(&journal, index + 1 + more, 3_000).await;
        }
        journal.close().await;
    });
}

#[test]
fn a_failed_write_ends_the_process_and_nothing_after_it_is_acknowledged() {
    for seed in 0..20 {
        Simulation::new(seed).run(async {
            let acknowledged = Rc::new(Cell::new(0));
            let count = Rc::clone(&acknowledged);
            let process = start_process("writer", async move {
                let journal = open_new().await;
                for index in 1..100 {
                    if index == 10 {
                        // By now the next file stands ready: only frames are written.
                        runtime::sleep(Duration::from_secs(1)).await;
                        let failure = std::io::ErrorKind::Other;
                        fail_next(DiskOperation::DurableWrite, DIRECTORY, failure, 1);
                    }
                    append_durably(&journal, index, 500).await;
                    count.set(index);
                }
            });
            assert!(process.await.is_err());
            assert_eq!(acknowledged.get(), 9);
            let mut replayed = 0;
            let opened = Journal::open(config(JournalPosition::FIRST), |_| {
                replayed += 1;
                Ok::<(), Infallible>(())
            })
            .await;
            assert!(opened.is_ok());
            assert!(replayed >= acknowledged.get());
        });
    }
}

#[test]
fn damage_before_a_frame_that_knew_better_is_an_error_on_every_seed() {
    for seed in 0..20 {
        Simulation::new(seed).run(async {
            let journal = open_new().await;
            for index in 1..=10 {
                append_durably(&journal, index, 500).await;
            }
            journal.close().await;
            let path = format!("{DIRECTORY}/{:020}.journal", 1);
            let offset = 4096 * (1 + draw(9));
            corrupt_file(&path, offset + 60, b"damaged").unwrap();
            let opened =
                Journal::open(config(JournalPosition::FIRST), |_| Ok::<(), Infallible>(())).await;
            match opened {
                Err(JournalError::Damaged { offset: named, .. }) => assert_eq!(named, offset),
                other => panic!("{other:?}"),
            }
        });
    }
}
