//! SubscribeToShard: from a request to a subscription.

use std::sync::Arc;

use model::TopicPartition;
use tokio::time::Instant;

use crate::{
    Kinesis,
    error::{ApiError, ErrorKind},
    limits::record_bytes_max,
    log::{Followed, Log},
    place::Place,
    put::dry_run_passed,
    requests,
    resource::{ConsumerArn, no_consumer},
    shards::find_shard,
    stream::Caller,
    subscribers,
    subscription::{Seat, Start, Subscription},
    validation::validate,
};

impl<L: Log> Kinesis<L> {
    /// Subscribes a consumer to a shard. Its place is settled now, not at the first event.
    pub async fn subscribe_to_shard(
        &self,
        caller: &Caller,
        request: requests::SubscribeToShard,
    ) -> Result<Subscription<L>, ApiError> {
        validate(&request)?;
        let arn = request.consumer_arn.as_deref().unwrap_or_default();
        let arn = ConsumerArn::parse(arn)
            .ok_or_else(|| ApiError::invalid_argument(format!("{arn} is no consumer ARN.")))?;
        let (stream, consumer) = self.find_consumer(caller, arn).await?;
        let registered = stream.properties.consumers.get(&consumer);
        let consumer_created = registered.ok_or_else(|| no_consumer(&consumer, caller))?.created;
        let shard = find_shard(caller, &stream, request.shard_id.as_deref().unwrap_or_default())?;
        let position = request.starting_position.unwrap_or_default();
        let place = Place {
            operation: "SubscribeToShard",
            kind: position.kind.as_deref().unwrap_or_default(),
            sequence_number: position.sequence_number.as_deref(),
            timestamp: position.timestamp.map(|time| time.0),
        };
        let offset = self.starting_offset(caller, &stream, shard, place).await?;
        if request.dry_run == Some(true) {
            return Err(dry_run_passed());
        }
        let place = subscribers::Place {
            stream: stream.id,
            shard: shard.id,
            consumer: consumer.clone(),
            consumer_created,
        };
        let in_use = ApiError::new(
            ErrorKind::ResourceInUse,
            format!(
                "Another active subscription exists for this consumer: {}:{}:{}:{consumer}",
                caller.account, stream.name, shard.id
            ),
        );
        let seat = Seat::take(Arc::clone(&self.subscribers), place, Instant::now());
        let followed = Followed {
            partition: TopicPartition { topic: stream.id, partition: shard.partition },
            shard: shard.id,
            consumer_created,
            consumer: consumer.clone(),
        };
        let start = Start {
            seat: seat.map_err(|subscribers::InUse| in_use.clone())?,
            in_use,
            no_stream: ApiError::no_stream(stream.name.as_str(), &caller.account),
            no_consumer: no_consumer(&consumer, caller),
            followed,
            shard: shard.clone(),
            offset,
            is_limited: stream.is_limited,
            record_bytes_max: record_bytes_max(&stream.config),
        };
        Ok(Subscription::new(Arc::clone(&self.log), start))
    }
}
