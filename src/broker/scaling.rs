//! Streams on demand get the shards that their load asks for.
//!
//! A task on the catalog's core reads now and then what the open shards' partitions have taken, on
//! the cores that own them: it is counted there anyway, whichever door it came through, so the way
//! of a write does not know of this. [`StreamScaling`] decides, and a change is made as any other
//! change of shards. What is known of the load is forgotten over a restart.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use metrics::{Counter, TrafficCounts};
use model::{Timestamp, TopicId, TopicName, TopicPartition};
use state::{
    catalog::{Catalog, Topic},
    scaling::{Decision, ScalingLimits, ShardLoad, StreamScaling},
    shards::Shard,
};

use crate::{Broker, BrokerError, Outcome, Resharding};

/// How often the load is looked at.
const INTERVAL: &str = "stream_scaling_interval_ms";
const INTERVAL_DEFAULT_MS: u64 = 10_000;

/// What was done to streams on demand since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScalingCounts {
    /// Shards that were split.
    pub splits: u64,
    /// Pairs of shards that were merged.
    pub merges: u64,
    /// Changes that could not be made.
    pub refused: u64,
}

/// Counts that.
#[derive(Debug, Default)]
pub(crate) struct ScalingCounters {
    splits: Counter,
    merges: Counter,
    refused: Counter,
}

impl ScalingCounters {
    pub fn counts(&self) -> ScalingCounts {
        ScalingCounts {
            splits: self.splits.get(),
            merges: self.merges.get(),
            refused: self.refused.get(),
        }
    }
}

/// A stream on demand as the catalog has it.
struct OnDemand {
    id: TopicId,
    name: TopicName,
    limits: ScalingLimits,
    /// Its open shards, in the order of their keys.
    shards: Vec<Shard>,
}

/// What a partition has taken, and how long ago Kafka's producers last wrote to it.
type Taken = (TrafficCounts, Option<Duration>);

/// What is known of a stream from one look to the next.
#[derive(Default)]
struct Scaled {
    scaling: StreamScaling,
    /// Why the last change could not be made: told once, not with every attempt.
    told: Option<String>,
}

impl Broker {
    /// On the catalog's core: looks at the load of streams on demand until the broker stops.
    pub(crate) async fn keep_scaled(self: &Rc<Self>) {
        let began = runtime::now();
        let mut scaled: BTreeMap<TopicId, Scaled> = BTreeMap::new();
        while !self.stopping.get() {
            let changed = self.catalog_changed.notified();
            if !self.catalog.borrow().topics().any(Topic::is_on_demand) {
                scaled.clear();
                changed.await;
            }
            runtime::sleep(self.interval(INTERVAL, INTERVAL_DEFAULT_MS)).await;
            let streams = self.on_demand_streams();
            // Of one that was provisioned for a while nothing is known any more.
            scaled.retain(|id, _| streams.iter().any(|stream| stream.id == *id));
            for stream in streams {
                if self.stopping.get() {
                    return;
                }
                // A partition whose core does not answer is no idle one: nothing is decided then.
                let Ok(loads) = self.loads(&stream).await else { continue };
                let now = runtime::now() - began;
                let known = scaled.entry(stream.id).or_default();
                self.scale(&stream, &loads, known, now).await;
            }
        }
    }

    fn on_demand_streams(&self) -> Vec<OnDemand> {
        let catalog = self.catalog.borrow();
        let on_demand = catalog.topics().filter(|topic| topic.is_on_demand());
        on_demand
            .map(|topic| OnDemand {
                id: topic.id,
                name: topic.name.clone(),
                limits: catalog.scaling_limits(topic),
                shards: topic.shards.open().cloned().collect(),
            })
            .collect()
    }

    /// What the open shards have taken, as their cores have counted it.
    async fn loads(self: &Rc<Self>, stream: &OnDemand) -> Outcome<Vec<ShardLoad>> {
        let place = |shard: &Shard| TopicPartition { topic: stream.id, partition: shard.partition };
        let taken = self
            .ask_owners(
                stream.shards.iter().map(place).collect(),
                |partition| *partition,
                |owner, partition| async move { owner.taken_here(partition) },
            )
            .await;
        let load = |(shard, taken): (&Shard, Outcome<Taken>)| -> Outcome<ShardLoad> {
            let (TrafficCounts { records, bytes }, kafka_idle) = taken?;
            Ok(ShardLoad { shard: shard.clone(), records, bytes, kafka_idle })
        };
        stream.shards.iter().zip(taken).map(load).collect()
    }

    fn taken_here(&self, at: TopicPartition) -> Outcome<Taken> {
        let (_, partition) = self.local(at)?;
        let last = partition.written_by_kafka();
        let idle = (last != Timestamp::NONE).then(|| {
            let idle_ms = runtime::wall_clock().0.saturating_sub(last.0);
            Duration::from_millis(u64::try_from(idle_ms).unwrap_or_default())
        });
        Ok((partition.taken.counts(), idle))
    }

    async fn scale(
        self: &Rc<Self>,
        stream: &OnDemand,
        loads: &[ShardLoad],
        known: &mut Scaled,
        now: Duration,
    ) {
        let decision = known.scaling.look(loads, &stream.limits, now);
        for shard in known.scaling.take_left_alone() {
            tracing::warn!(
                stream = %stream.name, %shard,
                "splits do not share this shard's load, which seems to be one partition key's: it is not split further until the load changes"
            );
        }
        let Some(decision) = decision else { return };
        let made = self.make(stream, &decision).await;
        known.scaling.tried(&decision, made.is_ok(), now);
        match made {
            Ok(()) => {
                known.told = None;
                match &decision {
                    Decision::Split(hot) => self.scaled.splits.add(hot.len() as u64),
                    Decision::Merge { .. } => self.scaled.merges.increment(),
                }
                tracing::info!(
                    stream = %stream.name, open_shards_before = stream.shards.len(), %decision,
                    "scaled by load"
                );
            }
            // Deleted meanwhile, or the broker stops.
            Err(BrokerError::UnknownTopicId | BrokerError::Stopping) => {}
            Err(error) => {
                self.scaled.refused.increment();
                let text = error.to_string();
                if known.told.as_ref() != Some(&text) {
                    tracing::warn!(
                        stream = %stream.name, %decision, %error,
                        "the stream could not be scaled; it is tried again"
                    );
                }
                known.told = Some(text);
            }
        }
    }

    /// Makes a decision true, unless the stream has changed so that it is none any more.
    async fn make(self: &Rc<Self>, stream: &OnDemand, decision: &Decision) -> Outcome<()> {
        let (id, steps, additional) = (stream.id, decision.steps(), decision.additional());
        self.change_shards(|catalog| {
            check_is_asked_for(catalog, id, additional)?;
            self.plan_reshard(catalog, id, Resharding::Steps(steps))
        })
        .await
    }
}

/// Asked again in the turn of the change: others come before it.
fn check_is_asked_for(catalog: &Catalog, id: TopicId, additional: usize) -> Outcome<()> {
    let topic = catalog.topic_by_id(id).ok_or(BrokerError::UnknownTopicId)?;
    if !topic.is_on_demand() {
        return Err(BrokerError::PolicyViolation("The stream is no longer on demand.".to_owned()));
    }
    let most = catalog.scaling_limits(topic).shards_max;
    if additional > 0 && topic.shards.open_count().saturating_add(additional) > most {
        return Err(BrokerError::PolicyViolation(format!(
            "The stream would have more than the {most} shards of stream.scaling.shards.max."
        )));
    }
    Ok(())
}
