//! GetShardIterator: from five ways of naming a place to an offset.

use broker::OffsetSpec;
use model::{Offset, SequenceNumber, TopicPartition};
use state::shards::Shard;

use crate::{
    Kinesis, answers,
    error::ApiError,
    log::{Log, StreamView},
    put::dry_run_passed,
    requests,
    shards::find_shard,
    stream::{Caller, named_stream},
    token::ShardPosition,
    validation::validate,
};

impl<L: Log> Kinesis<L> {
    /// An iterator that begins at a place of a shard. LATEST and AT_TIMESTAMP are settled now, not
    /// at the first read.
    pub async fn get_shard_iterator(
        &self,
        caller: &Caller,
        request: requests::GetShardIterator,
    ) -> Result<answers::GetShardIterator, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let text = request.shard_id.as_deref().unwrap_or_default();
        let shard = find_shard(caller, &stream, text)?;
        let offset = self.starting_offset(caller, &stream, shard, &request).await?;
        if request.dry_run == Some(true) {
            return Err(dry_run_passed());
        }
        let position = ShardPosition { topic: stream.id, shard: shard.id, offset };
        Ok(answers::GetShardIterator {
            shard_iterator: position.seal(&self.tokens, self.log.now()),
        })
    }

    async fn starting_offset(
        &self,
        caller: &Caller,
        stream: &StreamView,
        shard: &Shard,
        request: &requests::GetShardIterator,
    ) -> Result<Offset, ApiError> {
        let kind = request.shard_iterator_type.as_deref().unwrap_or_default();
        let missing = |member: &str| {
            ApiError::invalid_argument(format!(
                "Must specify {member} parameter for iterator of type {kind}. Current value is \
                 null."
            ))
        };
        match kind {
            "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" => {
                let text = request.starting_sequence_number.as_deref();
                let text = text.ok_or_else(|| missing("startingSequenceNumber"))?;
                let at = sequence_offset(caller, stream, shard, text)?;
                let after =
                    kind == "AFTER_SEQUENCE_NUMBER" && shard.end_offset.is_none_or(|end| at < end);
                Ok(if after { at.next() } else { at })
            }
            "AT_TIMESTAMP" => {
                let at = request.timestamp.ok_or_else(|| missing("timestampInMillis"))?.0;
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

/// The offset that a sequence number of this shard says.
fn sequence_offset(
    caller: &Caller,
    stream: &StreamView,
    shard: &Shard,
    text: &str,
) -> Result<Offset, ApiError> {
    let invalid = |why: &str| {
        ApiError::invalid_argument(format!(
            "StartingSequenceNumber {text} used in GetShardIterator on shard {} in stream {} \
             under account {} is invalid{why}.",
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
    if number.shard_created != shard.created || !inside {
        return Err(invalid(" because it did not come from this stream"));
    }
    Ok(number.offset)
}
