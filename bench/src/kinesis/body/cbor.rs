//! Bodies in CBOR.

use anyhow::Context;
use hyper::body::Bytes;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::kinesis::body::{Entry, Page};

type Body = Encoder<Vec<u8>>;

pub(super) fn put_record(stream: &str, entry: &Entry) -> anyhow::Result<Bytes> {
    let mut body = Body::new(Vec::new());
    body.map(3)?.str("StreamName")?.str(stream)?;
    add(&mut body, entry)?;
    Ok(body.into_writer().into())
}

pub(super) fn put_records(stream: &str, entries: &[Entry]) -> anyhow::Result<Bytes> {
    let mut body = Body::new(Vec::new());
    body.map(2)?.str("StreamName")?.str(stream)?.str("Records")?.array(entries.len() as u64)?;
    for entry in entries {
        body.map(2)?;
        add(&mut body, entry)?;
    }
    Ok(body.into_writer().into())
}

fn add(body: &mut Body, entry: &Entry) -> anyhow::Result<()> {
    body.str("Data")?.bytes(&entry.data)?.str("PartitionKey")?.str(&entry.partition_key)?;
    Ok(())
}

pub(super) fn get_records(iterator: &str, limit: u32) -> anyhow::Result<Bytes> {
    let mut body = Body::new(Vec::new());
    body.map(2)?.str("ShardIterator")?.str(iterator)?.str("Limit")?.u32(limit)?;
    Ok(body.into_writer().into())
}

pub(super) fn failed_records(answer: &[u8]) -> anyhow::Result<u64> {
    let mut failed = None;
    members(&mut Decoder::new(answer), |name, value| {
        match name {
            "FailedRecordCount" => failed = Some(value.u64()?),
            _ => value.skip()?,
        }
        Ok(())
    })
    .context("PutRecords' answer cannot be read")?;
    failed.context("PutRecords' answer has no FailedRecordCount")
}

pub(super) fn records(answer: &[u8], take: &mut dyn FnMut(&[u8])) -> anyhow::Result<Page> {
    let mut page = Page { next_iterator: None, millis_behind_latest: 0 };
    members(&mut Decoder::new(answer), |name, value| {
        match name {
            "Records" => elements(value, |record| take_data(record, take))?,
            "NextShardIterator" if value.datatype()? == Type::Null => value.null()?,
            "NextShardIterator" => page.next_iterator = Some(value.str()?.to_owned()),
            "MillisBehindLatest" => page.millis_behind_latest = value.u64()?,
            _ => value.skip()?,
        }
        Ok(())
    })
    .context("GetRecords' answer cannot be read")?;
    Ok(page)
}

fn take_data(record: &mut Decoder<'_>, take: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
    members(record, |name, value| {
        match name {
            "Data" => take(value.bytes()?),
            _ => value.skip()?,
        }
        Ok(())
    })
}

// Both kinds of maps: with a length before it, and with an end behind it.
fn members<'b>(
    decoder: &mut Decoder<'b>,
    mut member: impl FnMut(&'b str, &mut Decoder<'b>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let length = decoder.map()?;
    each(decoder, length, |decoder| {
        let name = decoder.str()?;
        member(name, decoder)
    })
}

fn elements<'b>(
    decoder: &mut Decoder<'b>,
    element: impl FnMut(&mut Decoder<'b>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let length = decoder.array()?;
    each(decoder, length, element)
}

fn each<'b>(
    decoder: &mut Decoder<'b>,
    length: Option<u64>,
    mut one: impl FnMut(&mut Decoder<'b>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match length {
        Some(length) => (0..length).try_for_each(|_| one(decoder)),
        None => {
            while decoder.datatype()? != Type::Break {
                one(decoder)?;
            }
            // The end itself.
            Ok(decoder.skip()?)
        }
    }
}
