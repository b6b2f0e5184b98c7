//! A broker to talk to, and a client that talks.

use std::{path::PathBuf, time::Duration};

use runtime::net::SocketAddr;

use broker::{BrokerHandle, BrokerSettings, RunningBroker};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join;
use kafka::{DoorReader, Doors, KafkaConfig};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request, StrBytes};
use runtime::{
    net::{self, ReadHalf, WriteHalf},
    simulation::{self, CrashKind, Simulation},
    sync::oneshot,
};

/// Runs a conversation with a new broker that has these settings.
pub fn with_broker<F>(configs: &[(&str, &str)], conversation: impl FnOnce(Client) -> F + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let settings = settings(configs);
    Simulation::new(1).run(async move {
        let broker = RunningBroker::start(settings).await.unwrap();
        let listen = "127.0.0.1:9092".parse().unwrap();
        let doors = Doors::open(broker.handle(), KafkaConfig { listen }).await.unwrap();
        let shown = Shown { doors: doors.reader(), broker: broker.handle().clone() };
        conversation(Client::connect(doors.local_address(), shown).await).await;
        // Nothing is under way any more, so nothing must be waited for.
        let began = runtime::now();
        doors.close().await;
        assert!(runtime::now() - began < Duration::from_secs(1));
        broker.stop().await.unwrap();
    });
}

fn settings(configs: &[(&str, &str)]) -> BrokerSettings {
    let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    BrokerSettings {
        data_dir: PathBuf::from("/data"),
        cores: 2,
        pin_cores: false,
        idle_spin_us: 0,
        memory_bytes: 64 << 20,
        advertised_host: "broker.test".into(),
        advertised_port: 9092,
        configs,
        storage: broker::StorageSettings::default(),
    }
}

/// Runs a conversation with a broker that can be killed and started again.
pub fn with_restarts<F>(
    configs: &[(&str, &str)],
    conversation: impl FnOnce(Restartable) -> F + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    with_restarts_of_seed(1, configs, conversation);
}

/// The same, where chance decides by a seed.
pub fn with_restarts_of_seed<F>(
    seed: u64,
    configs: &[(&str, &str)],
    conversation: impl FnOnce(Restartable) -> F + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    let restartable = Restartable { settings: settings(configs) };
    Simulation::new(seed).run(async move { conversation(restartable).await });
}

/// A broker that can be killed and started again.
pub struct Restartable {
    settings: BrokerSettings,
}

impl Restartable {
    /// Starts the broker and connects to it.
    pub async fn start(&self) -> Client {
        let (ready, started) = oneshot::channel();
        let settings = self.settings.clone();
        let process = simulation::start_process("broker", async move {
            let broker = RunningBroker::start(settings).await.unwrap();
            let listen = "127.0.0.1:9092".parse().unwrap();
            let doors = Doors::open(broker.handle(), KafkaConfig { listen }).await.unwrap();
            let shown = Shown { doors: doors.reader(), broker: broker.handle().clone() };
            ready.send((doors.local_address(), shown)).ok();
            std::future::pending::<()>().await;
            drop((doors, broker));
        });
        drop(process);
        let (address, shown) = started.await.expect("the broker starts");
        Client::connect(address, shown).await
    }

    /// Ends the process as `kill -9` does.
    pub fn kill(&self) {
        simulation::crash(CrashKind::Kill);
    }

    /// Takes the power away: what was not synced is gone.
    pub fn cut_power(&self) {
        simulation::crash(CrashKind::PowerCut);
    }
}

/// What an operator sees of the broker that a client talks to.
#[derive(Clone)]
pub struct Shown {
    pub doors: DoorReader,
    pub broker: BrokerHandle,
}

/// One connection.
pub struct Client {
    pub shown: Shown,
    address: SocketAddr,
    read: ReadHalf,
    write: WriteHalf,
    correlation_id: i32,
}

impl Client {
    async fn connect(address: SocketAddr, shown: Shown) -> Client {
        let (read, write) = net::connect(address).await.unwrap().split();
        Client { shown, address, read, write, correlation_id: 0 }
    }

    /// Another connection to the same broker.
    pub async fn another(&self) -> Client {
        Client::connect(self.address, self.shown.clone()).await
    }

    /// Sends a request and reads its reply.
    pub async fn ask<R: Request>(&mut self, version: i16, request: R) -> R::Response
    where
        R::Response: Decodable + HeaderVersion,
    {
        self.send(version, request).await;
        self.reply::<R>(version).await
    }

    /// Sends a request without waiting for its reply.
    pub async fn send<R: Request>(&mut self, version: i16, request: R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        self.correlation_id += 1;
        let tagged = R::header_version(version) >= 2;
        let frame = frame(R::KEY, version, self.correlation_id, tagged, &body);
        self.send_bytes(&frame).await;
    }

    /// Sends a request and reads its reply; `None` if the broker has gone.
    pub async fn try_ask<R: Request>(&mut self, version: i16, request: R) -> Option<R::Response>
    where
        R::Response: Decodable + HeaderVersion,
    {
        self.send(version, request).await;
        let mut frame = self.reply_bytes().await?;
        let head_bytes = if R::Response::header_version(version) == 1 { 5 } else { 4 };
        Some(R::Response::decode(&mut frame.split_off(head_bytes), version).unwrap())
    }

    /// Reads the next reply, which must belong to the last request.
    pub async fn reply<R: Request>(&mut self, version: i16) -> R::Response
    where
        R::Response: Decodable + HeaderVersion,
    {
        let (correlation_id, response) = self.any_reply::<R>(version).await;
        assert_eq!(correlation_id, self.correlation_id);
        response
    }

    /// Reads the next reply and its correlation id.
    pub async fn any_reply<R: Request>(&mut self, version: i16) -> (i32, R::Response)
    where
        R::Response: Decodable + HeaderVersion,
    {
        let mut frame = self.reply_bytes().await.expect("the connection was closed");
        let correlation_id = i32::from_be_bytes(frame.split_to(4)[..].try_into().unwrap());
        if R::Response::header_version(version) == 1 {
            assert_eq!(frame.split_to(1)[..], [0]);
        }
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty(), "{} bytes too many", frame.len());
        (correlation_id, response)
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        // A connection that the broker has closed already shows in what is read.
        let _ = self.write.write_all(bytes).await;
    }

    /// Sends bytes as they are and reads so many replies meanwhile, as a client must that sends
    /// more than the network holds. Gives their correlation ids.
    pub async fn send_and_read(&mut self, bytes: &[u8], replies: usize) -> Vec<i32> {
        let Client { read, write, .. } = self;
        let reading = async {
            let mut ids = Vec::new();
            for _ in 0..replies {
                let reply = read_reply(read).await.expect("the connection was closed");
                ids.push(i32::from_be_bytes(reply[..4].try_into().unwrap()));
            }
            ids
        };
        let (sent, ids) = join(write.write_all(bytes), reading).await;
        sent.unwrap();
        ids
    }

    /// The next reply without its size; `None` if the broker closed the connection.
    pub async fn reply_bytes(&mut self) -> Option<Bytes> {
        read_reply(&mut self.read).await
    }

    /// Makes a topic and gives its id.
    pub async fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> uuid::Uuid {
        use kafka_protocol::messages::{
            CreateTopicsRequest,
            create_topics_request::{CreatableTopic, CreatableTopicConfig},
        };
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(-1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let response = self.ask(7, request).await;
        let result = &response.topics[0];
        assert_eq!(result.error_code, 0, "{:?}", result.error_message);
        result.topic_id
    }
}

async fn read_reply(read: &mut ReadHalf) -> Option<Bytes> {
    let mut size = [0; 4];
    read.read_exact(&mut size).await.ok()?;
    let mut frame = vec![0; i32::from_be_bytes(size) as usize];
    read.read_exact(&mut frame).await.ok()?;
    Some(Bytes::from(frame))
}

/// A request's frame, size included.
pub fn frame(key: i16, version: i16, correlation_id: i32, tagged: bool, body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    let client_id = b"test";
    frame.put_i32((10 + client_id.len() + usize::from(tagged) + body.len()) as i32);
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    frame.put_i16(client_id.len() as i16);
    frame.put_slice(client_id);
    if tagged {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    frame
}

/// A text as the crate takes it.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name as the crate takes it.
pub fn topic_name(name: &str) -> kafka_protocol::messages::TopicName {
    kafka_protocol::messages::TopicName(text(name))
}
