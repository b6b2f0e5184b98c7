//! GetRecords: from an iterator to records and the next iterator.

use std::sync::{MutexGuard, PoisonError};

use broker::{BrokerError, FetchPartition, Fetched};
use model::{Offset, Timestamp, TopicPartition};
use state::shards::Shard;
use tokio::time::Instant;

use crate::{
    Kinesis, answers,
    constraints::{RECORDS_PER_GET_MAX, REQUEST_DATA_BYTES_MAX},
    error::{ApiError, ErrorKind},
    harvest::Harvest,
    log::{Log, ShardLook, ShardRead},
    put::dry_run_passed,
    requests,
    stream::{Caller, StreamArn},
    throughput::{Throughput, rate_exceeded},
    token::ShardPosition,
    validation::validate,
};

/// Stored bytes read for one record that is asked for; a small `Limit` reads little.
const READ_BYTES_PER_RECORD: usize = 64 << 10;
/// Reads per call. A read may give nothing (control batches, compacted records), and the log may
/// start later than the iterator; then the call goes on, but not for ever.
const READS_PER_CALL_MAX: usize = 8;

/// How far reading has come.
pub(crate) struct Progress {
    /// The next offset to read.
    pub offset: Offset,
    /// What was read.
    pub harvest: Harvest,
    /// Whether there was nothing more to read.
    pub caught_up: bool,
}

impl<L: Log> Kinesis<L> {
    /// Reads records from an iterator's place on, in order, none twice and none left out.
    pub async fn get_records(
        &self,
        caller: &Caller,
        request: requests::GetRecords,
    ) -> Result<answers::GetRecords, ApiError> {
        validate(&request)?;
        let text = request.shard_iterator.as_deref().unwrap_or_default();
        let position = ShardPosition::open(&self.tokens, text, self.log.now())?;
        let look = self.log.shard(position.topic, position.shard).await?.ok_or_else(|| {
            ApiError::new(ErrorKind::ResourceNotFound, "The stream of this iterator is gone.")
        })?;
        check_arn(caller, &look, request.stream_arn.as_deref())?;
        if request.dry_run == Some(true) {
            return Err(dry_run_passed());
        }
        let shard = (position.topic, position.shard);
        if look.is_limited && !self.throughput().admit_call(shard, Instant::now()) {
            return Err(rate_exceeded(look.shard.id, look.stream.as_str(), &caller.account));
        }
        let limit = request.limit.unwrap_or(RECORDS_PER_GET_MAX);
        let limit = usize::try_from(limit).unwrap_or(1);
        let progress = self.read(position, &look, limit).await?;
        if look.is_limited {
            let bytes = progress.harvest.size_bytes();
            self.throughput().note_given(shard, bytes, Instant::now());
        }
        Ok(self.answer(position, look, progress))
    }

    /// What is left of limited shards' throughput.
    pub(crate) fn throughput(&self) -> MutexGuard<'_, Throughput> {
        self.throughput.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(
        &self,
        position: ShardPosition,
        look: &ShardLook,
        limit: usize,
    ) -> Result<Progress, ApiError> {
        let shard = &look.shard;
        let mut end = shard.end_offset.unwrap_or(Offset(i64::MAX));
        let partition = TopicPartition { topic: position.topic, partition: shard.partition };
        let max_bytes = limit.saturating_mul(READ_BYTES_PER_RECORD).min(REQUEST_DATA_BYTES_MAX);
        let harvest = Harvest::new(shard, limit, REQUEST_DATA_BYTES_MAX);
        let mut progress = Progress { offset: position.offset, harvest, caught_up: false };
        for _ in 0..READS_PER_CALL_MAX {
            if progress.offset >= end {
                progress.caught_up = true;
                break;
            }
            let read = FetchPartition {
                topic: partition,
                offset: progress.offset,
                max_bytes,
                leader_epoch: None,
                read_committed: true,
            };
            match self.log.fetch(read, shard.id).await {
                Ok(ShardRead { fetched, end: found }) => {
                    // The shard may have closed since it was looked up, or be about to. What lies
                    // behind its end is its children's.
                    end = end.min(found.unwrap_or(end));
                    progress.harvest.end_at(end);
                    progress.take(&fetched)?;
                }
                // Retention passed the iterator: go on with the oldest record there is.
                Err(BrokerError::OffsetOutOfRange { log_start, .. })
                    if progress.offset < log_start =>
                {
                    progress.offset = log_start;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            if progress.caught_up || !progress.harvest.is_empty() {
                break;
            }
        }
        // A shard's last records and its end come in one answer.
        progress.caught_up |= progress.offset >= end;
        Ok(progress)
    }

    fn answer(
        &self,
        position: ShardPosition,
        look: ShardLook,
        progress: Progress,
    ) -> answers::GetRecords {
        let now = self.log.now();
        let ended = look.shard.end_offset.is_some_and(|end| progress.offset >= end);
        let next = ShardPosition { offset: progress.offset, ..position };
        let behind_ms = match progress.harvest.newest() {
            Some(Timestamp(newest_ms)) if !progress.caught_up => {
                now.0.saturating_sub(newest_ms).max(0)
            }
            _ => 0,
        };
        answers::GetRecords {
            next_shard_iterator: (!ended).then(|| next.seal(&self.tokens, now)),
            millis_behind_latest: behind_ms,
            child_shards: if ended { children(&look.children) } else { Vec::new() },
            records: progress.harvest.into_records(),
        }
    }
}

impl Progress {
    /// Takes what a read gave.
    pub fn take(&mut self, fetched: &Fetched) -> Result<(), ApiError> {
        let readable_end = fetched.high_watermark.min(fetched.last_stable);
        for batch in &fetched.batches {
            let taken = match batch::BatchHeader::parse(batch) {
                Ok(header) if fetched.is_aborted(&header) => Ok(self.harvest.pass_over(&header)),
                _ => self.harvest.take(batch, self.offset),
            };
            let next = taken.map_err(|error| {
                tracing::error!(%error, offset = %self.offset, "a stored batch cannot be read");
                let message = format!("The records at offset {} are damaged: {error}", self.offset);
                ApiError::new(ErrorKind::InternalFailure, message)
            })?;
            self.offset = self.offset.max(next);
            if self.harvest.is_full() {
                break;
            }
        }
        self.caught_up = self.offset >= readable_end;
        Ok(())
    }
}

/// Where the records of a closed shard go now.
pub(crate) fn children(shards: &[Shard]) -> Vec<answers::ChildShard> {
    let child = |child: &Shard| answers::ChildShard {
        shard_id: child.id.to_string(),
        parent_shards: child.parents.iter().map(ToString::to_string).collect(),
        hash_key_range: child.range.into(),
    };
    shards.iter().map(child).collect()
}

/// The iterator already says the stream; an ARN beside it must name the same one.
fn check_arn(caller: &Caller, look: &ShardLook, arn: Option<&str>) -> Result<(), ApiError> {
    match arn.and_then(StreamArn::parse) {
        Some(arn) if arn.account != caller.account || arn.name != look.stream.as_str() => Err(
            ApiError::invalid_argument("The ShardIterator and StreamARN name different streams."),
        ),
        _ => Ok(()),
    }
}
