//! From an answer to CBOR.

use minicbor::{Encoder, data::Tag};
use serde::{
    Serialize, Serializer,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use crate::{CborError, TIME_TAG, TIMESTAMP};

/// The bytes of an answer.
pub(crate) fn write<T: Serialize + ?Sized>(answer: &T) -> Result<Vec<u8>, CborError> {
    let mut writer = Writer { encoder: Encoder::new(Vec::new()) };
    answer.serialize(&mut writer)?;
    Ok(writer.encoder.into_writer())
}

struct Writer {
    encoder: Encoder<Vec<u8>>,
}

impl Writer {
    fn list(&mut self, count: Option<usize>) -> Result<Nested<'_>, CborError> {
        match count {
            Some(count) => self.encoder.array(count as u64)?,
            None => self.encoder.begin_array()?,
        };
        Ok(Nested { writer: self, indefinite: count.is_none() })
    }

    fn map(&mut self, count: Option<usize>) -> Result<Nested<'_>, CborError> {
        match count {
            Some(count) => self.encoder.map(count as u64)?,
            None => self.encoder.begin_map()?,
        };
        Ok(Nested { writer: self, indefinite: count.is_none() })
    }

    fn variant(&mut self, name: &str) -> Result<(), CborError> {
        self.encoder.map(1)?.str(name)?;
        Ok(())
    }
}

/// Serializer methods whose value minicbor writes as it is.
macro_rules! plain {
    ($($method:ident($kind:ty) as $token:ident;)*) => {
        $(fn $method(self, value: $kind) -> Result<(), CborError> {
            self.encoder.$token(value)?;
            Ok(())
        })*
    };
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = CborError;
    type SerializeSeq = Nested<'a>;
    type SerializeTuple = Nested<'a>;
    type SerializeTupleStruct = Nested<'a>;
    type SerializeTupleVariant = Nested<'a>;
    type SerializeMap = Nested<'a>;
    type SerializeStruct = Nested<'a>;
    type SerializeStructVariant = Nested<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    plain! {
        serialize_bool(bool) as bool;
        serialize_i8(i8) as i8;
        serialize_i16(i16) as i16;
        serialize_i32(i32) as i32;
        serialize_i64(i64) as i64;
        serialize_u8(u8) as u8;
        serialize_u16(u16) as u16;
        serialize_u32(u32) as u32;
        serialize_u64(u64) as u64;
        serialize_f32(f32) as f32;
        serialize_f64(f64) as f64;
        serialize_str(&str) as str;
        serialize_bytes(&[u8]) as bytes;
    }

    fn serialize_char(self, value: char) -> Result<(), CborError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_none(self) -> Result<(), CborError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CborError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), CborError> {
        self.encoder.null()?;
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), CborError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), CborError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), CborError> {
        if name == TIMESTAMP {
            self.encoder.tag(Tag::new(TIME_TAG))?;
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CborError> {
        self.variant(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<Nested<'a>, CborError> {
        self.list(count)
    }

    fn serialize_tuple(self, count: usize) -> Result<Nested<'a>, CborError> {
        self.list(Some(count))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        count: usize,
    ) -> Result<Nested<'a>, CborError> {
        self.list(Some(count))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Nested<'a>, CborError> {
        self.variant(variant)?;
        self.list(Some(count))
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Nested<'a>, CborError> {
        self.map(count)
    }

    fn serialize_struct(self, _name: &'static str, count: usize) -> Result<Nested<'a>, CborError> {
        self.map(Some(count))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Nested<'a>, CborError> {
        self.variant(variant)?;
        self.map(Some(count))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), CborError> {
        self.serialize_str(&value.to_string())
    }
}

/// A list or a map that is being written.
struct Nested<'a> {
    writer: &'a mut Writer,
    indefinite: bool,
}

impl Nested<'_> {
    fn entry<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CborError> {
        value.serialize(&mut *self.writer)
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), CborError> {
        self.writer.encoder.str(name)?;
        self.entry(value)
    }

    fn finish(self) -> Result<(), CborError> {
        if self.indefinite {
            self.writer.encoder.end()?;
        }
        Ok(())
    }
}

/// The traits of lists, which differ in names alone.
macro_rules! lists {
    ($($kind:ident::$method:ident;)*) => {
        $(impl $kind for Nested<'_> {
            type Ok = ();
            type Error = CborError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CborError> {
                self.entry(value)
            }

            fn end(self) -> Result<(), CborError> {
                self.finish()
            }
        })*
    };
}

lists! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

/// The traits of structures, which differ in names alone.
macro_rules! structures {
    ($($kind:ident;)*) => {
        $(impl $kind for Nested<'_> {
            type Ok = ();
            type Error = CborError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), CborError> {
                self.member(name, value)
            }

            fn end(self) -> Result<(), CborError> {
                self.finish()
            }
        })*
    };
}

structures! {
    SerializeStruct;
    SerializeStructVariant;
}

impl SerializeMap for Nested<'_> {
    type Ok = ();
    type Error = CborError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CborError> {
        self.entry(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CborError> {
        self.entry(value)
    }

    fn end(self) -> Result<(), CborError> {
        self.finish()
    }
}
