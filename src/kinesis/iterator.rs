//! GetShardIterator: from five ways of naming a place to an iterator.

use crate::{
    Kinesis, answers,
    error::ApiError,
    log::Log,
    place::Place,
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
        let place = Place {
            operation: "GetShardIterator",
            kind: request.shard_iterator_type.as_deref().unwrap_or_default(),
            sequence_number: request.starting_sequence_number.as_deref(),
            timestamp: request.timestamp.map(|time| time.0),
        };
        let offset = self.starting_offset(caller, &stream, shard, place).await?;
        if request.dry_run == Some(true) {
            return Err(dry_run_passed());
        }
        let position = ShardPosition { topic: stream.id, shard: shard.id, offset };
        Ok(answers::GetShardIterator {
            shard_iterator: position.seal(&self.tokens, self.log.now()),
        })
    }
}
