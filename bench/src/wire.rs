//! A small Kafka client on one blocking socket, for what librdkafka hides: the moment of the first answer, a
//! thousand connections without two thousand threads, how long a topic's creation takes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use kafka_protocol::messages::{BrokerId, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

// The last versions that name topics by their names, which every broker of today still speaks.
const METADATA_VERSION: i16 = 9;
const CREATE_TOPICS_VERSION: i16 = 5;
const CREATE_PARTITIONS_VERSION: i16 = 2;
const DELETE_TOPICS_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;

/// No request of a benchmark takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
const MOST_RESPONSE_BYTES: usize = 256 << 20;

/// One connection.
pub struct Connection {
    socket: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Connects; `address` is `HOST:PORT`.
    pub fn open(address: &str) -> anyhow::Result<Connection> {
        let socket =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { socket, correlation_id: 0 })
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<R::Response> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("bench")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let size = i32::try_from(frame.len() - 4).context("a request beyond 2 GiB")?;
        if let Some(prefix) = frame.first_chunk_mut::<4>() {
            *prefix = size.to_be_bytes();
        }
        self.socket.write_all(&frame)?;
        let mut answer = self.read_frame()?;
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))?;
        if header.correlation_id != self.correlation_id {
            bail!("answer {} came to request {}", header.correlation_id, self.correlation_id);
        }
        R::Response::decode(&mut answer, version)
    }

    fn read_frame(&mut self) -> anyhow::Result<Bytes> {
        let mut size = [0; 4];
        self.socket.read_exact(&mut size)?;
        let size = u32::from_be_bytes(size) as usize;
        if size > MOST_RESPONSE_BYTES {
            bail!("the broker announces an answer of {size} bytes");
        }
        let mut frame = vec![0; size];
        self.socket.read_exact(&mut frame)?;
        Ok(Bytes::from(frame))
    }

    /// What the broker knows of `topic`, or, without one, of itself.
    pub fn metadata(&mut self, topic: Option<&str>) -> anyhow::Result<MetadataResponse> {
        let topics = topic
            .map(|topic| MetadataRequestTopic::default().with_name(Some(topic_name(topic))))
            .into_iter()
            .collect();
        let request = MetadataRequest::default()
            .with_topics(Some(topics))
            .with_allow_auto_topic_creation(false);
        self.call(METADATA_VERSION, &request)
    }

    /// How many of the topic's partitions have a leader; none if there is no such topic.
    pub fn led_partitions(&mut self, topic: &str) -> anyhow::Result<Option<usize>> {
        const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
        let metadata = self.metadata(Some(topic))?;
        let described = metadata.topics.first().context("the broker says nothing of the topic")?;
        match described.error_code {
            0 => Ok(Some(described.partitions.iter().filter(|p| p.error_code == 0).count())),
            UNKNOWN_TOPIC_OR_PARTITION => Ok(None),
            // Kafka: the topic is so new that no leader is known yet.
            5 => Ok(Some(0)),
            code => bail!("topic {topic}: the broker answers Metadata with error {code}"),
        }
    }

    /// Makes a topic, and waits until all of its partitions have a leader. Returns how long that took.
    pub fn create_topic(&mut self, topic: &str, partitions: i32) -> anyhow::Result<Duration> {
        const TOPIC_ALREADY_EXISTS: i16 = 36;
        let started = Instant::now();
        let request = CreateTopicsRequest::default()
            .with_timeout_ms(PATIENCE.as_millis() as i32)
            .with_topics(vec![
                CreatableTopic::default()
                    .with_name(topic_name(topic))
                    .with_num_partitions(partitions)
                    .with_replication_factor(1),
            ]);
        let response = self.call(CREATE_TOPICS_VERSION, &request)?;
        let created = response.topics.first().context("the broker says nothing of the topic")?;
        if ![0, TOPIC_ALREADY_EXISTS].contains(&created.error_code) {
            bail!("topic {topic} cannot be made: error {}", created.error_code);
        }
        self.wait_until_led(topic, partitions)?;
        Ok(started.elapsed())
    }

    /// Gives a topic more partitions, `partitions` in all, and waits until they have a leader. Returns how long
    /// that took.
    pub fn grow_topic(&mut self, topic: &str, partitions: i32) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let request = CreatePartitionsRequest::default()
            .with_timeout_ms(PATIENCE.as_millis() as i32)
            .with_topics(vec![
                CreatePartitionsTopic::default()
                    .with_name(topic_name(topic))
                    .with_count(partitions)
                    .with_assignments(None),
            ]);
        let response = self.call(CREATE_PARTITIONS_VERSION, &request)?;
        let grown = response.results.first().context("the broker says nothing of the topic")?;
        if grown.error_code != 0 {
            bail!(
                "topic {topic} cannot grow to {partitions} partitions: error {}",
                grown.error_code
            );
        }
        self.wait_until_led(topic, partitions)?;
        Ok(started.elapsed())
    }

    fn wait_until_led(&mut self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.led_partitions(topic)?.is_none_or(|led| led < partitions as usize) {
            if started.elapsed() > PATIENCE {
                bail!("topic {topic}: not all partitions have a leader after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Deletes a topic and waits until it is gone.
    pub fn delete_topic(&mut self, topic: &str) -> anyhow::Result<()> {
        let request = DeleteTopicsRequest::default()
            .with_timeout_ms(PATIENCE.as_millis() as i32)
            .with_topic_names(vec![topic_name(topic)]);
        let response = self.call(DELETE_TOPICS_VERSION, &request)?;
        let code = response.responses.first().map_or(0, |topic| topic.error_code);
        if code != 0 {
            bail!("topic {topic} cannot be deleted: error {code}");
        }
        let started = Instant::now();
        while self.led_partitions(topic)?.is_some() {
            if started.elapsed() > PATIENCE {
                bail!("topic {topic} is still there after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Appends one batch with one record, acks=all. The error is Kafka's code if the broker sent one.
    pub fn produce(&mut self, topic: &str, partition: i32, batch: &Bytes) -> anyhow::Result<i64> {
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(PATIENCE.as_millis() as i32)
            .with_topic_data(vec![
                TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![
                    PartitionProduceData::default()
                        .with_index(partition)
                        .with_records(Some(batch.clone())),
                ]),
            ]);
        let response = self.call(PRODUCE_VERSION, &request)?;
        let answer = response
            .responses
            .first()
            .and_then(|topic| topic.partition_responses.first())
            .context("the broker says nothing of the partition")?;
        match answer.error_code {
            0 => Ok(answer.base_offset),
            code => bail!("the broker answers Produce with error {code}"),
        }
    }

    /// Reads from `offset` on; returns how many bytes of records came.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> anyhow::Result<usize> {
        const MOST_BYTES: i32 = 1 << 20;
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(MOST_BYTES)
            .with_session_epoch(-1)
            .with_topics(vec![
                FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![
                    FetchPartition::default()
                        .with_partition(partition)
                        .with_fetch_offset(offset)
                        .with_partition_max_bytes(MOST_BYTES),
                ]),
            ]);
        let response = self.call(FETCH_VERSION, &request)?;
        let answer = response
            .responses
            .first()
            .and_then(|topic| topic.partitions.first())
            .context("the broker says nothing of the partition")?;
        match answer.error_code {
            0 => Ok(answer.records.as_ref().map_or(0, Buf::remaining)),
            code => bail!("the broker answers Fetch with error {code}"),
        }
    }
}

/// A batch of one record whose value is `value`.
pub fn batch_of_one(value: Bytes) -> anyhow::Result<Bytes> {
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .context("the clock is set before 1970")?
        .as_millis() as i64;
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        // Without a producer's id the batch's base sequence is -1.
        sequence: -1,
        timestamp: now_ms,
        key: None,
        value: Some(value),
        headers: Default::default(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, [&record], &options)?;
    Ok(batch.freeze())
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
