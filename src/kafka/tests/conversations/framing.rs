//! Frames, headers, unknown APIs and versions: what Kafka answers, and when it closes.

use kafka_protocol::{
    messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest},
    protocol::Decodable,
};

use crate::conversation::{frame, text, with_broker};

#[test]
fn an_unknown_version_of_api_versions_gets_error_35_in_version_0() {
    with_broker(&[], async |mut client| {
        // The body is of a version that nobody knows, and is not looked at.
        client.send_bytes(&frame(18, 99, 5, true, &[1, 2, 3])).await;
        let mut reply = client.reply_bytes().await.unwrap();
        assert_eq!(reply.split_to(4)[..], 5_i32.to_be_bytes());
        let response = ApiVersionsResponse::decode(&mut reply, 0).unwrap();
        assert!(reply.is_empty());
        assert_eq!(response.error_code, 35);
        let [row] = &response.api_keys[..] else { panic!("{response:?}") };
        assert_eq!((row.api_key, row.min_version, row.max_version), (18, 0, 4));
        // And the client may try again on the same connection.
        let request = ApiVersionsRequest::default();
        assert_eq!(client.ask(0, request).await.error_code, 0);
    });
}

#[test]
fn api_versions_tells_of_produce_0_and_the_metadata_level_but_of_no_transactions() {
    with_broker(&[], async |mut client| {
        for version in 0..=4 {
            let mut request = ApiVersionsRequest::default();
            if version >= 3 {
                request.client_software_name = text("test");
                request.client_software_version = text("1.0");
            }
            let response = client.ask(version, request).await;
            assert_eq!(response.error_code, 0);
            let produce = response.api_keys.iter().find(|api| api.api_key == 0).unwrap();
            assert_eq!((produce.min_version, produce.max_version), (0, 13));
            if version >= 3 {
                let names: Vec<_> =
                    response.finalized_features.iter().map(|f| f.name.as_str()).collect();
                assert_eq!(names, ["metadata.version", "transaction.version"]);
            }
        }
    });
}

#[test]
fn a_client_software_name_that_is_none_gets_invalid_request() {
    with_broker(&[], async |mut client| {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text("white space"))
            .with_client_software_version(text("1"));
        assert_eq!(client.ask(3, request).await.error_code, 42);
    });
}

#[test]
fn what_is_no_request_closes_its_connection_and_no_other() {
    with_broker(&[], async |mut client| {
        let two_billion_topics = i32::MAX.to_be_bytes();
        let cases: &[(&str, Vec<u8>)] = &[
            ("an unknown API", frame(999, 0, 1, false, &[]).to_vec()),
            ("a version of Metadata to come", frame(3, 14, 1, true, &[]).to_vec()),
            ("Produce 2, advertised but not served", frame(0, 2, 1, false, &[]).to_vec()),
            ("Metadata of 2^31-1 topics", frame(3, 0, 1, false, &two_billion_topics).to_vec()),
            ("a body that ends early", frame(3, 1, 1, false, &[0, 0]).to_vec()),
            ("a frame without a header", vec![0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0, 1]),
            ("a frame of no bytes", vec![0, 0, 0, 0]),
            ("a frame of 2 GiB", vec![0x7f, 0xff, 0xff, 0xff]),
            ("a negative size", vec![0xff, 0xff, 0xff, 0xff]),
            ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ];
        for (what, bytes) in cases {
            let mut hostile = client.another().await;
            hostile.send_bytes(bytes).await;
            assert_eq!(hostile.reply_bytes().await, None, "{what}");
            assert_eq!(client.ask(0, ApiVersionsRequest::default()).await.error_code, 0, "{what}");
        }
    });
}

#[test]
fn a_frame_may_come_in_pieces_and_many_in_one() {
    with_broker(&[], async |mut client| {
        let metadata = frame(3, 1, 77, false, &(-1_i32).to_be_bytes());
        for byte in &metadata[..] {
            client.send_bytes(&[*byte]).await;
        }
        let (id, _) = client.any_reply::<MetadataRequest>(1).await;
        assert_eq!(id, 77);
        // Enough of them to fill the small buffer several times over.
        let mut many = Vec::new();
        for id in 0..2000 {
            many.extend_from_slice(&frame(3, 1, id, false, &(-1_i32).to_be_bytes()));
        }
        assert_eq!(client.send_and_read(&many, 2000).await, (0..2000).collect::<Vec<_>>());
    });
}

#[test]
fn a_request_larger_than_the_limit_closes_the_connection() {
    with_broker(&[("socket.request.max.bytes", "1000")], async |mut client| {
        let topics = vec![0; 2000];
        client.send_bytes(&frame(3, 1, 1, false, &topics)).await;
        assert_eq!(client.reply_bytes().await, None);
    });
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    with_broker(&[("connections.max.idle.ms", "60000")], async |mut client| {
        let mut idle = client.another().await;
        for _ in 0..10 {
            runtime::sleep(std::time::Duration::from_secs(10)).await;
            client.ask(0, ApiVersionsRequest::default()).await;
        }
        assert_eq!(idle.reply_bytes().await, None);
        assert_eq!(client.ask(0, ApiVersionsRequest::default()).await.error_code, 0);
    });
}
