//! The schemas of the guard against those of the crate: bytes made from ours must be what the crate
//! reads and writes back, and hostile counts must never get through.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        self, AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest,
        DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
        DescribeLogDirsRequest, DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest,
        InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
    },
    protocol::{Decodable, Encodable, Message},
};
use proptest::prelude::*;

use super::*;
use crate::{
    apis::{APIS, Api},
    wire::Writer,
};

/// Choices for a made-up message: the same ones for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Makes the bytes of a message from its schema. Count number `hostile` claims 2^30 elements.
struct Maker {
    writer: Writer,
    dice: Dice,
    version: i16,
    flexible: bool,
    hostile: Option<usize>,
    counts: usize,
}

impl Maker {
    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(field);
            }
        }
        if self.flexible {
            self.count_is_hostile();
            self.writer.no_tagged_fields();
        }
    }

    fn field(&mut self, field: &Field) {
        let null = self.version >= field.nullable_since && self.dice.below(3) == 0;
        match field.shape {
            // Booleans must be 0 or 1 to be written back as they were.
            Shape::Fixed(1) => self.writer.int8(self.dice.below(2) as i8),
            Shape::Fixed(size) => {
                let bytes: Vec<u8> = (0..size).map(|_| self.dice.below(256) as u8).collect();
                self.writer.raw(&bytes);
            }
            Shape::String if null => self.writer.nullable_string(None),
            Shape::String => {
                let text = "topic-9".repeat(self.dice.below(30) as usize);
                self.writer.string(&text);
            }
            Shape::Bytes | Shape::Values(_) | Shape::Structs(_) if null => {
                self.writer.null_array();
            }
            Shape::Bytes => {
                let count = self.count();
                self.writer.raw(&vec![7; count]);
            }
            Shape::Values(element) => {
                for _ in 0..self.count() {
                    self.field(&Field::new(*element));
                }
            }
            Shape::Structs(fields) => {
                for _ in 0..self.count() {
                    self.fields(fields);
                }
            }
            Shape::NullableStruct(_) if self.dice.below(2) == 0 => self.writer.int8(-1),
            Shape::NullableStruct(fields) => {
                self.writer.int8(1);
                self.fields(fields);
            }
        }
    }

    fn count(&mut self) -> usize {
        let count = self.dice.below(4) as usize;
        if self.count_is_hostile() {
            self.writer.count(1 << 30);
        } else {
            self.writer.count(count);
        }
        count
    }

    /// Counts of tagged fields are not made hostile here; see the test of their own.
    fn count_is_hostile(&mut self) -> bool {
        self.counts += 1;
        self.hostile == Some(self.counts - 1)
    }
}

fn make(api: &Api, version: i16, seed: u64, hostile: Option<usize>) -> (Bytes, usize) {
    let flexible = version >= api.flexible_since;
    let mut maker = Maker {
        writer: Writer::new(BytesMut::new(), flexible),
        dice: Dice(seed),
        version,
        flexible,
        hostile,
        counts: 0,
    };
    maker.fields(api.body.unwrap());
    (maker.writer.into_bytes().freeze(), maker.counts)
}

fn schema(api: &Api) -> Body {
    Body { fields: api.body.unwrap(), flexible_since: api.flexible_since }
}

/// Decodes and encodes again; `None` where the crate does not have the version.
fn through_the_crate<M: Decodable + Encodable + Message>(
    bytes: &Bytes,
    version: i16,
) -> Option<Bytes> {
    if version > M::VERSIONS.max {
        return None;
    }
    let mut rest = bytes.clone();
    let message = M::decode(&mut rest, version).unwrap();
    assert!(rest.is_empty(), "the crate left {} bytes", rest.len());
    let mut again = BytesMut::new();
    message.encode(&mut again, version).unwrap();
    Some(again.freeze())
}

fn crate_codec(key: i16) -> fn(&Bytes, i16) -> Option<Bytes> {
    match key {
        2 => through_the_crate::<ListOffsetsRequest>,
        3 => through_the_crate::<MetadataRequest>,
        8 => through_the_crate::<messages::OffsetCommitRequest>,
        9 => through_the_crate::<messages::OffsetFetchRequest>,
        10 => through_the_crate::<messages::FindCoordinatorRequest>,
        11 => through_the_crate::<messages::JoinGroupRequest>,
        12 => through_the_crate::<messages::HeartbeatRequest>,
        13 => through_the_crate::<messages::LeaveGroupRequest>,
        14 => through_the_crate::<messages::SyncGroupRequest>,
        15 => through_the_crate::<messages::DescribeGroupsRequest>,
        16 => through_the_crate::<messages::ListGroupsRequest>,
        19 => through_the_crate::<CreateTopicsRequest>,
        20 => through_the_crate::<DeleteTopicsRequest>,
        21 => through_the_crate::<DeleteRecordsRequest>,
        22 => through_the_crate::<InitProducerIdRequest>,
        23 => through_the_crate::<OffsetForLeaderEpochRequest>,
        24 => through_the_crate::<messages::AddPartitionsToTxnRequest>,
        25 => through_the_crate::<messages::AddOffsetsToTxnRequest>,
        26 => through_the_crate::<messages::EndTxnRequest>,
        27 => through_the_crate::<messages::WriteTxnMarkersRequest>,
        28 => through_the_crate::<messages::TxnOffsetCommitRequest>,
        32 => through_the_crate::<DescribeConfigsRequest>,
        33 => through_the_crate::<AlterConfigsRequest>,
        35 => through_the_crate::<DescribeLogDirsRequest>,
        37 => through_the_crate::<CreatePartitionsRequest>,
        42 => through_the_crate::<messages::DeleteGroupsRequest>,
        44 => through_the_crate::<IncrementalAlterConfigsRequest>,
        47 => through_the_crate::<messages::OffsetDeleteRequest>,
        60 => through_the_crate::<DescribeClusterRequest>,
        61 => through_the_crate::<messages::DescribeProducersRequest>,
        65 => through_the_crate::<messages::DescribeTransactionsRequest>,
        66 => through_the_crate::<messages::ListTransactionsRequest>,
        68 => through_the_crate::<messages::ConsumerGroupHeartbeatRequest>,
        69 => through_the_crate::<messages::ConsumerGroupDescribeRequest>,
        75 => through_the_crate::<DescribeTopicPartitionsRequest>,
        other => panic!("no schema to test for API {other}"),
    }
}

fn guarded() -> impl Iterator<Item = (&'static Api, i16)> {
    let guarded = APIS.iter().filter(|api| api.body.is_some());
    guarded.flat_map(|api| (api.served_min..=api.version_max).map(move |version| (api, version)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_schema_is_the_crates_in_every_version(seed: u64) {
        for (api, version) in guarded() {
            let (bytes, _) = make(api, version, seed, None);
            let checked = check(&schema(api), version, &bytes).unwrap();
            prop_assert_eq!(checked.size_bytes, bytes.len(), "{} {}", api.name, version);
            if let Some(again) = crate_codec(api.key)(&bytes, version) {
                prop_assert_eq!(&again, &bytes, "{} {}", api.name, version);
            }
        }
    }

    #[test]
    fn a_hostile_count_never_gets_through(seed: u64) {
        for (api, version) in guarded() {
            let (honest, counts) = make(api, version, seed, None);
            for hostile in 0..counts {
                let (bytes, _) = make(api, version, seed, Some(hostile));
                if bytes != honest {
                    prop_assert!(check(&schema(api), version, &bytes).is_err());
                }
            }
        }
    }

    #[test]
    fn a_truncated_message_never_gets_through(seed: u64, at: prop::sample::Index) {
        for (api, version) in guarded() {
            let (bytes, _) = make(api, version, seed, None);
            // ListGroups 0 has no field at all.
            if bytes.is_empty() {
                continue;
            }
            let end = at.index(bytes.len());
            prop_assert!(check(&schema(api), version, &bytes[..end]).is_err());
        }
    }

    /// Whatever gets through, the crate may refuse; but it must survive.
    #[test]
    fn what_gets_through_does_the_crate_no_harm(
        seed: u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (api, version) in guarded() {
            let (bytes, _) = make(api, version, seed, None);
            let mut bytes = bytes.to_vec();
            if bytes.is_empty() {
                continue;
            }
            for (place, value) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            if check(&schema(api), version, &bytes).is_ok() {
                let bytes = Bytes::from(bytes);
                let _ = std::panic::catch_unwind(|| crate_codec(api.key)(&bytes, version));
            }
        }
    }
}

#[test]
fn four_bytes_of_metadata_that_claim_two_billion_topics_are_refused() {
    let api = crate::apis::find(3).unwrap();
    for count in [i32::MAX, i32::MIN, 1, -2] {
        assert!(check(&schema(api), 0, &count.to_be_bytes()).is_err(), "{count}");
    }
    assert!(check(&schema(api), 0, &0_i32.to_be_bytes()).is_ok());
}

#[test]
fn tagged_fields_are_walked_and_their_counts_and_sizes_checked() {
    let api = crate::apis::find(60).unwrap();
    // DescribeCluster 0 is one boolean and the tagged fields: here one, tag 5, of three bytes.
    let passed = check(&schema(api), 0, &[1, 1, 5, 3, 7, 7, 7]);
    assert_eq!(passed, Ok(Checked { size_bytes: 7, elements: 1 }));
    for hostile in
        [&[1, 1, 5, 4, 7, 7, 7][..], &[1, 2, 5, 3, 7, 7, 7], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f]]
    {
        assert!(check(&schema(api), 0, hostile).is_err(), "{hostile:?}");
    }
}
