//! One record within a batch's uncompressed records, borrowed; and the walk from one to the next.
//!
//! `length varint · attributes i8 · timestamp delta varlong · offset delta varint ·
//! key length varint, key · value length varint, value · header count varint,
//! { key length varint, key · value length varint, value }`. Length -1 is null; a header's key
//! is never null.

use crate::varint::{take_i32, take_i64};

/// The smallest record: seven one-byte fields.
pub const RECORD_BYTES_MIN: usize = 7;

/// A record's fields, borrowed from the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Added to the batch's base timestamp, milliseconds.
    pub timestamp_delta: i64,
    /// Added to the batch's base offset.
    pub offset_delta: i32,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone, where the topic is compacted.
    pub value: Option<&'a [u8]>,
    /// The headers, already checked.
    pub headers: HeaderWalk<'a>,
}

/// Walks the records of a batch without allocating. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordWalk<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> RecordWalk<'a> {
    /// `records` is what follows the header, decompressed.
    pub fn new(records: &'a [u8]) -> Self {
        RecordWalk { rest: records, failed: false }
    }

    /// The bytes not walked over yet.
    pub fn remaining_bytes(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for RecordWalk<'a> {
    /// The error says what is wrong with the record.
    type Item = Result<RecordRef<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.failed {
            return None;
        }
        let record = take_record(&mut self.rest);
        self.failed = record.is_err();
        Some(record)
    }
}

fn take_record<'a>(rest: &mut &'a [u8]) -> Result<RecordRef<'a>, &'static str> {
    let length = take_i32(rest).ok_or("its length is no varint")?;
    let length = usize::try_from(length).map_err(|_| "its length is negative")?;
    let mut body = take(rest, length).ok_or("its length reaches beyond the batch")?;
    // The attributes byte is unused in this format; whatever it says is kept, never read.
    take(&mut body, 1).ok_or("it has no attributes")?;
    let timestamp_delta = take_i64(&mut body).ok_or("its timestamp delta is no varint")?;
    let offset_delta = take_i32(&mut body).ok_or("its offset delta is no varint")?;
    let key = take_nullable(&mut body).ok_or("its key's length is wrong")?;
    let value = take_nullable(&mut body).ok_or("its value's length is wrong")?;
    let header_count = take_i32(&mut body).ok_or("its header count is no varint")?;
    let header_count = usize::try_from(header_count).map_err(|_| "its header count is negative")?;
    // A header takes two bytes at least.
    if header_count > body.len() / 2 {
        return Err("its header count is more than its bytes can hold");
    }
    let headers = HeaderWalk { rest: body, remaining: header_count };
    let mut check = headers;
    while check.remaining > 0 {
        check.take_header().ok_or("a header's length is wrong")?;
    }
    if !check.rest.is_empty() {
        return Err("bytes follow its last header");
    }
    Ok(RecordRef { timestamp_delta, offset_delta, key, value, headers })
}

/// A record's headers, in order, duplicates and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderWalk<'a> {
    rest: &'a [u8],
    remaining: usize,
}

impl<'a> HeaderWalk<'a> {
    /// How many headers are still to come.
    pub fn len(&self) -> usize {
        self.remaining
    }

    /// Whether none is to come.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    fn take_header(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let key = take_nullable(&mut self.rest)??;
        let value = take_nullable(&mut self.rest)?;
        self.remaining -= 1;
        Some((key, value))
    }
}

impl<'a> Iterator for HeaderWalk<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        self.take_header()
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// A length and that many bytes; the inner `None` is null (-1), the outer a wrong length.
fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match take_i32(bytes)? {
        -1 => Some(None),
        length => take(bytes, usize::try_from(length).ok()?).map(Some),
    }
}
