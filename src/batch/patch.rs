//! The fields that a broker sets in a producer's batch. Each does nothing to bytes that are too
//! short to be a batch, which callers have ruled out by checking it.

use bytes::Buf;
use model::{LeaderEpoch, Offset, Timestamp};

use crate::header::{ATTRIBUTES_AT, Attributes, CRC_AT, LEADER_EPOCH_AT, MAX_TIMESTAMP_AT};

/// Sets the base offset; the CRC does not cover it.
pub fn set_base_offset(batch: &mut [u8], offset: Offset) {
    overwrite(batch, 0, &offset.0.to_be_bytes());
}

/// Sets the leader epoch; the CRC does not cover it.
pub fn set_leader_epoch(batch: &mut [u8], epoch: LeaderEpoch) {
    overwrite(batch, LEADER_EPOCH_AT, &epoch.0.to_be_bytes());
}

/// Makes `at` the time of every record (`message.timestamp.type=LogAppendTime`) and recomputes the
/// CRC. `batch` is exactly one batch.
pub fn set_log_append_time(batch: &mut [u8], at: Timestamp) {
    let Some(mut field) = batch.get(ATTRIBUTES_AT..ATTRIBUTES_AT + 2) else { return };
    let attributes = Attributes(field.get_i16()).with_log_append_time();
    overwrite(batch, ATTRIBUTES_AT, &attributes.0.to_be_bytes());
    set_max_timestamp(batch, at);
}

/// Sets the greatest timestamp and recomputes the CRC: some producers (Sarama) leave it unset, and
/// look-ups by time need it. `batch` is exactly one batch.
pub fn set_max_timestamp(batch: &mut [u8], max: Timestamp) {
    overwrite(batch, MAX_TIMESTAMP_AT, &max.0.to_be_bytes());
    seal(batch);
}

/// Writes the CRC that the bytes give.
pub(crate) fn seal(batch: &mut [u8]) {
    let Some(covered) = batch.get(ATTRIBUTES_AT..) else { return };
    let crc = crc32c::crc32c(covered);
    overwrite(batch, CRC_AT, &crc.to_be_bytes());
}

fn overwrite(batch: &mut [u8], at: usize, field: &[u8]) {
    if let Some(place) = batch.get_mut(at..at + field.len()) {
        place.copy_from_slice(field);
    }
}
