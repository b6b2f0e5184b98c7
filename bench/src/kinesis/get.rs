//! `bench get-records`: how fast GetRecords reads what is there, from TRIM_HORIZON to the newest record and again.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;

use crate::kinesis::connection::{Connection, Http};
use crate::kinesis::follow::{self, follow};
use crate::kinesis::options::GetOptions;
use crate::kinesis::put::client;
use crate::kinesis::tally::Tally;
use crate::load::progress::Progress;
use crate::load::report::LoadReport;
use crate::measure::clock::{now_ns, sleep_until};

/// Runs it.
pub fn get(options: &GetOptions) -> anyhow::Result<LoadReport> {
    let stream = &options.stream;
    let shards = Connection::open(&stream.endpoint, Http::One)?.shards(&stream.stream)?;
    let count = options.connections.min(shards.len() as u64) as usize;
    let mut readers = Vec::new();
    for number in 0..count {
        let connection = Connection::open(&stream.endpoint, options.wire.http)?;
        let own = shards.iter().skip(number).step_by(count).cloned().collect();
        readers.push(Reader { connection, shards: own, options: options.clone() });
    }
    let mut progress = Progress::start(&options.output, "get-records")?;
    let tally = Arc::new(Tally::new(follow::window(options.span, None)));
    let threads: Vec<JoinHandle<()>> = readers
        .into_iter()
        .map(|mut reader| {
            let tally = tally.clone();
            std::thread::spawn(move || {
                if let Err(error) = reader.run(&tally) {
                    tally.fail(1, &format!("{error:#}"));
                }
            })
        })
        .collect();
    let (client_cpu, server) = follow(&options.output, &mut progress, &tally, &[], &threads)?;
    follow::join(threads);
    progress.finish()?;

    let (records, bytes) = tally.in_window();
    let (failed, first_failure) = tally.failures();
    Ok(LoadReport {
        load: "get-records".to_owned(),
        client: client(options.wire),
        seconds: follow::seconds(&tally),
        records,
        bytes,
        failed,
        first_failure,
        unfinished: 0,
        latency: None,
        send_lag: None,
        client_cpu,
        server,
    })
}

struct Reader {
    connection: Connection,
    shards: Vec<String>,
    options: GetOptions,
}

impl Reader {
    fn run(&mut self, tally: &Tally) -> anyhow::Result<()> {
        sleep_until(tally.window.start_ns);
        while now_ns() < tally.window.until_ns {
            let mut records = 0;
            for shard in self.shards.clone() {
                records += self.read_through(&shard, tally)?;
            }
            anyhow::ensure!(
                records > 0 || now_ns() >= tally.window.until_ns,
                "the shards {:?} are empty: put records first",
                self.shards
            );
        }
        Ok(())
    }

    // From the first record to the newest, or to the end of the window.
    fn read_through(&mut self, shard: &str, tally: &Tally) -> anyhow::Result<u64> {
        let encoding = self.options.wire.encoding;
        let mut iterator = self.connection.oldest(&self.options.stream.stream, shard)?;
        let mut read = 0;
        while now_ns() < tally.window.until_ns {
            let body = encoding.get_records(&iterator, self.options.limit)?;
            let answer = self.connection.call("GetRecords", encoding, body)?;
            let (mut records, mut bytes) = (0, 0);
            let page = encoding
                .records(&answer, &mut |data| {
                    records += 1;
                    bytes += data.len() as u64;
                })
                .with_context(|| format!("shard {shard}"))?;
            tally.add(records, bytes);
            read += records;
            // An empty answer, too: there are servers that always say they are not behind.
            let is_end = page.millis_behind_latest == 0 && records == 0;
            match page.next_iterator {
                Some(next) if !is_end => iterator = next,
                _ => break,
            }
        }
        Ok(read)
    }
}
