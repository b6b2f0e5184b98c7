//! The reply to DescribeLogDirs, versions 1 to 5.
//!
//! By hand, because the `kafka-protocol` crate ends at version 4; version 5 adds whether a
//! directory is cordoned (KIP-1066).

use crate::wire::Writer;

/// What the one data directory holds.
#[derive(Debug)]
pub struct LogDir {
    /// Kafka's error code, 0 for none.
    pub error_code: i16,
    /// The directory's path.
    pub path: String,
    /// By topic.
    pub topics: Vec<LogDirTopic>,
    /// The file system's size in bytes, -1 for unknown.
    pub total_bytes: i64,
    /// What is free of it, -1 for unknown.
    pub usable_bytes: i64,
}

/// What one topic takes up.
#[derive(Debug)]
pub struct LogDirTopic {
    /// The topic's name.
    pub name: String,
    /// Partition numbers and sizes in bytes.
    pub partitions: Vec<(i32, i64)>,
}

/// Writes the body of a reply with one directory.
pub fn write_response(writer: &mut Writer, version: i16, directory: &LogDir) {
    writer.int32(0); // throttle time
    if version >= 3 {
        writer.int16(0);
    }
    writer.count(1);
    writer.int16(directory.error_code);
    writer.string(&directory.path);
    writer.count(directory.topics.len());
    for topic in &directory.topics {
        writer.string(&topic.name);
        writer.count(topic.partitions.len());
        for (index, size_bytes) in &topic.partitions {
            writer.int32(*index);
            writer.int64(*size_bytes);
            writer.int64(0); // lag: there is no replica that could lag
            writer.int8(0); // not a future replica
            writer.no_tagged_fields();
        }
        writer.no_tagged_fields();
    }
    if version >= 4 {
        writer.int64(directory.total_bytes);
        writer.int64(directory.usable_bytes);
    }
    if version >= 5 {
        writer.int8(0); // not cordoned
    }
    writer.no_tagged_fields();
    writer.no_tagged_fields();
}
