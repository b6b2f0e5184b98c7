//! What the AWS door counts.

use aws::DoorCounts;

use super::page::{Page, SECONDS_PER_NANOSECOND};

pub(crate) fn show(page: &mut Page, door: &DoorCounts) {
    let operations = &door.operations;
    page.counter("thalweg_aws_requests_total", "Requests answered, by operation.", |family| {
        for counted in operations {
            family.sample(&[("operation", counted.name)], counted.requests);
        }
    });
    page.counter(
        "thalweg_aws_errors_total",
        "Requests answered with an error, by operation and AWS's name for the error.",
        |family| {
            for counted in operations {
                for (error, count) in &counted.errors {
                    family.sample(&[("operation", counted.name), ("error", error)], *count);
                }
            }
        },
    );
    page.histograms(
        "thalweg_aws_request_seconds",
        "From a request's head to its answer being made, by operation.",
        |family| {
            for counted in operations {
                let labels = [("operation", counted.name)];
                family.histogram(&labels, &counted.time_ns, SECONDS_PER_NANOSECOND);
            }
        },
    );
    page.gauge("thalweg_aws_event_streams", "Streams of events that are open.", |family| {
        family.sample(&[], door.streams_open);
    });
    page.counter("thalweg_aws_events_total", "Events sent on such streams.", |family| {
        family.sample(&[], door.events);
    });
    page.counter("thalweg_aws_event_bytes_total", "Bytes of these events.", |family| {
        family.sample(&[], door.event_bytes);
    });
    page.counter(
        "thalweg_aws_event_stream_errors_total",
        "Streams of events that ended with an exception, by AWS's name for it.",
        |family| {
            for (error, count) in &door.stream_exceptions {
                family.sample(&[("error", error)], *count);
            }
        },
    );
    page.gauge("thalweg_aws_connections", "Connections that are open.", |family| {
        family.sample(&[], door.connections_open);
    });
    page.counter("thalweg_aws_connections_accepted_total", "Connections accepted.", |family| {
        family.sample(&[], door.connections_accepted);
    });
    page.gauge(
        "thalweg_aws_memory_bytes",
        "Memory taken by requests being read and replies being written.",
        |family| family.sample(&[], door.memory_used_bytes),
    );
    page.gauge(
        "thalweg_aws_memory_max_bytes",
        "What requests and replies may take; more of them wait.",
        |family| family.sample(&[], door.memory_max_bytes),
    );
}
