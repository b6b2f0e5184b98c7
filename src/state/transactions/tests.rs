//! Scripts of requests, and what holds whatever is asked and whenever the process dies.

use std::collections::BTreeSet;

use model::{PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition};
use proptest::prelude::*;

use super::*;

const MINUTE: i32 = 60_000;

fn partition(number: u32) -> TopicPartition {
    TopicPartition { topic: TopicId(1), partition: PartitionIndex(number) }
}

fn identity(id: i64, epoch: i16) -> Identity {
    Identity { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

/// A coordinator whose commands are durable at once, in the clients' words. Producer ids are 1, 2, ….
#[derive(Default)]
struct Coordinator {
    transactions: Transactions,
    journal: Vec<(TransactionsCommand, Timestamp)>,
    now: i64,
    ids: i64,
}

impl Coordinator {
    fn at(&self) -> Timestamp {
        Timestamp(self.now)
    }

    fn apply(&mut self, command: TransactionsCommand) {
        let command = TransactionsCommand::decode(&command.encode()).expect("our own bytes");
        self.transactions.apply(&command, Timestamp(self.now));
        self.journal.push((command, Timestamp(self.now)));
    }

    fn with_new_id<T>(
        &mut self,
        ask: impl Fn(&Transactions, Option<ProducerId>) -> Result<T, TransactionError>,
    ) -> Result<T, TransactionError> {
        match ask(&self.transactions, None) {
            Err(TransactionError::NeedsProducerId) => {
                self.ids += 1;
                ask(&self.transactions, Some(ProducerId(self.ids)))
            }
            other => other,
        }
    }

    /// InitProducerId.
    fn init(&mut self, expected: Option<Identity>) -> Result<Identity, String> {
        let at = self.at();
        let begun = self.with_new_id(|transactions, new_id| {
            let (timeout_ms, timeout_max_ms) = (MINUTE, TIMEOUT_MAX_MS);
            transactions.begin(&Begin { id: "t", expected, timeout_ms, timeout_max_ms, new_id, at })
        });
        match begun.map_err(|error| short(&error))? {
            Begun::Identity(identity, command) => {
                command.into_iter().for_each(|command| self.apply(command));
                Ok(identity)
            }
            Begun::AbortFirst(command) => {
                self.apply(command);
                Err("aborts first".to_owned())
            }
        }
    }

    fn add(&mut self, who: Identity, number: u32, protocol: Protocol) -> Result<(), String> {
        let added = self.transactions.add("t", who, &[partition(number)], &[], protocol);
        added.map_err(|error| short(&error))?.into_iter().for_each(|command| self.apply(command));
        Ok(())
    }

    fn end(&mut self, who: Identity, commit: bool, protocol: Protocol) -> Result<Identity, String> {
        let at = self.at();
        let ended = self.with_new_id(|transactions, new_id| {
            transactions.end(&End { id: "t", identity: who, commit, protocol, new_id, at })
        });
        match ended.map_err(|error| short(&error))? {
            Ended::Prepared(command, identity) => {
                self.apply(command);
                Ok(identity)
            }
            Ended::Already(identity) => Ok(identity),
        }
    }

    /// Every marker is written.
    fn finish(&mut self) -> Option<Ending> {
        let ending = self.transactions.ending("t")?;
        let command = self.transactions.complete("t", ending.identity, self.at());
        self.apply(command.expect("it is being ended"));
        Some(ending)
    }

    fn status(&self) -> &'static str {
        self.transactions.get("t").expect("known").status.name()
    }
}

fn short(error: &TransactionError) -> String {
    let word = match error {
        TransactionError::UnknownProducer => "unknown producer",
        TransactionError::Fenced { .. } => "fenced",
        TransactionError::Concurrent => "concurrent",
        TransactionError::InvalidState { .. } => "invalid state",
        TransactionError::NotInTransaction => "not in transaction",
        TransactionError::InvalidTimeout { .. } => "invalid timeout",
        TransactionError::NeedsProducerId => "needs producer id",
    };
    word.to_owned()
}

fn refused<T>(why: &str) -> Result<T, String> {
    Err(why.to_owned())
}

use Protocol::{V1, V2};

#[test]
fn a_transaction_begins_with_its_first_partition_and_keeps_its_epoch_in_the_first_protocol() {
    let mut it = Coordinator::default();
    let who = it.init(None).expect("new");
    assert_eq!(who, identity(1, 0));
    for commit in [true, false] {
        it.add(who, 3, V1).expect("begins");
        it.add(who, 4, V1).expect("goes on");
        it.add(who, 3, V1).expect("is there already");
        assert_eq!(it.status(), "Ongoing");
        assert_eq!(it.end(who, commit, V1), Ok(who));
        // Nothing joins while the markers are being written.
        assert_eq!(it.add(who, 5, V1), refused("concurrent"));
        assert_eq!(it.end(who, commit, V1), refused("concurrent"));
        assert_eq!(it.end(who, !commit, V1), refused("invalid state"));
        assert_eq!(it.init(None), refused("concurrent"));
        let ending = it.finish().expect("decided");
        assert_eq!((ending.commit, ending.identity), (commit, who));
        assert_eq!(ending.partitions, BTreeSet::from([partition(3), partition(4)]));
        // The answer was lost, and the client asks again.
        assert_eq!(it.end(who, commit, V1), Ok(who));
        assert_eq!(it.end(who, !commit, V1), refused("invalid state"));
    }
}

#[test]
fn each_end_gives_a_new_epoch_in_the_second_protocol() {
    let mut it = Coordinator::default();
    let first = it.init(None).expect("new");
    it.add(first, 3, V2).expect("begins");
    let second = it.end(first, true, V2).expect("decided");
    assert_eq!(second, identity(1, 1));
    assert_eq!(it.end(first, true, V2), refused("concurrent"));
    // The markers carry the new epoch, and so fence what is late.
    assert_eq!(it.finish().expect("decided").identity, second);
    assert_eq!(it.end(first, true, V2), Ok(second), "the answer was lost");
    assert_eq!(it.end(first, false, V2), refused("invalid state"));
    assert_eq!(it.add(first, 3, V2), refused("fenced"));
    it.add(second, 3, V2).expect("the next one begins");
    assert_eq!(it.end(first, true, V2), refused("fenced"));
}

#[test]
fn an_empty_abort_of_the_second_protocol_gives_a_new_epoch_too() {
    let mut it = Coordinator::default();
    let first = it.init(None).expect("new");
    assert_eq!(it.end(first, true, V2), refused("invalid state"));
    assert_eq!(it.end(first, false, V2), Ok(identity(1, 1)));
    assert_eq!(it.finish().expect("decided").partitions, BTreeSet::new());
}

#[test]
fn an_end_of_nothing_succeeds_in_the_first_protocol() {
    // A recovering producer commits what it may not have begun (Flink).
    let mut it = Coordinator::default();
    let who = it.init(None).expect("new");
    assert_eq!(it.end(who, true, V1), Ok(who));
    assert_eq!(it.status(), "Empty");
}

#[test]
fn a_second_producer_aborts_what_the_first_left_and_fences_it() {
    let mut it = Coordinator::default();
    let zombie = it.init(None).expect("new");
    it.add(zombie, 3, V1).expect("begins");
    assert_eq!(it.init(None), refused("aborts first"));
    assert_eq!(it.end(zombie, true, V1), refused("fenced"));
    let ending = it.finish().expect("decided");
    assert_eq!((ending.commit, ending.identity), (false, identity(1, 1)));
    let heir = it.init(None).expect("free");
    assert_eq!(heir, identity(1, 2));
    for refusal in [it.add(zombie, 3, V1), it.end(zombie, false, V1).map(drop)] {
        assert_eq!(refusal, refused("fenced"));
    }
    it.add(heir, 3, V1).expect("begins");
    // Nor may the zombie take it back.
    assert_eq!(it.init(Some(zombie)), refused("fenced"));
    assert_eq!(it.status(), "Ongoing");
}

#[test]
fn a_client_that_bumps_its_epoch_may_ask_twice() {
    let mut it = Coordinator::default();
    let who = it.init(None).expect("new");
    let bumped = it.init(Some(who)).expect("bumped");
    assert_eq!(bumped, identity(1, 1));
    assert_eq!(it.init(Some(who)), Ok(bumped), "the answer was lost");
    let newer = it.init(None).expect("another client");
    assert_eq!(newer, identity(1, 2));
    assert_eq!(it.init(Some(who)), refused("fenced"));
    assert_eq!(it.init(Some(identity(77, 0))), refused("fenced"));
}

#[test]
fn a_producer_id_without_epochs_left_is_replaced() {
    let mut it = Coordinator::default();
    it.init(None).expect("new");
    let mut last = it.transactions.get("t").expect("known").clone();
    last.identity.epoch = EPOCH_MAX;
    it.apply(TransactionsCommand::Put { id: "t".into(), transaction: Box::new(last) });
    let old = identity(1, EPOCH_MAX.0);

    it.add(old, 3, V2).expect("begins");
    let new = it.end(old, true, V2).expect("decided");
    assert_eq!(new, identity(2, 0));
    assert_eq!(it.finish().expect("decided").identity, identity(1, i16::MAX));
    assert_eq!(it.end(old, true, V2), Ok(new), "the answer was lost");
    assert_eq!(it.add(old, 3, V2), refused("unknown producer"));
    it.add(new, 3, V2).expect("begins");
}

#[test]
fn an_init_replaces_a_producer_id_without_epochs_left() {
    let mut it = Coordinator::default();
    it.init(None).expect("new");
    let mut last = it.transactions.get("t").expect("known").clone();
    last.identity.epoch = EPOCH_MAX;
    it.apply(TransactionsCommand::Put { id: "t".into(), transaction: Box::new(last) });
    let old = identity(1, EPOCH_MAX.0);
    assert_eq!(it.init(Some(old)), Ok(identity(2, 0)));
    assert_eq!(it.init(Some(old)), Ok(identity(2, 0)), "the answer was lost");
    assert_eq!(it.init(None), Ok(identity(2, 1)));
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let mut it = Coordinator::default();
    let who = it.init(None).expect("new");
    it.now = 1000;
    it.add(who, 3, V1).expect("begins");
    it.now += i64::from(MINUTE);
    it.add(who, 4, V1).expect("adding does not prolong it");
    assert!(it.transactions.timed_out(it.at()).is_empty());
    it.now += 1;
    assert_eq!(it.transactions.timed_out(it.at()), ["t"]);
    let command = it.transactions.time_out("t", it.at()).expect("late");
    it.apply(command);
    assert_eq!(it.transactions.time_out("t", it.at()), None);
    assert!(it.transactions.timed_out(it.at()).is_empty());
    assert_eq!(it.end(who, true, V1), refused("fenced"));
    assert_eq!(it.finish().map(|ending| ending.commit), Some(false));
    assert_eq!(it.end(who, true, V1), refused("fenced"));
    // It may not even go on by a bump of its epoch: it has lost a transaction.
    assert_eq!(it.init(Some(who)), refused("fenced"));
}

#[test]
fn timeouts_out_of_bounds_are_refused() {
    let ask = |timeout_ms| {
        let begin = Begin {
            id: "t",
            expected: None,
            timeout_ms,
            timeout_max_ms: 900_000,
            new_id: Some(ProducerId(1)),
            at: Timestamp(0),
        };
        Transactions::default().begin(&begin).map(drop).map_err(|error| short(&error))
    };
    assert_eq!(ask(0), refused("invalid timeout"));
    assert_eq!(ask(-1), refused("invalid timeout"));
    assert_eq!(ask(900_001), refused("invalid timeout"));
    assert_eq!(ask(900_000), Ok(()));
}

#[test]
fn an_idle_transactional_id_is_forgotten_but_never_an_open_one() {
    let mut it = Coordinator::default();
    let who = it.init(None).expect("new");
    assert!(it.transactions.expired(Timestamp(999), 1000).is_empty());
    assert_eq!(it.transactions.expired(Timestamp(1000), 1000).len(), 1);
    it.add(who, 3, V1).expect("begins");
    assert!(it.transactions.expired(Timestamp(5000), 1000).is_empty());
    it.end(who, true, V1).expect("decided");
    assert!(it.transactions.expired(Timestamp(5000), 1000).is_empty());
    it.finish();
    let commands = it.transactions.expired(Timestamp(5000), 1000);
    commands.into_iter().for_each(|command| it.apply(command));
    assert_eq!(it.end(who, true, V1), refused("unknown producer"));
}

#[test]
fn what_is_part_of_a_transaction_can_be_asked() {
    let mut it = Coordinator::default();
    let who = it.init(None).expect("new");
    it.add(who, 3, V1).expect("begins");
    let asked = [partition(3), partition(4)];
    assert_eq!(it.transactions.verify("t", who, &asked), Ok(vec![true, false]));
    assert!(it.transactions.verify("t", identity(1, 1), &asked).is_err());
    assert!(it.transactions.verify("other", who, &asked).is_err());
    let groups = it.transactions.add("t", who, &[], &["g".to_owned()], V1);
    it.apply(groups.expect("open").expect("new"));
    assert_eq!(it.transactions.verify_group("t", who, "g"), Ok(true));
    it.end(who, true, V1).expect("decided");
    it.finish();
    assert_eq!(it.transactions.verify_group("t", who, "g"), Ok(false));
    assert_eq!(it.transactions.verify("t", who, &asked), Ok(vec![false, false]));
}

#[test]
fn foreign_bytes_are_refused() {
    let mut it = Coordinator::default();
    it.init(None).expect("new");
    let good = it.transactions.snapshot();
    assert_eq!(Transactions::restore(&good), Ok(it.transactions));
    for length in 1..good.len() {
        assert!(Transactions::restore(&good[..length]).is_err(), "cut at {length}");
    }
    assert!(Transactions::restore(&[9, 0]).is_err());
    assert!(TransactionsCommand::decode(&[1, 7]).is_err());
}

/// What happens next: to client `0` or `1`, or to the process.
#[derive(Debug, Clone, Copy)]
enum Step {
    Init(usize),
    Add(usize, u32),
    End(usize, bool),
    Finish,
    Wait(i64),
    Restart { replayed: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..2_usize).prop_map(Step::Init),
        (0..2_usize, 0..4_u32).prop_map(|(client, number)| Step::Add(client, number)),
        (0..2_usize, any::<bool>()).prop_map(|(client, commit)| Step::End(client, commit)),
        Just(Step::Finish),
        (0..40_000_i64).prop_map(Step::Wait),
        (0..6_usize).prop_map(|replayed| Step::Restart { replayed }),
    ];
    prop::collection::vec(step, 0..60)
}

/// The process dies: a snapshot is read that may hold more than the journal's first commands to be
/// replayed, and the last `replayed` commands come again.
fn restart(it: &mut Coordinator, replayed: usize) {
    let before = it.transactions.clone();
    let mut again = Transactions::restore(&before.snapshot()).expect("our own bytes");
    for (command, at) in &it.journal[it.journal.len().saturating_sub(replayed)..] {
        again.apply(command, *at);
    }
    assert_eq!(again, before, "replay is idempotent");
    it.transactions = again;
    for id in it.transactions.unfinished() {
        assert!(it.transactions.ending(&id).is_some(), "what was decided can be finished");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A transaction has one outcome, for all that was added to it; a fenced client changes nothing
    /// any more; and everything comes to its end.
    #[test]
    fn transactions_are_all_or_nothing_and_end(
        steps in steps(),
        protocol in prop_oneof![Just(V1), Just(V2)],
    ) {
        let mut it = Coordinator::default();
        let mut clients: [Option<Identity>; 2] = [None, None];
        let mut added = BTreeSet::new();
        let mut decided: Option<bool> = None;
        for step in steps {
            it.now += 1;
            let before = it.transactions.get("t").map(|known| known.identity);
            match step {
                Step::Init(client) => {
                    let was_open = it.transactions.timed_out(Timestamp(i64::MAX)).len() == 1;
                    match it.init(None) {
                        Ok(identity) => clients[client] = Some(identity),
                        Err(why) if why == "aborts first" => decided = Some(false),
                        Err(why) => prop_assert!(!was_open, "{}", why),
                    }
                }
                Step::Add(client, number) => {
                    let Some(who) = clients[client] else { continue };
                    if it.add(who, number, protocol).is_ok() {
                        prop_assert_eq!(Some(who), before, "only who is in force adds");
                        added.insert(partition(number));
                    }
                }
                Step::End(client, commit) => {
                    let Some(who) = clients[client] else { continue };
                    let was_open = it.status() == "Ongoing";
                    if let Ok(next) = it.end(who, commit, protocol) {
                        clients[client] = Some(next);
                        if was_open || it.transactions.ending("t").is_some() {
                            decided = Some(commit);
                        }
                    }
                }
                Step::Finish => {
                    if let Some(ending) = it.finish() {
                        prop_assert_eq!(Some(ending.commit), decided);
                        prop_assert_eq!(&ending.partitions, &added, "all or nothing");
                        added.clear();
                        decided = None;
                    }
                }
                Step::Wait(ms) => {
                    it.now += ms;
                    for id in it.transactions.timed_out(it.at()) {
                        let command = it.transactions.time_out(&id, it.at());
                        it.apply(command.expect("late"));
                        decided = Some(false);
                    }
                }
                Step::Restart { replayed } => restart(&mut it, replayed),
            }
            prop_assert_eq!(it.transactions.ending("t").is_some(), decided.is_some());
        }
        // Left alone, whatever is open ends.
        it.now += i64::from(MINUTE) + 1;
        for id in it.transactions.timed_out(it.at()) {
            let command = it.transactions.time_out(&id, it.at());
            it.apply(command.expect("late"));
        }
        it.finish();
        prop_assert!(it.transactions.unfinished().is_empty());
        prop_assert!(it.transactions.timed_out(Timestamp(i64::MAX)).is_empty());
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Transactions::restore(&bytes);
        let _ = TransactionsCommand::decode(&bytes);
    }
}
