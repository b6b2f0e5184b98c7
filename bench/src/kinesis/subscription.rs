//! One consumer's subscription to one shard, and a thread that takes in what is pushed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::body::Incoming;
use serde_json::json;

use crate::kinesis::body::{Encoding, event_records};
use crate::kinesis::connection::{Connection, Http};
use crate::kinesis::event_stream::{Message, Messages};
use crate::kinesis::tally::Tally;
use crate::load::record::stamp_ns;
use crate::measure::clock::now_ns;
use crate::measure::latency::Recorder;

const BEGIN_PATIENCE: Duration = Duration::from_secs(10);
// How soon a reader notices that it is over.
const LOOK: Duration = Duration::from_millis(100);

/// A subscription that has begun.
pub struct Subscription {
    connection: Connection,
    events: Incoming,
    messages: Messages,
    /// From the time in a record to its arrival here.
    pub latency: Arc<Recorder>,
}

impl Subscription {
    /// Subscribes to what is put from now on, and waits until the server says that it has begun.
    pub fn begin(
        endpoint: &str,
        http: Http,
        consumer_arn: &str,
        shard: &str,
    ) -> anyhow::Result<Subscription> {
        let mut connection = Connection::open(endpoint, http)?;
        let body = json!({
            "ConsumerARN": consumer_arn,
            "ShardId": shard,
            "StartingPosition": {"Type": "LATEST"},
        });
        let events =
            connection.begin("SubscribeToShard", Encoding::Json, body.to_string().into())?;
        let mut subscription = Subscription {
            connection,
            events,
            messages: Messages::default(),
            latency: Arc::default(),
        };
        match subscription.next(BEGIN_PATIENCE)?.context("the subscription does not begin")? {
            message if message.kind == "initial-response" => Ok(subscription),
            message => bail!("the subscription begins with {message:?}"),
        }
    }

    /// Takes in records until `finished`, or until the stream of events ends, which is a failure.
    pub fn run(mut self, tally: &Tally, finished: &AtomicBool) {
        while !finished.load(Relaxed) {
            if let Err(error) = self.take(tally) {
                return tally.fail(1, &format!("{error:#}"));
            }
        }
    }

    fn take(&mut self, tally: &Tally) -> anyhow::Result<()> {
        let Some(message) = self.next(LOOK)? else { return Ok(()) };
        let now = now_ns();
        let (mut records, mut bytes) = (0, 0);
        event_records(&message.payload, &mut |data| {
            records += 1;
            bytes += data.len() as u64;
            if let Some(intended) = stamp_ns(data).filter(|at| tally.window.holds(*at)) {
                self.latency.record(now.saturating_sub(intended));
            }
        })?;
        tally.add(records, bytes);
        Ok(())
    }

    fn next(&mut self, patience: Duration) -> anyhow::Result<Option<Message>> {
        loop {
            if let Some(message) = self.messages.next()? {
                if message.is_exception {
                    let why = String::from_utf8_lossy(&message.payload).into_owned();
                    bail!("the subscription has ended with {}: {why}", message.kind);
                }
                return Ok(Some(message));
            }
            match self.connection.more(&mut self.events, patience)? {
                Some(bytes) => self.messages.add(&bytes),
                None => return Ok(None),
            }
        }
    }
}
