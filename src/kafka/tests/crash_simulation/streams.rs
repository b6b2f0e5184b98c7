//! One stream of the Kinesis door in a run: who puts to it, produces to it, reads it again and
//! again, and splits and merges its shards all the while.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use broker::{Broker, BrokerError, BrokerHandle, NewPartitions};
use futures_util::future::join;
use kinesis::{ApiError, BrokerLog, Caller, ErrorKind, Kinesis, requests};
use model::{CoreId, HashKey, PartitionIndex, ShardId, TopicId};
use runtime::simulation::{self, CrashKind, Random};
use state::shards::Shard;

use crate::{
    scenario::{Summary, Work, named},
    shard_lineage::{Asked, Lineage, open},
    shard_model::ShardModel,
    stream_reader::{follow, read_whole},
    stream_writer::{produce, put},
    workload::{TopicPlan, make_topic},
};

pub const STREAM: &str = "stream";
/// The core that changes the catalog: no other core knows a change before it.
const CATALOG: CoreId = CoreId(0);
const OPEN_SHARDS_MAX: usize = 8;
/// Merges seal partitions for good, so every split and merge leaves one more.
const PARTITIONS_MAX: u32 = 20;

/// The broker that runs, or ran last.
pub type BrokerSlot = Rc<RefCell<Option<BrokerHandle>>>;

/// A stream and what is known of it. Clones share it.
#[derive(Clone)]
pub struct Stream {
    pub id: TopicId,
    pub model: Rc<RefCell<ShardModel>>,
    broker: BrokerSlot,
}

impl Stream {
    /// Makes the stream.
    pub async fn make(random: &Random, broker: BrokerSlot) -> Stream {
        let plan = TopicPlan {
            name: STREAM.to_owned(),
            partitions: random.between(1, 4) as usize,
            expires: false,
            configs: vec![("segment.ms", random.choose([50, 100_000]).to_string())],
        };
        let id = make_topic(&plan, &Cell::new(false)).await.expect("nobody stops this");
        let stream = Stream { id: TopicId(id.as_u128()), model: Rc::default(), broker };
        let shards = stream.shards_on(CATALOG).await.expect("nothing has happened yet");
        stream.model.borrow_mut().lineage = Lineage::new(shards);
        stream
    }

    /// Starts everybody.
    pub fn start(&self, random: &Random, stop: &Rc<Cell<bool>>) -> Work {
        let mut work = Work::new();
        for number in 0..random.between(1, 3) {
            let putting = put(self.clone(), number, random.split(), Rc::clone(stop));
            work.push(named("put", putting));
        }
        for number in 0..random.between(0, 2) {
            let producing = produce(self.clone(), number, random.split(), Rc::clone(stop));
            work.push(named("produce to the stream", producing));
        }
        for _ in 0..random.between(1, 2) {
            let reading = self.clone().read_again(random.split(), Rc::clone(stop));
            work.push(named("read shards", reading));
        }
        let resharding = self.clone().reshard(random.split(), Rc::clone(stop));
        work.push(named("reshard", resharding));
        work
    }

    /// Takes what was done into a run's summary.
    pub fn sum_up(&self, summary: &mut Summary) {
        let model = self.model.borrow();
        summary.stream_records = model.acknowledged;
        summary.reshards = model.lineage.changes;
    }

    pub fn handle(&self) -> BrokerHandle {
        self.broker.borrow().clone().expect("work begins when the broker runs")
    }

    /// The operations of the Kinesis door, on the broker that runs now.
    pub fn kinesis(&self) -> Kinesis<BrokerLog> {
        Kinesis::new(BrokerLog::new(self.handle()), b"the same in every process")
    }

    async fn shards_on(&self, core: CoreId) -> Result<Vec<Shard>, BrokerError> {
        let id = self.id;
        let shards = move |broker: Rc<Broker>| async move {
            let catalog = broker.catalog();
            catalog.topic_by_id(id).map(|topic| topic.shards.all().to_vec())
        };
        let shards = self.handle().call(core, shards).await?;
        Ok(shards.expect("the stream is never deleted"))
    }

    /// The shards as a core knows them, held against what it must know.
    async fn look(&self, core: CoreId) -> Result<Vec<Shard>, BrokerError> {
        let floor = {
            let lineage = &self.model.borrow().lineage;
            let seen = if core == CATALOG { lineage.newest().len() } else { 0 };
            lineage.confirmed().max(seen)
        };
        let shards = self.shards_on(core).await?;
        self.model.borrow_mut().lineage.see(floor, &shards);
        Ok(shards)
    }

    /// The shards as every core knows them, when no change is under way.
    pub async fn settled_shards(&self) -> Result<Vec<Shard>, BrokerError> {
        self.handle()
            .call(CATALOG, |broker| async move { broker.catalog_settled().await })
            .await??;
        self.look(CATALOG).await
    }

    async fn read_again(self, random: Random, stop: Rc<Cell<bool>>) {
        while !stop.get() {
            runtime::sleep(Duration::from_micros(random.between(1_000, 200_000))).await;
            let core = CoreId(random.index(self.handle().core_count()) as u16);
            let Ok(shards) = self.look(core).await else { continue };
            let shard = &shards[random.index(shards.len())];
            let limit = random.choose([40, 400, 10_000]);
            if let Err(broken) = crate::stream_reader::read_shard(&self, shard, limit).await {
                tracing::debug!(%broken, shard = %shard.id, "reading a shard");
            }
        }
    }

    async fn reshard(self, random: Random, stop: Rc<Cell<bool>>) {
        while !stop.get() {
            runtime::sleep(Duration::from_micros(random.between(1_000, 300_000))).await;
            // What was under way is settled: it was confirmed or refused, or its process is gone.
            let Ok(shards) = self.settled_shards().await else { continue };
            let Some(asked) = choose(&random, &shards) else { continue };
            self.model.borrow_mut().lineage.ask(asked);
            let done = Cell::new(false);
            let change = async {
                let outcome = self.change(asked).await;
                done.set(true);
                outcome
            };
            let closing = &shards[closing(asked, &shards).0 as usize];
            let (outcome, read) = join(change, follow(&self, closing, &done)).await;
            tracing::debug!(?read, "a shard that closes was followed");
            tracing::debug!(?asked, ?outcome, "reshard");
            match outcome {
                Ok(()) => {
                    self.model.borrow_mut().lineage.confirm(shards.len());
                    // All that it stands on must be durable by now, on every core. (Nobody starts
                    // the broker again after the end.)
                    if !stop.get() && random.chance(1, 12) {
                        simulation::crash(random.choose([CrashKind::Kill, CrashKind::PowerCut]));
                    }
                    self.look_everywhere().await;
                }
                Err(error) if error.kind == ErrorKind::ResourceInUse => {
                    self.model.borrow_mut().lineage.refused();
                }
                // It is there, or it is not.
                Err(error) if error.kind == ErrorKind::InternalFailure => {}
                Err(error) => panic!("{asked:?} of {shards:?}: {error}"),
            }
        }
    }

    async fn look_everywhere(&self) {
        for core in 0..self.handle().core_count() {
            if self.look(CoreId(core as u16)).await.is_err() {
                return;
            }
        }
    }

    async fn change(&self, asked: Asked) -> Result<(), ApiError> {
        let (kinesis, caller) = (self.kinesis(), caller());
        let stream_name = Some(STREAM.to_owned());
        match asked {
            Asked::Split { shard, at } => {
                let request = requests::SplitShard {
                    stream_name,
                    shard_to_split: Some(shard.to_string()),
                    new_starting_hash_key: Some(at.to_string()),
                    ..Default::default()
                };
                kinesis.split_shard(&caller, request).await
            }
            Asked::Merge { into, from } => {
                let request = requests::MergeShards {
                    stream_name,
                    shard_to_merge: Some(into.to_string()),
                    adjacent_shard_to_merge: Some(from.to_string()),
                    ..Default::default()
                };
                kinesis.merge_shards(&caller, request).await
            }
            Asked::Uniform(count) => {
                let request = requests::UpdateShardCount {
                    stream_name,
                    target_shard_count: Some(i64::from(count)),
                    scaling_type: Some("UNIFORM_SCALING".to_owned()),
                    ..Default::default()
                };
                kinesis.update_shard_count(&caller, request).await.map(drop)
            }
            Asked::Partitions(count) => {
                let topic = NewPartitions {
                    topic: STREAM.to_owned(),
                    count: count as i32,
                    assignments: None,
                };
                let create = |broker: Rc<Broker>| async move {
                    broker.create_partitions(vec![topic], false).await
                };
                let mut outcomes = self.handle().ask(create).await?;
                Ok(outcomes.remove(0)?)
            }
        }
    }

    /// Reads the whole stream through both doors and holds it against the model. An error says
    /// that the broker went away meanwhile.
    pub async fn audit(&self) -> Result<(), String> {
        let promises = self.model.borrow().promises();
        let found = read_whole(self).await?;
        self.model.borrow_mut().audit(&promises, &found);
        Ok(())
    }
}

/// Who asks.
pub fn caller() -> Caller {
    Caller { region: "us-east-1".to_owned(), account: "000000000000".to_owned() }
}

/// A shard that a change closes, or may.
fn closing(asked: Asked, shards: &[Shard]) -> ShardId {
    match asked {
        Asked::Split { shard, .. } => shard,
        Asked::Merge { into, .. } => into,
        Asked::Uniform(_) | Asked::Partitions(_) => open(shards)[0].id,
    }
}

/// A change that these shards allow.
fn choose(random: &Random, shards: &[Shard]) -> Option<Asked> {
    let open = open(shards);
    let partitions = shards.iter().map(|shard| shard.partition).max();
    let partitions = partitions.map_or(0, |PartitionIndex(last)| last + 1);
    let may_grow = open.len() < OPEN_SHARDS_MAX && partitions < PARTITIONS_MAX;
    match random.below(8) {
        0..=2 if may_grow => {
            let shard = open[random.index(open.len())];
            let width = shard.range.width_less_one();
            let step = (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
                .checked_rem(width)?;
            Some(Asked::Split { shard: shard.id, at: HashKey(shard.range.start().0 + 1 + step) })
        }
        3..=5 if open.len() > 1 => {
            let lower = random.index(open.len() - 1);
            let (lower, upper) = (open[lower].id, open[lower + 1].id);
            let (into, from) = if random.chance(1, 2) { (lower, upper) } else { (upper, lower) };
            Some(Asked::Merge { into, from })
        }
        6 if may_grow => {
            let most = (2 * open.len()).min(OPEN_SHARDS_MAX);
            let count = random.between(open.len().div_ceil(2) as u64, most as u64) as u32;
            let equal = (0..count).filter_map(|index| model::HashKeyRange::uniform(index, count));
            let is_change = !open.iter().map(|shard| shard.range).eq(equal);
            is_change.then_some(Asked::Uniform(count))
        }
        7 if may_grow => Some(Asked::Partitions(partitions + random.between(1, 2) as u32)),
        _ => None,
    }
}
