//! The uniform assignor: members that subscribe alike get as many partitions, give or take one,
//! and keep what they had as far as that allows.
//!
//! First everybody keeps what it had and still may have. What nobody has goes to the subscriber
//! with the least. Then partitions move from those with more to those with less while that makes
//! a difference of two or more smaller; each move makes the sum of the squared loads smaller, so
//! there is an end. Members with equal subscriptions are one *class*: whoever has the least of a
//! class is found at once, and most consumer groups have one class only.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use model::{PartitionIndex, TopicId};

use super::{Asking, Assignment};

pub(super) fn assign(
    members: &[Asking<'_>],
    partitions: &BTreeMap<TopicId, u32>,
) -> Vec<Assignment> {
    let mut table = Table::new(members);
    let unowned = table.keep(members, partitions);
    for (topic, partition) in unowned {
        if let Some((_, place)) = table.least_of(topic) {
            table.give(place, topic, partition);
        }
    }
    table.level();
    table.holdings.into_iter().map(|holding| holding.target).collect()
}

struct Holding {
    class: usize,
    load: usize,
    target: Assignment,
}

struct Table {
    holdings: Vec<Holding>,
    /// Of each class its members by load.
    loads: Vec<BTreeSet<(usize, usize)>>,
    /// The classes that subscribe to a topic.
    subscribers: BTreeMap<TopicId, Vec<usize>>,
}

impl Table {
    fn new(members: &[Asking<'_>]) -> Table {
        let mut classes: BTreeMap<&BTreeSet<TopicId>, usize> = BTreeMap::new();
        let mut loads: Vec<BTreeSet<(usize, usize)>> = Vec::new();
        let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
        let mut holdings = Vec::new();
        for (place, member) in members.iter().enumerate() {
            let class = *classes.entry(Rc::as_ref(&member.subscribed)).or_insert_with(|| {
                let class = loads.len();
                loads.push(BTreeSet::new());
                for topic in member.subscribed.iter() {
                    subscribers.entry(*topic).or_default().push(class);
                }
                class
            });
            loads.get_mut(class).map(|loads| loads.insert((0, place)));
            holdings.push(Holding { class, load: 0, target: Assignment::default() });
        }
        Table { holdings, loads, subscribers }
    }

    /// Lets everybody keep what it had, if that still exists and it still subscribes to it. Gives
    /// what nobody has then, the partitions of a topic next to each other.
    fn keep(
        &mut self,
        members: &[Asking<'_>],
        partitions: &BTreeMap<TopicId, u32>,
    ) -> Vec<(TopicId, PartitionIndex)> {
        let mut unowned: BTreeSet<(TopicId, PartitionIndex)> = self
            .subscribers
            .keys()
            .filter_map(|topic| Some((*topic, *partitions.get(topic)?)))
            .flat_map(|(topic, count)| (0..count).map(move |at| (topic, PartitionIndex(at))))
            .collect();
        for (place, member) in members.iter().enumerate() {
            for (topic, partition) in member.had.into_iter().flat_map(Assignment::iter) {
                if member.subscribed.contains(&topic) && unowned.remove(&(topic, partition)) {
                    self.give(place, topic, partition);
                }
            }
        }
        unowned.into_iter().collect()
    }

    /// The subscriber of a topic that has the least: its load and its place.
    fn least_of(&self, topic: TopicId) -> Option<(usize, usize)> {
        let classes = self.subscribers.get(&topic)?;
        classes.iter().filter_map(|class| self.loads.get(*class)?.first().copied()).min()
    }

    fn give(&mut self, place: usize, topic: TopicId, partition: PartitionIndex) {
        if let Some(holding) = self.holdings.get_mut(place) {
            holding.target.insert(topic, partition);
            let load = holding.load + 1;
            self.set_load(place, load);
        }
    }

    fn take(&mut self, place: usize, topic: TopicId, partition: PartitionIndex) {
        if let Some(holding) = self.holdings.get_mut(place) {
            holding.target.remove(topic, partition);
            let load = holding.load - 1;
            self.set_load(place, load);
        }
    }

    fn set_load(&mut self, place: usize, load: usize) {
        let Some(holding) = self.holdings.get_mut(place) else { return };
        let before = std::mem::replace(&mut holding.load, load);
        if let Some(loads) = self.loads.get_mut(holding.class) {
            loads.remove(&(before, place));
            loads.insert((load, place));
        }
    }

    fn level(&mut self) {
        while let Some((from, topic, partition, to)) = self.next_move() {
            self.take(from, topic, partition);
            self.give(to, topic, partition);
        }
    }

    /// A partition to move, from whoever has the most and can give one away for the better.
    fn next_move(&self) -> Option<(usize, TopicId, PartitionIndex, usize)> {
        let mut tops: Vec<_> =
            self.loads.iter().map(|loads| loads.iter().rev().peekable()).collect();
        loop {
            let highest = tops
                .iter_mut()
                .filter_map(|top| Some((**top.peek()?, top)))
                .max_by_key(|(entry, _)| *entry);
            let ((load, from), top) = highest?;
            if load < 2 {
                return None;
            }
            top.next();
            if let Some((topic, partition, to)) = self.gift(load, from) {
                return Some((from, topic, partition, to));
            }
        }
    }

    /// What this member can give, and to whom: to the one with the least.
    fn gift(&self, load: usize, from: usize) -> Option<(TopicId, PartitionIndex, usize)> {
        let target = &self.holdings.get(from)?.target;
        let (topic, (least, to)) = target
            .topics()
            .filter_map(|(topic, _)| Some((topic, self.least_of(topic)?)))
            .min_by_key(|(_, least)| *least)?;
        let partition = *target.topics().find(|(id, _)| *id == topic)?.1.last()?;
        (load >= least + 2).then_some((topic, partition, to))
    }
}
