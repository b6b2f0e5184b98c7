//! Control batches: what a broker writes into a partition to end a transaction (KIP-98).
//!
//! One record. Its key is `version i16 · type i16`, its value `version i16 · coordinator epoch i32`.

use bytes::{Buf, BytesMut};
use model::{BatchSequence, Compression, ProducerEpoch, ProducerId, Timestamp};

use crate::{BatchBuilder, BatchError, RecordWalk, header::HEADER_BYTES};

/// What the one record of a control batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// The transaction was aborted.
    Abort,
    /// The transaction was committed.
    Commit,
    /// Of Raft, or of the future: skip it.
    Other(i16),
}

impl ControlType {
    /// Reads a control record's key.
    pub fn parse(mut key: &[u8]) -> Option<ControlType> {
        if key.len() < 4 {
            return None;
        }
        let _version = key.get_i16();
        Some(match key.get_i16() {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        })
    }

    /// What a whole control batch says; `None` if it has no record (compaction emptied it) or one
    /// that is not a control record. Control batches are never compressed.
    pub fn of_batch(batch: &[u8]) -> Option<ControlType> {
        let record = RecordWalk::new(batch.get(HEADER_BYTES..)?).next()?.ok()?;
        ControlType::parse(record.key?)
    }

    fn code(self) -> i16 {
        match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::Other(code) => code,
        }
    }
}

/// The marker that ends a producer's transaction in a partition, at base offset 0.
pub fn transaction_marker(
    producer: ProducerId,
    epoch: ProducerEpoch,
    control: ControlType,
    coordinator_epoch: i32,
    at: Timestamp,
) -> Result<BytesMut, BatchError> {
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(producer, epoch, BatchSequence::NONE)
        .transactional()
        .control();
    let [high, low] = control.code().to_be_bytes();
    let key = [0, 0, high, low];
    let mut value = [0; 6];
    if let Some(place) = value.get_mut(2..) {
        place.copy_from_slice(&coordinator_epoch.to_be_bytes());
    }
    builder.push(at, Some(&key), Some(&value), &[]);
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchHeader, check_crc};

    #[test]
    fn a_marker_says_who_ended_what_and_how() {
        for control in [ControlType::Abort, ControlType::Commit] {
            let at = Timestamp(1_795_226_825_211);
            let marker = transaction_marker(ProducerId(7), ProducerEpoch(3), control, 5, at);
            let marker = marker.expect("one small record").freeze();
            let header = BatchHeader::parse(&marker).expect("whole");
            check_crc(&marker, &header).expect("sealed");
            assert!(header.attributes.is_control() && header.attributes.is_transactional());
            assert_eq!(
                (header.producer_id, header.producer_epoch),
                (ProducerId(7), ProducerEpoch(3))
            );
            assert_eq!((header.base_sequence, header.record_count), (BatchSequence::NONE, 1));
            assert_eq!(header.max_timestamp, at);
            assert_eq!(ControlType::of_batch(&marker), Some(control));
        }
    }

    #[test]
    fn a_batch_without_a_control_record_says_nothing() {
        let empty = BatchBuilder::new(Compression::None).control().build().expect("empty");
        assert_eq!(ControlType::of_batch(&empty), None);
        assert_eq!(ControlType::of_batch(b"short"), None);
        assert_eq!(ControlType::parse(&[0, 0, 0]), None);
        assert_eq!(ControlType::parse(&[0, 0, 0, 9]), Some(ControlType::Other(9)));
    }
}
