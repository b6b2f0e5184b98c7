//! Holds a request against the table of constraints and reports every breach at once, in AWS's
//! words.
//!
//! The wording ("1 validation error detected: Value '' at 'streamName' failed to satisfy
//! constraint: Member must have length greater than or equal to 1") is what AWS's Java services
//! say; public test suites of Kinesis look-alikes have recorded it.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    constraints::{Each, Member, Pattern, Rule, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX},
    error::{ApiError, ErrorKind},
};

/// A member's value as the constraints see it.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// Not in the request.
    Absent,
    /// Text.
    Text(&'a str),
    /// A whole number.
    Number(i64),
    /// A blob, a list or a map of so many bytes or entries.
    Sized(usize),
    /// Tags.
    Tags(&'a BTreeMap<String, String>),
    /// Texts.
    Texts(&'a [String]),
    /// There, and of a kind that has no constraint (times, flags, structures).
    Present,
}

impl<'a> Seen<'a> {
    /// A text that may be absent.
    pub fn text(value: &'a Option<String>) -> Seen<'a> {
        value.as_deref().map_or(Seen::Absent, Seen::Text)
    }

    /// A number that may be absent.
    pub fn number(value: Option<i64>) -> Seen<'static> {
        value.map_or(Seen::Absent, Seen::Number)
    }

    /// A sized value that may be absent.
    pub fn sized(value: Option<usize>) -> Seen<'static> {
        value.map_or(Seen::Absent, Seen::Sized)
    }

    /// Tags that may be absent.
    pub fn tags(value: &'a Option<BTreeMap<String, String>>) -> Seen<'a> {
        value.as_ref().map_or(Seen::Absent, Seen::Tags)
    }

    /// A list of texts that may be absent.
    pub fn texts(value: &'a Option<Vec<String>>) -> Seen<'a> {
        value.as_deref().map_or(Seen::Absent, Seen::Texts)
    }

    /// Only whether it is there.
    pub fn present<T>(value: &Option<T>) -> Seen<'static> {
        if value.is_some() { Seen::Present } else { Seen::Absent }
    }
}

/// A request whose members a table constrains.
pub trait Constrained: Sized + 'static {
    /// Its members, in the order in which AWS reports them.
    const MEMBERS: &'static [Member<Self>];

    /// Holds lists inside the request against their own tables.
    fn check_entries(&self, _breaches: &mut Breaches) {}
}

/// Fails with every breach of the constraints in `request`, if there are any.
pub fn validate<T: Constrained>(request: &T) -> Result<(), ApiError> {
    let mut breaches = Breaches::default();
    breaches.check("", request);
    request.check_entries(&mut breaches);
    breaches.into_result()
}

/// Breaches found so far.
#[derive(Debug, Default)]
pub struct Breaches {
    count: usize,
    text: String,
}

/// Breaches written out; a request of 500 bad records is not answered with a book.
const WRITTEN_MAX: usize = 10;
/// Characters of a bad value that are repeated in the message.
const SHOWN_CHARS_MAX: usize = 512;

impl Breaches {
    /// Holds `value` against its table. `path` precedes the members' names, with its dot.
    pub fn check<T: Constrained>(&mut self, path: &str, value: &T) {
        for member in T::MEMBERS {
            let seen = (member.seen)(value);
            if matches!(seen, Seen::Absent) {
                if member.required {
                    self.add("null", path, member.name, "not be null");
                }
                continue;
            }
            self.check_rule(path, member.name, &member.rule, seen);
        }
    }

    /// Holds entry `place` (from 0) of the list `list` against its table.
    pub fn check_entry<T: Constrained>(&mut self, list: &str, place: usize, entry: &T) {
        // AWS counts the members of a list from 1.
        let path = format!("{list}.{}.member.", place + 1);
        self.check(&path, entry);
    }

    fn check_rule(&mut self, path: &str, name: &str, rule: &Rule, seen: Seen<'_>) {
        match (rule, seen) {
            (Rule::Text { min, max, pattern }, Seen::Text(text)) => {
                let shown = quoted(text);
                if let Some(Pattern { regex, matches }) = pattern
                    && !matches(text)
                {
                    let must = format!("satisfy regular expression pattern: {regex}");
                    self.add(&shown, path, name, &must);
                }
                self.check_length(&shown, path, name, text.chars().count(), *min, *max);
            }
            (Rule::Choice(choices), Seen::Text(text)) if !choices.contains(&text) => {
                let must = format!("satisfy enum value set: [{}]", choices.join(", "));
                self.add(&quoted(text), path, name, &must);
            }
            (Rule::Number { min, max }, Seen::Number(number)) => {
                let shown = format!("'{number}'");
                if number < *min {
                    let must = format!("have value greater than or equal to {min}");
                    self.add(&shown, path, name, &must);
                }
                if number > *max {
                    let must = format!("have value less than or equal to {max}");
                    self.add(&shown, path, name, &must);
                }
            }
            (Rule::Blob { max }, Seen::Sized(length)) => {
                let shown = format!("'java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]'");
                self.check_length(&shown, path, name, length, 0, *max);
            }
            (Rule::List { min, max }, Seen::Sized(length)) => {
                let shown = format!("'[{length} entries]'");
                self.check_length(&shown, path, name, length, *min, *max);
            }
            (Rule::Tags { min, max }, Seen::Tags(tags)) => {
                let shown = format!("'[{} entries]'", tags.len());
                self.check_length(&shown, path, name, tags.len(), *min, *max);
                let keys = tags.keys().map(|key| key.chars().count());
                self.check_each(&shown, path, name, "Map keys", keys, 1, TAG_KEY_CHARS_MAX);
                let values = tags.values().map(|value| value.chars().count());
                self.check_each(&shown, path, name, "Map value", values, 0, TAG_VALUE_CHARS_MAX);
            }
            (Rule::Texts { min, max, each }, Seen::Texts(texts)) => {
                let shown = format!(
                    "'[{}]'",
                    texts
                        .iter()
                        .take(*max)
                        .map(|text| clipped(text))
                        .collect::<Vec<_>>()
                        .join(", ")
                );
                self.check_length(&shown, path, name, texts.len(), *min, *max);
                match each {
                    Each::Length { min, max } => {
                        let lengths = texts.iter().map(|text| text.chars().count());
                        self.check_each(&shown, path, name, "Member", lengths, *min, *max);
                    }
                    Each::Choice(choices) => {
                        if texts.iter().any(|text| !choices.contains(&text.as_str())) {
                            let must = format!(
                                "satisfy constraint: [Member must satisfy enum value set: [{}]]",
                                choices.join(", ")
                            );
                            self.add(&shown, path, name, &must);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// One breach if any of the lengths lies outside.
    #[expect(clippy::too_many_arguments, reason = "one row of a table")]
    fn check_each(
        &mut self,
        shown: &str,
        path: &str,
        name: &str,
        what: &str,
        mut lengths: impl Iterator<Item = usize>,
        min: usize,
        max: usize,
    ) {
        if lengths.any(|length| length < min || length > max) {
            let said = format!(
                "{what} must satisfy constraint: [Member must have length less than or equal to \
                 {max}, Member must have length greater than or equal to {min}]"
            );
            self.say(shown, path, name, &said);
        }
    }

    fn check_length(
        &mut self,
        shown: &str,
        path: &str,
        name: &str,
        length: usize,
        min: usize,
        max: usize,
    ) {
        if length < min {
            let must = format!("have length greater than or equal to {min}");
            self.add(shown, path, name, &must);
        }
        if length > max {
            let must = format!("have length less than or equal to {max}");
            self.add(shown, path, name, &must);
        }
    }

    fn add(&mut self, shown: &str, path: &str, name: &str, must: &str) {
        self.say(shown, path, name, &format!("Member must {must}"));
    }

    fn say(&mut self, shown: &str, path: &str, name: &str, said: &str) {
        self.count += 1;
        if self.count > WRITTEN_MAX {
            return;
        }
        let separator = if self.count == 1 { "" } else { "; " };
        // Writing to a String does not fail.
        let _ = write!(
            self.text,
            "{separator}Value {shown} at '{path}{}' failed to satisfy constraint: {said}",
            lower_first(name),
        );
    }

    fn into_result(self) -> Result<(), ApiError> {
        let plural = match self.count {
            0 => return Ok(()),
            1 => "",
            _ => "s",
        };
        let message = format!("{} validation error{plural} detected: {}", self.count, self.text);
        Err(ApiError::new(ErrorKind::Validation, message))
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", clipped(text))
}

fn clipped(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// AWS names members in its messages as Java fields: `StreamName` is `streamName`.
fn lower_first(name: &str) -> String {
    if name == "StreamARN" {
        return "streamARN".to_owned();
    }
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{requests, wire::Blob};
    use bytes::Bytes;

    fn said<T: Constrained>(request: &T) -> String {
        validate(request).err().map(|error| error.message).unwrap_or_default()
    }

    fn put(key: &str, hash_key: Option<&str>) -> requests::PutRecord {
        requests::PutRecord {
            stream_name: Some("s".into()),
            data: Some(Blob::default()),
            partition_key: Some(key.into()),
            explicit_hash_key: hash_key.map(str::to_owned),
            ..Default::default()
        }
    }

    #[test]
    fn create_stream_is_refused_in_awss_words() {
        let with = |name: &str, shards| requests::CreateStream {
            stream_name: Some(name.to_owned()),
            shard_count: Some(shards),
            ..Default::default()
        };
        for (request, message) in [
            (with("good.name_-9", 1), String::new()),
            (
                with("", 0),
                "3 validation errors detected: Value '0' at 'shardCount' failed to satisfy \
                 constraint: Member must have value greater than or equal to 1; Value '' at \
                 'streamName' failed to satisfy constraint: Member must satisfy regular \
                 expression pattern: [a-zA-Z0-9_.-]+; Value '' at 'streamName' failed to satisfy \
                 constraint: Member must have length greater than or equal to 1"
                    .into(),
            ),
            (
                with(&"a".repeat(129), 1),
                format!(
                    "1 validation error detected: Value '{}' at 'streamName' failed to satisfy \
                     constraint: Member must have length less than or equal to 128",
                    "a".repeat(129)
                ),
            ),
            (
                requests::CreateStream { shard_count: Some(1), ..Default::default() },
                "1 validation error detected: Value null at 'streamName' failed to satisfy \
                 constraint: Member must not be null"
                    .into(),
            ),
        ] {
            assert_eq!(said(&request), message);
        }
    }

    #[test]
    fn partition_keys_have_1_to_256_characters_whatever_their_bytes() {
        assert_eq!(said(&put("k", None)), "");
        assert_eq!(said(&put(&"ü".repeat(256), None)), "");
        assert!(said(&put("", None)).contains("'partitionKey'"));
        assert!(said(&put(&"x".repeat(257), None)).contains("less than or equal to 256"));
    }

    #[test]
    fn explicit_hash_keys_are_decimals_without_leading_zeros() {
        for good in ["0", "7", "340282366920938463463374607431768211455"] {
            assert_eq!(said(&put("k", Some(good))), "", "{good}");
        }
        for bad in ["", "00", "07", "-1", "1e3", &"9".repeat(40)] {
            assert!(said(&put("k", Some(bad))).contains("'explicitHashKey'"), "{bad}");
        }
    }

    #[test]
    fn a_bad_record_of_many_is_named_by_its_place() {
        let good = requests::PutRecordsEntry {
            data: Some(Blob(Bytes::from_static(b"d"))),
            partition_key: Some("k".into()),
            explicit_hash_key: None,
        };
        let bad = requests::PutRecordsEntry { data: None, ..good.clone() };
        let request = requests::PutRecords {
            stream_name: Some("s".into()),
            records: Some(vec![good.clone(), bad]),
            ..Default::default()
        };
        assert_eq!(
            said(&request),
            "1 validation error detected: Value null at 'records.2.member.data' failed to \
             satisfy constraint: Member must not be null"
        );
        let many = requests::PutRecords { records: Some(vec![good; 501]), ..request };
        assert!(said(&many).contains("at 'records' failed to satisfy constraint: Member must have length less than or equal to 500"));
    }

    #[test]
    fn a_choice_lists_what_may_be_chosen() {
        let request = requests::GetShardIterator {
            stream_name: Some("s".into()),
            shard_id: Some("shardId-000000000000".into()),
            shard_iterator_type: Some("FIRST".into()),
            ..Default::default()
        };
        assert!(said(&request).ends_with(
            "Value 'FIRST' at 'shardIteratorType' failed to satisfy constraint: Member must \
             satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, \
             AT_SEQUENCE_NUMBER, TRIM_HORIZON]"
        ));
    }

    #[test]
    fn a_request_of_bad_records_only_is_answered_with_a_bounded_text() {
        let bad = requests::PutRecordsEntry {
            partition_key: Some("x".repeat(100_000)),
            ..Default::default()
        };
        let request = requests::PutRecords { records: Some(vec![bad; 500]), ..Default::default() };
        let message = said(&request);
        assert!(message.starts_with("1000 validation errors detected: "), "{message}");
        assert!(message.len() < 20_000);
    }
}
