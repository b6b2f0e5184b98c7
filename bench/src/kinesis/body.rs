//! Bodies of requests and answers, in JSON or CBOR.

mod cbor;
mod json;

use clap::ValueEnum;
use hyper::body::Bytes;
use serde::Serialize;

pub use json::event_records;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Encoding {
    /// JSON, record data in Base64: what most SDKs send
    Json,
    /// CBOR, record data as they are: what the Java SDK sends
    Cbor,
}

/// A record to be put.
pub struct Entry {
    /// What decides on its shard.
    pub partition_key: String,
    /// What it holds.
    pub data: Vec<u8>,
}

/// What is behind the records of an answer to GetRecords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// For the next call; none at the end of a closed shard.
    pub next_iterator: Option<String>,
    /// Zero: there is no newer record.
    pub millis_behind_latest: u64,
}

impl Encoding {
    /// Its name in HTTP.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/x-amz-json-1.1",
            Encoding::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// Its name in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Json => "json",
            Encoding::Cbor => "cbor",
        }
    }

    /// The body of PutRecord.
    pub fn put_record(self, stream: &str, entry: &Entry) -> anyhow::Result<Bytes> {
        match self {
            Encoding::Json => json::put_record(stream, entry),
            Encoding::Cbor => cbor::put_record(stream, entry),
        }
    }

    /// The body of PutRecords.
    pub fn put_records(self, stream: &str, entries: &[Entry]) -> anyhow::Result<Bytes> {
        match self {
            Encoding::Json => json::put_records(stream, entries),
            Encoding::Cbor => cbor::put_records(stream, entries),
        }
    }

    /// The body of GetRecords.
    pub fn get_records(self, iterator: &str, limit: u32) -> anyhow::Result<Bytes> {
        match self {
            Encoding::Json => json::get_records(iterator, limit),
            Encoding::Cbor => cbor::get_records(iterator, limit),
        }
    }

    /// How many records an answer to PutRecords refuses.
    pub fn failed_records(self, answer: &[u8]) -> anyhow::Result<u64> {
        match self {
            Encoding::Json => json::failed_records(answer),
            Encoding::Cbor => cbor::failed_records(answer),
        }
    }

    /// Hands the data of each record of an answer to GetRecords to `take`, decoded, in order.
    pub fn records(self, answer: &[u8], take: &mut dyn FnMut(&[u8])) -> anyhow::Result<Page> {
        match self {
            Encoding::Json => json::records(answer, take),
            Encoding::Cbor => cbor::records(answer, take),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries() -> [Entry; 2] {
        [("a", vec![0, 255, 1]), ("b", vec![7])]
            .map(|(key, data)| Entry { partition_key: key.to_owned(), data })
    }

    #[test]
    fn json_says_what_the_api_asks_for() {
        let body = Encoding::Json.put_records("s", &entries()).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let records = json!([
            {"Data": "AP8B", "PartitionKey": "a"},
            {"Data": "Bw==", "PartitionKey": "b"},
        ]);
        assert_eq!(body, json!({"StreamName": "s", "Records": records}));
    }

    #[test]
    fn cbor_has_the_data_as_they_are() {
        let [entry, _] = entries();
        let body = Encoding::Cbor.put_record("s", &entry).unwrap();
        let expected = b"\xa3\x6aStreamName\x61s\x64Data\x43\x00\xff\x01\x6cPartitionKey\x61a";
        assert_eq!(body.as_ref(), expected);
    }

    #[test]
    fn refused_records_are_counted_in_both() {
        let json = br#"{"Records":[{"ErrorCode":"x"},{"ShardId":"y"}],"FailedRecordCount":1}"#;
        assert_eq!(Encoding::Json.failed_records(json).unwrap(), 1);
        // A map without a length, as servers may send it, with a member that nobody knows.
        let cbor = b"\xbf\x67Records\x9f\xa1\x61x\x01\xff\x71FailedRecordCount\x02\xff";
        assert_eq!(Encoding::Cbor.failed_records(cbor).unwrap(), 2);
        Encoding::Json.failed_records(b"{}").unwrap_err();
        Encoding::Cbor.failed_records(b"\xa0").unwrap_err();
    }

    #[test]
    fn records_are_read_from_both_alike() {
        let json = br#"{"Records":[{"Data":"AP8B","SequenceNumber":"1"},{"Data":"Bw=="}],
            "NextShardIterator":"n","MillisBehindLatest":5,"ChildShards":[]}"#;
        let cbor = b"\xa3\x67Records\x82\xa2\x64Data\x43\x00\xff\x01\x6eSequenceNumber\x611\
            \xa1\x64Data\x41\x07\x71NextShardIterator\x61n\x72MillisBehindLatest\x05";
        for (encoding, answer) in
            [(Encoding::Json, json.as_slice()), (Encoding::Cbor, cbor.as_slice())]
        {
            let mut records = Vec::new();
            let page = encoding.records(answer, &mut |data| records.push(data.to_vec())).unwrap();
            assert_eq!(records, [vec![0, 255, 1], vec![7]], "{encoding:?}");
            let next_iterator = Some("n".to_owned());
            assert_eq!(page, Page { next_iterator, millis_behind_latest: 5 }, "{encoding:?}");
        }
    }

    #[test]
    fn a_closed_shard_has_no_next_iterator() {
        let answer = br#"{"Records":[],"NextShardIterator":null,"MillisBehindLatest":0}"#;
        let page = Encoding::Json.records(answer, &mut |_| {}).unwrap();
        assert_eq!(page.next_iterator, None);
    }
}
