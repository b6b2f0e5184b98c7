//! Any bytes as CBOR, as AWS's SDKs send it: what is read is no more than the bytes bear out, nests
//! no deeper than allowed, and reads the same when it is written again.
#![no_main]

use std::fmt;

use aws_cbor::{DEPTH_MAX, decode, encode};
use libfuzzer_sys::fuzz_target;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// Whatever CBOR can say to serde.
#[derive(Debug, PartialEq)]
enum Value {
    Nothing,
    Flag(bool),
    Natural(u64),
    Negative(i64),
    /// The bits of a number with a fraction: one that is none is equal to itself, too.
    Fraction(u64),
    Text(String),
    Blob(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

/// What a value holds.
#[derive(Default)]
struct Held {
    values: usize,
    bytes: usize,
    depth: usize,
}

impl Value {
    fn count(&self, depth: usize, held: &mut Held) {
        held.values += 1;
        match self {
            Value::Text(text) => held.bytes += text.len(),
            Value::Blob(bytes) => held.bytes += bytes.len(),
            Value::List(list) => {
                held.depth = held.depth.max(depth + 1);
                list.iter().for_each(|value| value.count(depth + 1, held));
            }
            Value::Map(map) => {
                held.depth = held.depth.max(depth + 1);
                for (key, value) in map {
                    key.count(depth + 1, held);
                    value.count(depth + 1, held);
                }
            }
            _ => {}
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Nothing => serializer.serialize_unit(),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Natural(number) => serializer.serialize_u64(*number),
            Value::Negative(number) => serializer.serialize_i64(*number),
            Value::Fraction(bits) => serializer.serialize_f64(f64::from_bits(*bits)),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Blob(bytes) => serializer.serialize_bytes(bytes),
            Value::List(list) => serializer.collect_seq(list),
            Value::Map(map) => serializer.collect_map(map.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Natural(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        assert!(number < 0, "{number} is written with a sign");
        Ok(Value::Negative(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Fraction(number.to_bits()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Blob(bytes.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        // A count is what serde's own lists would reserve memory for.
        assert_eq!(list.size_hint(), None);
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        assert_eq!(map.size_hint(), None);
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = decode::<Value>(bytes) else { return };
    let mut held = Held::default();
    value.count(0, &mut held);
    assert!(held.values + held.bytes <= bytes.len(), "more values and bytes than were sent");
    assert!(held.depth <= DEPTH_MAX, "{} deep", held.depth);
    let written = encode(&value).expect("what was read can be written");
    assert_eq!(decode::<Value>(&written).expect("what was written can be read"), value);
});
