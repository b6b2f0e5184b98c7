//! How far the program has come, and whether it should be sent work.

use std::{fmt, sync::Arc, time::Duration};

use broker::{Broker, BrokerHandle, RecoverySummary};
use model::CoreId;

/// A core that does not answer for so long is not ready.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// What runs while the program serves.
pub struct Serving {
    /// The broker, recovered.
    pub broker: BrokerHandle,
    /// What its recovery did.
    pub recovery: RecoverySummary,
    /// What the Kafka door counts.
    pub kafka: kafka::DoorReader,
    /// What the AWS door counts.
    pub aws: aws::DoorReader,
}

/// How far the program has come.
#[derive(Clone)]
pub(crate) enum Phase {
    /// The journals are read; the doors are shut.
    Recovering,
    /// Everything runs.
    Serving(Arc<Serving>),
    /// What is under way is finished.
    Stopping,
}

/// Why no work should be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotReady {
    Recovering,
    Stopping,
    StorageFull(CoreId),
    Silent(CoreId),
    DoorSilent,
    Stopped(CoreId),
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReady::Recovering => f.write_str("recovering: the journals are being read"),
            NotReady::Stopping => f.write_str("stopping"),
            NotReady::StorageFull(core) => write!(
                f,
                "the disk is full (seen by {core}): records are refused until there is space"
            ),
            NotReady::Silent(core) => {
                write!(f, "{core} has not answered for {} s", ANSWER_TIME_MAX.as_secs())
            }
            NotReady::DoorSilent => write!(
                f,
                "a core's Kafka door has not answered for {} s",
                ANSWER_TIME_MAX.as_secs()
            ),
            NotReady::Stopped(core) => write!(f, "{core} has stopped"),
        }
    }
}

impl Phase {
    pub fn serving(&self) -> Result<&Arc<Serving>, NotReady> {
        match self {
            Phase::Recovering => Err(NotReady::Recovering),
            Phase::Serving(serving) => Ok(serving),
            Phase::Stopping => Err(NotReady::Stopping),
        }
    }
}

/// Says whether work can be done, by asking every core.
pub(crate) async fn check(phase: &Phase) -> Result<(), NotReady> {
    let serving = phase.serving()?;
    let full = ask_all(&serving.broker, |broker| broker.is_storage_full()).await?;
    match full.into_iter().find(|(_, full)| *full) {
        Some((core, _)) => Err(NotReady::StorageFull(core)),
        None => Ok(()),
    }
}

/// Asks every core at once, and waits for the answers only so long.
pub(crate) async fn ask_all<T: Send + 'static>(
    broker: &BrokerHandle,
    ask: impl Fn(&Broker) -> T + Clone + Send + 'static,
) -> Result<Vec<(CoreId, T)>, NotReady> {
    let calls: Vec<_> = (0..broker.core_count())
        .filter_map(|core| u16::try_from(core).ok().map(CoreId))
        .map(|core| {
            let ask = ask.clone();
            (core, broker.call(core, move |broker| async move { ask(&broker) }))
        })
        .collect();
    let deadline = tokio::time::Instant::now() + ANSWER_TIME_MAX;
    let mut answers = Vec::with_capacity(calls.len());
    for (core, call) in calls {
        match tokio::time::timeout_at(deadline, call).await {
            Ok(Ok(answer)) => answers.push((core, answer)),
            Ok(Err(_stopped)) => return Err(NotReady::Stopped(core)),
            Err(_elapsed) => return Err(NotReady::Silent(core)),
        }
    }
    Ok(answers)
}
