//! What a lane journals, and how it is written.
//!
//! Little-endian. One byte of kind, then: append (1): topic id 16, partition 4, reserved 4, the batch as it
//! goes to the segment · log start (2): topic id 16, partition 4, offset 8 · catalog (3), groups
//! (4), transactions (5): time 8, the encoding of that part of `state`.

use bytes::{Buf, Bytes};
use model::{Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

use crate::LaneError;

const APPEND: u8 = 1;
const LOG_START: u8 = 2;
const CATALOG: u8 = 3;
const GROUPS: u8 = 4;
const TRANSACTIONS: u8 = 5;

/// A journaled command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A batch joins a partition; it carries its base offset.
    Append {
        /// The partition.
        id: TopicPartition,
        /// The whole batch.
        batch: Bytes,
    },
    /// A partition's first offset moves up.
    LogStart {
        /// The partition.
        id: TopicPartition,
        /// The new first offset.
        offset: Offset,
    },
    /// A change of the catalog.
    Catalog {
        /// When it was decided.
        at: Timestamp,
        /// `state::CatalogCommand`, encoded.
        command: Bytes,
    },
    /// A change of a consumer group.
    Groups {
        /// When it was decided.
        at: Timestamp,
        /// `state::groups::GroupsCommand`, encoded.
        command: Bytes,
    },
    /// A change of a transaction.
    Transactions {
        /// When it was decided.
        at: Timestamp,
        /// The encoding of `state`'s transactions.
        command: Bytes,
    },
}

/// The bytes of an append that precede the batch.
pub const APPEND_HEAD_BYTES: usize = 25;

/// Writes the head of an append; the batch follows it unchanged.
pub fn append_head(id: TopicPartition) -> [u8; APPEND_HEAD_BYTES] {
    let mut head = [0; APPEND_HEAD_BYTES];
    put_partition(&mut head, APPEND, id);
    head
}

/// Writes a log-start command.
pub fn log_start(id: TopicPartition, offset: Offset) -> [u8; 29] {
    let mut bytes = [0; 29];
    put_partition(&mut bytes, LOG_START, id);
    if let Some(place) = bytes.get_mut(21..29) {
        place.copy_from_slice(&offset.0.to_le_bytes());
    }
    bytes
}

/// The bytes that precede the encoding of a command of the catalog, of groups, of transactions.
pub const TIMED_HEAD_BYTES: usize = 9;

/// Writes the head of a catalog command; the catalog's encoding follows it.
pub fn catalog_head(at: Timestamp) -> [u8; TIMED_HEAD_BYTES] {
    timed_head(CATALOG, at)
}

/// Writes the head of a group command; its encoding follows it.
pub fn groups_head(at: Timestamp) -> [u8; TIMED_HEAD_BYTES] {
    timed_head(GROUPS, at)
}

/// Writes the head of a transaction command; its encoding follows it.
pub fn transactions_head(at: Timestamp) -> [u8; TIMED_HEAD_BYTES] {
    timed_head(TRANSACTIONS, at)
}

fn timed_head(kind: u8, at: Timestamp) -> [u8; TIMED_HEAD_BYTES] {
    let mut head = [kind; TIMED_HEAD_BYTES];
    if let Some(place) = head.get_mut(1..) {
        place.copy_from_slice(&at.0.to_le_bytes());
    }
    head
}

fn put_partition(bytes: &mut [u8], kind: u8, id: TopicPartition) {
    let fields =
        [kind].into_iter().chain(id.topic.0.to_le_bytes()).chain(id.partition.0.to_le_bytes());
    for (place, byte) in bytes.iter_mut().zip(fields) {
        *place = byte;
    }
}

impl Command {
    /// Reads a command back. The journal has checked its CRC, so an error means a newer format
    /// or a bug, never a torn write.
    pub fn decode(mut bytes: Bytes) -> Result<Command, LaneError> {
        let malformed = |why: &'static str| LaneError::MalformedCommand { why };
        let kind = bytes.try_get_u8().map_err(|_| malformed("it is empty"))?;
        match kind {
            APPEND | LOG_START => {
                let short = |_| malformed("its partition is cut off");
                let topic = TopicId(bytes.try_get_u128_le().map_err(short)?);
                let partition = PartitionIndex(bytes.try_get_u32_le().map_err(short)?);
                let id = TopicPartition { topic, partition };
                if kind == LOG_START {
                    let offset = bytes.try_get_i64_le().map_err(|_| malformed("no offset"))?;
                    return Ok(Command::LogStart { id, offset: Offset(offset) });
                }
                bytes.try_get_u32_le().map_err(|_| malformed("its head is cut off"))?;
                Ok(Command::Append { id, batch: bytes })
            }
            CATALOG | GROUPS | TRANSACTIONS => {
                let at = bytes.try_get_i64_le().map_err(|_| malformed("it has no time"))?;
                let (at, command) = (Timestamp(at), bytes);
                Ok(match kind {
                    CATALOG => Command::Catalog { at, command },
                    GROUPS => Command::Groups { at, command },
                    _ => Command::Transactions { at, command },
                })
            }
            _ => Err(malformed("its kind is unknown: a newer version of thalweg wrote it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TopicPartition =
        TopicPartition { topic: TopicId(7 << 100 | 3), partition: PartitionIndex(70_000) };

    fn joined(head: &[u8], rest: &[u8]) -> Bytes {
        Bytes::from([head, rest].concat())
    }

    #[test]
    fn commands_are_read_back_as_written() {
        let append = Command::decode(joined(&append_head(ID), b"batch")).expect("append");
        assert_eq!(append, Command::Append { id: ID, batch: Bytes::from_static(b"batch") });

        let start = Command::decode(joined(&log_start(ID, Offset(9)), b"")).expect("log start");
        assert_eq!(start, Command::LogStart { id: ID, offset: Offset(9) });

        let catalog = Command::decode(joined(&catalog_head(Timestamp(5)), b"c")).expect("catalog");
        assert_eq!(
            catalog,
            Command::Catalog { at: Timestamp(5), command: Bytes::from_static(b"c") }
        );

        let (at, command) = (Timestamp(-1), Bytes::from_static(b"g"));
        let groups = Command::decode(joined(&groups_head(at), b"g")).expect("groups");
        assert_eq!(groups, Command::Groups { at, command: command.clone() });
        let of = Command::decode(joined(&transactions_head(at), b"g")).expect("transactions");
        assert_eq!(of, Command::Transactions { at, command });
    }

    #[test]
    fn cut_or_unknown_commands_are_refused() {
        for bytes in
            [&b""[..], &[APPEND], &[LOG_START, 1, 2], &[CATALOG, 0], &[GROUPS], &[99, 0, 0]]
        {
            assert!(Command::decode(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }
}
