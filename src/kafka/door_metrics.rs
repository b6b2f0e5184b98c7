//! What one core's Kafka door counts, and how the numbers leave the core.
//!
//! Counters are fields of what a request passes through anyway ([`ApiMetrics`] travels with it), so
//! that counting looks nothing up. Errors have a map, which a request without one does not touch.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use kafka_protocol::ResponseError;
use metrics::{Buckets, Counter, Histogram, HistogramCounts};
use runtime::{
    CoreStopped,
    sync::{mpsc, oneshot},
};

use crate::apis::{APIS, Api};

/// What one core has counted.
#[derive(Debug)]
pub struct DoorMetrics {
    /// In the order of [`APIS`].
    apis: Vec<Rc<ApiMetrics>>,
    /// Bytes of whole requests, their sizes included.
    pub(crate) received_bytes: Counter,
    /// Bytes of replies written.
    pub(crate) sent_bytes: Counter,
    /// Connections accepted.
    pub(crate) accepted: Counter,
    /// Connections taken up that another core had accepted.
    pub(crate) taken_up: Counter,
    /// Connections closed because of what the client sent, or did not go on to send.
    pub(crate) closed_for_cause: Counter,
}

/// What one core has counted of one API.
#[derive(Debug)]
pub(crate) struct ApiMetrics {
    pub requests: Counter,
    /// From a whole request to a reply that the socket has taken, in nanoseconds.
    pub time: Histogram,
    /// By Kafka's code, once for each part of a reply that carries it.
    errors: RefCell<BTreeMap<i16, u64>>,
}

impl ApiMetrics {
    fn new() -> ApiMetrics {
        ApiMetrics {
            requests: Counter::default(),
            time: Histogram::new(Buckets::NANOSECONDS),
            errors: RefCell::default(),
        }
    }

    /// Counts an error code of a reply; 0 is none.
    pub fn note_error(&self, code: i16) {
        if code != 0 {
            *self.errors.borrow_mut().entry(code).or_default() += 1;
        }
    }

    /// Counts a request that is done.
    pub fn note_done(&self, took: Duration) {
        self.time.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl DoorMetrics {
    pub(crate) fn new() -> DoorMetrics {
        DoorMetrics {
            apis: APIS.iter().map(|_| Rc::new(ApiMetrics::new())).collect(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            accepted: Counter::default(),
            taken_up: Counter::default(),
            closed_for_cause: Counter::default(),
        }
    }

    /// The counters of an API.
    pub(crate) fn of(&self, api: &Api) -> Option<&Rc<ApiMetrics>> {
        let row = APIS.binary_search_by_key(&api.key, |api| api.key).ok()?;
        self.apis.get(row)
    }

    /// What was counted so far.
    pub(crate) fn api_counts(&self) -> Vec<ApiCounts> {
        let counts = |(api, counted): (&Api, &Rc<ApiMetrics>)| ApiCounts {
            name: api.name,
            requests: counted.requests.get(),
            time_ns: counted.time.counts(),
            errors: counted.errors.borrow().clone(),
        };
        APIS.iter().zip(&self.apis).map(counts).collect()
    }
}

/// What one core's door has counted, and what it holds at the moment.
#[derive(Debug, Clone, Default)]
pub struct DoorCounts {
    /// By API, those too that nobody asked for.
    pub apis: Vec<ApiCounts>,
    /// Bytes of whole requests.
    pub received_bytes: u64,
    /// Bytes of replies.
    pub sent_bytes: u64,
    /// Connections that are open.
    pub connections_open: usize,
    /// Connections accepted so far.
    pub connections_accepted: u64,
    /// Connections taken up so far that another core had accepted.
    pub connections_taken_up: u64,
    /// Connections closed because of what the client sent, or did not go on to send.
    pub connections_closed_for_cause: u64,
    /// Memory taken by requests and replies, in bytes.
    pub memory_used_bytes: usize,
    /// The most that they may take, in bytes.
    pub memory_max_bytes: usize,
}

/// What was counted of one API.
#[derive(Debug, Clone)]
pub struct ApiCounts {
    /// Kafka's name for it.
    pub name: &'static str,
    /// Requests begun.
    pub requests: u64,
    /// How long those took that are done, in nanoseconds: from a whole request to a reply that the
    /// socket has taken, waiting included.
    pub time_ns: HistogramCounts,
    /// Error codes in replies, with how often each stood there.
    pub errors: BTreeMap<i16, u64>,
}

impl ApiCounts {
    /// Adds what another core has counted of the same API.
    pub fn merge(&mut self, other: &ApiCounts) {
        self.requests += other.requests;
        self.time_ns.merge(&other.time_ns);
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
    }
}

/// Kafka's name for an error code, as in `UNKNOWN_TOPIC_OR_PARTITION`.
pub fn error_name(code: i16) -> String {
    let error = match ResponseError::try_from_code(code) {
        Some(ResponseError::Unknown(_)) | None => return format!("CODE_{code}"),
        Some(error) => error,
    };
    // The crate has Kafka's names in Rust's spelling.
    let mut name = String::new();
    for letter in format!("{error:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Where the doors' numbers can be had, from any thread. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DoorReader {
    /// One per core.
    ask: Vec<DoorQuestions>,
}

impl DoorReader {
    /// What each core has counted, in the order of the cores.
    pub async fn read(&self) -> Result<Vec<DoorCounts>, CoreStopped> {
        let asked: Vec<_> = self
            .ask
            .iter()
            .map(|core| {
                let (answer, answered) = oneshot::channel();
                // If the core is gone, so is the answer, and that is told below.
                let _ = core.send(answer);
                answered
            })
            .collect();
        let mut counts = Vec::with_capacity(asked.len());
        for answered in asked {
            counts.push(answered.await.map_err(|_| CoreStopped)?);
        }
        Ok(counts)
    }

    /// On a core: answers the reader's questions with `count`, until nobody can ask any more.
    pub(crate) fn answer_here(count: impl Fn() -> DoorCounts + 'static) -> DoorQuestions {
        let (questions, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<DoorCounts>>();
        runtime::spawn("kafka metrics", async move {
            while let Some(answer) = asked.recv().await {
                // Who asked may have given up.
                let _ = answer.send(count());
            }
        });
        questions
    }

    pub(crate) fn add(&mut self, core: DoorQuestions) {
        self.ask.push(core);
    }
}

/// The way to one core.
pub(crate) type DoorQuestions = mpsc::UnboundedSender<oneshot::Sender<DoorCounts>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_kafka_s_names() {
        assert_eq!(error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(error_name(56), "KAFKA_STORAGE_ERROR");
        assert_eq!(error_name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(error_name(31_000), "CODE_31000");
    }
}
