//! A panic anywhere on a core ends the process: what it held is unknown, and the other cores would wait for it.
#![cfg(not(feature = "simulation"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may fail this way")]

use std::{os::unix::process::ExitStatusExt, process::Command};

use model::CoreId;
use runtime::CoresConfig;

/// Says to this test program, started once more, where to panic.
const PANIC_IN: &str = "THALWEG_TEST_PANIC_IN";

/// Where a panic can happen.
const PLACES: [&str; 6] = ["task", "background", "joinable", "call", "call that waited", "post"];

fn panic_in(place: String) {
    let running = runtime::start(CoresConfig::new(2), |_, _| ()).unwrap();
    let cores = running.cores();
    let work = move |_: &std::rc::Rc<()>| match place.as_str() {
        "task" => runtime::spawn("task", async { panic!("on purpose") }),
        "background" => runtime::spawn_background("background", async { panic!("on purpose") }),
        "joinable" => runtime::spawn("joiner", async {
            runtime::spawn_joinable("joinable", async { panic!("on purpose") }).await
        }),
        _ => panic!("on purpose"),
    };
    match std::env::var(PANIC_IN).as_deref() {
        Ok("call") => drop(cores.call(CoreId(1), |_| async { panic!("on purpose") })),
        Ok("call that waited") => drop(cores.call(CoreId(1), |_| async {
            runtime::yield_now().await;
            panic!("on purpose")
        })),
        _ => cores.post(CoreId(1), work),
    }
    std::thread::sleep(std::time::Duration::from_secs(20));
}

/// Given a process with two cores, when something on one of them panics, then the process is aborted, and says
/// what panicked.
#[test]
fn a_panic_ends_the_process() {
    if let Ok(place) = std::env::var(PANIC_IN) {
        return panic_in(place);
    }
    for place in PLACES {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["a_panic_ends_the_process", "--exact", "--nocapture"])
            .env(PANIC_IN, place)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.signal(), Some(6), "{place}: SIGABRT; {errors}");
        assert!(errors.contains("panicked: on purpose"), "{place}: {errors}");
    }
}
