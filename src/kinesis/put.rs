//! PutRecord and PutRecords: hash, route, one batch per shard, durable, answer.

use broker::{AppendRequest, BrokerError};
use bytes::Bytes;
use md5::{Digest, Md5};
use model::{HashKey, SequenceNumber, ShardId, TopicName, TopicPartition};
use tokio::time::Instant;

use crate::{
    Kinesis, NOT_ENCRYPTED, answers,
    constraints::REQUEST_DATA_BYTES_MAX,
    error::{ApiError, ErrorKind},
    gather::{self, ShardBatch},
    limits::record_bytes_in,
    log::{Log, Routes},
    requests,
    stream::{Caller, named_stream},
    throughput::rate_exceeded,
    validation::validate,
};

/// One record to be put, checked.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    /// Its partition key, which it may lack where the stream chooses the shard.
    pub key: Option<String>,
    /// Its content.
    pub data: Bytes,
    /// The hash key that chooses its shard.
    pub hash: HashKey,
}

impl Incoming {
    fn new(
        partition_key: Option<String>,
        data: Option<Bytes>,
        explicit_hash_key: Option<&str>,
    ) -> Result<Incoming, ApiError> {
        let hash = match explicit_hash_key {
            None => {
                let key = partition_key.as_deref().unwrap_or_default();
                HashKey(u128::from_be_bytes(Md5::digest(key.as_bytes()).into()))
            }
            Some(text) => HashKey(text.parse().map_err(|_| {
                ApiError::invalid_argument(format!(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: \
                     [0, 2^128-1]. Specified value was {text}"
                ))
            })?),
        };
        // Validation has already refused a record without data.
        Ok(Incoming { key: partition_key, data: data.unwrap_or_default(), hash })
    }

    /// What counts against the limits: data and key.
    pub fn size_bytes(&self) -> usize {
        self.key_bytes() + self.data.len()
    }

    fn key_bytes(&self) -> usize {
        self.key.as_ref().map_or(0, String::len)
    }
}

/// How often a record is routed, if its shard is split or merged meanwhile. Each time waits for that
/// to be done, so twice is nearly always enough.
const ROUTES_MAX: usize = 16;

/// What became of one record.
type Put = Result<SequenceNumber, ApiError>;

impl<L: Log> Kinesis<L> {
    /// Puts one record. It is durable when this returns.
    pub async fn put_record(
        &self,
        caller: &Caller,
        request: requests::PutRecord,
    ) -> Result<answers::PutRecord, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = named_stream(caller, name, arn)?;
        let hash_key = request.explicit_hash_key.as_deref();
        let data = request.data.map(|data| data.0);
        let record = Incoming::new(request.partition_key, data, hash_key)?;
        let dry_run = request.dry_run == Some(true);
        let mut puts = self.put(caller, &stream, vec![record], dry_run).await?;
        let number = match puts.pop() {
            Some(Ok(number)) => number,
            Some(Err(error)) => return Err(error),
            None => return Err(ApiError::new(ErrorKind::InternalFailure, "Nothing was put.")),
        };
        Ok(answers::PutRecord {
            shard_id: number.shard.to_string(),
            sequence_number: number.to_string(),
            encryption_type: NOT_ENCRYPTED,
        })
    }

    /// Puts up to 500 records. Those whose answer has a sequence number are durable; records for
    /// one shard are there in the order of the request.
    pub async fn put_records(
        &self,
        caller: &Caller,
        request: requests::PutRecords,
    ) -> Result<answers::PutRecords, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = named_stream(caller, name, arn)?;
        let entries = request.records.unwrap_or_default().into_iter();
        let records: Vec<Incoming> = entries
            .map(|entry| {
                let hash_key = entry.explicit_hash_key.as_deref();
                Incoming::new(entry.partition_key, entry.data.map(|data| data.0), hash_key)
            })
            .collect::<Result<_, _>>()?;
        let total_bytes: usize = records.iter().map(Incoming::size_bytes).sum();
        if total_bytes > REQUEST_DATA_BYTES_MAX {
            return Err(ApiError::invalid_argument(format!(
                "Records size exceeds {} MB limit",
                REQUEST_DATA_BYTES_MAX >> 20
            )));
        }
        let dry_run = request.dry_run == Some(true);
        let puts = self.put(caller, &stream, records, dry_run).await?;
        Ok(answers::PutRecords {
            failed_record_count: puts.iter().filter(|put| put.is_err()).count(),
            records: puts.into_iter().map(result_of).collect(),
            encryption_type: NOT_ENCRYPTED,
        })
    }

    async fn put(
        &self,
        caller: &Caller,
        stream: &TopicName,
        records: Vec<Incoming>,
        dry_run: bool,
    ) -> Result<Vec<Put>, ApiError> {
        let mut puts = Puts::new(records);
        for attempt in 0..ROUTES_MAX {
            match self.try_put(caller, stream, &mut puts, dry_run, attempt == 0).await {
                Ok(()) if puts.left.is_empty() => break,
                Ok(()) => {}
                // A call that fails says that nothing was put: not when some of it is durable.
                Err(error) if puts.any_durable() => return Ok(puts.end(&error)),
                Err(error) => return Err(error),
            }
        }
        let moved = BrokerError::Overloaded("Its shard is being split or merged.".to_owned());
        Ok(puts.end(&moved.into()))
    }

    /// Routes and appends what is left, once.
    async fn try_put(
        &self,
        caller: &Caller,
        stream: &TopicName,
        puts: &mut Puts,
        dry_run: bool,
        is_first: bool,
    ) -> Result<(), ApiError> {
        if !is_first {
            self.log.settled().await?;
        }
        let routes = self.log.route(stream.clone(), puts.hashes_left()).await?;
        let no_stream = || ApiError::no_stream(stream.as_str(), &caller.account);
        let mut routes = routes.ok_or_else(no_stream)?;
        if is_first {
            refuse_keyless(&puts.records, &routes)?;
            refuse_too_large(&puts.records, &routes)?;
        }
        if dry_run {
            return Err(dry_run_passed());
        }
        if is_first && routes.is_limited {
            let exceeded = |shard| rate_exceeded(shard, stream.as_str(), &caller.account);
            self.hold_back(puts, &mut routes, exceeded);
        }
        self.put_routed(puts, &routes).await
    }

    /// Refuses the records for which their shards have no throughput left, one by one.
    fn hold_back(
        &self,
        puts: &mut Puts,
        routes: &mut Routes,
        exceeded: impl Fn(ShardId) -> ApiError,
    ) {
        let mut throughput = self.throughput();
        let now = Instant::now();
        let routed: Vec<_> = puts.left.drain(..).zip(routes.shards.drain(..)).collect();
        for (place, shard) in routed {
            let bytes = puts.records.get(place).map_or(0, Incoming::size_bytes);
            if throughput.admit_record((routes.topic, shard.id), bytes, now) {
                puts.left.push(place);
                routes.shards.push(shard);
            } else {
                puts.answer(place, Err(exceeded(shard.id)));
            }
        }
    }

    /// Appends the records that are left, and leaves those whose shard has closed meanwhile. All
    /// records of one shard share that fate, so their order holds.
    async fn put_routed(&self, puts: &mut Puts, routes: &Routes) -> Result<(), ApiError> {
        let batches = gather::batches(&puts.records, &puts.left, routes, self.log.now());
        let (requests, parts): (Vec<_>, Vec<_>) = batches
            .into_iter()
            .map(|ShardBatch { shard, bytes, members }| {
                let topic = TopicPartition { topic: routes.topic, partition: shard.partition };
                ((AppendRequest { topic, batch: bytes }, shard.id), (shard, members))
            })
            .unzip();
        let answers = self.log.append(requests).await?;
        for ((shard, members), answer) in parts.into_iter().zip(answers) {
            if answer.as_ref().err().is_some_and(is_moved) {
                continue;
            }
            for (index, place) in members.into_iter().enumerate() {
                let put = match &answer {
                    Ok(base_offset) => Ok(SequenceNumber {
                        shard_created: shard.created,
                        offset: base_offset.plus(index as i64),
                        shard: shard.id,
                    }),
                    Err(error) => Err(error.clone().into()),
                };
                puts.answer(place, put);
            }
        }
        puts.left.retain(|place| matches!(puts.answers.get(*place), Some(None)));
        Ok(())
    }
}

/// The records of one call and what has become of them, each by its place in the call.
struct Puts {
    records: Vec<Incoming>,
    answers: Vec<Option<Put>>,
    /// The places of those that have no answer yet, in order.
    left: Vec<usize>,
}

impl Puts {
    fn new(records: Vec<Incoming>) -> Puts {
        Puts { answers: vec![None; records.len()], left: (0..records.len()).collect(), records }
    }

    fn hashes_left(&self) -> Vec<HashKey> {
        let left = self.left.iter().filter_map(|place| self.records.get(*place));
        left.map(|record| record.hash).collect()
    }

    fn answer(&mut self, place: usize, put: Put) {
        if let Some(answer) = self.answers.get_mut(place) {
            *answer = Some(put);
        }
    }

    fn any_durable(&self) -> bool {
        self.answers.iter().any(|answer| matches!(answer, Some(Ok(_))))
    }

    /// All the answers; this one for those that have none.
    fn end(self, error: &ApiError) -> Vec<Put> {
        let answers = self.answers.into_iter();
        answers.map(|answer| answer.unwrap_or_else(|| Err(error.clone()))).collect()
    }
}

/// Whether the way of a batch has changed since it was routed: the shard has closed, a new shard's
/// partition is not known everywhere yet, or the stream is gone.
fn is_moved(error: &BrokerError) -> bool {
    matches!(
        error,
        BrokerError::ShardMoved
            | BrokerError::UnknownTopicOrPartition
            | BrokerError::UnknownTopicId
    )
}

/// Where the partition key chooses the shard, every record has one.
fn refuse_keyless(records: &[Incoming], routes: &Routes) -> Result<(), ApiError> {
    let keyless = records.iter().position(|record| record.key.is_none());
    let Some(place) = keyless.filter(|_| !routes.spreads_puts) else { return Ok(()) };
    let member = match records.len() {
        1 => "partitionKey".to_owned(),
        _ => format!("records.{}.member.partitionKey", place + 1),
    };
    Err(ApiError::new(
        ErrorKind::Validation,
        format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: \
             Member must not be null"
        ),
    ))
}

/// A record over the stream's limit is refused before anything is written, and with it the call,
/// as AWS refuses every malformed record.
fn refuse_too_large(records: &[Incoming], routes: &Routes) -> Result<(), ApiError> {
    let max = record_bytes_in(routes.batch_bytes_max);
    let Some((place, record)) = records.iter().enumerate().find(|(_, r)| r.size_bytes() > max)
    else {
        return Ok(());
    };
    Err(ApiError::new(
        ErrorKind::Validation,
        format!(
            "1 validation error detected: Value at 'records.{}.member.data' failed to satisfy \
             constraint: Member must have length less than or equal to {max}, its partition key \
             of {} bytes included; it has {}",
            place + 1,
            record.key_bytes(),
            record.size_bytes(),
        ),
    ))
}

/// What `DryRun` answers when the request is in order.
pub(crate) fn dry_run_passed() -> ApiError {
    ApiError::new(
        ErrorKind::DryRunOperation,
        "The request would have succeeded, but the DryRun flag is set.",
    )
}

fn result_of(put: Put) -> answers::PutRecordsResult {
    match put {
        Ok(number) => answers::PutRecordsResult::Taken {
            sequence_number: number.to_string(),
            shard_id: number.shard.to_string(),
        },
        Err(error) => answers::PutRecordsResult::Failed {
            // A record's own error is one of these two, whatever happened behind it.
            error_code: match error.kind {
                ErrorKind::ProvisionedThroughputExceeded => error.kind.code(),
                _ => "InternalFailure",
            },
            error_message: error.message,
        },
    }
}
