//! What this door counts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_door::HttpConnections;
use metrics::{Buckets, HistogramCounts, SharedHistogram};

use crate::memory::Memory;

/// Stands for every operation that the service does not know.
const OTHER_OPERATIONS: &str = "(other)";

/// What all connections count together.
#[derive(Debug)]
pub(crate) struct DoorMetrics {
    /// In the order of their names; the last one is for all others.
    operations: Vec<OperationMetrics>,
    streams_open: AtomicU64,
    events: AtomicU64,
    event_bytes: AtomicU64,
    /// By AWS's name.
    stream_exceptions: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug)]
struct OperationMetrics {
    name: &'static str,
    requests: AtomicU64,
    time: SharedHistogram,
    /// Only a request that fails comes here.
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

impl OperationMetrics {
    fn new(name: &'static str) -> OperationMetrics {
        OperationMetrics {
            name,
            requests: AtomicU64::new(0),
            time: SharedHistogram::new(Buckets::NANOSECONDS),
            errors: Mutex::default(),
        }
    }
}

impl DoorMetrics {
    /// For a service with these operations.
    pub fn new(operations: impl IntoIterator<Item = &'static str>) -> DoorMetrics {
        let mut names: Vec<_> = operations.into_iter().collect();
        names.sort_unstable();
        names.push(OTHER_OPERATIONS);
        DoorMetrics {
            operations: names.into_iter().map(OperationMetrics::new).collect(),
            streams_open: AtomicU64::new(0),
            events: AtomicU64::new(0),
            event_bytes: AtomicU64::new(0),
            stream_exceptions: Mutex::default(),
        }
    }

    /// Counts a request that was answered, and with which error if with one.
    pub fn note(&self, operation: Option<&str>, took: Duration, error: Option<&'static str>) {
        let (Some((others, known)), name) = (self.operations.split_last(), operation) else {
            return;
        };
        let place = name.and_then(|name| known.binary_search_by_key(&name, |one| one.name).ok());
        let counted = place.and_then(|place| known.get(place)).unwrap_or(others);
        counted.requests.fetch_add(1, Ordering::Relaxed);
        counted.time.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if let Some(code) = error {
            let mut errors = counted.errors.lock().unwrap_or_else(PoisonError::into_inner);
            *errors.entry(code).or_default() += 1;
        }
    }
}

/// A stream of events, counted as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(Arc<DoorMetrics>);

impl OpenStream {
    /// One more.
    pub fn new(metrics: Arc<DoorMetrics>) -> OpenStream {
        metrics.streams_open.fetch_add(1, Ordering::Relaxed);
        OpenStream(metrics)
    }

    /// Counts an event whose message has so many bytes.
    pub fn note_event(&self, bytes: usize) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
        self.0.event_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts an exception, which ends the stream.
    pub fn note_exception(&self, code: &'static str) {
        let exceptions = &self.0.stream_exceptions;
        let mut exceptions = exceptions.lock().unwrap_or_else(PoisonError::into_inner);
        *exceptions.entry(code).or_default() += 1;
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams_open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the door has counted, and what it holds at the moment.
#[derive(Debug, Clone)]
pub struct DoorCounts {
    /// Those operations that were asked for.
    pub operations: Vec<OperationCounts>,
    /// Streams of events that are open.
    pub streams_open: u64,
    /// Events sent on them.
    pub events: u64,
    /// Bytes of these events, as they are on the wire.
    pub event_bytes: u64,
    /// Exceptions that ended such streams, by AWS's name.
    pub stream_exceptions: BTreeMap<&'static str, u64>,
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections accepted so far.
    pub connections_accepted: u64,
    /// Memory that requests and replies take, in bytes.
    pub memory_used_bytes: usize,
    /// The most that they may take, in bytes.
    pub memory_max_bytes: usize,
}

/// What was counted of one operation.
#[derive(Debug, Clone)]
pub struct OperationCounts {
    /// AWS's name for it, or `(other)` for all that are not known.
    pub name: &'static str,
    /// Requests answered.
    pub requests: u64,
    /// How long they took from their heads on until the answers were made, in nanoseconds.
    pub time_ns: HistogramCounts,
    /// By AWS's name for the error.
    pub errors: BTreeMap<&'static str, u64>,
}

/// Where the door's numbers can be had. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DoorReader {
    pub(crate) metrics: Arc<DoorMetrics>,
    pub(crate) connections: Vec<HttpConnections>,
    pub(crate) memory: Memory,
}

impl DoorReader {
    /// What was counted so far.
    pub fn read(&self) -> DoorCounts {
        let metrics = &self.metrics;
        let exceptions = &metrics.stream_exceptions;
        let operations = metrics.operations.iter().map(|counted| OperationCounts {
            name: counted.name,
            requests: counted.requests.load(Ordering::Relaxed),
            time_ns: counted.time.counts(),
            errors: counted.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        });
        DoorCounts {
            operations: operations.filter(|counted| counted.requests > 0).collect(),
            streams_open: metrics.streams_open.load(Ordering::Relaxed),
            events: metrics.events.load(Ordering::Relaxed),
            event_bytes: metrics.event_bytes.load(Ordering::Relaxed),
            stream_exceptions: exceptions.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            connections_open: self.connections.iter().map(HttpConnections::open).sum(),
            connections_accepted: self.connections.iter().map(HttpConnections::accepted).sum(),
            memory_used_bytes: self.memory.used_bytes(),
            memory_max_bytes: self.memory.max_bytes(),
        }
    }
}
