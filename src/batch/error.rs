//! What can be wrong with a batch, and whose word the protocol has for it.

use model::Compression;
use thiserror::Error;

/// Why bytes are no acceptable record batch.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the record batch needs {needed_bytes} bytes, only {available_bytes} are there")]
    Truncated {
        /// What the header, or the smallest header, asks for.
        needed_bytes: usize,
        /// What is there.
        available_bytes: usize,
    },
    /// Formats 0 and 1 (before Kafka 0.11), or one not invented yet.
    #[error(
        "record batch format (magic) {0} is not supported; use a client that writes format 2 \
         (Kafka 0.11 or newer)"
    )]
    UnsupportedMagic(i8),
    /// The bytes are not those that the producer summed.
    #[error("the record batch says CRC-32C {stored:#010x}, its bytes give {computed:#010x}")]
    CorruptCrc {
        /// From the header.
        stored: u32,
        /// From the bytes 21 and after.
        computed: u32,
    },
    /// The length field is smaller than a header.
    #[error("the record batch's length field says {0} bytes, a batch has at least 49 after it")]
    InvalidLength(i32),
    /// Bytes follow the batch where exactly one batch is allowed.
    #[error(
        "the record batch ends after {batch_bytes} of {available_bytes} bytes; exactly one batch \
         per partition is allowed"
    )]
    TrailingBytes {
        /// The size that the header gives.
        batch_bytes: usize,
        /// What was sent.
        available_bytes: usize,
    },
    /// The record count is not positive, or is not the span of offsets.
    #[error(
        "the record batch says {record_count} records and last offset delta {last_offset_delta}; \
         the count must be positive and one more than the delta"
    )]
    InvalidCount {
        /// From the header.
        record_count: i32,
        /// From the header.
        last_offset_delta: i32,
    },
    /// The records are fewer or more than the header says.
    #[error("the record batch says {record_count} records, but {why}")]
    CountMismatch {
        /// From the header.
        record_count: i32,
        /// What is there instead.
        why: &'static str,
    },
    /// One record is malformed.
    #[error("record {index} of the batch is invalid: {why}")]
    InvalidRecord {
        /// The record's place in the batch, from 0.
        index: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Only brokers write control batches.
    #[error("clients must not write control records")]
    ControlBatch,
    /// A producer id without a sequence or epoch.
    #[error(
        "the record batch has producer id {producer_id}, epoch {producer_epoch} and base sequence \
         {base_sequence}; a producer id needs both of the others to be 0 or more"
    )]
    InvalidProducer {
        /// From the header.
        producer_id: i64,
        /// From the header.
        producer_epoch: i16,
        /// From the header.
        base_sequence: i32,
    },
    /// Codec 5, 6 or 7 of the attributes.
    #[error("compression codec {0} is not known (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd)")]
    UnknownCodec(i16),
    /// The records would take more memory than is allowed.
    #[error("the records decompress to more than the limit of {limit_bytes} bytes")]
    TooLargeDecompressed {
        /// The caller's limit.
        limit_bytes: usize,
    },
    /// The compressed bytes are not what the codec allows.
    #[error("the {codec:?} records cannot be decompressed: {why}")]
    Decompress {
        /// The batch's codec.
        codec: Compression,
        /// The codec's words.
        why: String,
    },
    /// The codec failed on good input: out of memory, in practice.
    #[error("the records cannot be compressed with {codec:?}: {why}")]
    Compress {
        /// The wanted codec.
        codec: Compression,
        /// The codec's words.
        why: String,
    },
    /// A batch under construction outgrew the format's 32-bit lengths or offset deltas.
    #[error("the record batch under construction is too large: {0}")]
    TooLargeToBuild(&'static str),
}

/// The class of a [`BatchError`], as protocols distinguish them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The bytes were damaged on their way: CORRUPT_MESSAGE.
    Corrupt,
    /// The bytes are as sent, and break a rule: INVALID_RECORD.
    InvalidRecord,
    /// An old or unknown format: UNSUPPORTED_FOR_MESSAGE_FORMAT.
    UnsupportedFormat,
    /// UNSUPPORTED_COMPRESSION_TYPE.
    UnsupportedCompression,
    /// MESSAGE_TOO_LARGE.
    TooLarge,
}

impl BatchError {
    /// Which class of error a client is to be told.
    pub fn fault(&self) -> Fault {
        match self {
            BatchError::Truncated { .. }
            | BatchError::CorruptCrc { .. }
            | BatchError::InvalidLength(_)
            | BatchError::Decompress { .. } => Fault::Corrupt,
            BatchError::TrailingBytes { .. }
            | BatchError::InvalidCount { .. }
            | BatchError::CountMismatch { .. }
            | BatchError::InvalidRecord { .. }
            | BatchError::ControlBatch
            | BatchError::InvalidProducer { .. } => Fault::InvalidRecord,
            BatchError::UnsupportedMagic(_) => Fault::UnsupportedFormat,
            BatchError::UnknownCodec(_) => Fault::UnsupportedCompression,
            BatchError::TooLargeDecompressed { .. }
            | BatchError::Compress { .. }
            | BatchError::TooLargeToBuild(_) => Fault::TooLarge,
        }
    }
}
