//! Five ways of naming a place in a shard, for iterators and subscriptions.

use broker::OffsetSpec;
use model::{Offset, SequenceNumber, Timestamp, TopicPartition};
use state::shards::Shard;

use crate::{
    Kinesis,
    error::ApiError,
    log::{Log, StreamView},
    stream::Caller,
};

/// A place as a request names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Who asks; some of AWS's messages say so.
    pub operation: &'static str,
    /// One of the five types.
    pub kind: &'a str,
    /// For `AT_SEQUENCE_NUMBER` and `AFTER_SEQUENCE_NUMBER`.
    pub sequence_number: Option<&'a str>,
    /// For `AT_TIMESTAMP`.
    pub timestamp: Option<Timestamp>,
}

impl<L: Log> Kinesis<L> {
    /// The first offset to read.
    pub(crate) async fn starting_offset(
        &self,
        caller: &Caller,
        stream: &StreamView,
        shard: &Shard,
        place: Place<'_>,
    ) -> Result<Offset, ApiError> {
        let kind = place.kind;
        let missing = |member: &str| {
            ApiError::invalid_argument(format!(
                "Must specify {member} parameter for iterator of type {kind}. Current value is \
                 null."
            ))
        };
        match kind {
            "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" => {
                let text = place.sequence_number;
                let text = text.ok_or_else(|| missing("startingSequenceNumber"))?;
                let number = sequence_number(caller, stream, shard, place.operation, text)?;
                if number == before_first(shard) {
                    return Ok(shard.start_offset);
                }
                let at = number.offset;
                let after =
                    kind == "AFTER_SEQUENCE_NUMBER" && shard.end_offset.is_none_or(|end| at < end);
                Ok(if after { at.next() } else { at })
            }
            "AT_TIMESTAMP" => {
                let at = place.timestamp.ok_or_else(|| missing("timestampInMillis"))?;
                let now = self.log.now();
                if at > now {
                    return Err(ApiError::invalid_argument(format!(
                        "The timestampInMillis parameter cannot be greater than the \
                         currentTimestampInMillis. timestampInMillis: {}, \
                         currentTimestampInMillis: {}",
                        at.0, now.0
                    )));
                }
                match self.offset(stream, shard, OffsetSpec::Timestamp(at)).await? {
                    Some(offset) => Ok(offset),
                    None => self.latest(stream, shard).await,
                }
            }
            "LATEST" => self.latest(stream, shard).await,
            // TRIM_HORIZON. Reading moves on to the first record that is still there.
            _ => Ok(shard.start_offset),
        }
    }

    async fn latest(&self, stream: &StreamView, shard: &Shard) -> Result<Offset, ApiError> {
        if let Some(end) = shard.end_offset {
            return Ok(end);
        }
        Ok(self.offset(stream, shard, OffsetSpec::Latest).await?.unwrap_or(shard.start_offset))
    }

    /// What `at` finds in the shard's partition, moved into the shard.
    async fn offset(
        &self,
        stream: &StreamView,
        shard: &Shard,
        at: OffsetSpec,
    ) -> Result<Option<Offset>, ApiError> {
        let partition = TopicPartition { topic: stream.id, partition: shard.partition };
        let found = self.log.find_offset(partition, at).await?;
        Ok(found.map(|found| {
            let offset = found.offset.max(shard.start_offset);
            shard.end_offset.map_or(offset, |end| offset.min(end))
        }))
    }
}

/// The number after which to go on so that `next` is the first record.
pub(crate) fn number_before(shard: &Shard, next: Offset) -> SequenceNumber {
    if next <= shard.start_offset {
        return before_first(shard);
    }
    SequenceNumber { shard_created: shard.created, offset: Offset(next.0 - 1), shard: shard.id }
}

/// A number of the shard that no record has: it sorts before those of its records, and behind those
/// of its parents, which were made at least a millisecond earlier.
fn before_first(shard: &Shard) -> SequenceNumber {
    SequenceNumber {
        shard_created: Timestamp(shard.created.0 - 1),
        offset: Offset(i64::MAX),
        shard: shard.id,
    }
}

/// What the text of a sequence number of this shard says.
fn sequence_number(
    caller: &Caller,
    stream: &StreamView,
    shard: &Shard,
    operation: &str,
    text: &str,
) -> Result<SequenceNumber, ApiError> {
    let invalid = |why: &str| {
        ApiError::invalid_argument(format!(
            "StartingSequenceNumber {text} used in {operation} on shard {} in stream {} under \
             account {} is invalid{why}.",
            shard.id, stream.name, caller.account
        ))
    };
    let number: SequenceNumber = text.parse().map_err(|_| invalid(""))?;
    if number.shard != shard.id {
        return Err(ApiError::invalid_argument(format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a \
             shard with {}",
            number.shard, shard.id
        )));
    }
    let inside = number.offset >= shard.start_offset
        && shard.end_offset.is_none_or(|end| number.offset <= end);
    let is_of_record = number.shard_created == shard.created && inside;
    if !is_of_record && number != before_first(shard) {
        return Err(invalid(" because it did not come from this stream"));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::stream_of;

    #[test]
    fn the_number_before_the_first_record_sorts_behind_the_parents_and_before_the_record() {
        let parent = stream_of("s", 1).shards.remove(0);
        let mut child = parent.clone();
        (child.id, child.created) = (model::ShardId(1), Timestamp(parent.created.0 + 1));
        child.start_offset = Offset(7);
        let of = |shard: &Shard, offset| SequenceNumber {
            shard_created: shard.created,
            offset: Offset(offset),
            shard: shard.id,
        };
        let before = number_before(&child, Offset(7));
        let texts = [of(&parent, 1 << 40), before, of(&child, 7)].map(|number| number.to_string());
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[1].parse(), Ok(before));
        assert_eq!(number_before(&child, Offset(8)), of(&child, 7));
    }
}
