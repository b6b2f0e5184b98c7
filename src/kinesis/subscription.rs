//! A subscription: a shard's records as events, pushed for five minutes.
//!
//! It is driven in turns. [`Subscription::turn`] waits until there is something to tell, on the
//! shard's own core and without polling; [`Subscription::event`] then reads and makes the event. In
//! between the caller finds memory for the event, and nothing is read before that: a reader that
//! takes its time holds one event at the most.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use broker::{BrokerError, FetchPartition};
use model::{Offset, Timestamp};
use state::shards::Shard;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use crate::{
    answers::SubscribeToShardEvent,
    error::{ApiError, ErrorKind},
    harvest::Harvest,
    log::{Followed, Log, ShardRead, Standing},
    place::number_before,
    read::{Progress, children},
    subscribers::{Hold, InUse, Place, Subscribers},
    throughput::push_time,
};

/// How long a subscription lasts.
const LIFE: Duration = Duration::from_secs(300);
/// An event comes at least so often, with or without records.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Records in one event.
const EVENT_RECORDS_MAX: usize = 2500;
/// Data and partition keys in one event, in bytes, unless one record alone is larger.
const EVENT_DATA_BYTES_MAX: usize = 512 << 10;
/// Making an event takes this many times its data at most: as stored, as records, in base64 with the
/// JSON around it, and framed.
const COPIES: usize = 8;
/// Reads for one event. A read may give nothing (control batches, compacted records), and the log may
/// start later than where it is read.
const READS_PER_EVENT_MAX: usize = 4;
/// Below every log end.
const NOTHING: Offset = Offset(-1);

/// What a turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// An event is due.
    Event,
    /// The subscription is over: its time is up, or the end of its shard was told.
    End,
}

/// A consumer's place at a shard; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    subscribers: Arc<Mutex<Subscribers>>,
    place: Place,
    turn: u64,
    taken_over: oneshot::Receiver<()>,
}

impl Seat {
    /// Takes the place, from a subscription before it if that is old enough.
    pub fn take(
        subscribers: Arc<Mutex<Subscribers>>,
        place: Place,
        now: Instant,
    ) -> Result<Seat, InUse> {
        let mut held = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let Hold { turn, taken_over } = held.begin(place.clone(), now)?;
        drop(held);
        Ok(Seat { subscribers, place, turn, taken_over })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        held.end(&self.place, self.turn);
    }
}

/// What a subscription begins with.
pub(crate) struct Start {
    pub seat: Seat,
    pub followed: Followed,
    /// The shard as it was when the call came.
    pub shard: Shard,
    /// The first offset to read.
    pub offset: Offset,
    /// Whether the stream is held to AWS's limits of throughput.
    pub is_limited: bool,
    /// The greatest record of the stream, in bytes.
    pub record_bytes_max: usize,
    /// How the subscription ends when another takes over …
    pub in_use: ApiError,
    /// … when the stream is deleted …
    pub no_stream: ApiError,
    /// … and when the consumer is deregistered.
    pub no_consumer: ApiError,
}

/// One subscription.
pub struct Subscription<L> {
    log: Arc<L>,
    start: Start,
    /// The next offset to read.
    offset: Offset,
    standing: Standing,
    /// The log end up to which everything was read; [`NOTHING`] while there is more.
    seen: Offset,
    /// When the subscription's time is up.
    ends: Instant,
    /// When the next event is due whether there are records or not.
    due: Instant,
    /// No event comes before, so that the limit of throughput is kept.
    paced: Instant,
    is_over: bool,
}

impl<L: Log> Subscription<L> {
    pub(crate) fn new(log: Arc<L>, start: Start) -> Subscription<L> {
        let now = Instant::now();
        Subscription {
            log,
            offset: start.offset,
            start,
            standing: Standing::Open,
            seen: NOTHING,
            ends: now + LIFE,
            // Where the subscription stands is told at once.
            due: now,
            paced: now,
            is_over: false,
        }
    }

    /// Memory that making an event can take, in bytes.
    pub fn event_bytes_max(&self) -> usize {
        EVENT_DATA_BYTES_MAX.max(self.start.record_bytes_max) * COPIES
    }

    /// Waits until there is something to tell. An error is told to the client and ends the
    /// subscription.
    pub async fn turn(&mut self) -> Result<Turn, ApiError> {
        if self.is_over || Instant::now() >= self.ends {
            return Ok(Turn::End);
        }
        let turn = self.wait().await;
        self.is_over = turn.is_err();
        turn
    }

    async fn wait(&mut self) -> Result<Turn, ApiError> {
        let paced = self.paced.min(self.ends);
        tokio::select! {
            biased;
            _ = &mut self.start.seat.taken_over => return Err(self.start.in_use.clone()),
            () = sleep_until(paced) => {}
        }
        let is_closed = matches!(self.standing, Standing::Closed { .. });
        let news = self.log.follow(self.start.followed.clone(), self.seen, is_closed);
        let wake = self.due.min(self.ends);
        tokio::select! {
            biased;
            _ = &mut self.start.seat.taken_over => return Err(self.start.in_use.clone()),
            standing = news => self.standing = standing.map_err(|error| self.failed(error))?,
            () = sleep_until(wake) => {}
        }
        match &self.standing {
            Standing::NoStream => Err(self.start.no_stream.clone()),
            Standing::NoConsumer => Err(self.start.no_consumer.clone()),
            Standing::Open | Standing::Closed { .. } if Instant::now() >= self.ends => {
                Ok(Turn::End)
            }
            Standing::Open | Standing::Closed { .. } => Ok(Turn::Event),
        }
    }

    /// Reads on, and makes an event of what there is; none if there is nothing to tell after all.
    pub async fn event(&mut self) -> Result<Option<SubscribeToShardEvent>, ApiError> {
        let shard = &self.start.shard;
        let harvest = Harvest::new(shard, EVENT_RECORDS_MAX, EVENT_DATA_BYTES_MAX);
        let mut progress = Progress { offset: self.offset, harvest, caught_up: false };
        let (end, children_of) = match &self.standing {
            Standing::Closed { end, children } => (*end, children.as_slice()),
            _ => (Offset(i64::MAX), [].as_slice()),
        };
        let child_shards = children(children_of);
        if progress.offset < end {
            self.read(&mut progress).await?;
        }
        self.offset = progress.offset;
        let is_at_end = self.offset >= end;
        if progress.harvest.is_empty() && !is_at_end && Instant::now() < self.due {
            return Ok(None);
        }
        self.is_over = is_at_end;
        let now = Instant::now();
        self.due = now + SILENCE_MAX;
        if self.start.is_limited {
            self.paced = now + push_time(progress.harvest.size_bytes());
        }
        let behind_ms = match progress.harvest.newest() {
            Some(Timestamp(newest_ms)) if !progress.caught_up && !is_at_end => {
                self.log.now().0.saturating_sub(newest_ms).max(0)
            }
            _ => 0,
        };
        let number = number_before(&self.start.shard, self.offset);
        Ok(Some(SubscribeToShardEvent {
            records: progress.harvest.into_records(),
            // At the end of a shard there is nothing to go on after: KCL goes by that.
            continuation_sequence_number: (!is_at_end).then(|| number.to_string()),
            millis_behind_latest: behind_ms,
            child_shards: if is_at_end { child_shards } else { Vec::new() },
        }))
    }

    async fn read(&mut self, progress: &mut Progress) -> Result<(), ApiError> {
        for _ in 0..READS_PER_EVENT_MAX {
            let read = FetchPartition {
                topic: self.start.followed.partition,
                offset: progress.offset,
                max_bytes: EVENT_DATA_BYTES_MAX,
                leader_epoch: None,
                read_committed: true,
            };
            match self.log.fetch(read, self.start.shard.id).await {
                Ok(ShardRead { fetched, end }) => {
                    // The shard may be about to close: what lies behind is its children's.
                    if let Some(end) = end {
                        progress.harvest.end_at(end);
                    }
                    progress.take(&fetched)?;
                    progress.caught_up |= end.is_some_and(|end| progress.offset >= end);
                    self.seen = if progress.caught_up { fetched.high_watermark } else { NOTHING };
                }
                // Retention passed the reader: go on with the oldest record there is.
                Err(BrokerError::OffsetOutOfRange { log_start, .. })
                    if progress.offset < log_start =>
                {
                    progress.offset = log_start;
                    continue;
                }
                Err(error) => return Err(self.failed(error)),
            }
            if progress.caught_up || !progress.harvest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// What the broker says, as one of the errors that a stream of events may end with.
    fn failed(&self, error: BrokerError) -> ApiError {
        match error {
            BrokerError::UnknownTopicOrPartition | BrokerError::UnknownTopicId => {
                self.start.no_stream.clone()
            }
            error => ApiError::new(ErrorKind::InternalFailure, error.to_string()),
        }
    }
}
