//! What it costs to ask another core.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail this way")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_lite::future::block_on;
use model::CoreId;
use runtime::{Cores, CoresConfig};

/// What each core owns: the way to the others.
struct State {
    cores: Cores<State>,
}

/// One call after another, from core 0: each waits for its answer.
fn call(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    for (called, spin_us) in [(CoreId(0), 0), (CoreId(1), 0), (CoreId(1), 50)] {
        let spin_before_park = Duration::from_micros(spin_us);
        let config = CoresConfig { spin_before_park, ..CoresConfig::new(2) };
        let running = runtime::start(config, |_, cores| State { cores }).unwrap();
        let name = if called == CoreId(0) { "the same core" } else { "another core" };
        group.bench_function(BenchmarkId::new(name, format!("spinning {spin_us} us")), |bencher| {
            bencher.iter_custom(|count| {
                let measured = running.cores().call(CoreId(0), move |state| async move {
                    let started = Instant::now();
                    for number in 0..count {
                        let answer = state.cores.call(called, move |_| async move { number });
                        assert_eq!(answer.await, Ok(number));
                    }
                    started.elapsed()
                });
                block_on(measured).unwrap()
            });
        });
        running.stop().unwrap();
    }
    group.finish();
}

criterion_group!(benches, call);
criterion_main!(benches);
