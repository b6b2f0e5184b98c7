//! DescribeStream, DescribeStreamSummary, DescribeLimits.

use crate::{
    Kinesis, answers,
    error::ApiError,
    limits::record_bytes_max,
    lineage::{self, Filter},
    log::{Log, StreamView},
    requests,
    settings::retention_hours,
    shards,
    stream::{Caller, named_stream, stream_id},
    streams::{ACTIVE, mode},
    validation::validate,
    wire::Time,
};

/// Shards in one answer of DescribeStream, unless more or fewer are asked for.
const SHARDS_DEFAULT: usize = 100;

impl<L: Log> Kinesis<L> {
    /// Tells all of a stream, its shards page by page.
    pub async fn describe_stream(
        &self,
        caller: &Caller,
        request: requests::DescribeStream,
    ) -> Result<answers::DescribeStream, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let after = shards::after_shard(caller, &stream, request.exclusive_start_shard_id)?;
        let limit = request.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(SHARDS_DEFAULT);
        let mut page = lineage::select(&stream, Filter::FromTrimHorizon, self.log.now());
        page.retain(|shard| after.is_none_or(|after| shard.id > after));
        let has_more_shards = page.len() > limit;
        page.truncate(limit);
        Ok(answers::DescribeStream {
            stream_description: answers::StreamDescription {
                stream_name: stream.name.to_string(),
                stream_arn: caller.stream_arn(stream.name.as_str()),
                stream_status: ACTIVE,
                stream_mode_details: mode(&stream),
                shards: page.into_iter().map(shards::described).collect(),
                has_more_shards,
                retention_period_hours: retention_hours(&stream.config),
                stream_creation_timestamp: Time(stream.created),
                enhanced_monitoring: [metrics(&stream)],
                encryption_type: crate::NOT_ENCRYPTED,
            },
        })
    }

    /// Tells all of a stream but its shards.
    pub async fn describe_stream_summary(
        &self,
        caller: &Caller,
        request: requests::DescribeStreamSummary,
    ) -> Result<answers::DescribeStreamSummary, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let stream_description_summary = summary(caller, &stream);
        Ok(answers::DescribeStreamSummary { stream_description_summary })
    }

    /// Tells how many shards and streams on demand there are, and can be.
    pub async fn describe_limits(
        &self,
        _caller: &Caller,
        _request: requests::OfAccount,
    ) -> Result<answers::DescribeLimits, ApiError> {
        let account = self.log.account().await?;
        Ok(answers::DescribeLimits {
            shard_limit: account.shards_max,
            open_shard_count: account.open_shards,
            on_demand_stream_count: account.on_demand_streams,
            // Such a stream needs one shard; nothing else bounds them.
            on_demand_stream_count_limit: account.shards_max,
            channel_count: 0,
            channel_count_limit: 0,
        })
    }
}

fn metrics(stream: &StreamView) -> answers::EnhancedMetrics {
    let names = stream.properties.shard_level_metrics.iter().cloned().collect();
    answers::EnhancedMetrics { shard_level_metrics: names }
}

fn summary(caller: &Caller, stream: &StreamView) -> answers::StreamDescriptionSummary {
    let properties = &stream.properties;
    let mibps = properties.warm_throughput_mibps;
    let warm = answers::WarmThroughput { target_mibps: mibps, current_mibps: mibps };
    answers::StreamDescriptionSummary {
        stream_name: stream.name.to_string(),
        stream_arn: caller.stream_arn(stream.name.as_str()),
        stream_id: stream_id(stream.id),
        stream_status: ACTIVE,
        stream_mode_details: mode(stream),
        retention_period_hours: retention_hours(&stream.config),
        stream_creation_timestamp: Time(stream.created),
        enhanced_monitoring: [metrics(stream)],
        encryption_type: crate::NOT_ENCRYPTED,
        open_shard_count: stream.open_shards().count(),
        consumer_count: properties.consumers.len(),
        warm_throughput: (mibps > 0).then_some(warm),
        // Shown within the model's bounds, which a Kafka topic's setting may lie outside of.
        max_record_size_kib: (record_bytes_max(&stream.config) as i64 >> 10).clamp(1024, 10_240),
        channel_count: 0,
        queue_count: 0,
        record_distribution_strategy: if properties.spreads_puts {
            "AUTO"
        } else {
            "USER_PARTITION_KEY"
        },
    }
}
