//! TxnOffsetCommit: how far a group has read, as part of a producer's transaction (KIP-98, KIP-447).
//! Version 5 is that of the second protocol, in which the group joins the transaction by this.

use broker::{CommitOffsets, InTransaction, OffsetToCommit};
use kafka_protocol::{
    ResponseError,
    messages::{
        TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
        txn_offset_commit_response::{
            TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
        },
    },
};
use model::{Offset, ProducerEpoch, ProducerId};
use state::{catalog::Catalog, groups::classic, transactions};

use crate::{
    apis::Api,
    errors::Refusal,
    guard::{self, Field},
    questions::Questions,
    request::{Reply, ReplyFuture, Request},
    topics,
};

/// The API's row.
pub const API: Api = Api {
    key: 28,
    name: "TxnOffsetCommit",
    advertised_min: 0,
    served_min: 0,
    version_max: 5,
    flexible_since: 3,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[
    guard::STRING,
    guard::STRING,
    guard::INT64,
    guard::INT16,
    guard::INT32.since(3),
    guard::STRING.since(3),
    guard::STRING.since(3).nullable_since(3),
    guard::structs(&[
        guard::STRING,
        guard::structs(&[
            guard::INT32,
            guard::INT64,
            guard::INT32.since(2),
            guard::STRING.nullable_since(0),
        ]),
    ]),
];

const SECOND_PROTOCOL_SINCE: i16 = 5;
/// The first version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 4;

async fn serve(mut request: Request) -> Reply {
    let version = request.version();
    let message: TxnOffsetCommitRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut questions = Questions::new();
    {
        let catalog = request.broker.catalog();
        for topic in &message.topics {
            for partition in &topic.partitions {
                questions.push(offset_of(&catalog, topic, partition));
            }
        }
    }
    let (offsets, places) = questions.split();
    let count = offsets.len();
    let is_v2 = version >= SECOND_PROTOCOL_SINCE;
    let transaction = InTransaction {
        id: message.transactional_id.as_str().into(),
        protocol: if is_v2 { transactions::Protocol::V2 } else { transactions::Protocol::V1 },
    };
    let producer = transactions::Identity {
        id: ProducerId(message.producer_id.0),
        epoch: ProducerEpoch(message.producer_epoch),
    };
    let commit = CommitOffsets {
        group: message.group_id.to_string(),
        caller: classic::Identity {
            member_id: message.member_id.to_string(),
            instance_id: message.group_instance_id.as_ref().map(ToString::to_string),
            generation: message.generation_id,
        },
        version,
        retention_ms: None,
        offsets,
    };
    let staged = request.broker.commit_offsets_in_transaction(commit, transaction, producer).await;
    // What the group or the coordinator refuses, it refuses for every partition.
    let outcomes = match staged {
        Ok(outcomes) => outcomes.into_iter().map(|o| o.map_err(Refusal::from)).collect(),
        Err(error) => vec![Err(translate(Refusal::from(error), version)); count],
    };
    let mut answers = places.fill(outcomes);
    let topics = message.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let code = answers.take().map_or_else(|refusal| refusal.code, |()| 0);
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    reply_to.send(&TxnOffsetCommitResponse::default().with_topics(topics.collect()))
}

/// The coordinator's refusals as producers of this version understand them.
fn translate(mut refusal: Refusal, version: i16) -> Refusal {
    use ResponseError as R;
    let known = |code: R| refusal.code == code.code();
    if known(R::ProducerFenced) {
        refusal.code = R::InvalidProducerEpoch.code();
    } else if known(R::TransactionAbortable) && version < ABORTABLE_SINCE {
        refusal.code = R::InvalidTxnState.code();
    } else if known(R::ConcurrentTransactions) && version < SECOND_PROTOCOL_SINCE {
        refusal.code = R::CoordinatorLoadInProgress.code();
    }
    refusal
}

fn offset_of(
    catalog: &Catalog,
    topic: &TxnOffsetCommitRequestTopic,
    partition: &TxnOffsetCommitRequestPartition,
) -> Result<OffsetToCommit, Refusal> {
    let metadata = partition.committed_metadata.as_ref();
    Ok(OffsetToCommit {
        partition: topics::named_partition(catalog, &topic.name, partition.partition_index)?,
        offset: Offset(partition.committed_offset),
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.map_or_else(String::new, ToString::to_string),
    })
}
