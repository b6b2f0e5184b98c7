//! The range assignor: of each topic, its subscribers in order get one range each.
//!
//! The order is by instance id, else by member id, and the same for every topic: topics with as
//! many partitions and the same subscribers are divided alike (*co-partitioned*), and a static
//! member gets the same partitions after a restart.

use std::collections::BTreeMap;

use model::{PartitionIndex, TopicId};

use super::{Asking, Assignment};

pub(super) fn assign(
    members: &[Asking<'_>],
    partitions: &BTreeMap<TopicId, u32>,
) -> Vec<Assignment> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|place| members.get(*place).map(rank));
    let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for place in order {
        for topic in members.get(place).into_iter().flat_map(|member| member.subscribed.iter()) {
            subscribers.entry(*topic).or_default().push(place);
        }
    }
    let mut targets = vec![Assignment::default(); members.len()];
    for (topic, places) in subscribers {
        let partition_count = partitions.get(&topic).copied().unwrap_or(0);
        let member_count = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let (each, extra) = (partition_count / member_count, partition_count % member_count);
        let mut next = 0;
        for (rank, place) in (0..).zip(places) {
            let end = next + each + u32::from(rank < extra);
            if let Some(target) = targets.get_mut(place) {
                target.extend((next..end).map(|partition| (topic, PartitionIndex(partition))));
            }
            next = end;
        }
    }
    targets
}

/// Static members come first and by their names.
fn rank<'a>(member: &Asking<'a>) -> (bool, &'a str) {
    match member.instance_id {
        Some(instance_id) => (false, instance_id),
        None => (true, member.id),
    }
}
