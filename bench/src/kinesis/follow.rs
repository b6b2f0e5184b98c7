//! Watches threads at work until the window is over: what is shown, and what client and server use meanwhile.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::kinesis::tally::Tally;
use crate::load::options::{Output, Span};
use crate::load::progress::{Progress, Used};
use crate::load::report::ServerUse;
use crate::load::sender::Window;
use crate::measure::clock::now_ns;
use crate::measure::latency::{Recorder, histogram};
use crate::measure::process_use::CpuSeconds;

const STEP: Duration = Duration::from_millis(5);
const SHOWN_EVERY_NS: u64 = 1_000_000_000;
// Connections are made and threads started within this time, so that the first record is not late already.
const HEAD_START_NS: u64 = 50_000_000;

/// What client and server have used in the window.
pub type CpuUse = (CpuSeconds, Option<ServerUse>);

/// The window of a load that is about to begin.
pub fn window(span: Span, records: Option<u64>) -> Window {
    let start_ns = now_ns() + HEAD_START_NS;
    let from_ns = start_ns + (span.warm_up * 1e9) as u64;
    match records {
        Some(records) => Window { start_ns, from_ns: start_ns, until_ns: u64::MAX, records },
        None => {
            let until_ns = from_ns + (span.duration * 1e9) as u64;
            Window { start_ns, from_ns, until_ns, records: u64::MAX }
        }
    }
}

/// Waits until the window is over, or all that was to be sent is done, or every one of `threads` has given up.
pub fn follow(
    output: &Output,
    progress: &mut Progress,
    tally: &Tally,
    latencies: &[Arc<Recorder>],
    threads: &[JoinHandle<()>],
) -> anyhow::Result<CpuUse> {
    let window = tally.window;
    let mut used_before = Used::now(output)?;
    let (mut warm, mut shown_ns) = (false, now_ns());
    let over = || {
        let done = tally.done() + tally.failures().0 >= window.records;
        now_ns() >= window.until_ns || done || threads.iter().all(JoinHandle::is_finished)
    };
    while !over() {
        std::thread::sleep(STEP);
        if !warm && now_ns() >= window.from_ns {
            warm = true;
            used_before = Used::now(output)?;
        }
        if now_ns() - shown_ns >= SHOWN_EVERY_NS {
            shown_ns = now_ns();
            advance(progress, tally, latencies)?;
        }
    }
    Used::now(output)?.since(used_before)
}

/// Takes in what was recorded since the last time.
pub fn advance(
    progress: &mut Progress,
    tally: &Tally,
    latencies: &[Arc<Recorder>],
) -> anyhow::Result<()> {
    let mut interval = histogram();
    for latency in latencies {
        latency.collect_into(&mut interval);
    }
    progress.advance(&interval, tally.done())
}

/// Seconds that were measured.
pub fn seconds(tally: &Tally) -> f64 {
    let window = tally.window;
    let last_ns = tally.last_done_ns().max(window.from_ns + 1);
    let until_ns = if window.until_ns == u64::MAX { last_ns } else { window.until_ns };
    (until_ns - window.from_ns) as f64 / 1e9
}

/// Waits for the end of threads.
pub fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A thread that panics has said so on stderr, and its records are missing from the sums.
        let _ = thread.join();
    }
}
