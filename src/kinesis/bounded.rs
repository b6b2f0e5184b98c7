//! Lists and maps of a request, read no further than their limit.
//!
//! A body of 16 MiB can hold five million empty records. What is over the limit is read past, not
//! kept: one entry too many is enough for validation to refuse the request.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::constraints::{METRICS_MAX, RECORDS_PER_PUT_MAX, TAG_KEYS_MAX, TAGS_MAX};

/// The records of PutRecords: up to one more than are allowed.
pub fn records<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list: Option<List<T, RECORDS_PER_PUT_MAX>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.0))
}

/// Tags: up to one more than are allowed.
pub fn tags<'de, D>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let map: Option<Map<TAGS_MAX>> = Option::deserialize(deserializer)?;
    Ok(map.map(|map| map.0))
}

/// Keys of tags: up to one more than are allowed.
pub fn tag_keys<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let list: Option<List<String, TAG_KEYS_MAX>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.0))
}

/// Names of metrics: up to one more than are allowed.
pub fn metrics<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let list: Option<List<String, METRICS_MAX>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.0))
}

struct List<T, const MAX: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while list.len() <= MAX {
            match entries.next_element()? {
                Some(entry) => list.push(entry),
                None => return Ok(List(list)),
            }
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(List(list))
    }
}

struct Map<const MAX: usize>(BTreeMap<String, String>);

impl<'de, const MAX: usize> Deserialize<'de> for Map<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor)
    }
}

struct MapVisitor<const MAX: usize>;

impl<'de, const MAX: usize> Visitor<'de> for MapVisitor<MAX> {
    type Value = Map<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while map.len() <= MAX {
            match entries.next_entry()? {
                Some((key, value)) => map.insert(key, value),
                None => return Ok(Map(map)),
            };
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Map(map))
    }
}

#[cfg(test)]
mod tests {
    use crate::requests::{CreateStream, PutRecords};

    #[test]
    fn five_million_records_are_read_as_501() {
        let body = format!("{{\"Records\":[{}{{}}]}}", "{},".repeat(5_000_000));
        let request: PutRecords = serde_json::from_str(&body).unwrap();
        assert_eq!(request.records.unwrap().len(), 501);
    }

    #[test]
    fn a_list_within_the_limit_is_read_whole_and_null_is_none() {
        let request: PutRecords = serde_json::from_str(r#"{"Records":[{},{}]}"#).unwrap();
        assert_eq!(request.records.unwrap().len(), 2);
        for absent in [r#"{"Records":null}"#, "{}"] {
            assert!(serde_json::from_str::<PutRecords>(absent).unwrap().records.is_none());
        }
        assert!(serde_json::from_str::<PutRecords>(r#"{"Records":7}"#).is_err());
        assert!(serde_json::from_str::<PutRecords>(r#"{"Records":[{},"#).is_err());
    }

    #[test]
    fn tags_are_bounded_too() {
        let tags: Vec<_> = (0..1000).map(|n| format!("\"{n}\":\"\"")).collect();
        let body = format!("{{\"Tags\":{{{}}}}}", tags.join(","));
        let request: CreateStream = serde_json::from_str(&body).unwrap();
        assert_eq!(request.tags.unwrap().len(), 201);
    }
}
