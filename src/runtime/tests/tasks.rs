//! Tasks, their queues, and time.
#![cfg(not(feature = "simulation"))]

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_lite::future::pending;
use runtime::{run_single, sleep, spawn, spawn_background, spawn_joinable, timeout, yield_now};

/// Works for a while without giving way.
fn work_for(duration: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// Given tasks of the background queue that always have work, when other tasks sleep, or wait for a file, then
/// these come to their end: yielding lets everything else run, input and output included.
#[test]
fn background_work_gives_way() {
    run_single(|| async {
        let done = Rc::new(Cell::new(false));
        for _ in 0..3 {
            let done = Rc::clone(&done);
            spawn_background("busy", async move {
                while !done.get() {
                    work_for(Duration::from_millis(1));
                    yield_now().await;
                }
            });
        }
        for _ in 0..20 {
            sleep(Duration::from_millis(1)).await;
            runtime::fs::exists("/").await.unwrap();
        }
        done.set(true);
    })
    .unwrap();
}

/// Given a joinable task, when awaited, it gives its result; when dropped, it goes no further.
#[test]
fn a_dropped_task_is_cancelled() {
    run_single(|| async {
        assert_eq!(spawn_joinable("seven", async { 7 }).await, 7);
        let steps = Rc::new(Cell::new(0));
        let counted = Rc::clone(&steps);
        let task = spawn_joinable("endless", async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        while steps.get() < 3 {
            yield_now().await;
        }
        drop(task);
        let at_drop = steps.get();
        sleep(Duration::from_millis(20)).await;
        assert_eq!(steps.get(), at_drop);
    })
    .unwrap();
}

/// Given a limit of time, when the future is ready at once it wins even against zero; when it never is, the limit
/// ends it.
#[test]
fn a_timeout_ends_what_does_not_end() {
    run_single(|| async {
        assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        let limit = Duration::from_millis(20);
        let begun = runtime::now();
        let elapsed = timeout(limit, pending::<()>()).await.unwrap_err();
        assert_eq!(elapsed.after, limit);
        assert!(begun.elapsed() >= limit);
        assert!(runtime::now() > begun + limit);
    })
    .unwrap();
}

/// Given tasks of one core, when one notifies another, then that one goes on; tokio's own primitives need no tokio.
#[test]
fn notify_wakes_a_task_of_the_core() {
    run_single(|| async {
        let notify = Rc::new(runtime::sync::Notify::new());
        let notified = Rc::clone(&notify);
        let waiter = spawn_joinable("waiter", async move { notified.notified().await });
        spawn("notifier", async move { notify.notify_one() });
        waiter.await;
    })
    .unwrap();
}

/// Random ids do not repeat.
#[test]
fn random_numbers_differ() {
    let mut drawn: Vec<u128> = (0..1_000).map(|_| runtime::random_u128()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 1_000);
}
