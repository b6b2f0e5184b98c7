//! What the Kafka door counts.

use kafka::{ApiCounts, DoorCounts, error_name};

use super::page::{Page, SECONDS_PER_NANOSECOND};

pub(crate) fn show(page: &mut Page, cores: &[DoorCounts]) {
    let apis = merged(cores);
    page.counter(
        "kafka_network_requestmetrics_requests_total",
        "Requests begun, by API.",
        |family| {
            for api in &apis {
                family.sample(&[("request", api.name)], api.requests);
            }
        },
    );
    page.counter(
        "kafka_network_requestmetrics_errors_total",
        "Error codes in replies, by API; once for each topic, partition or resource that has one.",
        |family| {
            for api in &apis {
                for (code, count) in &api.errors {
                    let error = error_name(*code);
                    family.sample(&[("request", api.name), ("error", &error)], *count);
                }
            }
        },
    );
    page.histograms(
        "thalweg_kafka_request_seconds",
        "From a whole request to a reply that the socket has taken, by API. A fetch waits for \
         records within it.",
        |family| {
            for api in apis.iter().filter(|api| api.time_ns.count() > 0) {
                let labels = [("request", api.name)];
                family.histogram(&labels, &api.time_ns, SECONDS_PER_NANOSECOND);
            }
        },
    );
    show_connections(page, cores);
}

fn show_connections(page: &mut Page, cores: &[DoorCounts]) {
    page.gauge("thalweg_kafka_connections", "Connections that are open.", |family| {
        each(cores, |core, name| family.sample(&[("core", name)], core.connections_open));
    });
    page.counter("thalweg_kafka_connections_accepted_total", "Connections accepted.", |family| {
        each(cores, |core, name| family.sample(&[("core", name)], core.connections_accepted));
    });
    page.counter(
        "thalweg_kafka_connections_taken_up_total",
        "Connections taken up that another core had accepted.",
        |family| {
            each(cores, |core, name| family.sample(&[("core", name)], core.connections_taken_up));
        },
    );
    let sum = |value: fn(&DoorCounts) -> u64| cores.iter().map(value).sum::<u64>();
    page.counter(
        "thalweg_kafka_connections_closed_for_cause_total",
        "Connections closed because the client sent what is no request, stopped in the middle of \
         one, or produced with acks=0 what was refused.",
        |family| family.sample(&[], sum(|core| core.connections_closed_for_cause)),
    );
    page.counter("thalweg_kafka_received_bytes_total", "Bytes of requests.", |family| {
        family.sample(&[], sum(|core| core.received_bytes));
    });
    page.counter("thalweg_kafka_sent_bytes_total", "Bytes of replies.", |family| {
        family.sample(&[], sum(|core| core.sent_bytes));
    });
    page.gauge(
        "thalweg_kafka_request_memory_bytes",
        "Memory taken by requests being read and replies being written.",
        |family| each(cores, |core, name| family.sample(&[("core", name)], core.memory_used_bytes)),
    );
    page.gauge(
        "thalweg_kafka_request_memory_max_bytes",
        "What requests and replies may take; more of them wait.",
        |family| each(cores, |core, name| family.sample(&[("core", name)], core.memory_max_bytes)),
    );
}

/// All cores together, by API.
fn merged(cores: &[DoorCounts]) -> Vec<ApiCounts> {
    let mut cores = cores.iter();
    let mut all = cores.next().map(|core| core.apis.clone()).unwrap_or_default();
    for core in cores {
        for (sum, api) in all.iter_mut().zip(&core.apis) {
            sum.merge(api);
        }
    }
    all
}

/// Every core with its number as text.
fn each<'a>(cores: &'a [DoorCounts], mut show: impl FnMut(&'a DoorCounts, &str)) {
    for (number, core) in cores.iter().enumerate() {
        show(core, &number.to_string());
    }
}
