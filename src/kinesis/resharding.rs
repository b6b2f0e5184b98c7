//! SplitShard, MergeShards, UpdateShardCount. The new shards are there when they return.

use broker::{BrokerError, Resharding};
use model::{HashKey, ShardId};
use state::shards::{ReshardError, ReshardStep, Shard};

use crate::{
    Kinesis, answers,
    error::{ApiError, ErrorKind},
    log::{Log, StreamView},
    requests,
    shards::find_shard,
    stream::{Caller, named_stream},
    validation::validate,
};

/// The most shards that UpdateShardCount makes. Source: the model's documentation.
const SHARD_COUNT_MAX: usize = 10_000;

impl<L: Log> Kinesis<L> {
    /// Splits a shard at a hash key.
    pub async fn split_shard(
        &self,
        caller: &Caller,
        request: requests::SplitShard,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        refuse_on_demand(caller, &stream)?;
        let text = request.shard_to_split.as_deref().unwrap_or_default();
        let shard = find_shard(caller, &stream, text)?;
        refuse_closed(caller, &stream, shard)?;
        let key = request.new_starting_hash_key.as_deref().unwrap_or_default();
        let at = split_key(caller, &stream, shard, key)?;
        self.check_room(caller, 1).await?;
        let step = ReshardStep::Split { shard: shard.id, at };
        self.reshard(caller, &stream, Resharding::Steps(vec![step])).await
    }

    /// Merges two shards whose ranges are neighbours.
    pub async fn merge_shards(
        &self,
        caller: &Caller,
        request: requests::MergeShards,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        refuse_on_demand(caller, &stream)?;
        let find = |text: &Option<String>| {
            find_shard(caller, &stream, text.as_deref().unwrap_or_default())
        };
        let into = find(&request.shard_to_merge)?;
        let from = find(&request.adjacent_shard_to_merge)?;
        for shard in [into, from] {
            refuse_closed(caller, &stream, shard)?;
        }
        let step = ReshardStep::Merge { into: into.id, from: from.id };
        self.reshard(caller, &stream, Resharding::Steps(vec![step])).await
    }

    /// Splits and merges shards until there are so many, with equal ranges.
    pub async fn update_shard_count(
        &self,
        caller: &Caller,
        request: requests::UpdateShardCount,
    ) -> Result<answers::UpdateShardCount, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        refuse_on_demand(caller, &stream)?;
        let current = stream.open_shards().count();
        let target = request.target_shard_count.and_then(|count| usize::try_from(count).ok());
        let target = target.unwrap_or(usize::MAX);
        check_count(current, target)?;
        self.check_room(caller, target.saturating_sub(current)).await?;
        let uniform = Resharding::Uniform(u32::try_from(target).unwrap_or(u32::MAX));
        self.reshard(caller, &stream, uniform).await?;
        Ok(answers::UpdateShardCount {
            stream_name: stream.name.to_string(),
            current_shard_count: current,
            target_shard_count: target,
            stream_arn: caller.stream_arn(stream.name.as_str()),
        })
    }

    async fn reshard(
        &self,
        caller: &Caller,
        stream: &StreamView,
        resharding: Resharding,
    ) -> Result<(), ApiError> {
        let resharded = self.log.reshard(stream.id, resharding).await;
        resharded.map_err(|error| match error {
            BrokerError::Reshard(error) => of_reshard(caller, stream, error),
            error => ApiError::of_stream(error, stream.name.as_str(), &caller.account),
        })
    }

    /// AWS's limit on the shards of an account is the broker's on partitions here.
    async fn check_room(&self, caller: &Caller, additional: usize) -> Result<(), ApiError> {
        let account = self.log.account().await?;
        if account.open_shards.saturating_add(additional) <= account.shards_max {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorKind::LimitExceeded,
            format!(
                "This request would exceed the shard limit for the account {} in {}. Current \
                 shard count for the account: {}. Limit: {}. Number of additional shards that \
                 would have resulted from this request: {additional}.",
                caller.account, caller.region, account.open_shards, account.shards_max
            ),
        ))
    }
}

/// A stream on demand has the shards that it needs, and nobody else's say.
fn refuse_on_demand(caller: &Caller, stream: &StreamView) -> Result<(), ApiError> {
    if !stream.on_demand {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorKind::Validation,
        format!(
            "Request is invalid. Stream {} under account {} is in On-Demand mode.",
            stream.name, caller.account
        ),
    ))
}

fn refuse_closed(caller: &Caller, stream: &StreamView, shard: &Shard) -> Result<(), ApiError> {
    if shard.is_open() { Ok(()) } else { Err(closed(caller, stream, shard.id)) }
}

fn closed(caller: &Caller, stream: &StreamView, shard: ShardId) -> ApiError {
    ApiError::invalid_argument(format!(
        "Shard {shard} in stream {} under account {} has already been merged or split, and thus \
         is not eligible for merging or splitting.",
        stream.name, caller.account
    ))
}

/// The key that begins the upper child. AWS leaves each child at least two keys.
fn split_key(
    caller: &Caller,
    stream: &StreamView,
    shard: &Shard,
    text: &str,
) -> Result<HashKey, ApiError> {
    let (start, end) = (shard.range.start(), shard.range.end());
    let key = text.parse::<u128>().ok().map(HashKey);
    let fits = |key: &HashKey| key.0 > start.0.saturating_add(1) && *key < end;
    key.filter(fits).ok_or_else(|| {
        ApiError::invalid_argument(format!(
            "NewStartingHashKey {text} used in SplitShard() on shard {} in stream {} under \
             account {} is not both greater than one plus the shard's StartingHashKey {start} and \
             less than the shard's EndingHashKey {end}.",
            shard.id, stream.name, caller.account
        ))
    })
}

/// AWS's bounds on one call: no more than double, no less than half, 10,000 at most.
fn check_count(current: usize, target: usize) -> Result<(), ApiError> {
    let message = if target > SHARD_COUNT_MAX {
        let message = format!(
            "UpdateShardCount cannot scale to {target} shards: the limit is {SHARD_COUNT_MAX}."
        );
        return Err(ApiError::new(ErrorKind::LimitExceeded, message));
    } else if target > current.saturating_mul(2) {
        format!(
            "UpdateShardCount cannot scale up over double your current open shard count. Current \
             open shard count: {current} Target shard count: {target}"
        )
    } else if target < current.div_ceil(2) {
        format!(
            "UpdateShardCount cannot scale down below half your current open shard count. Current \
             open shard count: {current} Target shard count: {target}"
        )
    } else {
        return Ok(());
    };
    Err(ApiError::invalid_argument(message))
}

/// What the stream's shards themselves refuse, when another request came first or they are no
/// neighbours.
fn of_reshard(caller: &Caller, stream: &StreamView, error: ReshardError) -> ApiError {
    match error {
        ReshardError::NotOpen(shard) => closed(caller, stream, shard),
        ReshardError::NotAdjacent(into, from) => ApiError::invalid_argument(format!(
            "Shards {into} and {from} in stream {} under account {} are not an adjacent pair of \
             shards eligible for merging",
            stream.name, caller.account
        )),
        ReshardError::KeyOutside { .. } => ApiError::invalid_argument(error.to_string()),
        // A range of a single key: no more shards can be had of it.
        ReshardError::Split(_) => ApiError::new(ErrorKind::LimitExceeded, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_double_or_halve() {
        let refused = |current, target| check_count(current, target).err().map(|e| e.kind);
        for (current, target) in [(1, 1), (1, 2), (3, 2), (3, 6), (4, 2), (5_000, 10_000)] {
            assert_eq!(refused(current, target), None, "{current} to {target}");
        }
        for (current, target) in [(1, 3), (4, 1), (5, 2), (3, 7)] {
            let kind = Some(ErrorKind::InvalidArgument);
            assert_eq!(refused(current, target), kind, "{current} to {target}");
        }
        assert_eq!(refused(9_000, 10_001), Some(ErrorKind::LimitExceeded));
    }
}
