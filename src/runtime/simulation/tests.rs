//! The simulator's own promises: what follows from the seed, what a crash forgets, what a socket loses.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use model::CoreId;

use super::{CrashKind, DiskOperation, Machine, MachineId, Sabotage, Simulation};
use crate::fs::{self, AlignedBuffer, DirectoryLock, File, JournalFile, OpenOptions};
use crate::{net, simulation};

/// Runs `f` and returns the message of its panic.
fn failure_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("the run must fail");
    payload.downcast_ref::<String>().cloned().expect("a message")
}

async fn file_with(path: &str, content: &'static [u8]) -> File {
    let file = File::open(path, OpenOptions::read_write_create()).await.unwrap();
    file.write_at(0, &[Bytes::from_static(content)]).await.unwrap();
    file
}

fn block(byte: u8, blocks: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::with_capacity(4096 * blocks);
    buffer.extend_from_slice(&vec![byte; 4096 * blocks]);
    buffer
}

// ---- who runs when ----

/// A little of everything: cores that call each other, timers, files, chance.
async fn busy_program() -> Vec<u64> {
    let cores = simulation::start_cores(3, |_, _| RefCell::new(Vec::new()));
    let mut calls = Vec::new();
    for number in 0..30_u64 {
        calls.push(cores.cores().call(CoreId((number % 3) as u16), move |log| async move {
            crate::sleep(Duration::from_micros(crate::random_u64() % 50)).await;
            log.borrow_mut().push(number);
            let file = file_with("/number", b"x").await;
            file.sync().await.unwrap();
            log.borrow().len() as u64
        }));
    }
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

#[test]
fn the_same_seed_gives_the_same_schedule_and_other_seeds_give_others() {
    let run = |seed| Simulation::new(seed).run_recorded(busy_program());
    let (first, again) = (run(42), run(42));
    assert_eq!(first.schedule_hash, again.schedule_hash);
    assert_eq!(first.value, again.value);
    assert_eq!((first.steps, first.virtual_time), (again.steps, again.virtual_time));
    let hashes: std::collections::BTreeSet<u64> =
        (0..20).map(|seed| run(seed).schedule_hash).collect();
    assert_eq!(hashes.len(), 20, "every seed must take its own way");
}

#[test]
fn the_seed_decides_which_of_two_tasks_runs_first() {
    let first_of = |seed| {
        Simulation::new(seed).run(async {
            let order: Rc<RefCell<Vec<char>>> = Rc::default();
            for name in ['a', 'b'] {
                let order = Rc::clone(&order);
                crate::spawn("racer", async move { order.borrow_mut().push(name) });
            }
            crate::sleep(Duration::from_millis(1)).await;
            order.take().remove(0)
        })
    };
    let firsts: Vec<char> = (0..20).map(first_of).collect();
    assert!(firsts.contains(&'a') && firsts.contains(&'b'));
}

#[test]
fn an_hour_of_virtual_time_takes_no_time() {
    let before = std::time::Instant::now();
    let run = Simulation::new(1).run_recorded(async {
        let (start, wall) = (crate::now(), crate::wall_clock());
        crate::sleep(Duration::from_secs(3600)).await;
        assert!(crate::now() - start >= Duration::from_secs(3600));
        assert!(crate::wall_clock().0 - wall.0 >= 3_600_000);
        simulation::shift_wall_clock(-7_200_000);
        assert!(crate::wall_clock() < wall);
        crate::timeout(Duration::from_secs(5), std::future::pending::<()>()).await.unwrap_err();
    });
    assert!(run.virtual_time < Duration::from_secs(3606));
    assert!(before.elapsed() < Duration::from_secs(600), "it waited for real");
}

#[test]
fn calls_to_a_core_begin_in_the_order_in_which_they_were_made() {
    for seed in 0..20 {
        let order = Simulation::new(seed).run(async {
            let cores = simulation::start_cores(2, |_, _| RefCell::new(Vec::new()));
            let calls: Vec<_> = (0..10)
                .map(|number| {
                    cores.cores().call(CoreId(1), move |log| async move {
                        log.borrow_mut().push(number);
                        crate::yield_now().await;
                        assert_eq!(crate::current_core(), CoreId(1));
                        log.borrow().clone()
                    })
                })
                .collect();
            let mut last = Vec::new();
            for call in calls {
                last = call.await.unwrap();
            }
            last
        });
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn a_panic_fails_the_run_with_the_seed_and_the_task() {
    let message = failure_of(|| {
        Simulation::new(77).run(async {
            crate::spawn("clumsy", async { panic!("dropped it") });
            crate::sleep(Duration::from_secs(1)).await;
        });
    });
    assert!(message.contains("seed 77"), "{message}");
    assert!(message.contains("clumsy") && message.contains("dropped it"), "{message}");
}

#[test]
fn a_deadlock_is_reported_with_who_waits() {
    let message = failure_of(|| {
        Simulation::new(5).run(async {
            crate::spawn("waits for ever", std::future::pending());
            std::future::pending::<()>().await;
        });
    });
    assert!(message.contains("seed 5") && message.contains("waits for ever"), "{message}");
}

#[test]
fn a_task_that_spins_is_reported() {
    let message = failure_of(|| {
        Simulation::new(5).steps_max(1000).run(async {
            loop {
                crate::yield_now().await;
            }
        });
    });
    assert!(message.contains("no end after"), "{message}");
}

#[test]
fn a_dropped_task_handle_cancels_the_task() {
    Simulation::new(1).run(async {
        let ticks = Rc::new(Cell::new(0));
        let counted = Rc::clone(&ticks);
        let task = crate::spawn_joinable("ticker", async move {
            loop {
                crate::sleep(Duration::from_millis(1)).await;
                counted.set(counted.get() + 1);
            }
        });
        crate::sleep(Duration::from_millis(10)).await;
        drop::<crate::Task<()>>(task);
        let at_drop = ticks.get();
        assert!(at_drop > 0);
        crate::sleep(Duration::from_millis(10)).await;
        assert_eq!(ticks.get(), at_drop);
        assert_eq!(Rc::strong_count(&ticks), 1, "its future must be gone");
        assert_eq!(crate::spawn_joinable("sum", async { 2 + 2 }).await, 4);
    });
}

// ---- processes ----

#[test]
fn a_crash_drops_every_task_of_the_process_and_answers_its_callers() {
    for kind in [CrashKind::Kill, CrashKind::PowerCut] {
        Simulation::new(3).run(async move {
            let held = Rc::new(());
            let cores = simulation::start_cores(2, |_, _| ());
            let waiting = cores.cores().call(CoreId(0), |_| async {
                let lock = DirectoryLock::lock("/lock").unwrap();
                crate::sleep(Duration::from_secs(1000)).await;
                drop(lock);
            });
            let inside = Rc::clone(&held);
            let process = simulation::start_process("worker", async move {
                crate::sleep(Duration::from_secs(1000)).await;
                drop(inside);
            });
            crate::sleep(Duration::from_millis(5)).await;
            assert!(DirectoryLock::lock("/lock").is_err(), "the process holds it");
            simulation::crash(kind);
            assert!(waiting.await.is_err());
            assert!(process.await.is_err());
            assert_eq!(Rc::strong_count(&held), 1);
            assert!(cores.cores().call(CoreId(0), |_| async {}).await.is_err());
            DirectoryLock::lock("/lock").unwrap();
        });
    }
}

#[test]
fn abort_ends_the_process_and_not_the_run() {
    Simulation::new(3).run(async {
        let cores = simulation::start_cores(1, |_, _| ());
        let end = simulation::crashed();
        let call = cores.cores().call(CoreId(0), |_| async {
            crate::yield_now().await;
            crate::abort("the journal cannot be written")
        });
        let (ended, answer): ((), Result<(), _>) = futures_lite::future::zip(end, call).await;
        let () = ended;
        assert!(answer.is_err());
        assert_eq!(Machine::default().crash_count(), 1);
    });
}

#[test]
fn stop_lets_posted_calls_begin_and_then_drops_the_tasks() {
    Simulation::new(9).run(async {
        let cores = simulation::start_cores(1, |_, _| Cell::new(0));
        let handle = cores.cores().clone();
        let answer = handle.call(CoreId(0), |count| async move {
            count.set(count.get() + 1);
            count.get()
        });
        cores.stop().unwrap();
        assert_eq!(answer.await.unwrap(), 1);
        simulation::settle(Duration::from_millis(1)).await;
        assert!(handle.call(CoreId(0), |_| async {}).await.is_err());
    });
}

// ---- the disk ----

/// What a file holds after a crash, over many seeds.
fn contents_after(
    kind: CrashKind,
    seeds: u64,
    sync_file: bool,
    sync_directory: bool,
    sabotage: Option<Sabotage>,
) -> Vec<Option<Vec<u8>>> {
    let one = |seed| {
        Simulation::new(seed).run(async move {
            if let Some(sabotage) = sabotage {
                simulation::sabotage(sabotage, "");
            }
            let file = file_with("/data", &[7; 10_000]).await;
            if sync_file {
                file.sync().await.unwrap();
            }
            if sync_directory {
                fs::sync_directory("/").await.unwrap();
            }
            simulation::crash(kind);
            assert_eq!(file.sync().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            fs::read_file("/data", 1 << 20).await.ok().map(|bytes| bytes.to_vec())
        })
    };
    (0..seeds).map(one).collect()
}

fn is_whole(content: &Option<Vec<u8>>) -> bool {
    content.as_deref() == Some([7; 10_000].as_slice())
}

#[test]
fn a_kill_keeps_what_was_written_and_a_power_cut_only_what_was_synced() {
    assert!(contents_after(CrashKind::Kill, 20, false, false, None).iter().all(is_whole));
    assert!(contents_after(CrashKind::PowerCut, 50, true, true, None).iter().all(is_whole));
}

#[test]
fn without_a_sync_every_loss_happens_for_some_seed() {
    let contents = contents_after(CrashKind::PowerCut, 200, false, true, None);
    assert!(contents.iter().any(is_whole), "the bytes may have reached the disk");
    assert!(contents.iter().any(|content| content.as_deref() == Some(&[])), "or none of them");
    let torn = |content: &Option<Vec<u8>>| {
        content.as_deref().is_some_and(|bytes| bytes.contains(&0) && bytes.contains(&7))
    };
    assert!(contents.iter().any(torn), "or some sectors");
    let names = contents_after(CrashKind::PowerCut, 200, true, false, None);
    assert!(names.iter().any(|content| content.is_none()), "a name needs its directory synced");
    assert!(names.iter().any(is_whole));
}

#[test]
fn a_sabotaged_sync_is_no_sync() {
    for sabotage in [Sabotage::SkipFileSync, Sabotage::SkipDirectorySync] {
        let contents = contents_after(CrashKind::PowerCut, 50, true, true, Some(sabotage));
        assert!(!contents.iter().all(is_whole), "{sabotage:?} must show");
    }
}

#[test]
fn a_durable_write_survives_a_power_cut_once_it_is_done_unless_sabotaged() {
    let survived = |seed, sabotage: bool| {
        Simulation::new(seed).run(async move {
            let file = JournalFile::create_zeroed("/journal", 64 << 10).await.unwrap();
            if sabotage {
                simulation::sabotage(Sabotage::SkipDurableWrite, "/journal");
            }
            file.write_durable(8192, block(9, 1)).await.0.unwrap();
            simulation::crash(CrashKind::PowerCut);
            let file = JournalFile::open("/journal").await.unwrap();
            assert_eq!(file.size_bytes(), 64 << 10);
            assert_eq!(file.read_at(0, 8192).await.unwrap(), vec![0; 8192]);
            file.read_at(8192, 4096).await.unwrap() == vec![9; 4096]
        })
    };
    assert!((0..50).all(|seed| survived(seed, false)));
    assert!(!(0..50).all(|seed| survived(seed, true)));
}

#[test]
fn a_durable_write_in_flight_is_absent_torn_or_complete() {
    let nines_after = |seed| {
        Simulation::new(seed).run(async move {
            let file = JournalFile::create_zeroed("/journal", 64 << 10).await.unwrap();
            let writer = file.clone();
            let write = crate::spawn_joinable("writer", async move {
                writer.write_durable(0, block(9, 4)).await.0.ok();
            });
            // Polled once, the write is with the device; the crash comes before its end.
            crate::sleep(Duration::from_micros(10)).await;
            simulation::crash(CrashKind::PowerCut);
            drop(write);
            let file = JournalFile::open("/journal").await.unwrap();
            let bytes = file.read_at(0, 16_384).await.unwrap();
            bytes.iter().filter(|byte| **byte == 9).count()
        })
    };
    let counts: Vec<usize> = (0..100).map(nines_after).collect();
    assert!(counts.contains(&0), "absent");
    assert!(counts.contains(&16_384), "complete");
    assert!(counts.iter().any(|count| !matches!(count, 0 | 16_384)), "torn");
}

#[test]
fn a_file_written_durably_is_the_old_or_the_new_one() {
    for seed in 0..60 {
        Simulation::new(seed).run(async move {
            fs::create_directory_all("/state").await.unwrap();
            fs::sync_directory("/").await.unwrap();
            fs::write_file_durably("/state/meta", b"old").await.unwrap();
            let process = simulation::start_process("writer", async {
                fs::write_file_durably("/state/meta", b"new").await.unwrap();
            });
            crate::sleep(Duration::from_micros(crate::random_u64() % 3000)).await;
            simulation::crash(CrashKind::PowerCut);
            let done = process.await.is_ok();
            let content = fs::read_file("/state/meta", 100).await.unwrap();
            assert!(content == "new" || (!done && content == "old"), "{content:?}, done: {done}");
        });
    }
}

#[test]
fn directories_list_rename_and_remove_as_on_any_disk() {
    Simulation::new(4).run(async {
        fs::create_directory_all("/a/b").await.unwrap();
        file_with("/a/b/two", b"22").await;
        file_with("/a/b/one", b"1").await;
        fs::rename("/a/b/two", "/a/b/three").await.unwrap();
        let names: Vec<_> = fs::read_directory("/a/b")
            .await
            .unwrap()
            .into_iter()
            .map(|e| (e.name, e.size_bytes))
            .collect();
        assert_eq!(names, [("one".to_owned(), 1), ("three".to_owned(), 2)]);
        assert_eq!(fs::read_directory("/none").await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::remove_directory_all("/a").await.unwrap();
        assert!(!fs::exists("/a/b/one").await.unwrap());
        fs::sync_directory("/").await.unwrap();
    });
}

#[test]
fn a_full_disk_says_so_and_takes_writes_again_when_there_is_room() {
    Simulation::new(4).run(async {
        let file = file_with("/data", b"x").await;
        simulation::set_free_bytes(Some(8192));
        let big = [Bytes::from(vec![1; 20_000])];
        assert_eq!(file.write_at(1, &big).await.unwrap_err().kind(), ErrorKind::StorageFull);
        let other = JournalFile::create_zeroed("/journal", 1 << 20).await;
        assert_eq!(other.err().unwrap().kind(), ErrorKind::StorageFull);
        file.write_at(0, &[Bytes::from_static(b"y")]).await.unwrap();
        simulation::set_free_bytes(None);
        file.write_at(1, &big).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 20_001);
    });
}

#[test]
fn planned_failures_hit_the_operation_they_are_meant_for() {
    Simulation::new(4).run(async {
        simulation::fail_next(DiskOperation::FileSync, "/data", ErrorKind::Other, 1);
        let file = file_with("/data", b"lost").await;
        fs::sync_directory("/").await.unwrap();
        assert_eq!(file.sync().await.unwrap_err().kind(), ErrorKind::Other);
        // As on Linux: the next sync succeeds, and the data is lost all the same.
        file.sync().await.unwrap();
        simulation::crash(CrashKind::PowerCut);
        let content = fs::read_file("/data", 100).await.unwrap();
        assert!(content.iter().all(|byte| *byte == 0), "{content:?}");
    });
}

#[test]
fn a_flipped_bit_is_read_back() {
    Simulation::new(4).run(async {
        file_with("/data", b"AB").await;
        simulation::flip_bit("/data", 1, 0).unwrap();
        assert_eq!(fs::read_file("/data", 10).await.unwrap(), "AC");
        assert_eq!(fs::read_file("/data", 1).await.unwrap_err().kind(), ErrorKind::FileTooLarge);
    });
}

#[test]
fn machines_have_their_own_disks() {
    Simulation::new(4).run(async {
        file_with("/data", b"mine").await;
        let other = Machine::new(MachineId(1));
        let seen = other.start_process("look", async { fs::exists("/data").await.unwrap() });
        assert!(!seen.await.unwrap());
    });
}

// ---- sockets ----

const ADDRESS: &str = "127.0.0.1:9092";

/// Every core echoes what it reads, behind its own number.
fn start_echo() -> crate::RunningCores<()> {
    simulation::start_cores(2, |core, _| {
        let listener = net::Listener::bind(ADDRESS.parse().unwrap()).unwrap();
        crate::spawn("echo", async move {
            loop {
                let (mut reader, mut writer) = listener.accept().await.unwrap().split();
                crate::spawn("connection", async move {
                    writer.write_all(&[core.0 as u8]).await.ok();
                    let mut buffer = [0; 1000];
                    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                        if writer.write_all(&buffer[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    })
}

#[test]
fn bytes_arrive_whole_in_order_and_in_any_pieces() {
    let mut seen_cores = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let core = Simulation::new(seed).run(async {
            let _cores = start_echo();
            let (mut reader, mut writer) =
                net::connect(ADDRESS.parse().unwrap()).await.unwrap().split();
            let mut core = [0];
            reader.read_exact(&mut core).await.unwrap();
            let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
            let copy = sent.clone();
            let sender = crate::spawn_joinable("sender", async move {
                writer.write_all(&copy).await.unwrap();
                writer.close().await.unwrap();
            });
            let mut received = vec![0; sent.len()];
            reader.read_exact(&mut received).await.unwrap();
            sender.await;
            assert!(received == sent);
            assert_eq!(reader.read(&mut [0; 10]).await.unwrap(), 0, "then the end");
            core[0]
        });
        seen_cores.insert(core);
    }
    assert_eq!(seen_cores.len(), 2, "connections must spread over the cores");
}

#[test]
fn a_cut_is_an_error_on_both_sides() {
    Simulation::new(6).run(async {
        let _cores = start_echo();
        let (mut reader, mut writer) =
            net::connect(ADDRESS.parse().unwrap()).await.unwrap().split();
        reader.read_exact(&mut [0]).await.unwrap();
        assert_eq!(simulation::cut_connections(100), 1);
        assert_eq!(reader.read(&mut [0; 10]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(writer.write_all(b"x").await.is_err());
        assert_eq!(simulation::open_connections(), 0);
    });
}

#[test]
fn a_crash_ends_connections_and_frees_the_address() {
    for kind in [CrashKind::Kill, CrashKind::PowerCut] {
        Simulation::new(6).run(async move {
            let _cores = start_echo();
            let (mut reader, _writer) =
                net::connect(ADDRESS.parse().unwrap()).await.unwrap().split();
            reader.read_exact(&mut [0]).await.unwrap();
            simulation::crash(kind);
            assert!(!matches!(reader.read(&mut [0; 10]).await, Ok(1..)));
            let refused = net::connect(ADDRESS.parse().unwrap()).await.err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let _again = start_echo();
            net::connect(ADDRESS.parse().unwrap()).await.unwrap();
        });
    }
}

#[test]
fn cuts_come_by_chance_when_asked_for() {
    let lost = |seed| {
        Simulation::new(seed).run(async {
            let _cores = start_echo();
            simulation::set_cuts_per_million(100_000);
            let (mut reader, mut writer) =
                net::connect(ADDRESS.parse().unwrap()).await.unwrap().split();
            for _ in 0..50 {
                let sent = writer.write_all(b"x").await;
                if sent.is_err() || reader.read_exact(&mut [0]).await.is_err() {
                    return true;
                }
            }
            false
        })
    };
    assert!((0..20).all(lost));
}
