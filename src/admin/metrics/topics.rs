//! Which topics have lines of their own: a page that grows with every topic that anyone makes would
//! end in a Prometheus without memory.

use std::collections::BTreeMap;

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
    places: BTreeMap<TopicId, Place>,
    /// How many of them have lines of their own.
    shown: usize,
    /// What topics had counted that had lines of their own and are deleted.
    gone: TopicCounts,
}

#[derive(Debug)]
enum Place {
    /// With what it had counted when it was last shown.
    OfItsOwn(TopicCounts),
    AmongOthers,
}

/// A line for a topic, or for the others.
pub(crate) type Line = (String, TopicCounts);

impl TopicPlaces {
    /// The lines for what all cores have counted.
    pub fn lines(&mut self, cores: &[CoreCounts]) -> Vec<Line> {
        let mut total = TopicCounts::default();
        let mut topics: BTreeMap<TopicId, (TopicName, TopicCounts)> = BTreeMap::new();
        for core in cores {
            total += core.total;
            for (id, name, counts) in &core.topics {
                let topic = topics.entry(*id).or_insert_with(|| (name.clone(), <_>::default()));
                topic.1 += *counts;
            }
        }
        self.forget_deleted(&topics);
        let mut lines = Vec::new();
        let mut shown = self.gone;
        for (id, (name, counts)) in topics {
            if self.is_of_its_own(id, counts) {
                shown += counts;
                lines.push((name.as_str().to_owned(), counts));
            }
        }
        lines.sort_by(|(left, _), (right, _)| left.cmp(right));
        // The totals never fall, so neither does what the lines leave of them. Saturating, because
        // cores are asked one after another.
        let others = total.saturating_sub(shown);
        if others != TopicCounts::default() {
            lines.push((OTHER_TOPICS.to_owned(), others));
        }
        lines
    }

    fn forget_deleted(&mut self, topics: &BTreeMap<TopicId, (TopicName, TopicCounts)>) {
        self.places.retain(|id, place| {
            let exists = topics.contains_key(id);
            if let (false, Place::OfItsOwn(last)) = (exists, place) {
                self.gone += *last;
                self.shown -= 1;
            }
            exists
        });
    }

    fn is_of_its_own(&mut self, id: TopicId, counts: TopicCounts) -> bool {
        let place = self.places.entry(id).or_insert_with(|| {
            if self.shown == TOPICS_SHOWN_MAX {
                return Place::AmongOthers;
            }
            self.shown += 1;
            Place::OfItsOwn(counts)
        });
        match place {
            Place::OfItsOwn(last) => {
                *last = counts;
                true
            }
            Place::AmongOthers => false,
        }
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
        let named = |(id, records): (u128, u64)| {
            (TopicId(id), TopicName::new(&format!("t{id:04}")).unwrap(), counts(records))
        };
        CoreCounts {
            core: CoreId(0),
            cpu_time: Duration::ZERO,
            topic_count: 0,
            partitions: 0,
            total: counts(total),
            topics: topics.into_iter().map(named).collect(),
            journal: None,
            journal_buffered_bytes: 0,
            reads: partition::ReadCounts::default(),
            tail_bytes: 0,
            tail_unwritten_bytes: 0,
            tail_max_bytes: 0,
            storage_is_full: false,
        }
    }

    #[test]
    fn a_topic_s_line_is_the_sum_of_its_cores() {
        let mut places = TopicPlaces::default();
        let lines = places.lines(&[core([(1, 10), (2, 5)], 15), core([(1, 7)], 7)]);
        assert_eq!(lines, [("t0001".to_owned(), counts(17)), ("t0002".to_owned(), counts(5))]);
    }

    #[test]
    fn topics_beyond_the_limit_are_one_line_and_stay_there() {
        let mut places = TopicPlaces::default();
        let all = TOPICS_SHOWN_MAX as u128 + 3;
        let lines = places.lines(&[core((0..all).map(|id| (id, 1)), all as u64)]);
        assert_eq!(lines.len(), TOPICS_SHOWN_MAX + 1);
        assert_eq!(lines.last(), Some(&(OTHER_TOPICS.to_owned(), counts(3))));

        // Topic 0 is deleted; a new one takes its place, and none of the others does.
        let topics = (1..all + 1).map(|id| (id, 1));
        let lines = places.lines(&[core(topics, all as u64 + 1)]);
        assert_eq!(lines.len(), TOPICS_SHOWN_MAX + 1);
        assert!(lines.iter().any(|(name, _)| *name == format!("t{all:04}")));
        assert_eq!(lines.last(), Some(&(OTHER_TOPICS.to_owned(), counts(3))));
    }

    #[test]
    fn what_a_deleted_topic_counted_after_it_was_last_shown_goes_to_the_others() {
        let mut places = TopicPlaces::default();
        assert_eq!(places.lines(&[core([(1, 10)], 10)]).len(), 1);
        let lines = places.lines(&[core([], 14)]);
        assert_eq!(lines, [(OTHER_TOPICS.to_owned(), counts(4))]);
    }
}
