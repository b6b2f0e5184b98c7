//! Walks the body of a request before the `kafka-protocol` crate decodes it.
//!
//! The crate reserves memory for every count it reads (`Vec::with_capacity`), so a body of four
//! bytes can claim 2^31 topics and abort the process. A [`Body`] is the schema of an API's
//! request, with versions, reduced to what decides where things lie; [`check`] follows it and
//! refuses counts and lengths that the remaining bytes cannot hold.
//!
//! Each handler declares its own `Body`. Schemas: Kafka's message definitions, as shown on
//! <https://kafka.apache.org/protocol.html#protocol_messages>.

use crate::wire::{Malformed, Reader};

/// What a field looks like on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// So many bytes.
    Fixed(usize),
    /// A string, compact in flexible versions.
    String,
    /// Bytes behind their count, compact in flexible versions.
    Bytes,
    /// An array of one primitive.
    Values(&'static Shape),
    /// An array of structures.
    Structs(&'static [Field]),
    /// One structure behind a byte that says whether it is null.
    NullableStruct(&'static [Field]),
}

/// A field and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    shape: Shape,
    since: i16,
    until: i16,
    nullable_since: i16,
}

impl Field {
    /// In every version, never null.
    pub const fn new(shape: Shape) -> Field {
        Field { shape, since: 0, until: i16::MAX, nullable_since: i16::MAX }
    }

    /// From this version on.
    pub const fn since(mut self, version: i16) -> Field {
        self.since = version;
        self
    }

    /// Up to and with this version.
    pub const fn until(mut self, version: i16) -> Field {
        self.until = version;
        self
    }

    /// May be null from this version on.
    pub const fn nullable_since(mut self, version: i16) -> Field {
        self.nullable_since = version;
        self
    }
}

/// INT8 or BOOLEAN
pub const INT8: Field = Field::new(Shape::Fixed(1));
/// INT16
pub const INT16: Field = Field::new(Shape::Fixed(2));
/// INT32
pub const INT32: Field = Field::new(Shape::Fixed(4));
/// INT64
pub const INT64: Field = Field::new(Shape::Fixed(8));
/// UUID
pub const UUID: Field = Field::new(Shape::Fixed(16));
/// STRING
pub const STRING: Field = Field::new(Shape::String);
/// BYTES
pub const BYTES: Field = Field::new(Shape::Bytes);
/// An array of INT32
pub const INT32S: Field = Field::new(Shape::Values(&Shape::Fixed(4)));
/// An array of STRING
pub const STRINGS: Field = Field::new(Shape::Values(&Shape::String));

/// An array of structures
pub const fn structs(fields: &'static [Field]) -> Field {
    Field::new(Shape::Structs(fields))
}

/// A request body's schema.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// Its fields, in order.
    pub fields: &'static [Field],
    /// The first version with compact lengths and tagged fields.
    pub flexible_since: i16,
}

/// What a body that passed holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Bytes of the body that the schema covers; what follows is ignored, as Kafka ignores it.
    pub size_bytes: usize,
    /// Array elements and unknown tagged fields, at most [`crate::wire::ELEMENTS_MAX`].
    pub elements: usize,
}

/// Whether `bytes` are a request of this schema that can be decoded without harm.
pub fn check(body: &Body, version: i16, bytes: &[u8]) -> Result<Checked, Malformed> {
    let mut walk =
        Walk { reader: Reader::new(bytes), version, flexible: version >= body.flexible_since };
    walk.fields(body.fields)?;
    Ok(Checked { size_bytes: walk.reader.position(), elements: walk.reader.elements() })
}

struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), Malformed> {
        for field in fields {
            if self.has(field) {
                self.field(field)?;
            }
        }
        self.reader.skip_tagged_fields(self.flexible)
    }

    fn has(&self, field: &Field) -> bool {
        (field.since..=field.until).contains(&self.version)
    }

    fn field(&mut self, field: &Field) -> Result<(), Malformed> {
        let nullable = self.version >= field.nullable_since;
        match field.shape {
            Shape::Fixed(size_bytes) => self.reader.take(size_bytes).map(|_| ()),
            Shape::String if nullable => self.reader.nullable_string(self.flexible).map(|_| ()),
            Shape::String => self.reader.string(self.flexible).map(|_| ()),
            Shape::Bytes => match self.reader.nullable_bytes(self.flexible)? {
                None if !nullable => Err(self.reader.malformed("null where bytes must be")),
                _ => Ok(()),
            },
            Shape::Values(element) => {
                for _ in 0..self.count(nullable, self.least_bytes(element))? {
                    self.field(&Field::new(*element))?;
                }
                Ok(())
            }
            Shape::Structs(fields) => {
                for _ in 0..self.count(nullable, self.least_bytes_of_all(fields))? {
                    self.fields(fields)?;
                }
                Ok(())
            }
            Shape::NullableStruct(fields) => match self.reader.int8()? {
                1 => self.fields(fields),
                -1 => Ok(()),
                _ => Err(self.reader.malformed("neither null nor a structure")),
            },
        }
    }

    fn count(&mut self, nullable: bool, element_bytes_min: usize) -> Result<usize, Malformed> {
        if nullable {
            let count = self.reader.nullable_array(self.flexible, element_bytes_min)?;
            return Ok(count.unwrap_or(0));
        }
        self.reader.array(self.flexible, element_bytes_min)
    }

    /// The fewest bytes that a value of this shape takes.
    fn least_bytes(&self, shape: &Shape) -> usize {
        match shape {
            Shape::Fixed(size_bytes) => *size_bytes,
            Shape::String if self.flexible => 1,
            Shape::String => 2,
            Shape::Bytes | Shape::Values(_) | Shape::Structs(_) if self.flexible => 1,
            Shape::Bytes | Shape::Values(_) | Shape::Structs(_) => 4,
            Shape::NullableStruct(_) => 1,
        }
    }

    fn least_bytes_of_all(&self, fields: &[Field]) -> usize {
        let sum: usize =
            fields.iter().filter(|f| self.has(f)).map(|f| self.least_bytes(&f.shape)).sum();
        sum + usize::from(self.flexible)
    }
}

#[cfg(test)]
mod tests;
