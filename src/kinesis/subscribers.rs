//! Who is subscribed to what: at most one subscription of a consumer to a shard, and a later one
//! takes over from it.
//!
//! Times are passed in, and nobody is waited for.

use std::{collections::BTreeMap, time::Duration};

use model::{ShardId, Timestamp, TopicId};
use tokio::{sync::oneshot, time::Instant};

/// So long after a call that succeeded no other one of the consumer for the shard does.
const UNDISTURBED: Duration = Duration::from_secs(5);
/// AWS takes one call a second of a consumer for a shard. After one that succeeded there are other
/// words for that, so this is how long the next one has to wait after one that failed.
const BETWEEN_CALLS: Duration = Duration::from_secs(1);

/// One consumer at one shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub stream: TopicId,
    pub shard: ShardId,
    pub consumer: String,
    /// When the consumer was registered: a later one of its name is another.
    pub consumer_created: Timestamp,
}

/// All subscriptions of this node.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    places: BTreeMap<Place, Subscribed>,
    /// Calls that failed within the last second, where calls are limited.
    failed: BTreeMap<Place, Instant>,
    next_turn: u64,
}

#[derive(Debug)]
struct Subscribed {
    began: Instant,
    /// Tells a subscription from those before and after it.
    turn: u64,
    /// Dropped when another takes over; none once the subscription has ended.
    hold: Option<oneshot::Sender<()>>,
}

/// A place at a shard, while nobody takes over.
#[derive(Debug)]
pub(crate) struct Hold {
    pub turn: u64,
    /// Resolves when another subscription has taken over.
    pub taken_over: oneshot::Receiver<()>,
}

/// The last call that succeeded is too recent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InUse;

impl Subscribers {
    /// Begins a subscription, and ends the one before it.
    pub fn begin(&mut self, place: Place, now: Instant) -> Result<Hold, InUse> {
        let is_recent = |began| now.saturating_duration_since(began) < UNDISTURBED;
        // What has ended is kept for as long as it forbids another call.
        self.places.retain(|_, other| other.hold.is_some() || is_recent(other.began));
        if self.places.get(&place).is_some_and(|before| is_recent(before.began)) {
            return Err(InUse);
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        let (hold, taken_over) = oneshot::channel();
        self.places.insert(place, Subscribed { began: now, turn, hold: Some(hold) });
        Ok(Hold { turn, taken_over })
    }

    /// Whether AWS would look at one more call.
    pub fn admits_call(&self, place: &Place, now: Instant) -> bool {
        self.failed.get(place).is_none_or(|failed| !is_hurried(*failed, now))
    }

    /// A call began no subscription.
    pub fn note_failed(&mut self, place: Place, now: Instant) {
        self.failed.retain(|_, failed| is_hurried(*failed, now));
        self.failed.insert(place, now);
    }

    /// A subscription has ended by itself; or was taken over, then there is nothing to do.
    pub fn end(&mut self, place: &Place, turn: u64) {
        if let Some(found) = self.places.get_mut(place).filter(|found| found.turn == turn) {
            found.hold = None;
        }
    }
}

/// Whether a call comes too soon after one that failed.
fn is_hurried(failed: Instant, now: Instant) -> bool {
    now.saturating_duration_since(failed) < BETWEEN_CALLS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(consumer: &str, shard: u32) -> Place {
        Place {
            stream: TopicId(1),
            shard: ShardId(shard),
            consumer: consumer.to_owned(),
            consumer_created: Timestamp(1),
        }
    }

    /// Whether a subscription goes on.
    fn goes_on(hold: &mut Hold) -> bool {
        hold.taken_over.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    #[test]
    fn a_second_call_is_refused_for_five_seconds_and_takes_over_later() {
        let (mut subscribers, start) = (Subscribers::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut first = subscribers.begin(place("a", 0), at(0)).unwrap();
        assert!(subscribers.begin(place("a", 0), at(4999)).is_err());
        assert!(goes_on(&mut first));
        let mut second = subscribers.begin(place("a", 0), at(5000)).unwrap();
        assert!(!goes_on(&mut first) && goes_on(&mut second));
        // The first one's end, which comes later, is not the second one's.
        subscribers.end(&place("a", 0), first.turn);
        assert!(goes_on(&mut second));
        assert!(subscribers.begin(place("a", 0), at(9999)).is_err());
    }

    #[test]
    fn a_call_that_failed_keeps_the_next_one_waiting_for_a_second() {
        let (mut subscribers, start) = (Subscribers::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(subscribers.admits_call(&place("a", 0), at(0)));
        subscribers.note_failed(place("a", 0), at(0));
        assert!(!subscribers.admits_call(&place("a", 0), at(999)));
        assert!(subscribers.admits_call(&place("a", 0), at(1000)));
        assert!(subscribers.admits_call(&place("a", 1), at(999)));
        assert!(subscribers.admits_call(&place("b", 0), at(999)));
        // What is over is forgotten.
        subscribers.note_failed(place("b", 0), at(1000));
        assert_eq!(subscribers.failed.len(), 1);
    }

    #[test]
    fn other_shards_and_consumers_are_not_in_the_way() {
        let (mut subscribers, now) = (Subscribers::default(), Instant::now());
        let again = Place { consumer_created: Timestamp(2), ..place("a", 0) };
        let places = [place("a", 0), place("a", 1), place("b", 0), again];
        let mut holds = places.map(|place| subscribers.begin(place, now).unwrap());
        assert!(holds.iter_mut().all(goes_on));
    }

    #[test]
    fn a_subscription_that_ended_forbids_another_one_as_long_and_is_forgotten_then() {
        let (mut subscribers, start) = (Subscribers::default(), Instant::now());
        let hold = subscribers.begin(place("a", 0), start).unwrap();
        subscribers.end(&place("a", 0), hold.turn);
        let later = start + Duration::from_secs(4);
        assert!(subscribers.begin(place("a", 0), later).is_err());
        subscribers.begin(place("b", 0), start + Duration::from_secs(5)).unwrap();
        assert_eq!(subscribers.places.len(), 1);
    }
}
