//! A run: from a seed to a value, or to a failure that says how to see it again.

use std::any::Any;
use std::future::Future;
use std::time::Duration;

use super::executor::{Limits, RunFailure, World, run_in};
use super::time::duration_ns;

/// A run that is yet to begin.
#[derive(Clone, Debug)]
pub struct Simulation {
    seed: u64,
    steps_max: u64,
    virtual_time_max: Duration,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct RunRecord<T> {
    /// What the future returned.
    pub value: T,
    /// A hash of who ran when. Equal for equal seeds and programs; else something in the program
    /// does not follow from the seed.
    pub schedule_hash: u64,
    /// Polls of tasks.
    pub steps: u64,
    /// How far the virtual clock went.
    pub virtual_time: Duration,
}

impl Simulation {
    /// A run in which every choice follows from `seed`.
    pub fn new(seed: u64) -> Simulation {
        Simulation { seed, steps_max: 20_000_000, virtual_time_max: Duration::from_secs(24 * 3600) }
    }

    /// The run fails after so many polls of tasks: it spins. 20 million by default.
    pub fn steps_max(self, steps_max: u64) -> Simulation {
        Simulation { steps_max, ..self }
    }

    /// The run fails after so much virtual time. A day by default.
    pub fn virtual_time_max(self, virtual_time_max: Duration) -> Simulation {
        Simulation { virtual_time_max, ..self }
    }

    /// Runs `future` as the test's own task, to its end.
    ///
    /// # Panics
    /// With the seed, when a task panics, when nothing can ever run again, or when a limit is passed.
    pub fn run<T: 'static>(self, future: impl Future<Output = T> + 'static) -> T {
        self.run_recorded(future).value
    }

    /// Like [`Simulation::run`], and says how the run went.
    #[expect(clippy::panic, reason = "a failed simulation is a failed test")]
    pub fn run_recorded<T: 'static>(
        self,
        future: impl Future<Output = T> + 'static,
    ) -> RunRecord<T> {
        let world = World::new(self.seed);
        let limits =
            Limits { steps: self.steps_max, virtual_time_ns: duration_ns(self.virtual_time_max) };
        match run_in(&world, &limits, future) {
            Ok(value) => RunRecord {
                value,
                schedule_hash: world.schedule_hash(),
                steps: world.steps(),
                virtual_time: Duration::from_nanos(world.timers.now_ns()),
            },
            Err(failure) => panic!("{}", self.explain(&world, failure)),
        }
    }

    fn explain(&self, world: &World, failure: RunFailure) -> String {
        let what = match failure {
            RunFailure::Panicked { context, payload } => {
                let message = panic_message(payload.as_ref());
                format!(
                    "task `{}` of {:?} on {} panicked: {message}",
                    context.name, context.owner, context.core
                )
            }
            RunFailure::Deadlocked { waiting } => {
                let mut names: Vec<String> = waiting
                    .iter()
                    .map(|task| format!("`{}` of {:?} on {}", task.name, task.owner, task.core))
                    .collect();
                names.sort();
                names.truncate(40);
                format!("nothing can run and no timer is set; waiting: {}", names.join(", "))
            }
            RunFailure::TooManySteps => format!("no end after {} steps", world.steps()),
        };
        format!(
            "simulation with seed {} failed after {:.6} s of virtual time: {what}",
            self.seed,
            Duration::from_nanos(world.timers.now_ns()).as_secs_f64(),
        )
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "(no message)".to_owned()
    }
}
