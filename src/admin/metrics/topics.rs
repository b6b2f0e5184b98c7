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
    /// Bytes of the logs of those that have no lines of their own.
    others_log_bytes: u64,
}

#[derive(Debug, Default)]
struct Own {
    /// Not known until somebody has asked the catalog.
    name: Option<TopicName>,
    counts: TopicCounts,
    log_bytes: u64,
}

/// A line for a topic, or for the others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its name, or [`OTHER_TOPICS`].
    pub topic: String,
    /// What was counted since the start.
    pub counts: TopicCounts,
    /// What its logs hold now.
    pub log_bytes: u64,
}

impl TopicPlaces {
    /// Takes in what all cores have counted. Gives the topics whose names are to be asked for.
    pub fn update(&mut self, cores: &[CoreCounts]) -> Vec<TopicId> {
        self.total = TopicCounts::default();
        self.others_log_bytes = 0;
        let mut topics: BTreeMap<TopicId, (TopicCounts, u64)> = BTreeMap::new();
        for core in cores {
            self.total += core.total;
            for (id, counts) in &core.topics {
                topics.entry(*id).or_default().0 += *counts;
            }
            for (id, log_bytes) in &core.log_bytes {
                topics.entry(*id).or_default().1 += *log_bytes;
            }
        }
        self.forget_deleted(&topics);
        for (id, (counts, log_bytes)) in topics {
            let is_full = self.own.len() == TOPICS_SHOWN_MAX && !self.own.contains_key(&id);
            if is_full || self.others.contains(&id) {
                self.others.insert(id);
                self.others_log_bytes += log_bytes;
            } else {
                let own = self.own.entry(id).or_default();
                (own.counts, own.log_bytes) = (counts, log_bytes);
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
                let topic = name.as_str().to_owned();
                lines.push(Line { topic, counts: own.counts, log_bytes: own.log_bytes });
            }
        }
        lines.sort_by(|left, right| left.topic.cmp(&right.topic));
        // The totals never fall, so neither does what the lines leave of them. Saturating, because
        // cores are asked one after another.
        let (counts, log_bytes) = (self.total.saturating_sub(shown), self.others_log_bytes);
        if counts != TopicCounts::default() || log_bytes > 0 {
            lines.push(Line { topic: OTHER_TOPICS.to_owned(), counts, log_bytes });
        }
        lines
    }

    /// What is no longer counted was deleted (counts of a topic begin above zero), or has lost its
    /// last record before anything was counted.
    fn forget_deleted(&mut self, topics: &BTreeMap<TopicId, (TopicCounts, u64)>) {
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
            log_bytes: Vec::new(),
            journal: None,
            journal_buffered_bytes: 0,
            reads: partition::ReadCounts::default(),
            tail_bytes: 0,
            tail_unwritten_bytes: 0,
            tail_max_bytes: 0,
            storage_is_full: false,
            scaled: broker::ScalingCounts::default(),
        }
    }

    fn line(topic: &str, records: u64) -> Line {
        Line { topic: topic.to_owned(), counts: counts(records), log_bytes: 0 }
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
        assert_eq!(lines, [line("t0001", 17), line("t0002", 5)]);
    }

    #[test]
    fn a_topic_that_holds_records_has_a_line_before_anything_is_counted() {
        let mut places = TopicPlaces::default();
        let holding = |logs: &[(u128, u64)]| CoreCounts {
            log_bytes: logs.iter().map(|(id, bytes)| (TopicId(*id), *bytes)).collect(),
            ..core([], 0)
        };
        let lines = page(&mut places, &[holding(&[(1, 100), (1, 20)]), holding(&[(1, 3)])]);
        assert_eq!(lines, [Line { log_bytes: 123, ..line("t0001", 0) }]);

        let all: Vec<_> = (0..TOPICS_SHOWN_MAX as u128 + 3).map(|id| (id, 10)).collect();
        let lines = page(&mut places, &[holding(&all)]);
        assert_eq!(lines.last(), Some(&Line { log_bytes: 30, ..line(OTHER_TOPICS, 0) }));

        // Retention takes everything.
        assert_eq!(page(&mut places, &[holding(&[])]), []);
    }

    #[test]
    fn topics_beyond_the_limit_are_one_line_and_stay_there() {
        let mut places = TopicPlaces::default();
        let all = TOPICS_SHOWN_MAX as u128 + 3;
        let lines = page(&mut places, &[core((0..all).map(|id| (id, 1)), all as u64)]);
        assert_eq!(lines.len(), TOPICS_SHOWN_MAX + 1);
        assert_eq!(lines.last(), Some(&line(OTHER_TOPICS, 3)));

        // Topic 0 is deleted; a new one takes its place, and none of the others does.
        let topics = (1..all + 1).map(|id| (id, 1));
        let lines = page(&mut places, &[core(topics, all as u64 + 1)]);
        assert_eq!(lines.len(), TOPICS_SHOWN_MAX + 1);
        assert!(lines.iter().any(|line| line.topic == format!("t{all:04}")));
        assert_eq!(lines.last(), Some(&line(OTHER_TOPICS, 3)));
    }

    #[test]
    fn what_a_deleted_topic_counted_after_it_was_last_shown_goes_to_the_others() {
        let mut places = TopicPlaces::default();
        assert_eq!(page(&mut places, &[core([(1, 10)], 10)]).len(), 1);
        let lines = page(&mut places, &[core([], 14)]);
        assert_eq!(lines, [line(OTHER_TOPICS, 4)]);
    }
}
