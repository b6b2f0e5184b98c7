//! What the broker counts: records by topic, the journal, reads, memory, CPU time.

use broker::{CoreCounts, RecoverySummary};
use metrics::HistogramCounts;

use super::{
    page::{Page, SECONDS_PER_NANOSECOND},
    topics::Line,
};

pub(crate) fn show_recovery(page: &mut Page, recovery: RecoverySummary) {
    page.gauge(
        "thalweg_recovery_seconds",
        "How long the recovery at the start took, from the first file opened to the last command \
         replayed.",
        |family| family.sample(&[], recovery.took),
    );
    page.gauge(
        "thalweg_recovery_commands",
        "Commands that the recovery at the start replayed from the journals.",
        |family| family.sample(&[], recovery.commands),
    );
}

pub(crate) fn show_topics(page: &mut Page, lines: &[Line]) {
    let mut by_topic = |name, help, value: fn(&Line) -> u64| {
        page.counter(name, help, |family| {
            for line in lines {
                family.sample(&[("topic", &line.topic)], value(line));
            }
        });
    };
    by_topic(
        "kafka_server_brokertopicmetrics_messagesin_total",
        "Records that were made durable, through either door.",
        |line| line.counts.taken.records,
    );
    by_topic(
        "kafka_server_brokertopicmetrics_bytesin_total",
        "Bytes of the record batches that were made durable, through either door.",
        |line| line.counts.taken.bytes,
    );
    by_topic(
        "kafka_server_brokertopicmetrics_bytesout_total",
        "Bytes of the record batches that were given to readers, through either door.",
        |line| line.counts.given.bytes,
    );
    by_topic(
        "thalweg_topic_messagesout_total",
        "Records in the batches that were given to readers, through either door.",
        |line| line.counts.given.records,
    );
    let help = "Bytes of the topic's logs, batches that are in memory only included.";
    page.gauge("kafka_log_log_size", help, |family| {
        for line in lines {
            family.sample(&[("topic", &line.topic)], line.log_bytes);
        }
    });
}

pub(crate) fn show(page: &mut Page, cores: &[CoreCounts]) {
    show_inventory(page, cores);
    show_scaling(page, cores);
    show_journals(page, cores);
    show_reads(page, cores);
    show_memory(page, cores);
}

fn show_inventory(page: &mut Page, cores: &[CoreCounts]) {
    page.gauge("thalweg_topics", "Topics that there are.", |family| {
        family.sample(&[], cores.first().map_or(0, |core| core.topic_count));
    });
    page.gauge(
        "kafka_server_replicamanager_partitioncount",
        "Partitions that there are.",
        |family| family.sample(&[], cores.iter().map(|core| core.partitions).sum::<usize>()),
    );
    page.counter(
        "thalweg_core_cpu_seconds_total",
        "CPU time that a core's thread has used, in user space and in the kernel. Its rate is how \
         busy the core is, 1 being all of a CPU.",
        |family| each(cores, |core, name| family.sample(&[("core", name)], core.cpu_time)),
    );
    page.gauge(
        "thalweg_storage_full",
        "1 while a core refuses records because the disk is full.",
        |family| each(cores, |core, name| family.sample(&[("core", name)], core.storage_is_full)),
    );
}

fn show_scaling(page: &mut Page, cores: &[CoreCounts]) {
    let sum = |value: fn(&CoreCounts) -> u64| cores.iter().map(value).sum::<u64>();
    page.counter(
        "thalweg_stream_scaling_total",
        "Shards of on_demand streams that were split by load (split), pairs of them that were \
         merged (merge), and changes that could not be made (refused).",
        |family| {
            family.sample(&[("change", "split")], sum(|core| core.scaled.splits));
            family.sample(&[("change", "merge")], sum(|core| core.scaled.merges));
            family.sample(&[("change", "refused")], sum(|core| core.scaled.refused));
        },
    );
}

fn show_journals(page: &mut Page, cores: &[CoreCounts]) {
    let mut journals = cores.iter().filter_map(|core| core.journal.as_ref());
    let Some(first) = journals.next() else { return };
    let mut all = first.clone();
    for journal in journals {
        all.write_time_ns.merge(&journal.write_time_ns);
        all.frame_bytes.merge(&journal.frame_bytes);
        all.frame_commands.merge(&journal.frame_commands);
    }
    let mut histogram = |name, help, counts: &HistogramCounts, scale| {
        page.histograms(name, help, |family| family.histogram(&[], counts, scale));
    };
    histogram(
        "thalweg_journal_write_seconds",
        "How long a write to the journal took until it was on the disk, which is what a durable \
         write waits for.",
        &all.write_time_ns,
        SECONDS_PER_NANOSECOND,
    );
    histogram(
        "thalweg_journal_write_bytes",
        "How large a write to the journal was, padding included.",
        &all.frame_bytes,
        1.0,
    );
    histogram(
        "thalweg_journal_write_commands",
        "How many commands had gathered for a write to the journal; a produced batch is one.",
        &all.frame_commands,
        1.0,
    );
    page.gauge(
        "thalweg_journal_waiting_bytes",
        "Bytes of commands that are not on the disk yet.",
        |family| {
            each(cores, |core, name| {
                family.sample(&[("core", name)], core.journal_buffered_bytes);
            });
        },
    );
}

fn show_reads(page: &mut Page, cores: &[CoreCounts]) {
    let sum = |value: fn(&CoreCounts) -> u64| cores.iter().map(value).sum::<u64>();
    page.counter(
        "thalweg_reads_total",
        "Reads of a partition that found records: in the newest batches, which are in memory \
         (tail), or in a segment's file, which the operating system may have in its cache \
         (segment).",
        |family| {
            family.sample(&[("from", "tail")], sum(|core| core.reads.tail.reads));
            family.sample(&[("from", "segment")], sum(|core| core.reads.segments.reads));
        },
    );
    page.counter(
        "thalweg_read_bytes_total",
        "Bytes of the record batches that such reads found.",
        |family| {
            family.sample(&[("from", "tail")], sum(|core| core.reads.tail.bytes));
            family.sample(&[("from", "segment")], sum(|core| core.reads.segments.bytes));
        },
    );
}

fn show_memory(page: &mut Page, cores: &[CoreCounts]) {
    let mut by_core = |name, help, value: fn(&CoreCounts) -> usize| {
        page.gauge(name, help, |family| {
            each(cores, |core, name| family.sample(&[("core", name)], value(core)));
        });
    };
    by_core(
        "thalweg_tail_memory_bytes",
        "Memory of the newest batches of all partitions.",
        |core| core.tail_bytes,
    );
    by_core(
        "thalweg_tail_memory_max_bytes",
        "What the newest batches may take. It is exceeded only while they are in no segment yet.",
        |core| core.tail_max_bytes,
    );
    by_core(
        "thalweg_tail_unwritten_bytes",
        "Bytes of the newest batches that are in the journal and in no segment's file yet.",
        |core| core.tail_unwritten_bytes,
    );
}

/// Every core with its number as text.
fn each<'a>(cores: &'a [CoreCounts], mut show: impl FnMut(&'a CoreCounts, &str)) {
    for core in cores {
        show(core, &core.core.0.to_string());
    }
}
