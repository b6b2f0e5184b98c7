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
    handlers::api_versions::API,
    handlers::create_topics::API,
    handlers::delete_topics::API,
    handlers::delete_records::API,
    handlers::init_producer_id::API,
    handlers::offset_for_leader_epoch::API,
    handlers::describe_configs::API,
    handlers::alter_configs::API,
    handlers::describe_log_dirs::API,
    handlers::create_partitions::API,
    handlers::incremental_alter_configs::API,
    handlers::describe_cluster::API,
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
            (18, 0, 4),
            (19, 2, 7),
            (20, 1, 6),
            (21, 0, 2),
            (22, 0, 5),
            (23, 2, 4),
            (32, 1, 4),
            (33, 0, 2),
            (35, 1, 5),
            (37, 0, 3),
            (44, 0, 1),
            (60, 0, 2),
            (75, 0, 0),
        ];
        assert_eq!(ranges, expected);
    }
}
