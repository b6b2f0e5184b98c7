//! A connection goes to the core that owns what it works with.

use kafka_protocol::messages::ProduceRequest;

use crate::{
    conversation::{Client, with_broker},
    fetching::fetch,
    producing::{batch, produce_to},
};

/// Enough for any connection to have moved once.
const REQUESTS: usize = 40;

/// What the doors of all cores have taken up from one another, and how many connections they have.
async fn taken_up(client: &Client) -> (u64, usize) {
    let cores = client.shown.doors.read().await.unwrap();
    let taken_up = cores.iter().map(|core| core.connections_taken_up).sum();
    (taken_up, cores.iter().map(|core| core.connections_open).sum())
}

fn to(partition: i32) -> ProduceRequest {
    produce_to(-1, &[("t", partition, Some(batch(1).freeze()))])
}

async fn write(client: &mut Client, partition: i32, at: usize) {
    let mut written = client.ask(9, to(partition)).await;
    let written = written.responses.remove(0).partition_responses.remove(0);
    assert_eq!((written.error_code, written.base_offset), (0, at as i64));
}

#[test]
fn a_connection_follows_the_partition_that_it_writes_to_but_not_to_and_fro() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 16, &[]).await;
        // These live on both cores, so wherever the connection is, some are elsewhere.
        for partition in 0..16 {
            for at in 0..REQUESTS {
                write(&mut client, partition, at).await;
            }
        }
        let (moves, open) = taken_up(&client).await;
        assert!((1..=2).contains(&moves), "{moves} moves");
        assert_eq!(open, 1);
    });
}

#[test]
fn a_reader_follows_its_partition_too() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 16, &[]).await;
        let mut moves = 0;
        for partition in 0..16 {
            let mut reader = client.another().await;
            for _ in 0..REQUESTS {
                reader.ask(11, fetch(&[(partition, 0)])).await;
            }
            moves = taken_up(&client).await.0;
        }
        assert!(moves >= 1, "none moved");
    });
}

#[test]
fn a_connection_that_works_with_both_cores_stays() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 16, &[]).await;
        let all: Vec<_> = (0..16).map(|partition| (partition, 0)).collect();
        for _ in 0..REQUESTS {
            client.ask(11, fetch(&all)).await;
        }
        assert_eq!(taken_up(&client).await, (0, 1));
    });
}
