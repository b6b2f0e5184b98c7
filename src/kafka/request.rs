//! A request on its way through the door: from a frame, through the guard, to its handler and back.

use std::{cell::Cell, future::Future, pin::Pin, rc::Rc};

use broker::{Broker, StandingReads};
use bytes::BytesMut;
use kafka_protocol::protocol::{Decodable, Encodable};
use model::TopicPartition;
use runtime::{net::SocketAddr, sync::Notify};
use thiserror::Error;

use crate::{
    affinity::Affinity,
    apis::{self, Api},
    budget::{Admission, MemoryBudget},
    door_metrics::ApiMetrics,
    guard,
    header::{self, FixedHeader, ReplyFrame},
    limits::Limits,
    reply_errors::ErrorCodes,
    rope::Rope,
    wire::{Malformed, Reader, Writer},
};

/// What a handler gives back.
#[derive(Debug)]
pub enum Reply {
    /// A whole frame, size and header included.
    Frame(BytesMut),
    /// As `Frame`, in pieces.
    Pieces(Rope),
    /// As `Pieces`, with its share of the memory budget.
    Large(Rope, Admission),
    /// Nothing is sent (`acks=0`).
    Nothing,
    /// The connection is closed; the text says why, for the log.
    Close(String),
}

/// A handler at work.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Reply>>>;

/// Says when a connection's client has gone.
#[derive(Debug, Clone, Default)]
pub struct Disconnect {
    inner: Rc<(Cell<bool>, Notify)>,
}

impl Disconnect {
    /// The client has gone.
    pub fn announce(&self) {
        self.inner.0.set(true);
        self.inner.1.notify_waiters();
    }

    /// Resolves when the client has gone.
    pub async fn wait(self) {
        let gone = self.inner.1.notified();
        if !self.inner.0.get() {
            gone.await;
        }
    }
}

/// What a handler gets.
pub struct Request {
    /// The operations.
    pub broker: Rc<Broker>,
    /// How much a client may ask for.
    pub limits: Rc<Limits>,
    /// Which API and version, and the correlation id.
    pub header: FixedHeader,
    /// Whether the version has compact lengths and tagged fields.
    pub flexible: bool,
    /// What follows the header; it has passed the guard.
    pub body: BytesMut,
    /// The core's memory for requests and replies.
    pub budget: MemoryBudget,
    /// When the client goes.
    pub disconnect: Disconnect,
    /// What the connection's fetches wait for on other cores.
    pub standing: Rc<StandingReads>,
    /// To be told which cores the request is for, if it is for partitions.
    pub affinity: Affinity,
    /// Where the client is.
    pub peer: SocketAddr,
    /// What the client calls itself; empty but for [`apis::CLIENT_NAMED`].
    pub client_id: String,
    /// What this core counts of the API.
    pub(crate) metrics: Rc<ApiMetrics>,
}

impl Request {
    /// The API's version.
    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// Where the client is, as Kafka's tools show it.
    pub fn client_host(&self) -> String {
        format!("/{}", self.peer.ip())
    }

    /// Says which partitions the request is for: a connection goes where its partitions are.
    pub fn note_owners(&self, partitions: impl Iterator<Item = TopicPartition>) {
        self.affinity.note(partitions.filter_map(|partition| self.broker.owner(partition).ok()));
    }

    /// What the handler needs to keep for its reply.
    pub fn reply_to(&self) -> ReplyTo {
        ReplyTo {
            header: self.header,
            flexible: self.flexible,
            tagged_header: self.flexible,
            metrics: Rc::clone(&self.metrics),
        }
    }

    /// Decodes the body as the crate's `M` in the request's version, or in the crate's newest
    /// version where ours is newer with the same schema.
    pub fn decode<M: Decodable + kafka_protocol::protocol::Message>(
        &mut self,
    ) -> Result<M, UndecodableBody> {
        let version = self.version().min(M::VERSIONS.max);
        M::decode(&mut self.body, version).map_err(|error| UndecodableBody(error.to_string()))
    }
}

/// The crate refused a body that passed the guard.
#[derive(Debug, Error)]
#[error("malformed request: {0}")]
pub struct UndecodableBody(String);

impl From<UndecodableBody> for Reply {
    fn from(error: UndecodableBody) -> Reply {
        Reply::Close(error.to_string())
    }
}

impl From<Malformed> for Reply {
    fn from(error: Malformed) -> Reply {
        Reply::Close(error.to_string())
    }
}

/// Where a reply goes: correlation id, version, header form; and where its errors are counted.
#[derive(Debug, Clone)]
pub struct ReplyTo {
    header: FixedHeader,
    flexible: bool,
    tagged_header: bool,
    metrics: Rc<ApiMetrics>,
}

impl ReplyTo {
    /// The API's version.
    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// With reply header 0 in every version, as ApiVersions has it.
    pub fn with_plain_header(self) -> ReplyTo {
        ReplyTo { tagged_header: false, ..self }
    }

    /// Sends one of the crate's messages, in the version of the request or the crate's newest.
    pub(crate) fn send<M>(&self, message: &M) -> Reply
    where
        M: Encodable + kafka_protocol::protocol::Message + ErrorCodes,
    {
        self.count_errors(message.error_codes());
        let version = self.version().min(M::VERSIONS.max);
        let size = message.compute_size(version).unwrap_or(0);
        let mut bytes = self.begin(size);
        match message.encode(&mut bytes, version) {
            Ok(()) => self.finish(bytes),
            Err(error) => Reply::Close(format!("a reply could not be encoded: {error}")),
        }
    }

    /// Sends a body written by hand; `body_bytes` is about its size, `codes` are those that stand
    /// in it.
    pub fn send_by_hand(
        &self,
        body_bytes: usize,
        codes: impl IntoIterator<Item = i16>,
        write: impl FnOnce(&mut Writer),
    ) -> Reply {
        self.count_errors(codes);
        let mut writer = Writer::new(self.begin(body_bytes), self.flexible);
        write(&mut writer);
        match ReplyFrame::finish(writer.into_rope()) {
            Some(rope) => Reply::Pieces(rope),
            None => too_large(),
        }
    }

    /// Counts the error codes of a reply; 0 is none.
    pub fn count_errors(&self, codes: impl IntoIterator<Item = i16>) {
        codes.into_iter().for_each(|code| self.metrics.note_error(code));
    }

    fn begin(&self, body_bytes: usize) -> BytesMut {
        ReplyFrame::begin(self.header.correlation_id, self.tagged_header, body_bytes)
    }

    fn finish(&self, bytes: BytesMut) -> Reply {
        match ReplyFrame::finish(Rope::from(bytes)) {
            Some(rope) => Reply::Frame(rope.into_bytes()),
            None => too_large(),
        }
    }
}

fn too_large() -> Reply {
    Reply::Close("a reply exceeds 2 GiB".to_owned())
}

/// A frame that was understood as far as its header, and whose body passed the guard.
#[derive(Debug)]
pub struct Parsed {
    /// The handler's row of the table.
    pub api: &'static Api,
    /// Key, version, correlation id.
    pub header: FixedHeader,
    /// Whether the version has compact lengths and tagged fields.
    pub flexible: bool,
    /// Whether ApiVersions was asked in a version that we do not have: the body is not parsed.
    pub unknown_version: bool,
    /// What follows the header.
    pub body: BytesMut,
    /// Array elements and tagged fields in the body.
    pub elements: usize,
    /// What the client calls itself; empty but for [`apis::CLIENT_NAMED`].
    pub client_id: String,
}

/// Why a connection is closed without an answer, as Kafka closes it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// No API of this broker has the key.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// The API has no such version.
    #[error("{api} has no version {version} here, only {min} to {max}")]
    UnsupportedVersion {
        /// The API's name.
        api: &'static str,
        /// The version asked for.
        version: i16,
        /// The lowest one served.
        min: i16,
        /// The highest one served.
        max: i16,
    },
    /// The header or the body does not follow its schema.
    #[error("{api} version {version}: {malformed}")]
    Malformed {
        /// The API's name.
        api: &'static str,
        /// Its version.
        version: i16,
        /// What is wrong.
        malformed: Malformed,
    },
    /// Not even a header.
    #[error("a frame without a whole header: {0}")]
    Headless(Malformed),
}

/// Takes a frame (without its size) apart and lets the guard look at its body. A pure function of
/// untrusted bytes, and so a fuzz target.
pub fn parse(mut frame: BytesMut) -> Result<Parsed, ParseError> {
    let mut reader = Reader::new(&frame);
    let header = FixedHeader::parse(&mut reader).map_err(ParseError::Headless)?;
    let api = apis::find(header.api_key).ok_or(ParseError::UnknownApi(header.api_key))?;
    let version = header.api_version;
    let flexible = version >= api.flexible_since;
    if !api.serves(version) {
        if api.key == apis::API_VERSIONS_KEY {
            let parsed = Parsed {
                api,
                header: FixedHeader { api_version: 0, ..header },
                flexible: false,
                unknown_version: true,
                body: BytesMut::new(),
                elements: 0,
                client_id: String::new(),
            };
            return Ok(parsed);
        }
        let (min, max) = (api.served_min, api.version_max);
        return Err(ParseError::UnsupportedVersion { api: api.name, version, min, max });
    }
    let malformed = |malformed| ParseError::Malformed { api: api.name, version, malformed };
    let client_id = header::parse_client_id(&mut reader, flexible).map_err(malformed)?;
    let client_id = match client_id {
        Some(client_id) if apis::CLIENT_NAMED.contains(&api.key) => client_id.to_owned(),
        _ => String::new(),
    };
    let body = frame.split_off(reader.position());
    let elements = match &api.body {
        Some(fields) => {
            let schema = guard::Body { fields, flexible_since: api.flexible_since };
            guard::check(&schema, version, &body).map_err(malformed)?.elements
        }
        // Parsed by hand, with the same checks.
        None => 0,
    };
    Ok(Parsed { api, header, flexible, unknown_version: false, body, elements, client_id })
}
