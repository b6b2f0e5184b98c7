//! Questions about offsets: by time, by epoch; and moving the log's start.

use std::{collections::BTreeMap, rc::Rc};

use model::{CoreId, LeaderEpoch, Offset, Timestamp, TopicPartition};

use crate::{
    Broker, BrokerError, FoundOffset, OffsetQuery, OffsetSpec, Outcome, PartitionSize,
    fetch::{ceiling, check_epoch, storage_error},
};

impl Broker {
    /// Asks the owner of each item's partition; the answers stand in the order of the items.
    pub(crate) async fn ask_owners<Q, T, F, Fut>(
        self: &Rc<Self>,
        items: Vec<Q>,
        partition: impl Fn(&Q) -> TopicPartition,
        ask: F,
    ) -> Vec<Outcome<T>>
    where
        Q: Send + 'static,
        T: Send + 'static,
        F: Fn(Rc<Broker>, Q) -> Fut + Send + Copy + 'static,
        Fut: Future<Output = Outcome<T>> + 'static,
    {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut groups: BTreeMap<CoreId, Vec<(usize, Q)>> = BTreeMap::new();
        for (place, item) in items.into_iter().enumerate() {
            match self.owner(partition(&item)) {
                Ok(core) => {
                    groups.entry(core).or_default().push((place, item));
                    outcomes.push(Err(BrokerError::Stopping));
                }
                Err(error) => outcomes.push(Err(error)),
            }
        }
        let calls: Vec<_> = groups
            .into_iter()
            .map(|(core, group)| {
                self.cores.call(core, move |owner: Rc<Broker>| async move {
                    let mut answers = Vec::with_capacity(group.len());
                    for (place, item) in group {
                        answers.push((place, ask(Rc::clone(&owner), item).await));
                    }
                    answers
                })
            })
            .collect();
        for call in calls {
            for (place, outcome) in call.await.unwrap_or_default() {
                if let Some(slot) = outcomes.get_mut(place) {
                    *slot = outcome;
                }
            }
        }
        outcomes
    }

    /// Finds offsets. `None` means that no record matches.
    pub async fn list_offsets(
        self: &Rc<Self>,
        queries: Vec<OffsetQuery>,
    ) -> Vec<Outcome<Option<FoundOffset>>> {
        let partition = |query: &OffsetQuery| query.topic;
        self.ask_owners(
            queries,
            partition,
            |owner, query| async move { owner.find_offset(query).await },
        )
        .await
    }

    async fn find_offset(&self, query: OffsetQuery) -> Outcome<Option<FoundOffset>> {
        let (lane, partition) = self.local(query.topic)?;
        let leader_epoch = lane.leader_epoch();
        check_epoch(query.leader_epoch, leader_epoch)?;
        let ceiling = ceiling(&partition, query.read_committed);
        let at = |offset, timestamp| Some(FoundOffset { offset, timestamp, leader_epoch });
        let failed = |error| storage_error(&partition, error);
        let log = &partition.log;
        Ok(match query.at {
            OffsetSpec::Earliest => at(log.log_start(), Timestamp::NONE),
            OffsetSpec::Latest => at(ceiling, Timestamp::NONE),
            OffsetSpec::LatestTiered => None,
            OffsetSpec::MaxTimestamp => {
                let found = log.max_timestamp(ceiling).await.map_err(failed)?;
                found.and_then(|(offset, timestamp)| at(offset, timestamp))
            }
            OffsetSpec::Timestamp(wanted) => {
                let found = log.offset_for_timestamp(wanted, ceiling).await.map_err(failed)?;
                found.and_then(|(offset, timestamp)| at(offset, timestamp))
            }
        })
    }

    /// Drops the records below an offset (`None`: all that readers see). Answers with the first
    /// offset that is left.
    pub async fn delete_records(
        self: &Rc<Self>,
        wanted: Vec<(TopicPartition, Option<Offset>)>,
    ) -> Vec<Outcome<Offset>> {
        self.ask_owners(
            wanted,
            |(topic, _)| *topic,
            |owner, (topic, before)| async move { owner.move_log_start(topic, before).await },
        )
        .await
    }

    async fn move_log_start(
        &self,
        topic: TopicPartition,
        before: Option<Offset>,
    ) -> Outcome<Offset> {
        let (lane, partition) = self.local(topic)?;
        let config = partition.config();
        if !config.cleanup_policy.delete {
            return Err(BrokerError::PolicyViolation(
                "Records can be deleted only from topics whose cleanup.policy contains 'delete'."
                    .to_owned(),
            ));
        }
        let before = before.unwrap_or(partition.high_watermark());
        let (log_start, log_end) = (partition.log.log_start(), partition.high_watermark());
        if before < Offset::ZERO || before > log_end {
            return Err(BrokerError::OffsetOutOfRange { log_start, log_end });
        }
        if before > log_start {
            let done = lane.propose_log_start(&partition, before);
            let done = done.map_err(|error| BrokerError::Storage(error.to_string()))?;
            done.await.map_err(|_| BrokerError::Stopping)?;
        }
        Ok(partition.log.log_start())
    }

    /// Where an epoch ends, as OffsetForLeaderEpoch asks: the greatest epoch that is not above
    /// the wanted one, and the first offset after it. `(UNKNOWN, -1)` if there is none.
    pub async fn epoch_end_offsets(
        self: &Rc<Self>,
        wanted: Vec<(TopicPartition, LeaderEpoch, LeaderEpoch)>,
    ) -> Vec<Outcome<(LeaderEpoch, Offset)>> {
        self.ask_owners(
            wanted,
            |(topic, ..)| *topic,
            |owner, (topic, current, wanted)| async move {
                let (lane, partition) = owner.local(topic)?;
                let epoch = lane.leader_epoch();
                check_epoch(Some(current), epoch)?;
                // One node leads in one term for as long as there is no cluster.
                if wanted == epoch {
                    Ok((epoch, partition.high_watermark()))
                } else {
                    Ok((LeaderEpoch::UNKNOWN, Offset(-1)))
                }
            },
        )
        .await
    }

    /// What partitions take up; all of them, or those named. Unknown ones are left out.
    pub async fn partition_sizes(
        self: &Rc<Self>,
        only: Option<Vec<TopicPartition>>,
    ) -> Vec<PartitionSize> {
        let wanted = only.unwrap_or_else(|| {
            let catalog = self.catalog.borrow();
            let of_topic = |topic: &state::catalog::Topic| {
                let id = topic.id;
                (0..)
                    .zip(&topic.partitions)
                    .map(move |(index, _)| crate::partition_of(id, index))
                    .collect::<Vec<_>>()
            };
            catalog.topics().flat_map(of_topic).collect()
        });
        let sizes = self
            .ask_owners(
                wanted,
                |topic| *topic,
                |owner, topic| async move {
                    let (_, partition) = owner.local(topic)?;
                    Ok(PartitionSize { topic, size_bytes: partition.log.size_bytes() })
                },
            )
            .await;
        sizes.into_iter().flatten().collect()
    }
}
