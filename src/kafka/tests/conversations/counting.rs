//! What an operator sees moves by exactly what clients did.

use std::rc::Rc;

use broker::{Broker, TopicCounts};
use kafka::{ApiCounts, DoorCounts};
use kafka_protocol::messages::DeleteTopicsRequest;
use metrics::TrafficCounts;
use model::CoreId;

use crate::{
    conversation::{Client, Shown, topic_name, with_broker},
    fetching::fetch,
    producing::{batch, produce},
};

/// The doors of all cores together: this API, and the rest by its fields.
async fn door(shown: &Shown, api: &str) -> (ApiCounts, Vec<DoorCounts>) {
    let cores = shown.doors.read().await.unwrap();
    let mut same = cores.iter().flat_map(|core| &core.apis).filter(|counts| counts.name == api);
    let mut sum = same.next().unwrap().clone();
    same.for_each(|counts| sum.merge(counts));
    (sum, cores)
}

/// All cores together: a topic, and everything.
async fn topic(shown: &Shown, name: &str) -> (TopicCounts, TopicCounts) {
    let (mut topic, mut total) = (TopicCounts::default(), TopicCounts::default());
    for core in (0..shown.broker.core_count()).map(|core| CoreId(core as u16)) {
        let ask = |broker: Rc<Broker>| async move {
            let counts = broker.counts();
            let ids: Vec<_> = counts.topics.iter().map(|(id, _)| *id).collect();
            (counts, broker.topic_names(&ids))
        };
        let (counts, names) = shown.broker.call(core, ask).await.unwrap();
        total += counts.total;
        for ((_, one), found) in counts.topics.iter().zip(names) {
            if found.is_some_and(|found| found.as_str() == name) {
                topic += *one;
            }
        }
    }
    (topic, total)
}

#[test]
fn records_and_bytes_are_counted_by_topic_once_they_are_durable_and_when_they_are_read() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let size_bytes = batch(10).len() as u64;
        for _ in 0..3 {
            client.ask(9, produce(-1, batch(10))).await;
        }
        let mut broken = batch(10);
        broken[17] ^= 1; // a bit of the CRC
        client.ask(9, produce(-1, broken)).await;
        let written = TrafficCounts { records: 30, bytes: 3 * size_bytes };
        let (counts, total) = topic(&client.shown, "t").await;
        assert_eq!(counts, TopicCounts { taken: written, ..TopicCounts::default() });
        assert_eq!(total, counts);

        client.ask(11, fetch(&[(0, 10)])).await;
        let read = TrafficCounts { records: 20, bytes: 2 * size_bytes };
        let (counts, total) = topic(&client.shown, "t").await;
        assert_eq!(counts, TopicCounts { taken: written, given: read });
        assert_eq!(total, counts);

        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
        client.ask(1, request).await;
        let (counts, total) = topic(&client.shown, "t").await;
        assert_eq!(counts, TopicCounts::default());
        assert_eq!(total, TopicCounts { taken: written, given: read }, "a total never falls");
    });
}

#[test]
fn requests_their_errors_and_their_times_are_counted_by_api() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        client.ask(9, produce(-1, batch(1))).await;
        client.ask(11, fetch(&[(7, 0)])).await;
        client.ask(11, fetch(&[(0, 99)])).await;
        // The reply is with the client before its time is counted: one more request, and it is.
        client.create_topic("u", 1, &[]).await;

        let (produces, _) = door(&client.shown, "Produce").await;
        assert_eq!((produces.requests, produces.time_ns.count()), (1, 1));
        assert!(produces.errors.is_empty());
        assert!(produces.time_ns.sum() > 0, "a durable write takes time");
        let (fetches, cores) = door(&client.shown, "Fetch").await;
        assert_eq!((fetches.requests, fetches.time_ns.count()), (2, 2));
        let errors: Vec<_> = fetches.errors.into_iter().collect();
        assert_eq!(errors, [(1, 1), (3, 1)], "OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(cores.iter().map(|core| core.connections_open).sum::<usize>(), 1);
        assert_eq!(cores.iter().map(|core| core.connections_accepted).sum::<u64>(), 1);
    });
}

#[test]
fn a_connection_that_sends_nonsense_is_counted_as_closed_for_cause() {
    with_broker(&[], async |client| {
        let mut other: Client = client.another().await;
        other.send_bytes(&[0xff; 16]).await;
        assert_eq!(other.reply_bytes().await, None);
        let cores = client.shown.doors.read().await.unwrap();
        assert_eq!(cores.iter().map(|core| core.connections_closed_for_cause).sum::<u64>(), 1);
    });
}
