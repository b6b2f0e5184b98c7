//! librdkafka's `rdkafka_performance`: a load generator that users know and trust.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// What it printed at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToolReport {
    /// Records delivered or consumed.
    pub records: u64,
    /// Megabytes (10^6) a second.
    pub megabytes_per_second: f64,
    /// Records a second.
    pub records_per_second: f64,
}

/// Where it is, unless the options name it.
pub fn find(named: Option<&Path>, cache: &Path) -> PathBuf {
    named.map_or_else(|| cache.join("librdkafka/examples/rdkafka_performance"), Path::to_owned)
}

/// Starts it.
pub fn start(tool: &Path, arguments: &[String]) -> anyhow::Result<Child> {
    Command::new(tool)
        .args(arguments)
        .args(["-q", "-X", "broker.address.family=v4"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| {
            format!("{} cannot be started: run scripts/setup librdkafka", tool.display())
        })
}

/// Waits for its end and reads what it printed.
pub fn finish(child: Child, wanted: u64) -> anyhow::Result<ToolReport> {
    let output = child.wait_with_output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let report =
        parse(&text).with_context(|| format!("rdkafka_performance said: {}", text.trim()))?;
    if report.records < wanted {
        bail!(
            "rdkafka_performance handled {} of {wanted} records: {}",
            report.records,
            text.trim()
        );
    }
    Ok(report)
}

// Of a producer: `% 300 messages produced (3 bytes), 300 delivered (…) in 3040ms: 98659 msgs/s and 101.03 MB/s, …`;
// of a consumer: `% 300 messages (3 bytes) consumed in 100ms: 3000 msgs/s (0.03 MB/s)`.
fn parse(text: &str) -> Option<ToolReport> {
    let line = text.lines().rev().find(|line| line.contains(" msgs/s"))?;
    let before = |unit: &str| {
        let (head, _) = line.split_once(unit)?;
        head.rsplit([' ', '(']).next()?.parse::<f64>().ok()
    };
    let records = before(" delivered").or_else(|| before(" messages ("))?;
    Some(ToolReport {
        records: records as u64,
        megabytes_per_second: before(" MB/s")?,
        records_per_second: before(" msgs/s")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_counts_what_was_delivered() {
        let text = "% Sending 300 messages\n\
            % 300000 messages produced (307200000 bytes), 299999 delivered (offset 300009, 0 failed) in 3040ms: \
            98659 msgs/s and 101.03 MB/s, 175 produce failures, 0 in queue, no compression\n";
        let report = parse(text).unwrap();
        assert_eq!(report.records, 299_999);
        assert_eq!((report.records_per_second, report.megabytes_per_second), (98_659.0, 101.03));
    }

    #[test]
    fn a_consumer_counts_what_came() {
        let text = "% 600000 messages (614400000 bytes) consumed in 400ms: 1500000 msgs/s (1536.00 MB/s)\n";
        let report = parse(text).unwrap();
        assert_eq!(report.records, 600_000);
        assert_eq!((report.records_per_second, report.megabytes_per_second), (1_500_000.0, 1536.0));
    }

    #[test]
    fn anything_else_is_no_report() {
        assert_eq!(parse("% ERROR: all brokers are down"), None);
    }
}
