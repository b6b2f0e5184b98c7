//! Calls between cores, as the broker and the tokio doors use them.
#![cfg(not(feature = "simulation"))]
#![expect(clippy::unwrap_used, reason = "tests may fail this way")]

use std::{cell::RefCell, rc::Rc, time::Duration};

use model::CoreId;
use runtime::{CoreStopped, CoresConfig};

/// What each core of these tests owns.
struct State {
    core: CoreId,
    seen: RefCell<Vec<u32>>,
}

fn start(cores: usize) -> runtime::RunningCores<State> {
    runtime::start(CoresConfig::new(cores), |core, _| State { core, seen: RefCell::default() })
        .unwrap()
}

/// Given two cores, when each is called from a thread that is no core, then the call runs there.
#[test]
fn a_call_runs_on_its_core() {
    let running = start(2);
    let cores = running.cores().clone();
    for core in [CoreId(1), CoreId(0)] {
        let call = cores.call(core, |state| async move { (state.core, runtime::current_core()) });
        assert_eq!(futures_lite::future::block_on(call), Ok((core, core)));
    }
    running.stop().unwrap();
}

/// Given calls posted in order, of which every other one waits, when all are done, then each began in the
/// order in which it was posted, also though none was awaited before the last was posted.
#[test]
fn calls_begin_in_the_order_in_which_they_were_posted() {
    let running = start(2);
    let cores = running.cores().clone();
    let calls: Vec<_> = (0..2_000u32)
        .map(|number| {
            cores.call(CoreId(1), move |state: Rc<State>| async move {
                state.seen.borrow_mut().push(number);
                if number % 2 == 0 {
                    runtime::sleep(Duration::from_micros(u64::from(number % 7))).await;
                }
                number
            })
        })
        .collect();
    for (number, call) in (0..).zip(calls) {
        assert_eq!(futures_lite::future::block_on(call), Ok(number));
    }
    let seen = cores.call(CoreId(1), |state| async move { state.seen.borrow().clone() });
    let seen = futures_lite::future::block_on(seen).unwrap();
    assert_eq!(seen, (0..2_000).collect::<Vec<_>>());
    running.stop().unwrap();
}

/// Given a core that calls another which calls back, when awaited, then the answer comes: a core is never
/// blocked by waiting for another.
#[test]
fn cores_call_each_other() {
    let running = start(2);
    let cores = running.cores().clone();
    let inner = cores.clone();
    let call = cores.call(CoreId(0), |_| async move {
        let back = inner.clone();
        inner
            .call(CoreId(1), move |_| async move {
                back.call(CoreId(0), |state| async move { state.core }).await
            })
            .await
    });
    assert_eq!(futures_lite::future::block_on(call), Ok(Ok(Ok(CoreId(0)))));
    running.stop().unwrap();
}

/// Given stopped cores, when called, then the caller hears CoreStopped; and so does one for a core that
/// does not exist. Calls that were running when the stop came are finished first.
#[test]
fn calls_after_the_stop_are_answered_core_stopped() {
    let running = start(2);
    let cores = running.cores().clone();
    let slow = cores.call(CoreId(1), |_| async move {
        runtime::sleep(Duration::from_millis(50)).await;
        7
    });
    let nowhere = cores.call(CoreId(9), |_| async move { 1 });
    assert_eq!(futures_lite::future::block_on(nowhere), Err(CoreStopped));
    running.stop().unwrap();
    assert_eq!(futures_lite::future::block_on(slow), Ok(7));
    let late = cores.call(CoreId(0), |_| async move { 1 });
    assert_eq!(futures_lite::future::block_on(late), Err(CoreStopped));
}

/// Given a tokio runtime beside the cores, when its tasks call them in parallel, then every answer comes.
#[test]
fn tokio_tasks_call_cores() {
    let running = start(2);
    let cores = running.cores().clone();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let sum = tokio.block_on(async move {
        let tasks: Vec<_> = (0..200u64)
            .map(|number| {
                let cores = cores.clone();
                tokio::spawn(async move {
                    let core = CoreId((number % 2) as u16);
                    cores
                        .call(core, move |_| async move {
                            runtime::yield_now().await;
                            number
                        })
                        .await
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap().unwrap();
        }
        sum
    });
    assert_eq!(sum, 199 * 200 / 2);
    running.stop().unwrap();
}
