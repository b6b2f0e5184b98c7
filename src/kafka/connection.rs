//! One client's connection: requests in, replies out, in order.
//!
//! Two halves run as one task. The reader takes frames, parses them and starts their handlers; the
//! writer awaits the replies in the order of the requests and writes them. A connection has a
//! number of slots: a produce request takes one, so several may be under way; any other takes all,
//! so it starts when everything before it is answered, as Kafka works off one request at a time.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use broker::Broker;
use bytes::BytesMut;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use runtime::{
    Instant,
    net::{SocketAddr, Stream, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::{
    budget::{Admission, MemoryBudget},
    door_metrics::{ApiMetrics, DoorMetrics},
    frames::{Frame, FrameError, FrameReader},
    handlers::api_versions,
    limits::Limits,
    request::{self, Disconnect, Reply, ReplyFuture, Request},
};

/// Most produce requests under way on one connection.
const SLOTS: u32 = 64;
/// How long replies under way may take once the client has stopped sending.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// A large reply is written in pieces, each of which the client must take in time: a reply holds
/// memory.
const PIECE_BYTES: usize = 256 << 10;
/// Replies that are ready together are written together until they have so many bytes: a larger one is not copied
/// behind a smaller.
const GROUP_BYTES_MAX: usize = 16 << 10;
/// What precedes a frame.
const FRAME_SIZE_BYTES: usize = 4;
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// What all connections of a core share.
pub struct Door {
    /// The operations.
    pub broker: Rc<Broker>,
    /// How much a client may ask for.
    pub limits: Rc<Limits>,
    /// Memory for requests and replies.
    pub budget: MemoryBudget,
    /// What the core counts.
    pub metrics: Rc<DoorMetrics>,
}

/// A request that was started.
struct Started {
    reply: ReplyFuture,
    began: Instant,
    metrics: Rc<ApiMetrics>,
    _held: Held,
}

/// Shares of memory and slots, given back when the reply is written.
type Held = (Admission, Option<Admission>, OwnedSemaphorePermit);

/// Serves a connection until the client goes, misbehaves, or `draining` resolves and what is under
/// way is answered.
pub async fn serve(door: Rc<Door>, stream: Stream, draining: impl Future<Output = ()>) {
    let peer = stream.peer_address();
    let (read_half, write_half) = stream.split();
    let frame_bytes_max = door.limits.request_bytes_max;
    let frames = FrameReader::new(read_half, frame_bytes_max, door.budget.clone());
    let disconnect = Disconnect::default();
    let activity = Activity::default();
    let idle_max = door.limits.idle_max;
    let metrics = Rc::clone(&door.metrics);
    let (queue, started) = mpsc::unbounded_channel();
    let reader = Reader {
        door,
        peer,
        frames,
        disconnect: disconnect.clone(),
        queue,
        activity: activity.clone(),
    };
    let enough = Box::pin(select(Box::pin(draining), Box::pin(activity.clone().idle(idle_max))));
    let reading = Box::pin(select(Box::pin(reader.run()), enough));
    let writing = Box::pin(write_replies(write_half, started, metrics, peer, activity));
    match select(reading, writing).await {
        Either::Left((reading, writing)) => {
            // With the reader goes the queue's sender, so that the writer comes to its end.
            drop(reading);
            // Waiting fetches end without a reply; the others get theirs, if in time.
            disconnect.announce();
            if runtime::timeout(DRAIN_MAX, writing).await.is_err() {
                tracing::info!(%peer, "replies under way were given up");
            }
        }
        // Dropping the reader, and with it the socket, ends whatever is under way.
        Either::Right(_) => disconnect.announce(),
    }
}

/// When something last happened on a connection.
#[derive(Clone)]
struct Activity(Rc<Cell<Instant>>);

impl Default for Activity {
    fn default() -> Activity {
        Activity(Rc::new(Cell::new(runtime::now())))
    }
}

impl Activity {
    /// Something happens now.
    fn note(&self) -> Instant {
        let now = runtime::now();
        self.0.set(now);
        now
    }

    /// Resolves when nothing has happened for `idle_max`. One long timer, however much happens.
    async fn idle(self, idle_max: Option<Duration>) {
        let Some(idle_max) = idle_max else { return std::future::pending().await };
        loop {
            let idle = runtime::now() - self.0.get();
            if idle >= idle_max {
                return;
            }
            runtime::sleep(idle_max - idle).await;
        }
    }
}

struct Reader {
    door: Rc<Door>,
    peer: SocketAddr,
    frames: FrameReader,
    disconnect: Disconnect,
    queue: mpsc::UnboundedSender<Started>,
    activity: Activity,
}

impl Reader {
    /// Returns when no more requests are to be read.
    async fn run(mut self) {
        let slots = Arc::new(Semaphore::new(SLOTS as usize));
        loop {
            let frame = match self.frames.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(peer = %self.peer, %error, "connection closed");
                    if !matches!(error, FrameError::Io(_)) {
                        self.door.metrics.closed_for_cause.increment();
                    }
                    return;
                }
            };
            let began = self.activity.note();
            if !self.start(frame, began, &slots).await {
                return;
            }
        }
    }

    /// Starts a frame's handler; false if the connection must end.
    async fn start(&mut self, frame: Frame, began: Instant, slots: &Arc<Semaphore>) -> bool {
        self.door.metrics.received_bytes.add((FRAME_SIZE_BYTES + frame.bytes.len()) as u64);
        let parsed = match request::parse(frame.bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::warn!(peer = %self.peer, %error, "connection closed");
                self.door.metrics.closed_for_cause.increment();
                return false;
            }
        };
        let Some(metrics) = self.door.metrics.of(parsed.api).cloned() else { return false };
        metrics.requests.increment();
        let wanted = if parsed.api.pipelined { 1 } else { SLOTS };
        let slot = Box::pin(Arc::clone(slots).acquire_many_owned(wanted));
        let slot = match select(slot, Box::pin(self.frames.closed())).await {
            Either::Left((Ok(slot), _)) => slot,
            // The client has gone while earlier requests were worked on.
            _ => return false,
        };
        let decoded = match parsed.elements {
            0 => None,
            elements => Some(self.door.budget.admit_decoded(elements).await),
        };
        let serve =
            if parsed.unknown_version { api_versions::unknown_version } else { parsed.api.serve };
        let request = Request {
            broker: Rc::clone(&self.door.broker),
            limits: Rc::clone(&self.door.limits),
            header: parsed.header,
            flexible: parsed.flexible,
            body: parsed.body,
            budget: self.door.budget.clone(),
            disconnect: self.disconnect.clone(),
            peer: self.peer,
            client_id: parsed.client_id,
            metrics: Rc::clone(&metrics),
        };
        let reply = serve(request);
        let _held = (frame.admission, decoded, slot);
        self.queue.send(Started { reply, began, metrics, _held }).is_ok()
    }
}

/// Writes replies in the order of their requests; returns when there are no more, or when the
/// connection must end.
async fn write_replies(
    mut half: WriteHalf,
    mut started: mpsc::UnboundedReceiver<Started>,
    door: Rc<DoorMetrics>,
    peer: SocketAddr,
    activity: Activity,
) {
    let mut not_ready = None;
    loop {
        let first = match not_ready.take() {
            Some(first) => Some(first),
            None => started.recv().await,
        };
        let Some(mut first) = first else { break };
        let reply = (&mut first.reply).await;
        let mut group = Group::default();
        group.take(first, reply);
        // What one write of the journal made durable goes out with one write to the socket.
        while group.has_room() {
            let Ok(mut next) = started.try_recv() else { break };
            match (&mut next.reply).now_or_never() {
                Some(reply) => group.take(next, reply),
                None => {
                    not_ready = Some(next);
                    break;
                }
            }
        }
        door.sent_bytes.add(group.bytes.len() as u64);
        let written = group.bytes.is_empty() || write(&mut half, &group.bytes).await;
        let now = activity.note();
        for answered in group.answered {
            answered.metrics.note_done(now - answered.began);
        }
        if let Some(reason) = group.close {
            tracing::warn!(%peer, reason, "connection closed");
            door.closed_for_cause.increment();
            break;
        }
        if !written {
            break;
        }
    }
    // A client that has gone need not be told.
    let _ = half.close().await;
}

/// Replies that are written together.
#[derive(Default)]
struct Group {
    bytes: BytesMut,
    /// A request gives back its share of memory, and its slot, when its reply is written.
    answered: Vec<Answered>,
    /// Why the connection ends behind these.
    close: Option<String>,
}

/// A request with its reply in a [`Group`].
struct Answered {
    began: Instant,
    metrics: Rc<ApiMetrics>,
    _held: (Held, Option<Admission>),
}

impl Group {
    fn has_room(&self) -> bool {
        self.close.is_none() && self.bytes.len() < GROUP_BYTES_MAX
    }

    fn take(&mut self, started: Started, reply: Reply) {
        let Started { began, metrics, _held, .. } = started;
        let share = match reply {
            Reply::Frame(frame) => {
                self.add(frame);
                None
            }
            Reply::Large(frame, share) => {
                self.add(frame);
                Some(share)
            }
            Reply::Nothing => None,
            Reply::Close(reason) => {
                self.close = Some(reason);
                None
            }
        };
        self.answered.push(Answered { began, metrics, _held: (_held, share) });
    }

    fn add(&mut self, frame: BytesMut) {
        if self.bytes.is_empty() {
            self.bytes = frame;
        } else {
            self.bytes.extend_from_slice(&frame);
        }
    }
}

async fn write(half: &mut WriteHalf, bytes: &[u8]) -> bool {
    if bytes.len() <= PIECE_BYTES {
        return half.write_all(bytes).await.is_ok();
    }
    for piece in bytes.chunks(PIECE_BYTES) {
        match runtime::timeout(PIECE_TIME_MAX, half.write_all(piece)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    true
}
