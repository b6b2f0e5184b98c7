//! One run: a broker, a workload drawn from the seed, crashes, and the checker after each restart.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use broker::{BrokerSettings, RunningBroker, StorageSettings};
use kafka::{Doors, KafkaConfig};
use model::Compression;
use runtime::simulation::{self, CrashKind, Random, Sabotage};
use runtime::sync::oneshot;

use crate::checker::audit;
use crate::client::address;
use crate::coordination::{self, Coordination};
use crate::lease_worker::Application;
use crate::plain_model::Model;
use crate::producer::{Producer, ProducerPlan};
use crate::streams::{BrokerSlot, Stream};
use crate::workload::{TopicPlan, bad_luck, come_and_go, consume, create_topic, delete_records};

/// How a run differs from the usual.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// A broken promise of the disk, which the checker must notice.
    pub sabotage: Option<(Sabotage, &'static str)>,
    /// Topics acknowledge from memory, which the checker must notice too.
    pub acknowledge_before_sync: bool,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub acknowledged: u64,
    pub kills: u64,
    pub power_cuts: u64,
    pub aborts: u64,
    pub audits: u64,
    /// Transactions that were committed.
    pub transactions: u64,
    /// How often a member of a group was told what it owns.
    pub assignments: u64,
    /// Offsets that members have committed.
    pub commits: u64,
    /// Records of the stream that were acknowledged.
    pub stream_records: u64,
    /// Changes of its shards.
    pub reshards: u64,
    /// Changes of leases on its shards.
    pub lease_changes: u64,
}

impl Summary {
    /// Adds up the runs of several seeds.
    pub fn add(&mut self, other: &Summary) {
        self.acknowledged += other.acknowledged;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.aborts += other.aborts;
        self.audits += other.audits;
        self.transactions += other.transactions;
        self.assignments += other.assignments;
        self.commits += other.commits;
        self.stream_records += other.stream_records;
        self.reshards += other.reshards;
        self.lease_changes += other.lease_changes;
    }
}

/// Everything after the last fault must be done within this much virtual time.
const RECOVERY_MAX: Duration = Duration::from_secs(180);

/// The workload's tasks, by name.
pub type Work = Vec<(&'static str, runtime::Task<()>)>;

pub fn named(
    name: &'static str,
    task: impl Future<Output = ()> + 'static,
) -> (&'static str, runtime::Task<()>) {
    (name, runtime::spawn_joinable(name, task))
}

struct Run {
    random: Random,
    settings: BrokerSettings,
    summary: Summary,
    model: Rc<RefCell<Model>>,
    /// The network is left alone for a while.
    truce: Rc<Cell<bool>>,
    broker: BrokerSlot,
    stream: Option<Stream>,
    /// Who leases the stream's shards.
    application: Option<Application>,
}

/// Runs one seed's scenario. Call it inside a simulation.
pub async fn scenario(seed: u64, options: Options) -> Summary {
    // Not the schedule's own chance: the plan stays the same when the broker changes.
    let random = Random::new(seed ^ 0x7461_6c77_6567);
    if let Some((sabotage, part)) = options.sabotage {
        simulation::sabotage(sabotage, part);
    }
    let settings = settings(&random);
    let mut run = Run {
        random,
        settings,
        summary: Summary::default(),
        model: Rc::default(),
        truce: Rc::default(),
        broker: BrokerSlot::default(),
        stream: None,
        application: None,
    };
    // A first start may be cut short as well.
    run.cut_starts_short().await;
    run.start().await;
    let stop = Rc::new(Cell::new(false));
    let no_stop = Cell::new(false);
    let mut topics = Vec::new();
    for plan in topic_plans(&run.random, options) {
        let made = create_topic(&run.model, &plan, &no_stop).await;
        topics.push(made.expect("nobody stops this"));
    }
    let mut work = run.start_workload(&topics, &stop);
    // In few runs: they take several times as long. The plan of the rest is the same.
    let plan = Random::new(seed ^ 0x636f_6f72_6469);
    let coordination = plan.chance(1, 32).then(Coordination::default);
    if let Some(coordination) = &coordination {
        work.extend(coordination.start(&plan, &stop).await);
    }
    work.extend(run.start_stream(seed, &stop).await);
    let bad_luck = bad_luck(run.random.split(), Rc::clone(&run.truce), Rc::clone(&stop));
    let bad_luck = runtime::spawn_joinable("bad luck", bad_luck);

    for _ in 0..run.random.between(1, 4) {
        let until_crash = Duration::from_micros(run.random.between(20_000, 2_500_000));
        let aborted = runtime::timeout(until_crash, simulation::crashed()).await.is_ok();
        if aborted {
            run.summary.aborts += 1;
        } else {
            run.crash();
        }
        run.restart().await;
    }
    stop.set(true);
    bad_luck.await;
    run.restart_if_down().await;
    for (name, task) in work {
        let ended = runtime::timeout(RECOVERY_MAX, task).await;
        assert!(ended.is_ok(), "`{name}` does not come to its end after the last fault");
    }
    run.crash();
    run.restart().await;
    run.summary.acknowledged = run.model.borrow().acknowledged;
    if let Some(coordination) = coordination {
        coordination.sum_up(&mut run.summary);
        coordination.check().await;
    }
    if let Some(stream) = &run.stream {
        stream.sum_up(&mut run.summary);
    }
    if let Some(application) = &run.application {
        run.summary.lease_changes = application.model.borrow().changes;
    }
    run.summary
}

fn settings(random: &Random) -> BrokerSettings {
    let configs =
        [("log.retention.check.interval.ms", "700"), ("auto.create.topics.enable", "false")];
    BrokerSettings {
        data_dir: PathBuf::from("/data"),
        cores: random.between(1, 3) as usize,
        pin_cores: false,
        idle_spin_us: 0,
        memory_bytes: random.choose([32, 64, 256]) << 20,
        advertised_host: "127.0.0.1".to_owned(),
        advertised_port: address().port(),
        configs: configs
            .into_iter()
            .chain(coordination::CONFIGS)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        storage: StorageSettings {
            journal_file_bytes: random.choose([256 << 10, 1 << 20, 4 << 20]),
            checkpoint_bytes: random.choose([32 << 10, 256 << 10, 1 << 20]),
            checkpoint_interval_ms: random.choose([50, 300, 2000]),
            open_files_max: random.choose([2, 8, 100]),
            lanes: random.choose([2, 3, 5, 9]),
        },
    }
}

fn topic_plans(random: &Random, options: Options) -> Vec<TopicPlan> {
    // The smallest that Kafka allows; time makes more segments than size does.
    let mut configs = vec![("segment.bytes", "1048576".to_owned())];
    configs.push(("segment.ms", random.choose([50, 400, 100_000]).to_string()));
    if options.acknowledge_before_sync {
        configs.push(("write.caching", "true".to_owned()));
    }
    let mut expiring = configs.clone();
    expiring.push(("retention.bytes", "40000".to_owned()));
    let plan = |name: &str, configs, expires| TopicPlan {
        name: name.to_owned(),
        partitions: random.between(1, 4) as usize,
        expires,
        configs,
    };
    vec![plan("lasting", configs, false), plan("expiring", expiring, true)]
}

impl Run {
    /// Starts the broker and waits until it serves. `Err` says why not; a crash is `Err` as well.
    async fn try_start(&self) -> Result<(), String> {
        let (ready, started) = oneshot::channel();
        let settings = self.settings.clone();
        let process = simulation::start_process("broker", async move {
            match serve(settings).await {
                Ok(running) => {
                    ready.send(Ok(running.0.handle().clone())).ok();
                    std::future::pending::<()>().await;
                    drop(running);
                }
                Err(why) => drop(ready.send(Err(why))),
            }
        });
        drop(process);
        let died = |_| Err("the process died while starting".to_owned());
        let handle = started.await.unwrap_or_else(died)?;
        *self.broker.borrow_mut() = Some(handle);
        Ok(())
    }

    async fn start(&self) {
        match runtime::timeout(RECOVERY_MAX, self.try_start()).await {
            Ok(started) => started.expect("a healthy start"),
            Err(_) => panic!("the broker does not start"),
        }
    }

    fn crash(&mut self) {
        let kind = if self.random.chance(1, 2) { CrashKind::Kill } else { CrashKind::PowerCut };
        match kind {
            CrashKind::Kill => self.summary.kills += 1,
            CrashKind::PowerCut => self.summary.power_cuts += 1,
        }
        tracing::info!(?kind, at = ?runtime::now(), "crash");
        simulation::crash(kind);
    }

    async fn cut_starts_short(&mut self) {
        while self.random.chance(1, 4) {
            let short = Duration::from_micros(self.random.between(10, 20_000));
            // What comes of this start does not matter.
            let _ = runtime::timeout(short, self.try_start()).await;
            self.crash();
        }
    }

    /// Brings the broker back, sometimes with more crashes while it recovers, and audits.
    async fn restart(&mut self) {
        heal();
        self.cut_starts_short().await;
        if self.random.chance(1, 8) {
            self.settings.cores = self.random.between(1, 3) as usize;
        }
        self.start_through_faults().await;
        self.audit().await;
    }

    async fn restart_if_down(&mut self) {
        heal();
        if kafka_is_down().await {
            self.start_through_faults().await;
        }
        self.audit().await;
    }

    /// Starts, again and again while bad luck kills the process; a refusal is a failure.
    async fn start_through_faults(&mut self) {
        for _ in 0..20 {
            let crashes = simulation::Machine::default().crash_count();
            match runtime::timeout(RECOVERY_MAX, self.try_start()).await {
                Err(_) => panic!("the broker does not start"),
                Ok(Ok(())) => return,
                Ok(Err(why)) => {
                    let died = simulation::Machine::default().crash_count() > crashes;
                    let unlucky =
                        why.contains("simulated disk: injected") || why.contains("no space left");
                    assert!(died || unlucky, "the broker does not start again: {why}");
                    if !died {
                        simulation::crash(CrashKind::Kill);
                    }
                    heal();
                }
            }
        }
        panic!("20 starts in a row met bad luck");
    }

    async fn audit(&mut self) {
        self.summary.audits += 1;
        for attempt in 0..50 {
            // A long log takes more requests than a bad network lets through in a row.
            if attempt == 10 {
                self.truce.set(true);
                simulation::set_cuts_per_million(0);
            }
            if kafka_is_down().await {
                self.summary.aborts += 1;
                heal();
                self.start_through_faults().await;
            }
            if audit(&self.model).await.is_ok() && self.audit_stream().await.is_ok() {
                self.truce.set(false);
                return;
            }
        }
        panic!("50 audits in a row lost their connection");
    }

    async fn audit_stream(&self) -> Result<(), String> {
        if let Some(application) = &self.application {
            application.look().await.map_err(|error| error.to_string())?;
        }
        match &self.stream {
            Some(stream) => stream.audit().await,
            None => Ok(()),
        }
    }

    /// A stream in every fourth run. The plan of the rest is the same.
    async fn start_stream(&mut self, seed: u64, stop: &Rc<Cell<bool>>) -> Work {
        let plan = Random::new(seed ^ 0x7374_7265_616d);
        if !plan.chance(1, 4) {
            return Work::new();
        }
        let stream = Stream::make(&plan, Rc::clone(&self.broker)).await;
        let mut work = stream.start(&plan, stop);
        if plan.chance(1, 2) {
            let application = Application::new(stream.clone());
            work.extend(application.start(&plan, stop));
            self.application = Some(application);
        }
        self.stream = Some(stream);
        work
    }

    fn start_workload(&self, topics: &[usize], stop: &Rc<Cell<bool>>) -> Work {
        let mut tasks = Vec::new();
        for number in 0..self.random.between(2, 4) {
            let plan = ProducerPlan {
                number,
                topic: topics[self.random.index(topics.len())],
                idempotent: self.random.chance(2, 3),
                depth: self.random.between(1, 5) as usize,
                value_bytes_max: self.random.choose([50, 1_000, 8_000, 40_000]),
                pause_max: Duration::from_micros(self.random.choose([3_000, 20_000, 100_000])),
                compression: self.random.choose([
                    Compression::None,
                    Compression::Lz4,
                    Compression::Zstd,
                ]),
            };
            let producer = Producer::new(plan, Rc::clone(&self.model), Rc::clone(stop));
            tasks.push(named("producer", producer.run()));
        }
        for topic in topics {
            for partition in 0..self.model.borrow().topics[*topic].partitions.len() {
                let consumer = consume(Rc::clone(&self.model), *topic, partition, Rc::clone(stop));
                tasks.push(named("consumer", consumer));
            }
        }
        let deleting = delete_records(Rc::clone(&self.model), topics.to_vec(), Rc::clone(stop));
        tasks.push(named("delete records", deleting));
        let passing = come_and_go(Rc::clone(&self.model), Rc::clone(stop));
        tasks.push(named("topics come and go", passing));
        tasks
    }
}

fn heal() {
    simulation::set_free_bytes(None);
    simulation::clear_faults();
}

async fn kafka_is_down() -> bool {
    runtime::net::connect(address()).await.is_err()
}

/// The whole program, as `thalweg` wires it: broker, then the Kafka doors of all cores.
async fn serve(settings: BrokerSettings) -> Result<(RunningBroker, Doors), String> {
    let running = RunningBroker::start(settings).await.map_err(|error| error.to_string())?;
    let doors = Doors::open(running.handle(), KafkaConfig { listen: address() }).await;
    Ok((running, doors.map_err(|error| error.to_string())?))
}
