//! Any bytes as a request to Kinesis, in JSON and in CBOR: blobs, times and bounded lists are read by
//! hand, and what is read is held against the model's constraints. Behind it, what a request can
//! carry as text: sequence numbers and sealed tokens.
#![no_main]

use kinesis::{
    constraints::{RECORDS_PER_PUT_MAX, TAG_KEYS_MAX, TAGS_MAX},
    requests::{
        ChangeEnhancedMonitoring, CreateStream, GetRecords, GetShardIterator, ListShards,
        PutRecord, PutRecords, SubscribeToShard, UntagResource,
    },
    token::{ShardPosition, Tokens},
    validation::{Constrained, validate},
};
use libfuzzer_sys::fuzz_target;
use model::{SequenceNumber, Timestamp};
use serde::de::DeserializeOwned;

/// One entry more than allowed is kept, for the refusal.
fn is_bounded(entries: Option<usize>, max: usize) -> bool {
    entries.is_none_or(|entries| entries <= max + 1)
}

fn read<T: DeserializeOwned + Constrained>(body: &[u8], check: impl Fn(&T)) {
    let read = [aws_cbor::decode::<T>(body).ok(), serde_json::from_slice(body).ok()];
    for request in read.into_iter().flatten() {
        let _ = validate(&request);
        check(&request);
    }
}

fn text(text: &str) {
    if let Ok(number) = text.parse::<SequenceNumber>() {
        assert_eq!(number.to_string().parse::<SequenceNumber>(), Ok(number));
    }
    let now = Timestamp(1_795_000_000_000);
    let _ = ShardPosition::open(&Tokens::new(b"secret"), text, now);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, body)) = bytes.split_first() else { return };
    match which % 9 {
        0 => read::<PutRecord>(body, |_| {}),
        1 => read::<PutRecords>(body, |put| {
            assert!(is_bounded(put.records.as_ref().map(Vec::len), RECORDS_PER_PUT_MAX));
        }),
        2 => read::<CreateStream>(body, |create| {
            assert!(is_bounded(create.tags.as_ref().map(|tags| tags.len()), TAGS_MAX));
        }),
        3 => read::<GetShardIterator>(body, |get| {
            get.starting_sequence_number.as_deref().into_iter().for_each(text);
        }),
        4 => read::<GetRecords>(body, |get| {
            get.shard_iterator.as_deref().into_iter().for_each(text);
        }),
        5 => read::<ListShards>(body, |_| {}),
        6 => read::<SubscribeToShard>(body, |_| {}),
        7 => read::<ChangeEnhancedMonitoring>(body, |_| {}),
        _ => read::<UntagResource>(body, |untag| {
            assert!(is_bounded(untag.tag_keys.as_ref().map(Vec::len), TAG_KEYS_MAX));
        }),
    }
});
