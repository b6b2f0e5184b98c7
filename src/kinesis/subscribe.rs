//! SubscribeToShard: from a request to a subscription.

use std::sync::{Arc, MutexGuard, PoisonError};

use model::{Offset, TopicPartition};
use state::shards::Shard;
use tokio::time::Instant;

use crate::{
    Kinesis,
    error::{ApiError, ErrorKind},
    limits::record_bytes_max,
    log::{Followed, Log, StreamView},
    place::Place,
    put::dry_run_passed,
    requests,
    resource::{ConsumerArn, no_consumer},
    shards::find_shard,
    stream::Caller,
    subscribers::{self, Subscribers},
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
        let text = request.consumer_arn.as_deref().unwrap_or_default();
        let arn = ConsumerArn::parse(text)
            .ok_or_else(|| ApiError::invalid_argument(format!("{text} is no consumer ARN.")))?;
        let (stream, consumer) = self.find_consumer(caller, arn).await?;
        let registered = stream.properties.consumers.get(&consumer);
        let consumer_created = registered.ok_or_else(|| no_consumer(&consumer, caller))?.created;
        let shard = find_shard(caller, &stream, request.shard_id.as_deref().unwrap_or_default())?;
        let place = subscribers::Place {
            stream: stream.id,
            shard: shard.id,
            consumer: consumer.clone(),
            consumer_created,
        };
        if stream.is_limited && !self.subscribers().admits_call(&place, Instant::now()) {
            let message = format!("Rate exceeded for consumer {text} and shard {}.", shard.id);
            return Err(ApiError::new(ErrorKind::LimitExceeded, message));
        }
        let in_use = ApiError::new(
            ErrorKind::ResourceInUse,
            format!(
                "Another active subscription exists for this consumer: {}:{}:{}:{consumer}",
                caller.account, stream.name, shard.id
            ),
        );
        let begun = self.begin(caller, &stream, shard, &request, &place, &in_use).await;
        if begun.is_err() && stream.is_limited {
            self.subscribers().note_failed(place, Instant::now());
        }
        let (offset, seat) = begun?;
        let followed = Followed {
            partition: TopicPartition { topic: stream.id, partition: shard.partition },
            shard: shard.id,
            consumer_created,
            consumer: consumer.clone(),
        };
        let start = Start {
            seat,
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

    /// Where to begin, and the place at the shard.
    async fn begin(
        &self,
        caller: &Caller,
        stream: &StreamView,
        shard: &Shard,
        request: &requests::SubscribeToShard,
        place: &subscribers::Place,
        in_use: &ApiError,
    ) -> Result<(Offset, Seat), ApiError> {
        let position = request.starting_position.clone().unwrap_or_default();
        let start = Place {
            operation: "SubscribeToShard",
            kind: position.kind.as_deref().unwrap_or_default(),
            sequence_number: position.sequence_number.as_deref(),
            timestamp: position.timestamp.map(|time| time.0),
        };
        let offset = self.starting_offset(caller, stream, shard, start).await?;
        if request.dry_run == Some(true) {
            return Err(dry_run_passed());
        }
        let seat = Seat::take(Arc::clone(&self.subscribers), place.clone(), Instant::now());
        let seat = seat.map_err(|subscribers::InUse| in_use.clone())?;
        Ok((offset, seat))
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
