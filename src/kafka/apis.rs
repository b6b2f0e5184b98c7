//! The one table of APIs. A row is declared beside its handler; what it says is what is served, and
//! ApiVersions is computed from it.

use crate::{
    codec::api_versions::ApiRange,
    guard::Field,
    handlers,
    request::{ReplyFuture, Request},
};

/// ApiVersions' own number, which is special: its unknown versions are answered (KIP-511).
pub const API_VERSIONS_KEY: i16 = 18;

/// APIs that keep what the client calls itself: JoinGroup, ConsumerGroupHeartbeat.
pub const CLIENT_NAMED: [i16; 2] = [11, 68];

/// One API: its number, its versions, its schema and its handler.
#[derive(Debug)]
pub struct Api {
    /// Kafka's number for it.
    pub key: i16,
    /// Kafka's name for it.
    pub name: &'static str,
    /// The lowest version that ApiVersions tells of.
    pub advertised_min: i16,
    /// The lowest version that is served. Only Produce tells of lower ones.
    pub served_min: i16,
    /// The highest version.
    pub version_max: i16,
    /// The first version with compact lengths and tagged fields.
    pub flexible_since: i16,
    /// The request's schema for the guard; `None` where the handler parses by hand.
    pub body: Option<&'static [Field]>,
    /// Whether several may be under way on one connection. The handler must then do whatever has
    /// an order before it returns its future.
    pub pipelined: bool,
    /// The handler.
    pub serve: fn(Request) -> ReplyFuture,
}

impl Api {
    /// Whether this version is served.
    pub fn serves(&self, version: i16) -> bool {
        (self.served_min..=self.version_max).contains(&version)
    }

    /// What ApiVersions tells of it.
    pub fn range(&self) -> ApiRange {
        ApiRange { key: self.key, min: self.advertised_min, max: self.version_max }
    }
}

/// Every API, in the order of their numbers.
pub static APIS: &[Api] = &[
    handlers::produce::API,
    handlers::fetch::API,
    handlers::list_offsets::API,
    handlers::metadata::API,
    handlers::offset_commit::API,
    handlers::offset_fetch::API,
    handlers::find_coordinator::API,
    handlers::join_group::API,
    handlers::heartbeat::API,
    handlers::leave_group::API,
    handlers::sync_group::API,
    handlers::describe_groups::API,
    handlers::list_groups::API,
    handlers::api_versions::API,
    handlers::create_topics::API,
    handlers::delete_topics::API,
    handlers::delete_records::API,
    handlers::init_producer_id::API,
    handlers::offset_for_leader_epoch::API,
    handlers::add_partitions_to_txn::API,
    handlers::add_offsets_to_txn::API,
    handlers::end_txn::API,
    handlers::write_txn_markers::API,
    handlers::txn_offset_commit::API,
    handlers::describe_configs::API,
    handlers::alter_configs::API,
    handlers::describe_log_dirs::API,
    handlers::create_partitions::API,
    handlers::delete_groups::API,
    handlers::incremental_alter_configs::API,
    handlers::offset_delete::API,
    handlers::describe_cluster::API,
    handlers::describe_producers::API,
    handlers::describe_transactions::API,
    handlers::list_transactions::API,
    handlers::consumer_group_heartbeat::API,
    handlers::consumer_group_describe::API,
    handlers::describe_topic_partitions::API,
];

/// The row of an API, if we have it.
pub fn find(key: i16) -> Option<&'static Api> {
    APIS.binary_search_by_key(&key, |api| api.key).ok().and_then(|row| APIS.get(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_row_is_found() {
        assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
        for api in APIS {
            assert_eq!(find(api.key).map(|found| found.name), Some(api.name));
            assert!(api.advertised_min <= api.served_min && api.served_min <= api.version_max);
        }
    }

    #[test]
    fn the_ranges_are_those_that_clients_were_tested_with() {
        let ranges: Vec<_> =
            APIS.iter().map(|a| (a.key, a.advertised_min, a.version_max)).collect();
        let expected = [
            (0, 0, 13),
            (1, 4, 18),
            (2, 1, 11),
            (3, 0, 13),
            (8, 2, 9),
            (9, 1, 9),
            (10, 0, 6),
            (11, 0, 9),
            (12, 0, 4),
            (13, 0, 5),
            (14, 0, 5),
            (15, 0, 6),
            (16, 0, 5),
            (18, 0, 4),
            (19, 2, 7),
            (20, 1, 6),
            (21, 0, 2),
            (22, 0, 5),
            (23, 2, 4),
            (24, 0, 5),
            (25, 0, 4),
            (26, 0, 5),
            (27, 1, 1),
            (28, 0, 5),
            (32, 1, 4),
            (33, 0, 2),
            (35, 1, 5),
            (37, 0, 3),
            (42, 0, 2),
            (44, 0, 1),
            (47, 0, 0),
            (60, 0, 2),
            (61, 0, 0),
            (65, 0, 0),
            (66, 0, 1),
            (68, 0, 1),
            (69, 0, 1),
            (75, 0, 0),
        ];
        assert_eq!(ranges, expected);
    }
}
