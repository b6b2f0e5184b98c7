//! Which error codes a reply carries, for the count. Every kind of reply that is sent must say so
//! here, so that none is forgotten.

use kafka_protocol::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, AlterConfigsResponse,
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse, CreatePartitionsResponse,
    CreateTopicsResponse, DeleteGroupsResponse, DeleteRecordsResponse, DeleteTopicsResponse,
    DescribeClusterResponse, DescribeConfigsResponse, DescribeGroupsResponse,
    DescribeProducersResponse, DescribeTopicPartitionsResponse, DescribeTransactionsResponse,
    EndTxnResponse, FindCoordinatorResponse, HeartbeatResponse, IncrementalAlterConfigsResponse,
    InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse,
    ListOffsetsResponse, ListTransactionsResponse, MetadataResponse, OffsetCommitResponse,
    OffsetDeleteResponse, OffsetFetchResponse, OffsetForLeaderEpochResponse, SyncGroupResponse,
    TxnOffsetCommitResponse, WriteTxnMarkersResponse,
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
    ConsumerGroupDescribeResponse: groups,
    CreatePartitionsResponse: results,
    CreateTopicsResponse: topics,
    DeleteTopicsResponse: responses,
    DeleteGroupsResponse: results,
    DescribeConfigsResponse: results,
    DescribeGroupsResponse: groups,
    // Partitions that are there have no error of their own; one that is not is its topic's.
    DescribeTopicPartitionsResponse: topics,
    IncrementalAlterConfigsResponse: responses,
}

one_code_per_partition! {
    DeleteRecordsResponse, ListOffsetsResponse, OffsetCommitResponse, OffsetForLeaderEpochResponse
}

one_code! {
    ConsumerGroupHeartbeatResponse, DescribeClusterResponse, HeartbeatResponse, InitProducerIdResponse, JoinGroupResponse,
    ListGroupsResponse, SyncGroupResponse
}

impl ErrorCodes for FindCoordinatorResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let coordinators = self.coordinators.iter().map(|coordinator| coordinator.error_code);
        coordinators.chain(std::iter::once(self.error_code))
    }
}

impl ErrorCodes for LeaveGroupResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.members.iter().map(|member| member.error_code).chain([self.error_code])
    }
}

impl ErrorCodes for OffsetDeleteResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.error_code).chain([self.error_code])
    }
}

impl ErrorCodes for OffsetFetchResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let of_groups = self.groups.iter().flat_map(|group| {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.map(|partition| partition.error_code).chain([group.error_code])
        });
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let of_one = partitions.map(|partition| partition.error_code).chain([self.error_code]);
        of_groups.chain(of_one)
    }
}

impl ErrorCodes for MetadataResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().map(|topic| topic.error_code).chain([self.error_code])
    }
}

// Transactions.

one_code_each! { DescribeTransactionsResponse: transaction_states }

one_code_per_partition! { DescribeProducersResponse, TxnOffsetCommitResponse }

one_code! { AddOffsetsToTxnResponse, EndTxnResponse, ListTransactionsResponse }

impl ErrorCodes for AddPartitionsToTxnResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let batched = self.results_by_transaction.iter().flat_map(|it| &it.topic_results);
        let topics = self.results_by_topic_v3_and_below.iter().chain(batched);
        let partitions = topics.flat_map(|topic| &topic.results_by_partition);
        partitions.map(|partition| partition.partition_error_code).chain([self.error_code])
    }
}

impl ErrorCodes for WriteTxnMarkersResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let topics = self.markers.iter().flat_map(|marker| &marker.topics);
        topics.flat_map(|topic| &topic.partitions).map(|partition| partition.error_code)
    }
}
