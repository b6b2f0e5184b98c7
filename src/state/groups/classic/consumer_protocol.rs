//! What Kafka's consumers say to each other within a group, as far as the broker reads it: the
//! topics of a subscription, the partitions of an assignment (`ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`, versions 0 to 3; later versions only add fields at the end).

use std::collections::BTreeSet;

/// The protocol type of Kafka's consumers.
pub const TYPE: &str = "consumer";

/// The topics that a subscription names; `None` if it cannot be read.
pub fn subscribed_topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let mut bytes = Bytes(metadata);
    bytes.version()?;
    let count = bytes.count()?;
    (0..count).map(|_| bytes.string()).collect()
}

/// The partitions that an assignment names, by topic; `None` if it cannot be read.
pub fn assigned_partitions(assignment: &[u8]) -> Option<Vec<(String, Vec<u32>)>> {
    let mut bytes = Bytes(assignment);
    bytes.version()?;
    bytes.partitions()
}

/// Whether the assignor wrote data of its own into an assignment: those of Kafka's consumers do not,
/// those of others (Kafka Streams) do.
pub fn has_assignor_data(assignment: &[u8]) -> bool {
    let mut bytes = Bytes(assignment);
    let is_read = bytes.version().is_some() && bytes.partitions().is_some();
    is_read && bytes.int32().is_some_and(|size| size > 0)
}

/// What a consumer says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerSubscription {
    /// The topics that it reads.
    pub topics: BTreeSet<String>,
    /// What it has, if it did not give everything up before it joined (from version 1 on).
    pub owned: Vec<(String, Vec<u32>)>,
}

/// Reads a subscription; `None` if it cannot be read.
pub fn subscription(metadata: &[u8]) -> Option<ConsumerSubscription> {
    let mut bytes = Bytes(metadata);
    let version = bytes.version()?;
    let count = bytes.count()?;
    let topics = (0..count).map(|_| bytes.string()).collect::<Option<_>>()?;
    let mut owned = Vec::new();
    if version >= 1 {
        // The assignor's own data, which may be null.
        let size = usize::try_from(bytes.int32()?).unwrap_or(0);
        bytes.0 = bytes.0.get(size..)?;
        owned = bytes.partitions()?;
    }
    Some(ConsumerSubscription { topics, owned })
}

/// Writes an assignment in a version that the consumer reads.
pub fn encode_assignment(version: i16, topics: &[(String, Vec<u32>)]) -> Vec<u8> {
    fn put(bytes: &mut Vec<u8>, count: usize) {
        bytes.extend(i32::try_from(count).unwrap_or(i32::MAX).to_be_bytes());
    }
    let mut bytes = version.clamp(0, 3).to_be_bytes().to_vec();
    put(&mut bytes, topics.len());
    for (topic, partitions) in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap_or(i16::MAX).to_be_bytes());
        bytes.extend(topic.as_bytes());
        put(&mut bytes, partitions.len());
        partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
    }
    // No data of an assignor.
    bytes.extend((-1_i32).to_be_bytes());
    bytes
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn version(&mut self) -> Option<i16> {
        let version = i16::from_be_bytes(self.take()?);
        (version >= 0).then_some(version)
    }

    fn int32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// A number of elements, each of at least two bytes, that the rest can hold.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.int32()?).ok()?;
        (count <= self.0.len() / 2).then_some(count)
    }

    fn partitions(&mut self) -> Option<Vec<(String, Vec<u32>)>> {
        let mut topics = Vec::new();
        for _ in 0..self.count()? {
            let topic = self.string()?;
            let count = self.count()?;
            let partitions: Option<Vec<u32>> =
                (0..count).map(|_| u32::try_from(self.int32()?).ok()).collect();
            topics.push((topic, partitions?));
        }
        Some(topics)
    }

    fn string(&mut self) -> Option<String> {
        let length = usize::try_from(i16::from_be_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(topic: &str) -> Vec<u8> {
        [&(topic.len() as i16).to_be_bytes(), topic.as_bytes()].concat()
    }

    #[test]
    fn topics_and_partitions_are_read_and_what_follows_is_left() {
        let subscription = [&[0, 1, 0, 0, 0, 2], &text("a")[..], &text("bc"), &[0xff; 8]].concat();
        let topics = subscribed_topics(&subscription).unwrap();
        assert_eq!(topics, ["a".to_owned(), "bc".to_owned()].into());
        let assignment =
            [&[0, 0, 0, 0, 0, 1], &text("a")[..], &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7]].concat();
        let partitions = assigned_partitions(&assignment).unwrap();
        assert_eq!(partitions, [("a".to_owned(), vec![0, 7])]);
        assert!(!has_assignor_data(&assignment));
        let with = |data: &[u8]| [&assignment[..], data].concat();
        assert!(!has_assignor_data(&with(&[0xff; 4])), "none");
        assert!(!has_assignor_data(&with(&[0; 4])), "empty");
        assert!(has_assignor_data(&with(&[0, 0, 0, 1, 9])));
    }

    #[test]
    fn what_is_cut_or_lies_about_its_size_is_not_read() {
        let whole = [&[0, 0, 0, 0, 0, 1], &text("abc")[..]].concat();
        for length in 0..whole.len() {
            assert_eq!(subscribed_topics(&whole[..length]), None, "{length}");
        }
        assert_eq!(subscribed_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(subscribed_topics(&[0xff, 0xff, 0, 0, 0, 0]), None);
    }
}
