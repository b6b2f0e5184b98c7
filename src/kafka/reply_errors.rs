//! Which error codes a reply carries, for the count. Every kind of reply that is sent must say so
//! here, so that none is forgotten.

use kafka_protocol::messages::{
    AlterConfigsResponse, CreatePartitionsResponse, CreateTopicsResponse, DeleteRecordsResponse,
    DeleteTopicsResponse, DescribeClusterResponse, DescribeConfigsResponse,
    DescribeTopicPartitionsResponse, IncrementalAlterConfigsResponse, InitProducerIdResponse,
    ListOffsetsResponse, MetadataResponse, OffsetForLeaderEpochResponse,
};

/// A reply's error codes.
pub(crate) trait ErrorCodes {
    /// All codes, those for "none" too.
    fn error_codes(&self) -> impl Iterator<Item = i16>;
}

/// `field` is a list of parts, each with a code of its own.
macro_rules! one_code_each {
    ($($reply:ty: $field:ident),* $(,)?) => {$(
        impl ErrorCodes for $reply {
            fn error_codes(&self) -> impl Iterator<Item = i16> {
                self.$field.iter().map(|part| part.error_code)
            }
        }
    )*};
}

/// `topics` is a list of topics, whose partitions have a code each.
macro_rules! one_code_per_partition {
    ($($reply:ty),* $(,)?) => {$(
        impl ErrorCodes for $reply {
            fn error_codes(&self) -> impl Iterator<Item = i16> {
                let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.map(|partition| partition.error_code)
            }
        }
    )*};
}

/// The reply has one code.
macro_rules! one_code {
    ($($reply:ty),* $(,)?) => {$(
        impl ErrorCodes for $reply {
            fn error_codes(&self) -> impl Iterator<Item = i16> {
                std::iter::once(self.error_code)
            }
        }
    )*};
}

one_code_each! {
    AlterConfigsResponse: responses,
    CreatePartitionsResponse: results,
    CreateTopicsResponse: topics,
    DeleteTopicsResponse: responses,
    DescribeConfigsResponse: results,
    // Partitions that are there have no error of their own; one that is not is its topic's.
    DescribeTopicPartitionsResponse: topics,
    IncrementalAlterConfigsResponse: responses,
}

one_code_per_partition! { DeleteRecordsResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse }

one_code! { DescribeClusterResponse, InitProducerIdResponse }

impl ErrorCodes for MetadataResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().map(|topic| topic.error_code).chain([self.error_code])
    }
}
