//! Producers at work. Each is a librdkafka client with a thread that serves its acknowledgements; an open loop has
//! a second thread that sends on schedule, a closed loop sends the next record from the acknowledgement itself, so
//! that no switch of threads is measured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::Histogram;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, config::FromClientConfigAndContext};

use crate::load::client;
use crate::load::options::{Acks, Sending, SpreadOver, Target};
use crate::load::record::Records;
use crate::load::schedule::Schedule;
use crate::measure::clock::{now_ns, sleep_precisely, sleep_until};
use crate::measure::latency::{LatencySummary, Recorder, histogram};

const METADATA_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// When sending begins, and which part of it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first record is meant to be sent then.
    pub start_ns: u64,
    /// Measured from here …
    pub from_ns: u64,
    /// … to here, when sending ends. `u64::MAX` if a count ends it.
    pub until_ns: u64,
    /// How many records are sent in all, by all producers. `u64::MAX` if the time ends it.
    pub records: u64,
}

impl Window {
    pub(crate) fn holds(&self, at_ns: u64) -> bool {
        (self.from_ns..self.until_ns).contains(&at_ns)
    }
}

/// What all producers have done.
#[derive(Default)]
pub struct Tally {
    issued: AtomicU64,
    sent: AtomicU64,
    acknowledged: AtomicU64,
    acknowledged_in_window: AtomicU64,
    last_acknowledged_ns: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Tally {
    /// Records handed to the client library.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Records acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// Records acknowledged in the window.
    pub fn acknowledged_in_window(&self) -> u64 {
        self.acknowledged_in_window.load(Relaxed)
    }

    /// When the last of them was.
    pub fn last_acknowledged_ns(&self) -> u64 {
        self.last_acknowledged_ns.load(Relaxed)
    }

    /// Records that the broker or the library refused.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Why the first of these was.
    pub fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, why: &KafkaError) {
        if self.failed.fetch_add(1, Relaxed) == 0 {
            let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
            *first = Some(why.to_string());
        }
    }
}

/// One producer, as its acknowledgements see it.
struct Post {
    topic: String,
    partitions: i32,
    sending: Sending,
    number: u64,
    records: Mutex<Records>,
    window: OnceLock<Window>,
    tally: Arc<Tally>,
    latency: Recorder,
    send_lag: Recorder,
    next_partition: AtomicU64,
    itself: OnceLock<Weak<BaseProducer<Post>>>,
}

impl ClientContext for Post {
    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("bench: {error}: {reason}");
    }
}

impl ProducerContext for Post {
    // The time that the record's latency counts from.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, intended_ns: usize) {
        let Some(window) = self.window.get() else { return };
        let now = now_ns();
        match result {
            Ok(_) => {
                self.tally.acknowledged.fetch_add(1, Relaxed);
                if window.holds(now) {
                    self.tally.acknowledged_in_window.fetch_add(1, Relaxed);
                    self.tally.last_acknowledged_ns.store(now, Relaxed);
                }
                if window.holds(intended_ns as u64) {
                    self.latency.record(now.saturating_sub(intended_ns as u64));
                }
            }
            Err((error, _)) => self.tally.fail(error),
        }
        if self.sending.rate.is_none()
            && let Some(producer) = self.itself.get().and_then(Weak::upgrade)
        {
            self.send_in_closed_loop(&producer, window);
        }
    }
}

impl Post {
    fn send_in_closed_loop(&self, producer: &BaseProducer<Post>, window: &Window) {
        let now = now_ns();
        if now < window.until_ns && self.tally.issued.fetch_add(1, Relaxed) < window.records {
            self.send(producer, now);
        }
    }

    fn send(&self, producer: &BaseProducer<Post>, intended_ns: u64) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let value = records.next(intended_ns);
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.topic, intended_ns as usize).payload(value);
        if self.sending.spread == SpreadOver::RoundRobin {
            let turn = self.next_partition.fetch_add(1, Relaxed);
            record = record.partition((turn % self.partitions.max(1) as u64) as i32);
        }
        loop {
            match producer.send(record) {
                Ok(()) => {
                    self.tally.sent.fetch_add(1, Relaxed);
                    return;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused))
                    if self.sending.rate.is_some() =>
                {
                    record = refused;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return self.tally.fail(&error),
            }
        }
    }

    fn send_on_schedule(&self, producer: &BaseProducer<Post>, window: &Window, rate: f64) {
        sleep_precisely();
        let schedule = Schedule::new(window.start_ns, rate, self.number, self.sending.producers);
        for index in 0.. {
            let intended = schedule.intended_ns(index);
            if intended >= window.until_ns
                || self.tally.issued.fetch_add(1, Relaxed) >= window.records
            {
                return;
            }
            sleep_until(intended);
            if window.holds(intended) {
                self.send_lag.record(now_ns().saturating_sub(intended));
            }
            self.send(producer, intended);
        }
    }
}

/// All producers of a run.
pub struct Senders {
    producers: Vec<Arc<BaseProducer<Post>>>,
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
    finished: Arc<AtomicBool>,
}

impl Senders {
    /// Connects the producers. Nothing is sent yet.
    pub fn connect(target: &Target, sending: &Sending, partitions: i32) -> anyhow::Result<Senders> {
        let tally = Arc::new(Tally::default());
        let config = client::producer_config(target, sending)?;
        let mut producers = Vec::new();
        for number in 0..sending.producers {
            let post = Post {
                topic: target.topic.clone(),
                partitions,
                sending: sending.clone(),
                number,
                records: Mutex::new(Records::new(sending.record_size, sending.payload, number)),
                window: OnceLock::new(),
                tally: tally.clone(),
                latency: Recorder::default(),
                send_lag: Recorder::default(),
                // Producers begin at different partitions, lest they walk over them in step.
                next_partition: AtomicU64::new(number * partitions as u64 / sending.producers),
                itself: OnceLock::new(),
            };
            let producer = Arc::new(BaseProducer::from_config_and_context(&config, post)?);
            let _ = producer.context().itself.set(Arc::downgrade(&producer));
            producer.client().fetch_metadata(Some(&target.topic), METADATA_PATIENCE)?;
            producers.push(producer);
        }
        Ok(Senders { producers, tally, threads: Vec::new(), finished: Arc::default() })
    }

    /// Sends what `window` says.
    pub fn start(&mut self, window: Window) {
        for producer in &self.producers {
            let _ = producer.context().window.set(window);
            self.threads.push(self.serve(producer.clone(), window));
            if let Some(rate) = producer.context().sending.rate {
                let producer = producer.clone();
                let send = move || producer.context().send_on_schedule(&producer, &window, rate);
                self.threads.push(std::thread::spawn(send));
            }
        }
    }

    fn serve(&self, producer: Arc<BaseProducer<Post>>, window: Window) -> JoinHandle<()> {
        let finished = self.finished.clone();
        std::thread::spawn(move || {
            let post = producer.context();
            if post.sending.rate.is_none() {
                sleep_until(window.start_ns);
                for _ in 0..post.sending.in_flight_limit() {
                    post.send_in_closed_loop(&producer, &window);
                }
            }
            while !finished.load(Relaxed) {
                producer.poll(POLL);
            }
        })
    }

    /// What they have done so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Moves latencies recorded since the last call into `total`.
    pub fn collect_latencies(&self, total: &mut Histogram<u64>) {
        for producer in &self.producers {
            producer.context().latency.collect_into(total);
        }
    }

    /// Waits until all that was sent is answered, `patience` at most; then ends the threads. Returns how many
    /// records are still without an answer. With acks=0 the library itself answers.
    pub fn drain(&mut self, patience: Duration) -> u64 {
        let deadline = now_ns() + patience.as_nanos() as u64;
        let waiting = || self.producers.iter().any(|producer| producer.in_flight_count() > 0);
        while waiting() && now_ns() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.finished.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let answered = self.tally.acknowledged() + self.tally.failed();
        self.tally.sent().saturating_sub(answered)
    }

    /// How much later than intended records were sent; none of a closed loop.
    pub fn send_lag(&self) -> Option<LatencySummary> {
        let mut lag = histogram();
        for producer in &self.producers {
            producer.context().send_lag.collect_into(&mut lag);
        }
        LatencySummary::of(&lag)
    }
}

/// The acknowledgements whose latency says something about the broker.
pub fn is_answered_by_the_broker(acks: Acks) -> bool {
    acks != Acks::None
}
