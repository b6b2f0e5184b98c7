//! Which topics have lines of their own: a page that grows with every topic that anyone makes would
//! end in a Prometheus without memory.

use std::collections::{BTreeMap, BTreeSet};

use broker::{CoreCounts, TopicCounts};
use model::{TopicId, TopicName};

/// So many topics have lines of their own; the rest is one line.
pub(crate) const TOPICS_SHOWN_MAX: usize = 500;
/// No topic can have this name.
pub(crate) const OTHER_TOPICS: &str = "(other)";

/// Where each topic is shown: as itself or among the others. Once decided it stays so while the
/// topic exists, so that no line falls but when its topic is deleted.
#[derive(Debug, Default)]
pub(crate) struct TopicPlaces {
    /// Topics with lines of their own.
    own: BTreeMap<TopicId, Own>,
    /// Those that came when there was no place left.
    others: BTreeSet<TopicId>,
    /// What topics had counted that had lines of their own and are deleted.
    gone: TopicCounts,
    total: TopicCounts,
}

#[derive(Debug, Default)]
struct Own {
    /// Not known until somebody has asked the catalog.
    name: Option<TopicName>,
    counts: TopicCounts,
}

/// A line for a topic, or for the others.
pub(crate) type Line = (String, TopicCounts);

impl TopicPlaces {
    /// Takes in what all cores have counted. Gives the topics whose names are to be asked for.
    pub fn update(&mut self, cores: &[CoreCounts]) -> Vec<TopicId> {
        self.total = TopicCounts::default();
        let mut topics: BTreeMap<TopicId, TopicCounts> = BTreeMap::new();
        for core in cores {
            self.total += core.total;
            for (id, counts) in &core.topics {
                *topics.entry(*id).or_default() += *counts;
            }
        }
        self.forget_deleted(&topics);
        for (id, counts) in topics {
            if self.others.contains(&id) {
                continue;
            }
            if self.own.len() == TOPICS_SHOWN_MAX && !self.own.contains_key(&id) {
                self.others.insert(id);
            } else {
                self.own.entry(id).or_default().counts = counts;
            }
        }
        self.own.iter().filter(|(_, own)| own.name.is_none()).map(|(id, _)| *id).collect()
    }

    /// Takes in a name that was asked for.
    pub fn set_name(&mut self, id: TopicId, name: TopicName) {
        if let Some(own) = self.own.get_mut(&id) {
            own.name = Some(name);
        }
    }

    /// The lines, by name; the others come last.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut shown = self.gone;
        for own in self.own.values() {
            shown += own.counts;
            // One that was deleted before it could be asked for is not shown.
            if let Some(name) = &own.name {
                lines.push((name.as_str().to_owned(), own.counts));
            }
        }
        lines.sort_by(|(left, _), (right, _)| left.cmp(right));
        // The totals never fall, so neither does what the lines leave of them. Saturating, because
        // cores are asked one after another.
        let others = self.total.saturating_sub(shown);
        if others != TopicCounts::default() {
            lines.push((OTHER_TOPICS.to_owned(), others));
        }
        lines
    }

    /// What is no longer counted was deleted: counts of a topic begin above zero.
    fn forget_deleted(&mut self, topics: &BTreeMap<TopicId, TopicCounts>) {
        self.others.retain(|id| topics.contains_key(id));
        self.own.retain(|id, own| {
            let exists = topics.contains_key(id);
            if !exists {
                self.gone += own.counts;
            }
            exists
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics::TrafficCounts;
    use model::CoreId;

    use super::*;

    fn counts(records: u64) -> TopicCounts {
        let traffic = TrafficCounts { records, bytes: records * 100 };
        TopicCounts { taken: traffic, given: traffic }
    }

    /// A core that has counted so much of these topics, and so much altogether.
    fn core(topics: impl IntoIterator<Item = (u128, u64)>, total: u64) -> CoreCounts {
        let counted = |(id, records): (u128, u64)| (TopicId(id), counts(records));
        CoreCounts {
            core: CoreId(0),
            cpu_time: Duration::ZERO,
            topic_count: 0,
            partitions: 0,
            total: counts(total),
            topics: topics.into_iter().map(counted).collect(),
            journal: None,
            journal_buffered_bytes: 0,
            reads: partition::ReadCounts::default(),
            tail_bytes: 0,
            tail_unwritten_bytes: 0,
            tail_max_bytes: 0,
            storage_is_full: false,
        }
    }

    /// The lines after cores have counted so much; topic 7 is called t0007.
    fn page(places: &mut TopicPlaces, cores: &[CoreCounts]) -> Vec<Line> {
        for id in places.update(cores) {
            places.set_name(id, TopicName::new(&format!("t{:04}", id.0)).unwrap());
        }
        places.lines()
    }

    #[test]
    fn a_topic_s_line_is_the_sum_of_its_cores() {
        let mut places = TopicPlaces::default();
        let lines = page(&mut places, &[core([(1, 10), (2, 5)], 15), core([(1, 7)], 7)]);
        assert_eq!(lines, [("t0001".to_owned(), counts(17)), ("t0002".to_owned(), counts(5))]);
    }

    #[test]
    fn topics_beyond_the_limit_are_one_line_and_stay_there() {
        let mut places = TopicPlaces::default();
        let all = TOPICS_SHOWN_MAX as u128 + 3;
        let lines = page(&mut places, &[core((0..all).map(|id| (id, 1)), all as u64)]);
        assert_eq!(lines.len(), TOPICS_SHOWN_MAX + 1);
        assert_eq!(lines.last(), Some(&(OTHER_TOPICS.to_owned(), counts(3))));

        // Topic 0 is deleted; a new one takes its place, and none of the others does.
        let topics = (1..all + 1).map(|id| (id, 1));
        let lines = page(&mut places, &[core(topics, all as u64 + 1)]);
        assert_eq!(lines.len(), TOPICS_SHOWN_MAX + 1);
        assert!(lines.iter().any(|(name, _)| *name == format!("t{all:04}")));
        assert_eq!(lines.last(), Some(&(OTHER_TOPICS.to_owned(), counts(3))));
    }

    #[test]
    fn what_a_deleted_topic_counted_after_it_was_last_shown_goes_to_the_others() {
        let mut places = TopicPlaces::default();
        assert_eq!(page(&mut places, &[core([(1, 10)], 10)]).len(), 1);
        let lines = page(&mut places, &[core([], 14)]);
        assert_eq!(lines, [(OTHER_TOPICS.to_owned(), counts(4))]);
    }
}
