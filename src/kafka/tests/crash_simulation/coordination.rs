//! What a run's broker coordinates: two groups of the classic protocol, one of which commits its
//! offsets by themselves and the other in transactions; one of the newer protocol; and producers
//! with transactions of their own.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
    time::Duration,
};

use runtime::simulation::Random;

use crate::{
    client::Client,
    committed_reader,
    group_member::GroupMember,
    group_model::{GroupModel, Membership, check_processed},
    group_worker::{GroupWorker, remove_members},
    newer_member::{Holders, NewerMember},
    scenario::{Summary, Work, named},
    transaction_journal::{Journal, Outcome},
    transactional_producer::{PARTITIONS, Producer, TOPIC},
    workload::{TopicPlan, make_topic},
};

/// What is open when everybody has gone ends by its timeout within this time.
const TIMEOUTS_MAX: Duration = Duration::from_secs(80);

const PLAIN_GROUP: &str = "plain";
const EXACT_GROUP: &str = "exactly-once";
const NEWER_GROUP: &str = "newer";

/// The broker's settings under which members are missed soon.
pub const CONFIGS: [(&str, &str); 8] = [
    ("group.initial.rebalance.delay.ms", "20"),
    ("group.min.session.timeout.ms", "100"),
    ("group.consumer.min.session.timeout.ms", "100"),
    ("group.consumer.session.timeout.ms", "600"),
    ("group.consumer.min.heartbeat.interval.ms", "50"),
    ("group.consumer.heartbeat.interval.ms", "50"),
    ("group.consumer.assignment.interval.ms", "0"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
];

/// What members and producers were told.
#[derive(Default)]
pub struct Coordination {
    journal: Rc<RefCell<Journal>>,
    plain: Rc<RefCell<GroupModel>>,
    exact: Rc<RefCell<GroupModel>>,
    newer: Rc<RefCell<GroupModel>>,
    holders: Rc<RefCell<Holders>>,
}

impl Coordination {
    /// Makes the topic and starts everybody.
    pub async fn start(&self, random: &Random, stop: &Rc<Cell<bool>>) -> Work {
        let plan = TopicPlan {
            name: TOPIC.to_owned(),
            partitions: PARTITIONS,
            expires: false,
            configs: vec![("segment.ms", random.choose([50, 100_000]).to_string())],
        };
        let topic = make_topic(&plan, &Cell::new(false)).await.expect("nobody stops this");
        let mut work = Work::new();
        for number in 0..random.between(0, 2) as usize {
            let producer = self.producer(random, stop, format!("tx-{}", number / 2), number);
            work.push(named("transactional producer", producer.run()));
        }
        for number in 0..random.between(1, 3) {
            let plain = member(random, PLAIN_GROUP, &self.plain);
            work.push(named("member", worker(random, stop, plain, None).run()));
            let exact = member(random, EXACT_GROUP, &self.exact);
            // None of the numbers that the other producers have.
            let producer = self.producer(random, stop, format!("worker-{number}"), 100);
            work.push(named("worker", worker(random, stop, exact, Some(producer)).run()));
        }
        for partition in 0..PARTITIONS {
            let (journal, stop) = (Rc::clone(&self.journal), Rc::clone(stop));
            let reader = committed_reader::follow(journal, partition, random.split(), stop);
            work.push(named("committed reader", reader));
        }
        for number in 0..random.between(0, 3) {
            let newer = NewerMember {
                member: member(random, NEWER_GROUP, &self.newer),
                number,
                incarnation: 0,
                holders: Rc::clone(&self.holders),
                topic,
                stop: Rc::clone(stop),
            };
            work.push(named("newer member", newer.run()));
        }
        self.remove_members(random, stop, &mut work);
        work
    }

    fn remove_members(&self, random: &Random, stop: &Rc<Cell<bool>>, work: &mut Work) {
        for (group, model) in [(PLAIN_GROUP, &self.plain), (EXACT_GROUP, &self.exact)] {
            let model = Rc::clone(model);
            let members = move || model.borrow().newest_members();
            let removing =
                remove_members(group.to_owned(), members, random.split(), Rc::clone(stop));
            work.push(named("remove members", removing));
        }
        let holders = Rc::clone(&self.holders);
        let members = move || holders.borrow().names();
        let removing =
            remove_members(NEWER_GROUP.to_owned(), members, random.split(), Rc::clone(stop));
        work.push(named("remove members", removing));
    }

    fn producer(
        &self,
        random: &Random,
        stop: &Rc<Cell<bool>>,
        id: String,
        number: usize,
    ) -> Producer {
        Producer {
            id,
            number,
            is_v2: random.chance(1, 2),
            timeout_ms: random.choose([2_000, 60_000]),
            random: random.split(),
            journal: Rc::clone(&self.journal),
            stop: Rc::clone(stop),
        }
    }

    /// Takes what was done into a run's summary.
    pub fn sum_up(&self, summary: &mut Summary) {
        summary.transactions = self.journal.borrow().count(Outcome::Committed) as u64;
        summary.assignments += self.holders.borrow().assignments;
        for model in [&self.plain, &self.exact, &self.newer] {
            summary.assignments += model.borrow().assignments;
            summary.commits += model.borrow().commits;
        }
    }

    /// When everybody has stopped: reads everything back.
    pub async fn check(&self) {
        runtime::sleep(TIMEOUTS_MAX).await;
        let journal = self.journal.take();
        let seen = committed_reader::check(&journal).await;
        let mut client = Client::connect_patiently().await;
        for partition in 0..PARTITIONS {
            let groups = [
                (PLAIN_GROUP, &self.plain),
                (EXACT_GROUP, &self.exact),
                (NEWER_GROUP, &self.newer),
            ];
            for (group, model) in groups {
                let committed = committed_reader::committed(&mut client, group, partition).await;
                let floor = model.borrow().floor(partition);
                model.borrow_mut().read(partition, floor, committed);
                if group == EXACT_GROUP {
                    let whole = journal.attempts.iter().filter(|it| seen.contains_key(&it.key));
                    let processed = whole.filter_map(|it| it.processed.as_ref());
                    let here = processed.filter(|it| it.partition == partition);
                    check_processed(here.map(|it| (it.from, it.to)).collect(), committed);
                }
            }
        }
    }
}

fn member(random: &Random, group: &str, model: &Rc<RefCell<GroupModel>>) -> GroupMember {
    GroupMember {
        group: group.to_owned(),
        session_timeout_ms: random.choose([150, 600, 3_000]),
        rebalance_timeout_ms: random.choose([50, 300, 1_000]),
        model: Rc::clone(model),
        random: random.split(),
        membership: Membership { member: String::new(), generation: -1 },
        owned: BTreeSet::new(),
    }
}

fn worker(
    random: &Random,
    stop: &Rc<Cell<bool>>,
    member: GroupMember,
    producer: Option<Producer>,
) -> GroupWorker {
    let (random, stop) = (random.split(), Rc::clone(stop));
    GroupWorker { member, producer, random, stop, round: 0 }
}
