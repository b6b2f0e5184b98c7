//! The rounds. All systems are started once and warmed up, and then take turns: in each round every system is
//! measured once, in an order that moves on by one each round. Who is not being measured is stopped (SIGSTOP), so
//! that an idle JVM takes nothing from another's figure, and between two measurements everything dirty is written
//! to the disk. The page cache is filled before each scenario, and topics are deleted only behind its last round.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::compare::floor::Floor;
use crate::compare::kafka::Kafka;
use crate::compare::kinesalite::Kinesalite;
use crate::compare::machine::{self, Machine};
use crate::compare::ministack::Ministack;
use crate::compare::nisshi::Nisshi;
use crate::compare::options::{CompareOptions, Peer};
use crate::compare::page_cache;
use crate::compare::scenario::{Scenario, Stand};
use crate::compare::scenarios;
use crate::compare::system::{Place, Protocol, Running, System};
use crate::compare::table::{Results, ScenarioResults, SystemResults};
use crate::compare::thalweg::Thalweg;
use crate::compare::{load_run, tool};
use crate::load::schedule;
use crate::measure::limits;

const LIMITS_SECONDS: Duration = Duration::from_millis(700);
const SETTLE: Duration = Duration::from_secs(10);
const WARM_UP_TOPIC: &str = "bench-warm-up";

/// Runs what is asked for, and writes the results. Returns the table.
pub fn compare(options: &CompareOptions) -> anyhow::Result<String> {
    let scenarios = scenarios::chosen(&options.scenarios).map_err(anyhow::Error::msg)?;
    let mut protocols: Vec<Protocol> =
        scenarios.iter().map(|scenario| scenario.protocol()).collect();
    protocols.sort_unstable();
    protocols.dedup();
    let mut runner = Runner::new(options, &protocols)?;
    if scenarios.iter().any(|scenario| !scenario.starts_its_own()) {
        runner.start_all()?;
    }
    for scenario in &scenarios {
        let results = runner.run(scenario.as_ref())?;
        runner.results.scenarios.push(results);
        // After each scenario: what was measured must not be lost by what comes.
        runner.write()?;
    }
    runner.end()
}

struct Runner<'a> {
    options: &'a CompareOptions,
    systems: Vec<Box<dyn System>>,
    running: Vec<Option<Running>>,
    data: PathBuf,
    out: PathBuf,
    tool: PathBuf,
    notes: BTreeMap<String, f64>,
    results: Results,
    // Two comparisons at once would disturb each other, and share folders.
    _lock: File,
}

impl<'a> Runner<'a> {
    fn new(options: &'a CompareOptions, protocols: &[Protocol]) -> anyhow::Result<Runner<'a>> {
        bind_to(&options.cpus)?;
        raise_open_files()?;
        let data = options.data_folder()?;
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot make {}", data.display()))?;
        let data = data.canonicalize()?;
        let lock = File::create(data.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("another comparison uses {}", data.display()))?;
        anyhow::ensure!(
            !machine::is_in_memory(&data),
            "{} lies in memory, not on a disk: name another folder with --data",
            data.display()
        );
        let systems = systems(options, protocols)?;
        let machine = Machine::look(&data, &options.cpus);
        let out = match &options.out {
            Some(out) => out.clone(),
            None => data.join("results").join(machine.date.replace([' ', ':'], "-")),
        };
        std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let mut described = Vec::new();
        for system in &systems {
            described.push(SystemResults {
                name: system.name().to_owned(),
                version: system.version()?,
                durability: system.durability().to_owned(),
            });
        }
        Ok(Runner {
            options,
            _lock: lock,
            running: systems.iter().map(|_| None).collect(),
            systems,
            data,
            out,
            tool: tool::find(options.rdkafka_performance.as_deref(), &options.cache()?),
            notes: BTreeMap::new(),
            results: Results {
                machine,
                rounds: options.rounds,
                warm_up_gigabytes: options.warm_up,
                page_cache_fill_gibibytes: options.page_cache_fill,
                systems: described,
                scenarios: Vec::new(),
            },
        })
    }

    fn start_all(&mut self) -> anyhow::Result<()> {
        say("filling the page cache");
        page_cache::fill(&self.data, self.options.page_cache_fill)?;
        for (system, slot) in self.systems.iter().zip(&mut self.running) {
            say(&format!("{}: starting and warming up", system.name()));
            let place = Place { is_paused: true, ..Place::new(self.data.join(system.name()))? };
            system.prepare(&place)?;
            let mut running = Running::start(system.as_ref(), &place)?;
            if system.speaks(Protocol::Kafka) {
                warm_up(&mut running, self.options.warm_up)?;
            }
            running.pause()?;
            page_cache::write_back(&self.data)?;
            *slot = Some(running);
        }
        Ok(())
    }

    fn run(&mut self, scenario: &dyn Scenario) -> anyhow::Result<ScenarioResults> {
        say(&format!("{}: {}", scenario.name(), scenario.about()));
        page_cache::fill(&self.data, self.options.page_cache_fill)?;
        let mut results = ScenarioResults {
            name: scenario.name(),
            about: scenario.about(),
            load_average: machine::load_average(),
            limits: Vec::new(),
            rounds: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        let taking_part = self.speaking(scenario.protocol());
        for index in &taking_part {
            let name = self.systems.get(*index).map_or("", |system| system.name());
            results.rounds.insert(name.to_owned(), Vec::new());
        }
        for index in taking_part.iter().copied() {
            let prepared = self.with_system(index, scenario, |stand| scenario.prepare(stand));
            self.note_failure(&mut results, index, "preparing", prepared);
        }
        for round in 0..self.options.rounds {
            results.limits.push(limits::measure(&self.data, LIMITS_SECONDS)?);
            let first = round as usize % taking_part.len().max(1);
            for index in taking_part.iter().cycle().skip(first).take(taking_part.len()) {
                self.measure(scenario, &mut results, *index, round);
            }
        }
        for index in taking_part {
            let cleaned = self.with_system(index, scenario, |stand| scenario.clean(stand));
            self.note_failure(&mut results, index, "cleaning up", cleaned);
            if scenario.starts_its_own() && !self.options.keep_data {
                let _ = std::fs::remove_dir_all(self.own_folder(index));
            }
        }
        println!("{}", results.markdown(&self.results.systems));
        Ok(results)
    }

    // The systems that speak `protocol`, by their indexes.
    fn speaking(&self, protocol: Protocol) -> Vec<usize> {
        let systems = self.systems.iter().enumerate();
        systems.filter(|(_, system)| system.speaks(protocol)).map(|(index, _)| index).collect()
    }

    fn measure(
        &mut self,
        scenario: &dyn Scenario,
        results: &mut ScenarioResults,
        index: usize,
        round: u64,
    ) {
        let name =
            self.systems.get(index).map(|system| system.name().to_owned()).unwrap_or_default();
        if results.failures.contains_key(&name) {
            return;
        }
        let started = Instant::now();
        let measured = self.with_system(index, scenario, |stand| scenario.measure(stand, round));
        match measured {
            Ok(measurement) => {
                let figures = measurement.0.iter().take(4);
                let figures: Vec<String> =
                    figures.map(|figure| format!("{} {:.3}", figure.name, figure.value)).collect();
                say(&format!(
                    "  round {}/{}, {name}: {} ({:.0} s)",
                    round + 1,
                    self.options.rounds,
                    figures.join("; "),
                    started.elapsed().as_secs_f64()
                ));
                results.rounds.entry(name).or_default().push(measurement);
            }
            Err(error) => self.note_failure(results, index, "measuring", Err(error)),
        }
    }

    fn note_failure(
        &self,
        results: &mut ScenarioResults,
        index: usize,
        during: &str,
        outcome: anyhow::Result<()>,
    ) {
        let (Err(error), Some(system)) = (outcome, self.systems.get(index)) else { return };
        say(&format!("  {}, {during}: FAILED: {error:#}", system.name()));
        results.failures.entry(system.name().to_owned()).or_insert(format!("{during}: {error:#}"));
    }

    fn own_folder(&self, index: usize) -> PathBuf {
        let name = self.systems.get(index).map_or("", |system| system.name());
        self.data.join(format!("{name}-of-its-own"))
    }

    /// Wakes one system, lets `work` use it, and stops it again.
    fn with_system<T>(
        &mut self,
        index: usize,
        scenario: &dyn Scenario,
        work: impl FnOnce(&mut Stand<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let own_folder = self.own_folder(index);
        let system = self.systems.get(index).context("no such system")?;
        let mut running = self.running.get_mut(index).and_then(Option::as_mut);
        if scenario.starts_its_own() {
            running = None;
        }
        if let Some(running) = &mut running {
            running.resume()?;
            running.wait_until_quiet(SETTLE)?;
        }
        let mut stand = Stand {
            system: system.as_ref(),
            running: running.as_deref_mut(),
            options: self.options,
            own_folder,
            results: &self.out,
            tool: &self.tool,
            notes: &mut self.notes,
        };
        let outcome = work(&mut stand);
        if let Some(running) = running {
            running.wait_until_quiet(SETTLE)?;
            running.pause()?;
        }
        page_cache::write_back(&self.data)?;
        outcome
    }

    fn write(&self) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(&self.results)?;
        std::fs::write(self.out.join("results.json"), json)?;
        std::fs::write(self.out.join("results.md"), self.results.markdown())?;
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<String> {
        for running in self.running.drain(..).flatten() {
            running.stop()?;
        }
        if !self.options.keep_data {
            for system in &self.systems {
                let _ = std::fs::remove_dir_all(self.data.join(system.name()));
            }
        }
        say(&format!("results are in {}", self.out.display()));
        Ok(self.results.markdown())
    }
}

fn systems(
    options: &CompareOptions,
    protocols: &[Protocol],
) -> anyhow::Result<Vec<Box<dyn System>>> {
    let cores = (!options.cpus.is_empty()).then_some(options.cpus.len());
    let mut systems: Vec<Box<dyn System>> = Vec::new();
    for thalweg in &options.thalweg {
        systems.push(Box::new(Thalweg::parse(thalweg, cores)?));
    }
    if systems.is_empty() {
        systems.push(Box::new(Thalweg::find(&options.cache()?, cores)?));
    }
    let peers = options.peers_folder()?;
    let usual: Vec<Peer> =
        protocols.iter().flat_map(|protocol| Peer::usual(*protocol)).copied().collect();
    let wanted = if options.peers.is_empty() { &usual } else { &options.peers };
    for peer in wanted {
        match peer {
            Peer::Kafka => systems.push(Box::new(Kafka::find(&peers, &options.kafka_heap, false)?)),
            Peer::KafkaSynced => {
                systems.push(Box::new(Kafka::find(&peers, &options.kafka_heap, true)?))
            }
            Peer::Nisshi => systems.push(Box::new(Nisshi::find(&peers)?)),
            Peer::Floor => systems.push(Box::new(Floor::new(false))),
            Peer::FloorDurable => systems.push(Box::new(Floor::new(true))),
            Peer::Kinesalite => systems.push(Box::new(Kinesalite::find(&peers, false)?)),
            Peer::KinesaliteLeveldb => systems.push(Box::new(Kinesalite::find(&peers, true)?)),
            Peer::Ministack => systems.push(Box::new(Ministack::find(&peers)?)),
            Peer::None => {}
        }
    }
    let mut names: Vec<&str> = systems.iter().map(|system| system.name()).collect();
    names.sort_unstable();
    anyhow::ensure!(
        names.windows(2).all(|pair| pair.first() != pair.last()),
        "two systems have the same name: --thalweg NAME=FILE gives another"
    );
    Ok(systems)
}

// Written and read through in pieces, whose topics are deleted: the disk need not hold it all.
fn warm_up(running: &mut Running, gigabytes: f64) -> anyhow::Result<()> {
    const PIECE: f64 = 2.0;
    let (address, mut left) = (running.place().address(), gigabytes);
    while left > 0.0 {
        let records = schedule::records_in(left.min(PIECE), 1024);
        for load in
            [format!("produce -p 16 -s 1024 -n {records}"), "consume --mode as-is".to_owned()]
        {
            let load = format!("{load} --bootstrap {address} --topic {WARM_UP_TOPIC}");
            let load: Vec<String> = load.split(' ').map(str::to_owned).collect();
            load_run::run(&load).context("warming up")?;
        }
        crate::wire::Connection::open(&address)?.delete_topic(WARM_UP_TOPIC)?;
        left -= PIECE;
    }
    running.wait_until_quiet(SETTLE)
}

fn bind_to(cpus: &[usize]) -> anyhow::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        anyhow::ensure!(*cpu < CpuSet::MAX_CPU, "--cpus: there is no processor {cpu}");
        set.set(*cpu);
    }
    // Inherited by everything that is started.
    sched_setaffinity(None, &set).context("--cpus: the kernel refuses these processors")
}

fn raise_open_files() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("the limit of open files cannot be raised")
}

fn say(text: &str) {
    eprintln!("{text}");
}
