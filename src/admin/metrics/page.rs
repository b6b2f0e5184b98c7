//! A page of metrics while it is put together: families with their help, samples with their labels.
//!
//! The model and the text format are the `prometheus` crate's; counting is not, because its metrics
//! are shared between threads.

use metrics::HistogramCounts;
use prometheus::{
    Encoder, TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

/// The names and values of a sample's labels.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Nanoseconds are shown as seconds.
pub(crate) const SECONDS_PER_NANOSECOND: f64 = 1e-9;

/// Families in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Page {
    families: Vec<MetricFamily>,
}

/// A family while its samples come in.
pub(crate) struct Family {
    family: MetricFamily,
}

impl Family {
    fn new(kind: MetricType, name: &str, help: &str) -> Family {
        let mut family = MetricFamily::default();
        family.set_field_type(kind);
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        Family { family }
    }

    /// Adds a sample of a counter or gauge.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Number) {
        let value = value.shown();
        let mut metric = Metric::from_label(pairs(labels));
        match self.family.get_field_type() {
            MetricType::COUNTER => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            _ => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.family.mut_metric().push(metric);
    }

    /// Adds a histogram whose values are `scale` of the unit shown.
    pub fn histogram(&mut self, labels: Labels<'_>, counts: &HistogramCounts, scale: f64) {
        let buckets = counts.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound * scale);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_sum(counts.sum() as f64 * scale);
        histogram.set_sample_count(counts.count());
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.family.mut_metric().push(metric);
    }
}

impl Page {
    /// A number that only rises while the process runs.
    pub fn counter(&mut self, name: &str, help: &str, samples: impl FnOnce(&mut Family)) {
        self.add(MetricType::COUNTER, name, help, samples);
    }

    /// A number of this moment.
    pub fn gauge(&mut self, name: &str, help: &str, samples: impl FnOnce(&mut Family)) {
        self.add(MetricType::GAUGE, name, help, samples);
    }

    /// How values are spread.
    pub fn histograms(&mut self, name: &str, help: &str, samples: impl FnOnce(&mut Family)) {
        self.add(MetricType::HISTOGRAM, name, help, samples);
    }

    /// Families that were made elsewhere.
    pub fn extend(&mut self, families: impl IntoIterator<Item = MetricFamily>) {
        self.families.extend(families);
    }

    fn add(&mut self, kind: MetricType, name: &str, help: &str, samples: impl FnOnce(&mut Family)) {
        let mut family = Family::new(kind, name, help);
        samples(&mut family);
        // One without samples is left out: there is nothing to say yet.
        if !family.family.get_metric().is_empty() {
            self.families.push(family.family);
        }
    }

    /// The page in Prometheus' text format.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

/// What can be shown. Prometheus knows one kind of number; counts up to 2^53 are exact in it.
pub(crate) trait Number {
    fn shown(self) -> f64;
}

impl Number for u64 {
    fn shown(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn shown(self) -> f64 {
        self as f64
    }
}

impl Number for bool {
    fn shown(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Number for std::time::Duration {
    fn shown(self) -> f64 {
        self.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use metrics::{Buckets, Histogram};

    use super::*;

    #[test]
    fn families_are_written_with_help_type_labels_and_cumulative_buckets() {
        let mut page = Page::default();
        page.counter("a_total", "Of a.", |family| {
            family.sample(&[("topic", "with \"quotes\"")], 3_u64);
        });
        page.gauge("nothing", "Has no samples.", |_| {});
        let histogram = Histogram::new(Buckets { lowest_log2: 1, octaves: 1, steps_log2: 0 });
        [1, 3, 9].into_iter().for_each(|value| histogram.record(value));
        page.histograms("b_seconds", "Of b.", |family| {
            family.histogram(&[], &histogram.counts(), 0.5);
        });
        assert_eq!(
            page.encode().unwrap(),
            "# HELP a_total Of a.\n\
             # TYPE a_total counter\n\
             a_total{topic=\"with \\\"quotes\\\"\"} 3\n\
             # HELP b_seconds Of b.\n\
             # TYPE b_seconds histogram\n\
             b_seconds_bucket{le=\"1\"} 1\n\
             b_seconds_bucket{le=\"2\"} 2\n\
             b_seconds_bucket{le=\"+Inf\"} 3\n\
             b_seconds_sum 6.5\n\
             b_seconds_count 3\n"
        );
    }
}
