//! How large a record may be, which is a topic's `max.message.bytes` seen from this door.

use model::TopicConfig;

use crate::constraints::RECORD_BYTES_MAX;

/// A batch of one record is larger than the record's key and value by at most this: the header's
/// 61 bytes, and 32 of lengths, deltas and counts.
pub const BATCH_OVERHEAD_BYTES: usize = 128;
/// `MaxRecordSizeInKiB` unless it is said.
const RECORD_KIB_DEFAULT: i64 = 1024;

/// The `max.message.bytes` of a stream whose records may have so many KiB.
pub fn batch_bytes_max(record_kib: Option<i64>) -> i64 {
    record_kib.unwrap_or(RECORD_KIB_DEFAULT) * 1024 + BATCH_OVERHEAD_BYTES as i64
}

/// The greatest record, data and partition key together, in bytes.
pub fn record_bytes_max(config: &TopicConfig) -> usize {
    record_bytes_in(usize::try_from(config.max_message_bytes).unwrap_or(0))
}

/// The greatest record in a batch of `batch_bytes`.
pub fn record_bytes_in(batch_bytes: usize) -> usize {
    batch_bytes.saturating_sub(BATCH_OVERHEAD_BYTES).min(RECORD_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_records_of_exactly_its_maximum() {
        for kib in [1024, 2000, 10_240] {
            let max_message_bytes = i32::try_from(batch_bytes_max(Some(kib))).unwrap();
            let config = TopicConfig { max_message_bytes, ..TopicConfig::default() };
            assert_eq!(record_bytes_max(&config), kib as usize * 1024);
        }
    }

    #[test]
    fn a_record_of_the_greatest_size_fits_in_a_batch() {
        let data = vec![0; (1 << 20) - 256];
        let mut builder = batch::BatchBuilder::new(model::Compression::None);
        builder.push(model::Timestamp(i64::MAX / 2), Some(&[b'k'; 256]), Some(&data), &[]);
        assert!(builder.build().unwrap().len() as i64 <= batch_bytes_max(None));
    }
}
