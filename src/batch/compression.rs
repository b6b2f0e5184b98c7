//! The codecs of a batch's records.
//!
//! Decompression never holds more than the caller's limit: output grows as it is made and stops one
//! byte beyond the limit; sizes that compressed bytes claim are compared with it before memory is
//! taken.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use model::Compression;

use crate::BatchError;
use crate::snappy;

/// Kafka's own default levels.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// Windows that zstd's levels up to 19 use need 8 MiB; a frame may ask for more only where the
/// records themselves may be that large.
const ZSTD_WINDOW_LOG_MIN: u32 = 23;
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// How much output is taken at once while its size is unknown.
const CHUNK_BYTES: usize = 64 * 1024;

/// The uncompressed form of `body`, at most `limit_bytes` long.
pub fn decompress(
    codec: Compression,
    body: &[u8],
    limit_bytes: usize,
) -> Result<Bytes, BatchError> {
    let result = match codec {
        Compression::None => Ok(body.to_vec()),
        Compression::Gzip => read_all(MultiGzDecoder::new(body), body.len(), limit_bytes),
        Compression::Snappy => snappy::decompress(body, limit_bytes),
        Compression::Lz4 => read_all(FrameDecoder::new(body), body.len(), limit_bytes),
        Compression::Zstd => zstd_decompress(body, limit_bytes),
    };
    match result {
        Ok(bytes) if bytes.len() > limit_bytes => {
            Err(BatchError::TooLargeDecompressed { limit_bytes })
        }
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(BatchError::TooLargeDecompressed { limit_bytes })
        }
        Err(error) => Err(BatchError::Decompress { codec, why: error.to_string() }),
    }
}

/// The compressed form of `body`, as Kafka's clients read it.
pub fn compress(codec: Compression, body: &[u8]) -> Result<Vec<u8>, BatchError> {
    let result = match codec {
        Compression::None => Ok(body.to_vec()),
        Compression::Gzip => gzip_compress(body),
        Compression::Snappy => snappy::compress(body),
        Compression::Lz4 => lz4_compress(body),
        Compression::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
    };
    result.map_err(|error| BatchError::Compress { codec, why: error.to_string() })
}

/// The error that says "more than the limit" on its way to [`decompress`].
pub(crate) fn over_limit() -> io::Error {
    io::Error::from(io::ErrorKind::FileTooLarge)
}

/// Reads to the end, or fails one byte beyond the limit.
fn read_all(mut from: impl Read, compressed: usize, limit_bytes: usize) -> io::Result<Vec<u8>> {
    let expected = compressed.saturating_mul(4).max(CHUNK_BYTES).min(limit_bytes);
    let mut out = Vec::with_capacity(expected);
    let allowed = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    from.by_ref().take(allowed).read_to_end(&mut out)?;
    if out.len() > limit_bytes {
        return Err(over_limit());
    }
    Ok(out)
}

fn zstd_decompress(body: &[u8], limit_bytes: usize) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
    let window_log = usize::BITS - limit_bytes.leading_zeros();
    decoder.window_log_max(window_log.clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX))?;
    read_all(decoder, body.len(), limit_bytes)
}

fn gzip_compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(body)?;
    encoder.finish()
}

/// Independent blocks of 64 KiB: what Kafka's Java client reads (it refuses linked blocks).
fn lz4_compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(body)?;
    encoder.finish().map_err(io::Error::other)
}
