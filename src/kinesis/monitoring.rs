//! EnableEnhancedMonitoring, DisableEnhancedMonitoring: which shard-level metrics are on is kept
//! and shown. There is no CloudWatch here to send them to.

use std::collections::BTreeSet;

use state::catalog::StreamChange;

use crate::{
    Kinesis, answers,
    constraints::SHARD_LEVEL_METRICS,
    error::ApiError,
    log::Log,
    requests,
    stream::{Caller, named_stream},
    validation::validate,
};

/// The name that stands for every metric.
const ALL: &str = "ALL";

impl<L: Log> Kinesis<L> {
    /// Switches shard-level metrics on.
    pub async fn enable_enhanced_monitoring(
        &self,
        caller: &Caller,
        request: requests::ChangeEnhancedMonitoring,
    ) -> Result<answers::EnhancedMonitoring, ApiError> {
        self.change_monitoring(caller, request, true).await
    }

    /// Switches shard-level metrics off.
    pub async fn disable_enhanced_monitoring(
        &self,
        caller: &Caller,
        request: requests::ChangeEnhancedMonitoring,
    ) -> Result<answers::EnhancedMonitoring, ApiError> {
        self.change_monitoring(caller, request, false).await
    }

    async fn change_monitoring(
        &self,
        caller: &Caller,
        request: requests::ChangeEnhancedMonitoring,
        enable: bool,
    ) -> Result<answers::EnhancedMonitoring, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let metrics = named_metrics(request.shard_level_metrics.unwrap_or_default());
        let before = &stream.properties.shard_level_metrics;
        let after: BTreeSet<String> = if enable {
            before.union(&metrics).cloned().collect()
        } else {
            before.difference(&metrics).cloned().collect()
        };
        let answer = answers::EnhancedMonitoring {
            stream_name: stream.name.to_string(),
            stream_arn: caller.stream_arn(stream.name.as_str()),
            current_shard_level_metrics: before.iter().cloned().collect(),
            desired_shard_level_metrics: after.into_iter().collect(),
        };
        let change = if enable {
            StreamChange::EnableMetrics { metrics }
        } else {
            StreamChange::DisableMetrics { metrics }
        };
        self.change(caller, &stream, change).await?;
        Ok(answer)
    }
}

/// The metrics that are meant, each by its own name.
fn named_metrics(names: Vec<String>) -> BTreeSet<String> {
    if names.iter().any(|name| name == ALL) {
        let all = SHARD_LEVEL_METRICS.iter().filter(|name| **name != ALL);
        return all.map(|name| (*name).to_owned()).collect();
    }
    names.into_iter().collect()
}
