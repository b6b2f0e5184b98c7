//! DescribeLogDirs: how much space the partitions take up in the one data directory.

use std::collections::BTreeMap;

use kafka_protocol::messages::DescribeLogDirsRequest;
use model::TopicPartition;

use crate::{
    apis::Api,
    codec::describe_log_dirs::{self as codec, LogDir, LogDirTopic},
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
    topics::{self, wire_index},
};

/// The API's row.
pub const API: Api = Api {
    key: 35,
    name: "DescribeLogDirs",
    advertised_min: 1,
    served_min: 1,
    version_max: 5,
    flexible_since: 2,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(serve(request)) as ReplyFuture,
};

const BODY: &[Field] = &[guard::structs(&[guard::STRING, guard::INT32S]).nullable_since(0)];

async fn serve(mut request: Request) -> Reply {
    let message: DescribeLogDirsRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let only = message.topics.map(|topics| known(&request, &topics));
    let sizes = request.broker.partition_sizes(only).await;
    let mut by_topic: BTreeMap<String, Vec<(i32, i64)>> = BTreeMap::new();
    {
        let catalog = request.broker.catalog();
        for size in sizes {
            let Some(topic) = catalog.topic_by_id(size.topic.topic) else { continue };
            let index = wire_index(size.topic.partition.0 as usize);
            let size_bytes = i64::try_from(size.size_bytes).unwrap_or(i64::MAX);
            by_topic.entry(topic.name.to_string()).or_default().push((index, size_bytes));
        }
    }
    let path = &request.broker.settings().data_dir;
    let usable = runtime::fs::available_bytes(path).await.ok();
    let directory = LogDir {
        error_code: 0,
        path: path.display().to_string(),
        topics: by_topic
            .into_iter()
            .map(|(name, partitions)| LogDirTopic { name, partitions })
            .collect(),
        total_bytes: -1,
        usable_bytes: usable.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
    };
    reply_to.send_by_hand(256, [directory.error_code], |writer| {
        codec::write_response(writer, reply_to.version(), &directory);
    })
}

/// Topics and partitions that are asked for and not there are left out, as in Kafka.
fn known(
    request: &Request,
    asked: &[kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic],
) -> Vec<TopicPartition> {
    let catalog = request.broker.catalog();
    let indexes = asked
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic.as_str(), *index)));
    indexes
        .filter_map(|(name, index)| topics::named_partition(&catalog, name, index).ok())
        .collect()
}
