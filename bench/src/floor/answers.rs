//! The few requests that a load generator sends, and their answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kafka_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicResult, CreateTopicsResponse,
};
use kafka_protocol::messages::delete_topics_response::{
    DeletableTopicResult, DeleteTopicsResponse,
};
use kafka_protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiKey, BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    FetchRequest, FindCoordinatorResponse, ListOffsetsRequest, MetadataRequest, ProduceRequest,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::buf::ByteBuf;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::floor::disk::Disk;
use crate::floor::log::{Log, Question};

/// What is served: the key, and the first and last version.
const SERVED: [(ApiKey, i16, i16); 9] = [
    (ApiKey::Produce, 3, 9),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 5),
    (ApiKey::Metadata, 0, 9),
    (ApiKey::FindCoordinator, 0, 2),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 5),
    (ApiKey::DeleteTopics, 1, 4),
    (ApiKey::CreatePartitions, 0, 2),
];
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NODE: BrokerId = BrokerId(1);
const EARLIEST: i64 = -2;

/// Everything that an answer is made of.
pub struct Answers {
    host: StrBytes,
    port: i32,
    log: Log,
    disk: Option<Disk>,
}

impl Answers {
    /// For clients that reach this process at `address`.
    pub fn new(address: SocketAddr, log: Log, disk: Option<Disk>) -> Answers {
        let host = StrBytes::from_string(address.ip().to_string());
        Answers { host, port: i32::from(address.port()), log, disk }
    }

    /// The answer to a request, as it goes to the socket; none to a produce request with acks=0.
    pub fn to(&self, frame: Bytes) -> anyhow::Result<Option<Bytes>> {
        let mut request = frame.clone();
        let peeked = ByteBuf::peek_bytes(&mut request, 0..4);
        let (key, version) = match peeked.first_chunk::<4>() {
            Some([a, b, c, d]) => (i16::from_be_bytes([*a, *b]), i16::from_be_bytes([*c, *d])),
            None => bail!("a request without a header"),
        };
        let api =
            ApiKey::try_from(key).map_err(|()| anyhow::anyhow!("request {key} is unknown"))?;
        let header = RequestHeader::decode(&mut request, api.request_header_version(version))?;
        if !SERVED
            .iter()
            .any(|(served, first, last)| *served == api && (*first..=*last).contains(&version))
        {
            bail!("{api:?} {version} is not served here");
        }
        let mut answer = BytesMut::new();
        answer.put_i32(0);
        ResponseHeader::default()
            .with_correlation_id(header.correlation_id)
            .encode(&mut answer, api.response_header_version(version))?;
        match api {
            ApiKey::Produce => {
                let request = ProduceRequest::decode(&mut request, version)?;
                let acks = request.acks;
                self.produce(request, &frame)?.encode(&mut answer, version)?;
                if acks == 0 {
                    return Ok(None);
                }
            }
            ApiKey::Fetch => self
                .fetch(FetchRequest::decode(&mut request, version)?)?
                .encode(&mut answer, version)?,
            ApiKey::ListOffsets => {
                self.offsets(ListOffsetsRequest::decode(&mut request, version)?)?
                    .encode(&mut answer, version)?;
            }
            ApiKey::Metadata => {
                self.metadata(MetadataRequest::decode(&mut request, version)?)?
                    .encode(&mut answer, version)?;
            }
            ApiKey::FindCoordinator => FindCoordinatorResponse::default()
                .with_node_id(NODE)
                .with_host(self.host.clone())
                .with_port(self.port)
                .encode(&mut answer, version)?,
            ApiKey::ApiVersions => served().encode(&mut answer, version)?,
            ApiKey::CreateTopics => {
                self.create(CreateTopicsRequest::decode(&mut request, version)?)?
                    .encode(&mut answer, version)?;
            }
            ApiKey::DeleteTopics => {
                self.delete(DeleteTopicsRequest::decode(&mut request, version)?)?
                    .encode(&mut answer, version)?;
            }
            _ => self
                .grow(CreatePartitionsRequest::decode(&mut request, version)?)?
                .encode(&mut answer, version)?,
        }
        let size = i32::try_from(answer.len() - 4).context("an answer beyond 2 GiB")?;
        if let Some(prefix) = answer.first_chunk_mut::<4>() {
            *prefix = size.to_be_bytes();
        }
        Ok(Some(answer.freeze()))
    }

    fn produce(&self, request: ProduceRequest, frame: &[u8]) -> anyhow::Result<ProduceResponse> {
        if let Some(disk) = &self.disk {
            disk.write(frame)?;
        }
        let mut topics = Vec::new();
        for topic in request.topic_data {
            let mut partitions = Vec::new();
            for partition in topic.partition_data {
                let batch = partition.records.context("a produce request without records")?;
                let base = self.log.append(&topic.name, partition.index as usize, batch)?;
                let answer = PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_log_append_time_ms(-1);
                partitions.push(match base {
                    Some(base) => answer.with_base_offset(base),
                    None => answer.with_error_code(UNKNOWN_TOPIC_OR_PARTITION),
                });
            }
            topics.push(
                TopicProduceResponse::default()
                    .with_name(topic.name)
                    .with_partition_responses(partitions),
            );
        }
        Ok(ProduceResponse::default().with_responses(topics))
    }

    fn fetch(&self, request: FetchRequest) -> anyhow::Result<FetchResponse> {
        let deadline = Instant::now() + Duration::from_millis(request.max_wait_ms.max(0) as u64);
        let questions: Vec<Question> = request
            .topics
            .iter()
            .flat_map(|topic| {
                topic.partitions.iter().map(|partition| Question {
                    topic: topic.topic.to_string(),
                    partition: partition.partition as usize,
                    offset: partition.fetch_offset,
                    most_bytes: partition.partition_max_bytes.max(0) as usize,
                })
            })
            .collect();
        let mut found =
            self.log.read(&questions, request.max_bytes.max(0) as usize, deadline)?.into_iter();
        let mut topics = Vec::new();
        for topic in request.topics {
            let mut partitions = Vec::new();
            for partition in topic.partitions {
                let answer = PartitionData::default().with_partition_index(partition.partition);
                partitions.push(match found.next().flatten() {
                    Some((records, end)) => answer
                        .with_high_watermark(end)
                        .with_last_stable_offset(end)
                        .with_records(Some(records)),
                    None => answer.with_error_code(UNKNOWN_TOPIC_OR_PARTITION),
                });
            }
            topics.push(
                FetchableTopicResponse::default()
                    .with_topic(topic.topic)
                    .with_partitions(partitions),
            );
        }
        Ok(FetchResponse::default().with_responses(topics))
    }

    fn offsets(&self, request: ListOffsetsRequest) -> anyhow::Result<ListOffsetsResponse> {
        let mut topics = Vec::new();
        for topic in request.topics {
            let mut partitions = Vec::new();
            for partition in topic.partitions {
                let answer = ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_timestamp(-1);
                partitions.push(
                    match self.log.end(&topic.name, partition.partition_index as usize)? {
                        Some(_) if partition.timestamp == EARLIEST => answer.with_offset(0),
                        Some(end) => answer.with_offset(end),
                        None => answer.with_error_code(UNKNOWN_TOPIC_OR_PARTITION),
                    },
                );
            }
            topics.push(
                ListOffsetsTopicResponse::default()
                    .with_name(topic.name)
                    .with_partitions(partitions),
            );
        }
        Ok(ListOffsetsResponse::default().with_topics(topics))
    }

    fn metadata(&self, request: MetadataRequest) -> anyhow::Result<MetadataResponse> {
        let sizes = self.log.sizes()?;
        let asked: Vec<String> = match request.topics {
            Some(topics) => topics
                .iter()
                .filter_map(|topic| topic.name.as_ref())
                .map(|name| name.to_string())
                .collect(),
            None => sizes.iter().map(|(name, _)| name.clone()).collect(),
        };
        let topics = asked.into_iter().map(|name| {
            let size = sizes.iter().find(|(known, _)| *known == name).map(|(_, size)| *size);
            let partitions = (0..size.unwrap_or(0) as i32)
                .map(|partition| {
                    MetadataResponsePartition::default()
                        .with_partition_index(partition)
                        .with_leader_id(NODE)
                        .with_replica_nodes(vec![NODE])
                        .with_isr_nodes(vec![NODE])
                })
                .collect();
            MetadataResponseTopic::default()
                .with_error_code(if size.is_some() { 0 } else { UNKNOWN_TOPIC_OR_PARTITION })
                .with_name(Some(TopicName(StrBytes::from_string(name))))
                .with_partitions(partitions)
        });
        let broker = MetadataResponseBroker::default()
            .with_node_id(NODE)
            .with_host(self.host.clone())
            .with_port(self.port);
        Ok(MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_controller_id(NODE)
            .with_cluster_id(Some(StrBytes::from_static_str("floor")))
            .with_topics(topics.collect()))
    }

    fn create(&self, request: CreateTopicsRequest) -> anyhow::Result<CreateTopicsResponse> {
        let mut topics = Vec::new();
        for topic in request.topics {
            self.log.create(&topic.name, topic.num_partitions.max(1) as usize)?;
            topics.push(CreatableTopicResult::default().with_name(topic.name));
        }
        Ok(CreateTopicsResponse::default().with_topics(topics))
    }

    fn grow(&self, request: CreatePartitionsRequest) -> anyhow::Result<CreatePartitionsResponse> {
        let mut results = Vec::new();
        for topic in request.topics {
            self.log.create(&topic.name, topic.count.max(1) as usize)?;
            results.push(CreatePartitionsTopicResult::default().with_name(topic.name));
        }
        Ok(CreatePartitionsResponse::default().with_results(results))
    }

    fn delete(&self, request: DeleteTopicsRequest) -> anyhow::Result<DeleteTopicsResponse> {
        let mut responses = Vec::new();
        for name in request.topic_names {
            self.log.delete(&name)?;
            responses.push(DeletableTopicResult::default().with_name(Some(name)));
        }
        Ok(DeleteTopicsResponse::default().with_responses(responses))
    }
}

fn served() -> ApiVersionsResponse {
    let served = SERVED.iter().map(|(api, first, last)| {
        ApiVersion::default()
            .with_api_key(*api as i16)
            .with_min_version(*first)
            .with_max_version(*last)
    });
    ApiVersionsResponse::default().with_api_keys(served.collect())
}
