//! Snappy as Kafka's clients use it: blocks in xerial's framing (Java), or one bare block
//! (librdkafka, some Go clients). Written with framing, which every client reads.
//!
//! Framing: `0x82 "SNAPPY" 0x00 · version i32 = 1 · compatible i32 = 1`, then blocks of
//! `length i32 · snappy block`, all big-endian.

use std::io;

use bytes::Buf;

use crate::compression::over_limit;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const FRAME_HEADER_BYTES: usize = 16;
/// xerial's default block of uncompressed bytes.
const BLOCK_BYTES: usize = 32 * 1024;

/// Decompresses either form to at most `limit_bytes`.
pub(crate) fn decompress(body: &[u8], limit_bytes: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut decoder = snap::raw::Decoder::new();
    if !body.starts_with(&MAGIC) {
        append_block(&mut decoder, body, limit_bytes, &mut out)?;
        return Ok(out);
    }
    let mut rest =
        body.get(FRAME_HEADER_BYTES..).ok_or_else(|| invalid("the framing's header is cut"))?;
    while !rest.is_empty() {
        let length = rest.try_get_i32().map_err(|_| invalid("a block's length is cut"))?;
        let length =
            usize::try_from(length).map_err(|_| invalid("a block's length is negative"))?;
        let (block, after) =
            rest.split_at_checked(length).ok_or_else(|| invalid("a block is cut"))?;
        append_block(&mut decoder, block, limit_bytes, &mut out)?;
        rest = after;
    }
    Ok(out)
}

fn append_block(
    decoder: &mut snap::raw::Decoder,
    block: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let claimed = snap::raw::decompress_len(block)?;
    let start = out.len();
    if claimed > limit_bytes - start {
        return Err(over_limit());
    }
    // Three bytes of snappy make 64 at most, so a longer claim is a lie; it would only cost memory
    // within the limit, but there is no need to take it.
    if claimed > block.len().saturating_mul(64) {
        return Err(invalid("a block claims more bytes than it can hold"));
    }
    out.resize(start + claimed, 0);
    let place = out.get_mut(start..).unwrap_or_default();
    let written = decoder.decompress(block, place)?;
    out.truncate(start + written);
    Ok(())
}

/// Compresses into xerial's framing.
pub(crate) fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + body.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in body.chunks(BLOCK_BYTES) {
        let length_at = out.len();
        let block_at = length_at + 4;
        out.resize(block_at + snap::raw::max_compress_len(block.len()), 0);
        let place = out.get_mut(block_at..).unwrap_or_default();
        let written = encoder.compress(block, place)?;
        out.truncate(block_at + written);
        let length = i32::try_from(written).map_err(io::Error::other)?;
        if let Some(place) = out.get_mut(length_at..block_at) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(out)
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
