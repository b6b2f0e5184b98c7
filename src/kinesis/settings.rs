//! A stream's settings that are a topic's too: retention period, greatest record, mode. And the
//! throughput to be ready for, and who chooses the shards, which are Kinesis's alone.

use broker::ConfigChange;
use model::TopicConfig;
use state::catalog::StreamChange;

use crate::{
    Kinesis, answers,
    error::{ApiError, ErrorKind},
    limits::batch_bytes_max,
    log::{Log, StreamView},
    requests,
    stream::{Caller, named_stream},
    validation::validate,
};

/// AWS keeps records for a day unless told otherwise, and no shorter.
pub(crate) const RETENTION_MIN_HOURS: i64 = 24;
/// A year: the longest that AWS knows, and what "for ever" is shown as.
const RETENTION_MAX_HOURS: i64 = 8760;
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// The greatest warm throughput, in MiB/s: 10 GiB/s. Source: the model's documentation.
const WARM_THROUGHPUT_MAX_MIBPS: i64 = 10 << 10;

/// Which way a retention period is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Longer,
    Shorter,
}

impl<L: Log> Kinesis<L> {
    /// Keeps records longer. Those that have gone do not come back.
    pub async fn increase_stream_retention_period(
        &self,
        caller: &Caller,
        request: requests::ChangeRetentionPeriod,
    ) -> Result<(), ApiError> {
        self.change_retention(caller, request, Way::Longer).await
    }

    /// Keeps records less long.
    pub async fn decrease_stream_retention_period(
        &self,
        caller: &Caller,
        request: requests::ChangeRetentionPeriod,
    ) -> Result<(), ApiError> {
        self.change_retention(caller, request, Way::Shorter).await
    }

    async fn change_retention(
        &self,
        caller: &Caller,
        request: requests::ChangeRetentionPeriod,
        way: Way,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let hours = request.retention_period_hours.unwrap_or_default();
        let current = retention_hours(&stream.config);
        check_hours(&stream, hours, current, way)?;
        if !stream.config.cleanup_policy.delete {
            return Err(ApiError::invalid_argument(format!(
                "Stream {} keeps the newest record of each key for ever (cleanup.policy=compact), \
                 so it has no retention period.",
                stream.name
            )));
        }
        if hours == current {
            // A part of an hour that Kafka set, or "for ever", stays.
            return Ok(());
        }
        self.alter(caller, &stream, "retention.ms", (hours * HOUR_MS).to_string()).await
    }

    /// Takes records of another greatest size.
    pub async fn update_max_record_size(
        &self,
        caller: &Caller,
        request: requests::UpdateMaxRecordSize,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let name = named_stream(caller, None, request.stream_arn.as_deref())?;
        let stream = self.find_stream(caller, &name).await?;
        let bytes = batch_bytes_max(request.max_record_size_kib);
        self.alter(caller, &stream, "max.message.bytes", bytes.to_string()).await
    }

    /// Makes a stream one that is provisioned, or one on demand.
    pub async fn update_stream_mode(
        &self,
        caller: &Caller,
        request: requests::UpdateStreamMode,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let name = named_stream(caller, None, request.stream_arn.as_deref())?;
        let stream = self.find_stream(caller, &name).await?;
        let mode = request.stream_mode_details.and_then(|details| details.stream_mode);
        let on_demand = mode.as_deref() == Some("ON_DEMAND");
        let warm = request.warm_throughput_mibps.filter(|mibps| *mibps > 0);
        if let Some(mibps) = warm {
            self.check_warm_throughput(on_demand, mibps).await?;
        }
        if !on_demand {
            // What only streams on demand may have.
            if stream.properties.spreads_puts {
                return Err(auto_needs_on_demand());
            }
            if stream.properties.warm_throughput_mibps > 0 {
                self.change(caller, &stream, StreamChange::SetWarmThroughput { mibps: 0 }).await?;
            }
        }
        let mode = if on_demand { crate::ON_DEMAND } else { crate::PROVISIONED };
        self.alter(caller, &stream, crate::STREAM_MODE_CONFIG, mode.to_owned()).await?;
        match warm.and_then(|mibps| u32::try_from(mibps).ok()) {
            Some(mibps) => {
                self.change(caller, &stream, StreamChange::SetWarmThroughput { mibps }).await
            }
            None => Ok(()),
        }
    }

    /// Notes the throughput that a stream is to be ready for. It is ready for any.
    pub async fn update_stream_warm_throughput(
        &self,
        caller: &Caller,
        request: requests::UpdateStreamWarmThroughput,
    ) -> Result<answers::UpdateStreamWarmThroughput, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let mibps = request.warm_throughput_mibps.unwrap_or_default();
        self.check_warm_throughput(stream.on_demand, mibps).await?;
        let mibps = u32::try_from(mibps).unwrap_or_default();
        self.change(caller, &stream, StreamChange::SetWarmThroughput { mibps }).await?;
        Ok(answers::UpdateStreamWarmThroughput {
            stream_arn: caller.stream_arn(stream.name.as_str()),
            stream_name: stream.name.to_string(),
            warm_throughput: answers::WarmThroughput { target_mibps: mibps, current_mibps: mibps },
        })
    }

    /// What AWS asks for before a stream may have a warm throughput.
    pub(crate) async fn check_warm_throughput(
        &self,
        on_demand: bool,
        mibps: i64,
    ) -> Result<(), ApiError> {
        if !on_demand {
            return Err(ApiError::invalid_argument(
                "Warm throughput is only supported for streams in ON_DEMAND mode.",
            ));
        }
        if !self.log.account().await?.settings.throughput_commitment.is_enabled {
            return Err(ApiError::invalid_argument(
                "Warm throughput is only supported for accounts with \
                 MinimumThroughputBillingCommitment enabled; see UpdateAccountSettings.",
            ));
        }
        if mibps > WARM_THROUGHPUT_MAX_MIBPS {
            let message = format!(
                "A warm throughput of {mibps} MiB/s is more than the limit of \
                 {WARM_THROUGHPUT_MAX_MIBPS} MiB/s."
            );
            return Err(ApiError::new(ErrorKind::LimitExceeded, message));
        }
        Ok(())
    }

    /// Lets the partition key choose the shard, or the stream.
    pub async fn update_stream_record_distribution_strategy(
        &self,
        caller: &Caller,
        request: requests::UpdateStreamRecordDistributionStrategy,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let name = named_stream(caller, None, request.stream_arn.as_deref())?;
        let stream = self.find_stream(caller, &name).await?;
        let spreads_puts = request.record_distribution_strategy.as_deref() == Some("AUTO");
        if spreads_puts && !stream.on_demand {
            return Err(auto_needs_on_demand());
        }
        self.change(caller, &stream, StreamChange::SetSpreadsPuts { spreads_puts }).await
    }

    /// Changes one of a topic's settings.
    async fn alter(
        &self,
        caller: &Caller,
        stream: &StreamView,
        name: &str,
        value: String,
    ) -> Result<(), ApiError> {
        let changes = vec![ConfigChange::Set(name.to_owned(), Some(value))];
        let altered = self.log.alter(stream.name.clone(), changes).await;
        altered.map_err(|error| ApiError::of_stream(error, stream.name.as_str(), &caller.account))
    }

    /// Changes what Kinesis alone keeps of a stream.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        stream: &StreamView,
        change: StreamChange,
    ) -> Result<(), ApiError> {
        let changed = self.log.change(stream.id, change).await;
        changed.map_err(|error| ApiError::of_stream(error, stream.name.as_str(), &caller.account))
    }
}

/// AWS's error for a provisioned stream whose records the stream is to distribute.
pub(crate) fn auto_needs_on_demand() -> ApiError {
    ApiError::invalid_argument(
        "RecordDistributionStrategy AUTO is only supported for streams in ON_DEMAND mode.",
    )
}

fn check_hours(stream: &StreamView, hours: i64, current: i64, way: Way) -> Result<(), ApiError> {
    let requested = format!("Requested retention period ({hours} hours)");
    let message = if hours < RETENTION_MIN_HOURS {
        format!(
            "Minimum allowed retention period is {RETENTION_MIN_HOURS} hours. {requested} is too \
             short."
        )
    } else if hours > RETENTION_MAX_HOURS {
        format!(
            "Maximum allowed retention period is {RETENTION_MAX_HOURS} hours. {requested} is too \
             long."
        )
    } else if way == Way::Longer && hours < current {
        format!(
            "{requested} for stream {} can not be shorter than existing retention period \
             ({current} hours). Use DecreaseRetentionPeriod API.",
            stream.name
        )
    } else if way == Way::Shorter && hours > current {
        format!(
            "{requested} for stream {} can not be longer than existing retention period \
             ({current} hours). Use IncreaseRetentionPeriod API.",
            stream.name
        )
    } else {
        return Ok(());
    };
    Err(ApiError::invalid_argument(message))
}

/// `retention.ms` in hours, rounded up, within what AWS's shape can say.
pub(crate) fn retention_hours(config: &TopicConfig) -> i64 {
    if config.retention_ms < 0 || !config.cleanup_policy.delete {
        return RETENTION_MAX_HOURS;
    }
    let hours = config.retention_ms / HOUR_MS + i64::from(config.retention_ms % HOUR_MS > 0);
    hours.clamp(1, RETENTION_MAX_HOURS)
}
