//! One producer: a connection, a thread, one call under way.

use std::sync::Arc;

use hyper::body::Bytes;

use crate::kinesis::body::{Encoding, Entry};
use crate::kinesis::connection::{Connection, Http};
use crate::kinesis::options::Putting;
use crate::kinesis::tally::Tally;
use crate::load::options::Payload;
use crate::load::record::Records;
use crate::load::schedule::Schedule;
use crate::measure::clock::{now_ns, sleep_precisely, sleep_until};
use crate::measure::latency::Recorder;

/// Bodies that a closed loop sends in turn.
const BODIES: usize = 4;

/// What producers put where.
#[derive(Clone)]
pub struct Task {
    /// The address of the door.
    pub endpoint: String,
    /// The stream.
    pub stream: String,
    /// What is put.
    pub putting: Putting,
    /// Of each call.
    pub records_per_call: u64,
    /// How bodies are written.
    pub encoding: Encoding,
    /// How they travel.
    pub http: Http,
}

/// A producer that is connected.
pub struct Producer {
    task: Task,
    number: u64,
    connection: Connection,
    records: Records,
    keys: u64,
    /// From the intended time of a call (open loop) or the actual one (closed loop) to its answer.
    pub latency: Arc<Recorder>,
    /// Open loop: how much later than intended calls were made.
    pub send_lag: Arc<Recorder>,
}

impl Producer {
    /// Connects producer `number` (from 0).
    pub fn connect(task: &Task, number: u64) -> anyhow::Result<Producer> {
        Ok(Producer {
            connection: Connection::open(&task.endpoint, task.http)?,
            records: Records::new(task.putting.record_size, Payload::Random, number + 1),
            task: task.clone(),
            number,
            keys: 0,
            latency: Arc::default(),
            send_lag: Arc::default(),
        })
    }

    /// Bodies for a closed loop, so that no record is made and encoded while it is measured.
    pub fn prepare(&mut self) -> anyhow::Result<Vec<Bytes>> {
        (0..BODIES).map(|_| self.body(0)).collect()
    }

    /// Puts one call behind the other until the window ends. Returns early, with the failure in the tally, when a
    /// call fails: what follows would say nothing.
    pub fn run_closed(&mut self, bodies: &[Bytes], tally: &Tally) {
        sleep_until(tally.window.start_ns);
        for body in bodies.iter().cycle() {
            let sent_ns = now_ns();
            let goes_on =
                sent_ns < tally.window.until_ns && tally.issue(self.task.records_per_call);
            if !goes_on || !self.put(body.clone(), sent_ns, tally) {
                return;
            }
        }
    }

    /// Puts on schedule until the window ends; each record carries the time at which it was meant to be put.
    pub fn run_open(&mut self, records_per_second: f64, tally: &Tally) {
        sleep_precisely();
        let calls_per_second = records_per_second / self.task.records_per_call as f64;
        let producers = self.task.putting.connections;
        let schedule =
            Schedule::new(tally.window.start_ns, calls_per_second, self.number, producers);
        for index in 0.. {
            let intended_ns = schedule.intended_ns(index);
            if intended_ns >= tally.window.until_ns || !tally.issue(self.task.records_per_call) {
                return;
            }
            let body = match self.body(intended_ns) {
                Ok(body) => body,
                Err(error) => return tally.fail(1, &format!("{error:#}")),
            };
            sleep_until(intended_ns);
            if tally.window.holds(intended_ns) {
                self.send_lag.record(now_ns().saturating_sub(intended_ns));
            }
            if !self.put(body, intended_ns, tally) {
                return;
            }
        }
    }

    fn body(&mut self, stamp_ns: u64) -> anyhow::Result<Bytes> {
        let entries: Vec<Entry> = (0..self.task.records_per_call)
            .map(|_| {
                self.keys += 1;
                let partition_key = format!("{}-{}", self.number, self.keys);
                Entry { partition_key, data: self.records.next(stamp_ns).to_vec() }
            })
            .collect();
        match entries.as_slice() {
            [one] => self.task.encoding.put_record(&self.task.stream, one),
            all => self.task.encoding.put_records(&self.task.stream, all),
        }
    }

    fn put(&mut self, body: Bytes, since_ns: u64, tally: &Tally) -> bool {
        match self.refused(body) {
            Ok(refused) => {
                let taken = self.task.records_per_call.saturating_sub(refused);
                let now = tally.add(taken, taken * self.task.putting.record_size as u64);
                if tally.window.holds(since_ns) {
                    self.latency.record(now.saturating_sub(since_ns));
                }
                if refused > 0 {
                    tally.fail(refused, "PutRecords refused some of its records");
                }
                true
            }
            Err(error) => {
                tally.fail(self.task.records_per_call, &format!("{error:#}"));
                false
            }
        }
    }

    fn refused(&mut self, body: Bytes) -> anyhow::Result<u64> {
        let encoding = self.task.encoding;
        if self.task.records_per_call == 1 {
            self.connection.call("PutRecord", encoding, body)?;
            return Ok(0);
        }
        encoding.failed_records(&self.connection.call("PutRecords", encoding, body)?)
    }
}
