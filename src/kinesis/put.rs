//! PutRecord and PutRecords: hash, route, one batch per shard, durable, answer.

use broker::{AppendRequest, BrokerError};
use bytes::Bytes;
use md5::{Digest, Md5};
use model::{HashKey, PartitionIndex, SequenceNumber, TopicName, TopicPartition};

use crate::{
    Kinesis, NOT_ENCRYPTED, answers,
    constraints::REQUEST_DATA_BYTES_MAX,
    error::{ApiError, ErrorKind},
    gather::{self, ShardBatch},
    limits::record_bytes_in,
    log::{Answer, Log, Routes, Stored},
    requests,
    stream::{Caller, named_stream},
    validation::validate,
};

/// One record to be put, checked.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    /// Its partition key.
    pub key: String,
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
        // Validation has already refused a record without either.
        let key = partition_key.unwrap_or_default();
        let hash = match explicit_hash_key {
            None => HashKey(u128::from_be_bytes(Md5::digest(key.as_bytes()).into())),
            Some(text) => HashKey(text.parse().map_err(|_| {
                ApiError::invalid_argument(format!(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: \
                     [0, 2^128-1]. Specified value was {text}"
                ))
            })?),
        };
        Ok(Incoming { key, data: data.unwrap_or_default(), hash })
    }

    /// What counts against the limits: data and key.
    pub fn size_bytes(&self) -> usize {
        self.key.len() + self.data.len()
    }
}

/// What became of one record.
type Put = Result<SequenceNumber, BrokerError>;

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
            Some(Err(error)) => return Err(error.into()),
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
        let no_stream = || ApiError::no_stream(stream.as_str(), &caller.account);
        let hashes = records.iter().map(|record| record.hash).collect();
        let routes = self.log.route(stream.clone(), hashes).await?.ok_or_else(no_stream)?;
        refuse_too_large(&records, &routes)?;
        if dry_run {
            return Err(dry_run_passed());
        }
        let batches = gather::batches(&records, &routes, self.log.now());
        // The batches hold copies; the request's own bytes need not wait for the disk.
        let count = records.len();
        drop(records);
        let (requests, members) = split(&routes, batches);
        let stored = self.log.append(requests).await?;
        if stored.iter().any(|answer| matches!(answer, Err(BrokerError::UnknownTopicOrPartition))) {
            return Err(no_stream());
        }
        Ok(numbers(count, &members, stored))
    }
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
            record.key.len(),
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

/// For each batch, the places of its records in the request.
type Members = Vec<Vec<usize>>;

fn split(routes: &Routes, batches: Vec<ShardBatch>) -> (Vec<AppendRequest>, Members) {
    let topic = |partition: PartitionIndex| TopicPartition { topic: routes.topic, partition };
    batches
        .into_iter()
        .map(|batch| {
            let request = AppendRequest { topic: topic(batch.partition), batch: batch.bytes };
            (request, batch.members)
        })
        .unzip()
}

/// The answer of each record, from those of the batches.
fn numbers(count: usize, members: &Members, stored: Vec<Answer<Stored>>) -> Vec<Put> {
    let missing = || BrokerError::Storage("the broker did not answer for this record".to_owned());
    let mut puts: Vec<Put> = (0..count).map(|_| Err(missing())).collect();
    for (places, answer) in members.iter().zip(stored) {
        for (index, &place) in places.iter().enumerate() {
            let put = answer.clone().map(|stored| SequenceNumber {
                shard_created: stored.shard_created,
                offset: stored.base_offset.plus(index as i64),
                shard: stored.shard,
            });
            if let Some(slot) = puts.get_mut(place) {
                *slot = put;
            }
        }
    }
    puts
}

fn result_of(put: Put) -> answers::PutRecordsResult {
    match put {
        Ok(number) => answers::PutRecordsResult::Taken {
            sequence_number: number.to_string(),
            shard_id: number.shard.to_string(),
        },
        Err(error) => answers::PutRecordsResult::Failed {
            // A record's own error is one of these two, whatever happened behind it.
            error_code: match error {
                BrokerError::Overloaded(_) => "ProvisionedThroughputExceededException",
                _ => "InternalFailure",
            },
            error_message: error.to_string(),
        },
    }
}
