//! What a group must know of the topics that there are.

use std::collections::{BTreeMap, BTreeSet};

use model::{TopicId, TopicName};
use serde::{Deserialize, Serialize};

use super::{PatternCache, member::Subscription};
use crate::Catalog;

/// A topic as far as an assignment depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicShape {
    /// Its identity: a topic made again is another.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: u32,
}

/// The topics that there are; the catalog, or a test's own.
pub trait TopicDirectory {
    /// Moves up with every change of the topics.
    fn version(&self) -> u64;
    /// A topic by its name.
    fn shape(&self, name: &str) -> Option<TopicShape>;
    /// All topics' names.
    fn for_each_name(&self, see: &mut dyn FnMut(&str));
}

impl TopicDirectory for Catalog {
    fn version(&self) -> u64 {
        Catalog::version(self)
    }

    fn shape(&self, name: &str) -> Option<TopicShape> {
        let topic = self.topic(&TopicName::new(name).ok()?)?;
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        Some(TopicShape { id: topic.id, partitions })
    }

    fn for_each_name(&self, see: &mut dyn FnMut(&str)) {
        for topic in self.topics() {
            see(topic.name.as_str());
        }
    }
}

/// The topics that some members ask for and that exist, by name.
pub type SubscribedTopics = BTreeMap<String, TopicShape>;

/// Looks up what subscriptions mean at this moment. Each pattern is matched once.
pub(super) struct Resolver<'a> {
    directory: &'a dyn TopicDirectory,
    patterns: &'a mut PatternCache,
    matched: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Resolver<'a> {
    pub fn new(directory: &'a dyn TopicDirectory, patterns: &'a mut PatternCache) -> Resolver<'a> {
        Resolver { directory, patterns, matched: BTreeMap::new() }
    }

    /// The version of that.
    pub fn version(&self) -> u64 {
        self.directory.version()
    }

    /// The topics that a subscription takes in. A pattern that does not compile takes in nothing;
    /// none gets so far.
    pub fn resolve(&mut self, of: &Subscription) -> SubscribedTopics {
        let mut topics = SubscribedTopics::new();
        let mut take = |name: &str| {
            if let Some(shape) = self.directory.shape(name) {
                topics.insert(name.to_owned(), shape);
            }
        };
        of.topic_names.iter().for_each(|name| take(name));
        if let Some(pattern) = &of.topic_regex {
            let matched = self.matched.entry(pattern.clone()).or_insert_with(|| {
                let mut names = BTreeSet::new();
                if let Ok(pattern) = self.patterns.get(pattern) {
                    self.directory.for_each_name(&mut |name| {
                        if pattern.matches(name) {
                            names.insert(name.to_owned());
                        }
                    });
                }
                names
            });
            matched.iter().for_each(|name| take(name));
        }
        topics
    }
}
