//! Topics, which Kinesis calls streams, and their partitions.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A valid topic name: 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`
/// (Kafka's `org.apache.kafka.common.internals.Topic`). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// Why a text is no topic name, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidTopicName {
    /// The name has no characters.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// The name would be a path to the directory or its parent.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Reserved(String),
    /// The name is over 249 characters long.
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length 249")]
    TooLong(String),
    /// The name has a character outside the legal set.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    IllegalCharacter(String),
}

impl TopicName {
    /// The longest legal name, in characters.
    pub const LENGTH_MAX: usize = 249;

    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<TopicName, InvalidTopicName> {
        if name.is_empty() {
            return Err(InvalidTopicName::Empty);
        }
        if name == "." || name == ".." {
            return Err(InvalidTopicName::Reserved(name.to_owned()));
        }
        if name.len() > Self::LENGTH_MAX {
            return Err(InvalidTopicName::TooLong(name.to_owned()));
        }
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if !name.bytes().all(legal) {
            return Err(InvalidTopicName::IllegalCharacter(name.to_owned()));
        }
        Ok(TopicName(Arc::from(name)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with `.` and `_` made one: Kafka refuses two topics that differ in these only,
    /// because their metric names would collide.
    pub fn collision_form(&self) -> String {
        self.0.replace('.', "_")
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopicName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for TopicName {
    type Error = InvalidTopicName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(&s)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> String {
        name.0.as_ref().to_owned()
    }
}

/// A topic's identity over its whole life; a topic made again under the same name has another.
/// Written as Kafka writes a `Uuid`: 22 characters of URL-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct TopicId(pub u128);

impl TopicId {
    /// "No id", as the protocol writes it.
    pub const NONE: TopicId = TopicId(0);

    /// Makes a version 4 UUID of 128 random bits.
    pub fn from_random(bits: u128) -> TopicId {
        TopicId(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().as_u128())
    }

    /// The 16 bytes of the wire, most significant first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // 128 bits are 21 groups of six and one of two, which is padded with four zero bits.
        for group in 0..22_u32 {
            let sextet = if group < 21 { self.0 >> (122 - 6 * group) } else { self.0 << 4 };
            let letter = ALPHABET.get((sextet & 0x3f) as usize).copied().unwrap_or(b'A');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition's number within its topic, from 0.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct PartitionIndex(pub u32);

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition's number within it.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_or_refused_in_kafkas_words() {
        for good in ["a", "A.b_c-9", &"x".repeat(249), "...", "__consumer_offsets"] {
            assert!(TopicName::new(good).is_ok(), "{good}");
        }
        for (bad, said) in [
            ("", "the empty string is not allowed"),
            (".", "'.' is not allowed"),
            ("..", "'..' is not allowed"),
            ("a/b", "other than ASCII alphanumerics"),
            ("ä", "other than ASCII alphanumerics"),
            (&"x".repeat(250), "longer than the max allowed length 249"),
        ] {
            let error = TopicName::new(bad).expect_err(bad).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn names_that_differ_in_dot_and_underscore_collide() {
        let form = |name| TopicName::new(name).map(|n| n.collision_form());
        assert_eq!(form("a.b"), form("a_b"));
        assert_ne!(form("a.b"), form("a-b"));
    }

    #[test]
    fn an_id_is_written_as_kafka_writes_it() {
        // Uuid.fromString("AAAAAAAAAAAAAAAAAAAAAQ") is Kafka's own metadata topic id, the UUID 1.
        assert_eq!(TopicId(1).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId(0).to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId(u128::MAX).to_string(), "_____________________w");
    }

    #[test]
    fn a_random_id_is_a_version_4_uuid() {
        let bytes = TopicId::from_random(u128::MAX).to_bytes();
        assert_eq!(bytes[6] >> 4, 4);
        assert_eq!(bytes[8] >> 6, 0b10);
    }
}
