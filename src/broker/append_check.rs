//! What a produced batch must satisfy before it is proposed, in the order in which Kafka checks
//! (`LogValidator`, `UnifiedLog.analyzeAndValidateRecords`).

use batch::{BatchError, CheckedBatch, Fault};
use bytes::{Bytes, BytesMut};
use lane::lane::Proposal;
use model::{Compression, CompressionSetting, Timestamp, TimestampType, TopicConfig};

use crate::{BrokerError, Outcome};

/// Records may unfold to this many times `max.message.bytes` …
const UNFOLDED_FACTOR: usize = 64;
/// … but to at least this much, and never to more than the other, in bytes.
const UNFOLDED_BYTES: std::ops::RangeInclusive<usize> = (16 << 20)..=(256 << 20);

/// Checks a batch against its topic's settings and makes it ready to be proposed: stamped with
/// the broker's time or recompressed, if the topic asks for that. Its records may unfold to
/// `unfolded_bytes_max`, and to no more than the topic's own bound.
pub(crate) fn check(
    mut bytes: BytesMut,
    config: &TopicConfig,
    unfolded_bytes_max: usize,
    now: Timestamp,
) -> Outcome<Proposal> {
    let size_max = usize::try_from(config.max_message_bytes).unwrap_or(0);
    let limit = size_max
        .saturating_mul(UNFOLDED_FACTOR)
        .clamp(*UNFOLDED_BYTES.start(), *UNFOLDED_BYTES.end())
        .min(unfolded_bytes_max);
    if bytes.len() > size_max {
        return Err(BrokerError::MessageTooLarge(format!(
            "The record batch size of {} bytes exceeds the maximum configured value of {size_max} (max.message.bytes).",
            bytes.len()
        )));
    }
    let checked = batch::check_produced(&bytes, limit).map_err(invalid_batch)?;
    check_keys(&checked, config)?;
    if checked.header.attributes.is_transactional() && !checked.header.has_producer() {
        return Err(BrokerError::InvalidRecord {
            message: "A transactional batch has no producer id.".to_owned(),
            records: Vec::new(),
        });
    }

    if let CompressionSetting::Codec(wanted) = config.compression {
        let codec = checked.header.attributes.compression().map_err(invalid_batch)?;
        if codec != wanted {
            bytes = recompress(bytes, wanted, limit)?;
        }
    }
    let mut log_append_time = None;
    match config.message_timestamp_type {
        TimestampType::LogAppendTime => {
            batch::set_log_append_time(&mut bytes, now);
            log_append_time = Some(now);
        }
        TimestampType::CreateTime => {
            check_times(&checked, config, now)?;
            if checked.header.max_timestamp != checked.max_timestamp {
                batch::set_max_timestamp(&mut bytes, checked.max_timestamp);
            }
        }
    }
    let header = batch::BatchHeader::parse(&bytes).map_err(invalid_batch)?;
    Ok(Proposal { batch: bytes, header, log_append_time })
}

fn recompress(bytes: BytesMut, wanted: Compression, limit: usize) -> Outcome<BytesMut> {
    let bytes: Bytes = bytes.freeze();
    batch::recompress(&bytes, wanted, limit).map_err(invalid_batch)
}

fn check_keys(checked: &CheckedBatch, config: &TopicConfig) -> Outcome<()> {
    if !config.cleanup_policy.compact || checked.keyless_records.is_empty() {
        return Ok(());
    }
    let why = "Compacted topic cannot accept message without key";
    let records = checked.keyless_records.iter().map(|index| (*index, why.to_owned())).collect();
    Err(BrokerError::InvalidRecord {
        message: "One or more records have been rejected".to_owned(),
        records,
    })
}

fn check_times(checked: &CheckedBatch, config: &TopicConfig, now: Timestamp) -> Outcome<()> {
    // Records without a timestamp are never out of bounds.
    let earliest = now.0.saturating_sub(config.message_timestamp_before_max_ms);
    let latest = now.0.saturating_add(config.message_timestamp_after_max_ms);
    let (oldest, newest) = (checked.min_timestamp.0, checked.max_timestamp.0);
    let too_old = oldest != Timestamp::NONE.0 && oldest < earliest;
    if !too_old && newest <= latest {
        return Ok(());
    }
    let found = if too_old { oldest } else { newest };
    Err(BrokerError::InvalidTimestamp {
        message: format!(
            "Timestamp {found} of message is out of range. The timestamp should be within [{earliest}, {latest}]"
        ),
        records: Vec::new(),
    })
}

fn invalid_batch(error: BatchError) -> BrokerError {
    let text = error.to_string();
    match error.fault() {
        Fault::Corrupt => BrokerError::CorruptMessage(text),
        Fault::InvalidRecord => BrokerError::InvalidRecord { message: text, records: Vec::new() },
        Fault::UnsupportedFormat => BrokerError::UnsupportedForMessageFormat(text),
        Fault::UnsupportedCompression => BrokerError::UnsupportedCompressionType(text),
        Fault::TooLarge => BrokerError::MessageTooLarge(text),
    }
}
