//! Records and batches for property tests.

use batch::{BatchBuilder, Header};
use bytes::{Bytes, BytesMut};
use model::{Compression, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Enough for everything that is generated.
pub const LIMIT_BYTES: usize = 1 << 20;

pub const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

pub fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(&CODECS[..])
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop_oneof![
        vec(any::<u8>(), 0..max).prop_map(Bytes::from),
        // Compressible, and long enough for several blocks of a codec.
        (any::<u8>(), 0..max * 40).prop_map(|(byte, count)| Bytes::from(vec![byte; count])),
    ]
}

pub fn input() -> impl Strategy<Value = Input> {
    (
        1_600_000_000_000i64..1_900_000_000_000,
        option::of(bytes(40)),
        option::of(bytes(200)),
        // Few distinct keys, so that duplicates occur; not all of them UTF-8.
        vec((vec(120u8..=130, 0..2).prop_map(Bytes::from), option::of(bytes(20))), 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| Input { timestamp, key, value, headers })
}

pub fn inputs() -> impl Strategy<Value = Vec<Input>> {
    vec(input(), 1..30)
}

pub fn push_all(builder: &mut BatchBuilder, inputs: &[Input]) {
    for Input { timestamp, key, value, headers } in inputs {
        builder.push(Timestamp(*timestamp), key.as_deref(), value.as_deref(), headers);
    }
}

pub fn build(codec: Compression, inputs: &[Input]) -> BytesMut {
    let mut builder = BatchBuilder::new(codec);
    push_all(&mut builder, inputs);
    builder.build().unwrap()
}
