//! What a reader has been told of other cores' partitions, and waits for there, from one fetch to the
//! next.
//!
//! A reader that follows its partitions asks again and again for what is not there yet. Without memory
//! each fetch asks every core that owns one of them, and takes the wait back from all but the one that
//! had something: messages that wake cores for nothing. So a core that has nothing to tell keeps the
//! question, and answers when there is something; the next fetch with the same question finds it there.
//!
//! A core answers with data only while a fetch is waiting. Otherwise it says that there is something,
//! so that a reader that has gone away, or thinks, holds no batches in memory. Such a core is read in
//! full by the next fetch, before that is answered: none is passed over because another is quicker.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::future::{self, Either};
use model::CoreId;
use runtime::sync::oneshot;

use crate::{
    Broker, BrokerError, FetchRequest, Fetched, Outcome,
    fetch::{Placed, PlacedOutcome},
};

/// A question about more partitions of one core does not stand: what it takes, some 300 bytes a partition, is in
/// nobody's memory budget.
const PARTITIONS_MAX: usize = 256;

/// What an answer to a standing question brings at most, unless the reader waits for more: should the reader be
/// gone after all when it comes, it lies there until the next fetch.
const FIRED_BYTES_MAX: usize = 1 << 20;

/// One reader's standing questions. Dropped, they are taken back.
#[derive(Default)]
pub struct StandingReads {
    by_core: RefCell<BTreeMap<CoreId, Standing>>,
    /// Whether a fetch is waiting.
    waiting: Arc<AtomicBool>,
}

/// A question that a core keeps.
struct Standing {
    asked: Vec<Placed>,
    fired_bytes_max: usize,
    /// What it answered at first: nothing new, but how far each partition goes.
    seen: Vec<PlacedOutcome>,
    fired: oneshot::Receiver<Fired>,
    /// Dropped with this.
    _cancel: oneshot::Sender<()>,
}

/// What a core says once there is something.
enum Fired {
    Read(Vec<PlacedOutcome>),
    /// Nobody was waiting: read it when you come.
    Unread,
}

/// What is known of a core before it is asked.
pub(crate) enum Known {
    /// It has to be read.
    Nothing,
    /// It has been read just now.
    Read(Vec<PlacedOutcome>),
    /// There was nothing, and it will tell when there is.
    Waits(Vec<PlacedOutcome>),
}

impl StandingReads {
    /// Counts as waiting while the result lives.
    pub(crate) fn begin_waiting(&self) -> Waiting<'_> {
        self.waiting.store(true, Ordering::Release);
        Waiting(self)
    }

    /// Takes back what other cores than these were asked.
    pub(crate) fn keep_only(&self, is_asked: impl Fn(CoreId) -> bool) {
        self.by_core.borrow_mut().retain(|core, _| is_asked(*core));
    }

    /// What a question to a core would give now. If the same one does not stand, none does afterwards.
    pub(crate) fn know(&self, core: CoreId, asked: &[Placed], request: &FetchRequest) -> Known {
        let mut by_core = self.by_core.borrow_mut();
        let Some(standing) = by_core.get_mut(&core) else { return Known::Nothing };
        let fired_bytes_max = fired_bytes_max(request);
        if standing.asked == asked && standing.fired_bytes_max == fired_bytes_max {
            match standing.fired.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => {
                    return Known::Waits(standing.seen.clone());
                }
                Ok(Fired::Read(outcomes)) => {
                    by_core.remove(&core);
                    return Known::Read(outcomes);
                }
                Ok(Fired::Unread) | Err(oneshot::error::TryRecvError::Closed) => {}
            }
        }
        by_core.remove(&core);
        Known::Nothing
    }

    /// Whether a core will tell by itself when it has something.
    pub(crate) fn stands(&self, core: CoreId) -> bool {
        self.by_core.borrow().contains_key(&core)
    }

    fn keep(&self, core: CoreId, standing: Standing) {
        self.by_core.borrow_mut().insert(core, standing);
    }

    /// Resolves with what the first core reads that has something. Never, if none is asked.
    pub(crate) fn next(&self) -> impl Future<Output = Vec<PlacedOutcome>> {
        future::poll_fn(|context| self.poll_next(context))
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Vec<PlacedOutcome>> {
        let mut by_core = self.by_core.borrow_mut();
        let mut ready = None;
        for (core, standing) in by_core.iter_mut() {
            if let Poll::Ready(fired) = Pin::new(&mut standing.fired).poll(context) {
                let outcomes = match fired {
                    Ok(Fired::Read(outcomes)) => outcomes,
                    // It fired before this fetch waited: what there is, the next one reads.
                    Ok(Fired::Unread) => Vec::new(),
                    // A core that has stopped is told as by a read, not waited for again.
                    Err(_) => refused(&standing.asked),
                };
                ready = Some((*core, outcomes));
                break;
            }
        }
        match ready {
            Some((core, outcomes)) => {
                by_core.remove(&core);
                Poll::Ready(outcomes)
            }
            None => Poll::Pending,
        }
    }
}

/// See [`StandingReads::begin_waiting`].
pub(crate) struct Waiting<'a>(&'a StandingReads);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.store(false, Ordering::Release);
    }
}

pub(crate) fn refused(asked: &[Placed]) -> Vec<PlacedOutcome> {
    asked.iter().map(|(place, _)| (*place, Err(BrokerError::Stopping))).collect()
}

fn fired_bytes_max(request: &FetchRequest) -> usize {
    request.max_bytes.min(request.min_bytes.max(FIRED_BYTES_MAX))
}

/// Whether a question with this first answer is to stand.
fn is_to_stand(outcomes: &[PlacedOutcome]) -> bool {
    let nothing = |outcome: &Outcome<Fetched>| {
        outcome.as_ref().is_ok_and(|fetched| fetched.batches.is_empty())
    };
    outcomes.len() <= PARTITIONS_MAX && outcomes.iter().all(|(_, outcome)| nothing(outcome))
}

impl Broker {
    /// Reads partitions of another core. If there is nothing to read, the core keeps the question.
    pub(crate) async fn read_there(
        self: &Rc<Self>,
        core: CoreId,
        asked: Vec<Placed>,
        request: &FetchRequest,
        standing: &StandingReads,
    ) -> Vec<PlacedOutcome> {
        let (max_bytes, fired_bytes_max) = (request.max_bytes, fired_bytes_max(request));
        let (cancel, cancelled) = oneshot::channel::<()>();
        let (fire, fired) = oneshot::channel();
        let waiting = Arc::clone(&standing.waiting);
        let group = asked.clone();
        let (answer, answered) = oneshot::channel();
        // The call's own end is not waited for: it lasts as long as the question stands.
        drop(self.cores().call(core, move |owner: Rc<Broker>| async move {
            let outcomes = owner.read_here(group.clone(), max_bytes).await;
            let ends = group.iter().zip(&outcomes).filter_map(|((_, partition), (_, outcome))| {
                Some((*partition, outcome.as_ref().ok()?.high_watermark))
            });
            let ends: Vec<_> = ends.collect();
            let stands = is_to_stand(&outcomes);
            if answer.send(outcomes).is_err() || !stands {
                return;
            }
            let appended = pin!(owner.wait_here(ends.into_iter()));
            if let Either::Right(_) = future::select(appended, cancelled).await {
                return;
            }
            let told = if waiting.load(Ordering::Acquire) {
                Fired::Read(owner.read_here(group, fired_bytes_max).await)
            } else {
                Fired::Unread
            };
            // Whoever asked may have gone.
            let _ = fire.send(told);
        }));
        let Ok(outcomes) = answered.await else { return refused(&asked) };
        if is_to_stand(&outcomes) {
            let seen = outcomes.clone();
            let kept = Standing { asked, fired_bytes_max, seen, fired, _cancel: cancel };
            standing.keep(core, kept);
        }
        outcomes
    }
}
