//! From CBOR to a request.

use minicbor::{Decoder, data::Type};
use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use crate::{CborError, DEPTH_MAX};

/// Reads a body that is one map and nothing else.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CborError> {
    let mut reader = Reader { decoder: Decoder::new(body), depth: 0 };
    if !matches!(reader.next_type()?, Type::Map | Type::MapIndef) {
        return Err(CborError("the body is no CBOR map".to_owned()));
    }
    let value = T::deserialize(&mut reader)?;
    let read = reader.decoder.position();
    if read < body.len() {
        return Err(CborError(format!("{} bytes after the CBOR map", body.len() - read)));
    }
    Ok(value)
}

struct Reader<'de> {
    decoder: Decoder<'de>,
    depth: usize,
}

impl<'de> Reader<'de> {
    /// What comes next, behind its tags: a shape says what a value means, so they say nothing more.
    fn next_type(&mut self) -> Result<Type, CborError> {
        loop {
            match self.decoder.datatype()? {
                Type::Tag => self.decoder.tag()?,
                other => return Ok(other),
            };
        }
    }

    fn text<V: Visitor<'de>>(&mut self, kind: Type, visitor: V) -> Result<V::Value, CborError> {
        if kind == Type::String {
            return visitor.visit_borrowed_str(self.decoder.str()?);
        }
        let mut whole = String::new();
        for part in self.decoder.str_iter()? {
            whole.push_str(part?);
        }
        visitor.visit_string(whole)
    }

    fn blob<V: Visitor<'de>>(&mut self, kind: Type, visitor: V) -> Result<V::Value, CborError> {
        if kind == Type::Bytes {
            return visitor.visit_borrowed_bytes(self.decoder.bytes()?);
        }
        let mut whole = Vec::new();
        for part in self.decoder.bytes_iter()? {
            whole.extend_from_slice(part?);
        }
        visitor.visit_byte_buf(whole)
    }

    /// Reads a list or a map whose head has been read.
    fn nested<T>(
        &mut self,
        count: Option<u64>,
        read: impl FnOnce(&mut Entries<'_, 'de>) -> Result<T, CborError>,
    ) -> Result<T, CborError> {
        if self.depth == DEPTH_MAX {
            return Err(CborError(format!("values nest more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let mut entries = Entries { reader: self, left: count, ended: false };
        let value = read(&mut entries)?;
        // A visitor that stopped early would leave the rest to be taken for something else.
        if entries.more()? {
            return Err(CborError("more entries than the shape has".to_owned()));
        }
        self.depth -= 1;
        Ok(value)
    }

    fn map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, CborError> {
        let count = self.decoder.map()?;
        self.nested(count, |entries| visitor.visit_map(entries))
    }

    fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, CborError> {
        let count = self.decoder.array()?;
        self.nested(count, |entries| visitor.visit_seq(entries))
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = CborError;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.next_type()? {
            Type::Bool => visitor.visit_bool(self.decoder.bool()?),
            Type::Null => self.decoder.null().map_err(CborError::from).and(visitor.visit_unit()),
            Type::Undefined => {
                self.decoder.undefined().map_err(CborError::from).and(visitor.visit_unit())
            }
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => visitor.visit_u64(self.decoder.u64()?),
            // `Int` is a negative number that an i64 may not hold: the decoder says so.
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                visitor.visit_i64(self.decoder.i64()?)
            }
            Type::F16 => visitor.visit_f64(self.decoder.f16()?.into()),
            Type::F32 => visitor.visit_f64(self.decoder.f32()?.into()),
            Type::F64 => visitor.visit_f64(self.decoder.f64()?),
            kind @ (Type::Bytes | Type::BytesIndef) => self.blob(kind, visitor),
            kind @ (Type::String | Type::StringIndef) => self.text(kind, visitor),
            Type::Array | Type::ArrayIndef => self.list(visitor),
            Type::Map | Type::MapIndef => self.map(visitor),
            kind @ (Type::Simple | Type::Tag | Type::Break | Type::Unknown(_)) => {
                Err(CborError(format!("{kind} where a value is expected")))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.next_type()? {
            Type::Null => self.decoder.null().map_err(CborError::from).and(visitor.visit_none()),
            Type::Undefined => {
                self.decoder.undefined().map_err(CborError::from).and(visitor.visit_none())
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CborError> {
        visitor.visit_newtype_struct(self)
    }

    /// Members have names. serde would take a list, too, and count.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CborError> {
        match self.next_type()? {
            Type::Map | Type::MapIndef => self.map(visitor),
            kind => Err(CborError(format!("{kind} where {name}, a map, is expected"))),
        }
    }

    /// A member's name is a text. serde would take its number, too.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.next_type()? {
            kind @ (Type::String | Type::StringIndef) => self.text(kind, visitor),
            kind => Err(CborError(format!("{kind} where a member's name is expected"))),
        }
    }

    /// The only enumerations are names.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CborError> {
        match self.next_type()? {
            Type::String => visitor.visit_enum(self.decoder.str()?.into_deserializer()),
            kind => Err(CborError(format!("{kind} where a name is expected"))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map ignored_any
    }
}

/// The entries of a list or a map.
struct Entries<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// How many are to come; unknown for those of indefinite length, which end with a break.
    left: Option<u64>,
    ended: bool,
}

impl Entries<'_, '_> {
    /// Whether another entry follows. It is the caller who reads it.
    fn more(&mut self) -> Result<bool, CborError> {
        if self.ended {
            return Ok(false);
        }
        match &mut self.left {
            Some(0) => self.ended = true,
            Some(left) => *left -= 1,
            None if self.reader.decoder.datatype()? == Type::Break => {
                let behind = self.reader.decoder.position() + 1;
                self.reader.decoder.set_position(behind);
                self.ended = true;
            }
            None => {}
        }
        Ok(!self.ended)
    }
}

impl<'de> SeqAccess<'de> for &mut Entries<'_, 'de> {
    type Error = CborError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CborError> {
        if self.more()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'_, 'de> {
    type Error = CborError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, CborError> {
        if self.more()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CborError> {
        seed.deserialize(&mut *self.reader)
    }
}
