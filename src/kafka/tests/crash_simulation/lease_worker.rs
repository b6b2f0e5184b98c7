//! Workers of one application, as KCL's are: they lease the stream's shards among themselves, read
//! parents before children, and take over from one that is not heard of.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use broker::{Broker, BrokerError, FetchPartition, FetchRequest};
use model::Offset;
use runtime::simulation::Random;
use state::leases::{
    Checkpoint, Lease, LeaseChange, LeaseError, LeaseKey, PreciseCheckpoint, Seen,
};

use crate::{
    lease_model::LeaseModel,
    scenario::{Work, named},
    streams::Stream,
};

const APPLICATION: &str = "workers";
/// How long a counter stands still before somebody takes the lease.
const FAILOVER: Duration = Duration::from_millis(300);

/// Why a worker begins anew.
type Done<T> = Result<T, BrokerError>;

/// The application, as its workers and the checker share it.
#[derive(Clone)]
pub struct Application {
    stream: Stream,
    pub model: Rc<RefCell<LeaseModel>>,
}

impl Application {
    pub fn new(stream: Stream) -> Application {
        Application { stream, model: Rc::default() }
    }

    /// Starts its workers.
    pub fn start(&self, random: &Random, stop: &Rc<Cell<bool>>) -> Work {
        let mut work = Work::new();
        for number in 0..random.between(1, 3) {
            let worker = Worker {
                application: self.clone(),
                name: format!("worker-{number}"),
                random: random.split(),
                stood_still: BTreeMap::new(),
            };
            work.push(named("lease worker", worker.run(Rc::clone(stop))));
        }
        work
    }

    /// Looks at all leases.
    pub async fn look(&self) -> Done<Vec<(LeaseKey, Lease)>> {
        let floors = self.model.borrow().floors();
        let ask = |broker: Rc<Broker>| async move { broker.leases(APPLICATION, None).await };
        let leases = self.stream.handle().ask(ask).await??;
        self.model.borrow_mut().see_all(&floors, &leases);
        Ok(leases)
    }
}

struct Worker {
    application: Application,
    name: String,
    random: Random,
    /// Counters of others' leases, and since when they are what they are.
    stood_still: BTreeMap<LeaseKey, (u64, runtime::Instant)>,
}

impl Worker {
    async fn run(mut self, stop: Rc<Cell<bool>>) {
        while !stop.get() {
            runtime::sleep(Duration::from_micros(self.random.between(1_000, 100_000))).await;
            if let Err(error) = self.turn().await {
                tracing::debug!(worker = self.name, %error, "a turn ends");
            }
        }
    }

    async fn turn(&mut self) -> Done<()> {
        self.lease_all().await?;
        let leases = self.application.look().await?;
        let offered = |broker: Rc<Broker>| async move { broker.offered_leases(APPLICATION).await };
        let offered = self.application.stream.handle().ask(offered).await??;
        let (mut own, mut free) = (Vec::new(), offered);
        for (key, lease) in leases {
            if lease.owner.as_deref() == Some(&self.name) {
                own.push((key, lease));
            } else if lease.owner.is_some() && self.has_stood_still(key, lease.counter) {
                free.push((key, lease));
            }
        }
        if own.is_empty() || self.random.chance(1, 4) {
            if let Some((key, lease)) = free.get(self.random.index(free.len())) {
                let taken =
                    self.change(*key, lease, LeaseChange::Take { owner: self.name.clone() });
                if let Some(lease) = taken.await? {
                    self.application.model.borrow().taken(*key, &lease);
                    self.read_on(*key, lease).await?;
                }
            }
        } else {
            let (key, lease) = own.swap_remove(self.random.index(own.len()));
            self.keep(key, lease).await?;
        }
        Ok(())
    }

    fn has_stood_still(&mut self, key: LeaseKey, counter: u64) -> bool {
        let now = runtime::now();
        let since = self.stood_still.entry(key).or_insert((counter, now));
        if since.0 != counter {
            *since = (counter, now);
        }
        now - since.1 >= FAILOVER
    }

    /// A lease for every shard; a parent's before its children's.
    async fn lease_all(&self) -> Done<()> {
        let stream = &self.application.stream;
        let (id, topic) = (stream.id, stream.id);
        let keys = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            let shards = catalog.topic_by_id(id).map(|topic| topic.shards.all().to_vec());
            let shards = shards.expect("the stream is never deleted");
            let key = |shard: &state::shards::Shard| LeaseKey {
                topic,
                partition: shard.partition,
                shard: shard.id,
            };
            shards.iter().map(key).collect::<Vec<_>>()
        };
        for key in stream.handle().ask(keys).await? {
            if self.application.model.borrow().floor(key).is_some() {
                continue;
            }
            let create = LeaseChange::Create { checkpoint: Checkpoint::TrimHorizon };
            match self.ask(key, Seen::default(), create).await {
                Ok(Some(lease)) => self.application.model.borrow_mut().see(None, key, &lease),
                Ok(None) => panic!("{key:?} was not made"),
                Err(BrokerError::Lease(LeaseError::Exists)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn ask(&self, key: LeaseKey, seen: Seen, change: LeaseChange) -> Done<Option<Lease>> {
        let ask = move |broker: Rc<Broker>| async move {
            broker.change_lease(APPLICATION, key, seen, change).await
        };
        self.application.stream.handle().ask(ask).await?
    }

    /// A change of a lease as it was seen; `None` if somebody else was faster.
    async fn change(
        &self,
        key: LeaseKey,
        seen: &Lease,
        change: LeaseChange,
    ) -> Done<Option<Lease>> {
        let counter = seen.counter;
        let seen = Seen { counter: Some(counter), owner: Some(seen.owner.clone()) };
        match self.ask(key, seen, change).await {
            Ok(lease) => {
                let lease = lease.expect("nobody deletes leases");
                self.application.model.borrow_mut().confirm(counter, key, &lease);
                Ok(Some(lease))
            }
            Err(BrokerError::Lease(LeaseError::Changed { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What an owner does with a lease.
    async fn keep(&mut self, key: LeaseKey, lease: Lease) -> Done<()> {
        let change = match self.random.below(10) {
            0 => LeaseChange::Evict,
            1 => LeaseChange::HandOver { to: format!("worker-{}", self.random.below(3)) },
            2 => LeaseChange::PrepareCheckpoint { pending: lease.at },
            3 => LeaseChange::EndHandOver,
            4 | 5 => LeaseChange::Renew,
            _ => return self.read_on(key, lease).await,
        };
        self.change(key, &lease, change).await.map(drop)
    }

    /// Reads some records and makes a checkpoint; at a closed shard's end the last one.
    async fn read_on(&mut self, key: LeaseKey, lease: Lease) -> Done<()> {
        let first = match lease.at.checkpoint {
            Checkpoint::After(offset) => offset.next(),
            Checkpoint::ShardEnd => return Ok(()),
            _ => lease.start,
        };
        let log_end = self.log_end(key, first).await?;
        let end = lease.end.unwrap_or(log_end);
        let next = Offset(end.0.min(first.0 + self.random.between(0, 20) as i64));
        let reached = if lease.end == Some(next) {
            self.application.model.borrow_mut().ask_end(key);
            Checkpoint::ShardEnd
        } else if next > first {
            Checkpoint::After(Offset(next.0 - 1))
        } else {
            return Ok(());
        };
        let at = PreciseCheckpoint::whole(reached);
        self.change(key, &lease, LeaseChange::Checkpoint { at }).await.map(drop)
    }

    async fn log_end(&self, key: LeaseKey, offset: Offset) -> Done<Offset> {
        let partition = FetchPartition {
            topic: key.topic_partition(),
            offset,
            max_bytes: 1,
            leader_epoch: None,
            read_committed: false,
        };
        let request = FetchRequest {
            partitions: vec![partition],
            max_bytes: 1,
            min_bytes: 0,
            max_wait: Duration::ZERO,
        };
        let ask = move |broker: Rc<Broker>| async move { broker.fetch(request).await };
        let fetched = self.application.stream.handle().ask(ask).await?.remove(0)?;
        Ok(fetched.high_watermark)
    }
}
