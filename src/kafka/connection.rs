//! One client's connection: requests in, replies out, in order.
//!
//! Two halves run as one task. The reader takes frames, parses them and starts their handlers; the
//! writer awaits the replies in the order of the requests and writes them. A connection has a
//! number of slots: a produce request takes one, so several may be under way; any other takes all,
//! so it starts when everything before it is answered, as Kafka works off one request at a time.
//!
//! Between two requests, when nothing is under way, a connection may leave for the core that owns
//! what it works with ([`crate::affinity`]).

use std::{cell::Cell, io::IoSlice, rc::Rc, sync::Arc, time::Duration};

use broker::{Broker, StandingReads};
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use model::CoreId;
use runtime::{
    Instant,
    net::{MovingStream, ReadHalf, SocketAddr, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::{
    affinity::Affinity,
    budget::{Admission, MemoryBudget},
    door_metrics::{ApiMetrics, DoorMetrics},
    frames::{Frame, FrameError, FrameReader},
    handlers::api_versions,
    limits::Limits,
    moves::{Arrival, Departure},
    request::{self, Disconnect, Reply, ReplyFuture, Request},
    rope::Rope,
};

/// Most produce requests under way on one connection.
const SLOTS: u32 = 64;
/// How long replies under way may take once the client has stopped sending.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// A large reply is written in pieces, each of which the client must take in time: a reply holds
/// memory.
const PIECE_BYTES: usize = 256 << 10;
/// After so many bytes of a large reply everybody else on the core gets a turn.
const TURN_BYTES: usize = 512 << 10;
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

/// Why a connection is served here no longer.
pub enum Ending {
    /// It is closed.
    Closed,
    /// It goes to another core.
    Moves(CoreId, Departure),
    /// It should have moved, but the process has no descriptor left for that: it is to be served on.
    Stays(Arrival),
}

/// Serves a connection until the client goes, misbehaves, or `draining` resolves and what is under
/// way is answered; or until it moves to another core.
pub async fn serve(door: Rc<Door>, arrival: Arrival, draining: impl Future<Output = ()>) -> Ending {
    let Arrival { stream, first, moves } = arrival;
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
        affinity: Affinity::new(door.broker.core(), moves),
        standing: Rc::default(),
        door,
        peer,
        frames,
        disconnect: disconnect.clone(),
        queue,
        activity: activity.clone(),
    };
    let enough = Box::pin(select(Box::pin(draining), Box::pin(activity.clone().idle(idle_max))));
    let reading = Box::pin(select(Box::pin(reader.run(first)), enough));
    let writing = Box::pin(write_replies(write_half, started, metrics, peer, activity));
    let write_half = match select(reading, writing).await {
        Either::Left((Either::Left((Some(leave), _)), writing)) => {
            // Nothing is under way, and with the reader its queue has gone: this does not wait.
            return leave.with(writing.await, moves);
        }
        Either::Left((reading, writing)) => {
            // With the reader goes the queue's sender, so that the writer comes to its end.
            drop(reading);
            // Waiting fetches end without a reply; the others get theirs, if in time.
            disconnect.announce();
            match runtime::timeout(DRAIN_MAX, writing).await {
                Ok(write_half) => Some(write_half),
                Err(_) => {
                    tracing::info!(%peer, "replies under way were given up");
                    None
                }
            }
        }
        Either::Right((write_half, _reading)) => {
            // Dropping the reader ends whatever is under way.
            disconnect.announce();
            Some(write_half)
        }
    };
    if let Some(mut write_half) = write_half {
        // A client that has gone need not be told.
        let _ = write_half.close().await;
    }
    Ending::Closed
}

/// A connection that is to go to another core, with the request that has just come.
struct Leave {
    core: CoreId,
    first: Frame,
    read_half: ReadHalf,
}

impl Leave {
    fn with(self, write_half: WriteHalf, moves: u32) -> Ending {
        let Leave { core, first, read_half } = self;
        let moves = moves.saturating_add(1);
        match MovingStream::depart(read_half, write_half) {
            Ok(stream) => Ending::Moves(core, Departure { stream, first, moves }),
            Err(stream) => Ending::Stays(Arrival { stream, first: Some(first), moves }),
        }
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
    affinity: Affinity,
    standing: Rc<StandingReads>,
}

impl Reader {
    /// Returns when no more requests are to be read here: the connection is to end, or to leave.
    async fn run(mut self, first: Option<Frame>) -> Option<Leave> {
        let slots = Arc::new(Semaphore::new(SLOTS as usize));
        if let Some(frame) = first {
            let began = self.activity.note();
            if !self.start(frame, began, &slots).await {
                return None;
            }
        }
        loop {
            let frame = match self.frames.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(peer = %self.peer, %error, "connection closed");
                    if !matches!(error, FrameError::Io(_)) {
                        self.door.metrics.closed_for_cause.increment();
                    }
                    return None;
                }
            };
            if let Some(core) = self.affinity.elsewhere()
                && slots.available_permits() == SLOTS as usize
                && self.frames.is_between_frames()
            {
                let read_half = self.frames.into_half();
                return Some(Leave { core, first: frame, read_half });
            }
            let began = self.activity.note();
            if !self.start(frame, began, &slots).await {
                return None;
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
            affinity: self.affinity.clone(),
            standing: Rc::clone(&self.standing),
            peer: self.peer,
            client_id: parsed.client_id,
            metrics: Rc::clone(&metrics),
        };
        let reply = serve(request);
        let _held = (frame.admission, decoded, slot);
        self.queue.send(Started { reply, began, metrics, _held }).is_ok()
    }
}

/// Writes replies in the order of their requests; gives its half back when there are no more, or when
/// the connection must end.
async fn write_replies(
    mut half: WriteHalf,
    mut started: mpsc::UnboundedReceiver<Started>,
    door: Rc<DoorMetrics>,
    peer: SocketAddr,
    activity: Activity,
) -> WriteHalf {
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
        door.sent_bytes.add(group.replies.len() as u64);
        let written = write(&mut half, &group.replies).await;
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
    half
}

/// Replies that are written together.
#[derive(Default)]
struct Group {
    replies: Rope,
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
        self.close.is_none() && self.replies.len() < GROUP_BYTES_MAX
    }

    fn take(&mut self, started: Started, reply: Reply) {
        let Started { began, metrics, _held, .. } = started;
        let share = match reply {
            Reply::Frame(frame) => {
                self.replies.append(Rope::from(frame));
                None
            }
            Reply::Pieces(rope) => {
                self.replies.append(rope);
                None
            }
            Reply::Large(rope, share) => {
                self.replies.append(rope);
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
}

/// Hands all of a reply to the socket; false if the client does not take it.
async fn write(half: &mut WriteHalf, reply: &Rope) -> bool {
    let mut slices = reply.slices();
    let mut rest = slices.as_mut_slice();
    if reply.len() <= PIECE_BYTES {
        while !rest.is_empty() {
            let Ok(count) = half.write_vectored(rest, PIECE_BYTES).await else { return false };
            IoSlice::advance_slices(&mut rest, count);
        }
        return true;
    }
    let mut since_turn_bytes = 0;
    while !rest.is_empty() {
        let piece = half.write_vectored(rest, PIECE_BYTES);
        let Ok(Ok(count)) = runtime::timeout(PIECE_TIME_MAX, piece).await else { return false };
        IoSlice::advance_slices(&mut rest, count);
        since_turn_bytes += count;
        if since_turn_bytes >= TURN_BYTES && !rest.is_empty() {
            since_turn_bytes = 0;
            runtime::yield_now().await;
        }
    }
    true
}
