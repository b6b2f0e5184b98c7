//! From names and texts to the typed settings that the data path acts on.

use model::{CleanupPolicy, Compression, CompressionSetting, TimestampType, TopicConfig};

use super::{
    BrokerLayers, ConfigDefinition, ConfigSource, ConfigSynonym, Overrides, topic_table,
    value::Value,
};

impl ConfigDefinition {
    /// A topic setting's values: its own, the broker's under its synonyms, then the default. The
    /// first is in force. Those of the broker stand there with the broker's names and units.
    pub(super) fn topic_values(
        &'static self,
        overrides: &Overrides,
        broker: &BrokerLayers,
    ) -> Vec<ConfigSynonym> {
        self.values_in(overrides, ConfigSource::DynamicTopic, broker)
    }

    /// The same for whatever `overrides` belong to.
    pub(super) fn values_in(
        &'static self,
        overrides: &Overrides,
        source: ConfigSource,
        broker: &BrokerLayers,
    ) -> Vec<ConfigSynonym> {
        let own = overrides.get(self.name).map(|value| ConfigSynonym {
            name: self.name.to_owned(),
            value: Some(value.clone()),
            source,
        });
        let names = self.synonyms.iter().map(|synonym| synonym.name);
        own.into_iter().chain(broker.values(names)).collect()
    }

    /// A value from [`ConfigDefinition::topic_values`] in the topic setting's own unit.
    pub(super) fn in_own_unit(&self, found: &ConfigSynonym) -> Option<String> {
        let text = found.value.as_deref()?;
        let factor = self.synonyms.iter().find(|s| s.name == found.name).map_or(1, |s| s.factor);
        if factor == 1 {
            return Some(text.trim().to_owned());
        }
        let number: i64 = text.trim().parse().ok()?;
        // -1 hours is "no limit", as -1 milliseconds is.
        let scaled = if number < 0 { -1 } else { number.saturating_mul(factor) };
        Some(scaled.to_string())
    }

    /// The value in force. What cannot be read (it was refused when it was set) gives way to the
    /// next layer.
    fn resolve(&'static self, overrides: &Overrides, broker: &BrokerLayers) -> Option<Value> {
        let values = self.topic_values(overrides, broker);
        let mut readable = values.iter().filter_map(|found| {
            let text = self.in_own_unit(found)?;
            self.parse(&text).ok()
        });
        let default = || self.default.and_then(|text| self.parse(text).ok());
        readable.next().or_else(default)
    }
}

/// A topic's setting that is a number, from its own and the broker's.
pub fn topic_number(overrides: &Overrides, broker: &BrokerLayers, name: &str) -> Option<i64> {
    match topic_table::find(name)?.resolve(overrides, broker)? {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// A topic's effective settings, from its own and the broker's.
pub fn resolve_topic(overrides: &Overrides, broker: &BrokerLayers) -> TopicConfig {
    let value = |name| topic_table::find(name).and_then(|d| d.resolve(overrides, broker));
    let mut config = TopicConfig::default();
    let long = |name, field: &mut i64| {
        if let Some(Value::Number(number)) = value(name) {
            *field = number;
        }
    };
    let int = |name, field: &mut i32| {
        if let Some(Value::Number(number)) = value(name) {
            *field = i32::try_from(number).unwrap_or(*field);
        }
    };
    long("delete.retention.ms", &mut config.delete_retention_ms);
    long("file.delete.delay.ms", &mut config.file_delete_delay_ms);
    long("flush.ms", &mut config.flush_ms);
    int("index.interval.bytes", &mut config.index_interval_bytes);
    long("max.compaction.lag.ms", &mut config.max_compaction_lag_ms);
    int("max.message.bytes", &mut config.max_message_bytes);
    long("message.timestamp.after.max.ms", &mut config.message_timestamp_after_max_ms);
    long("message.timestamp.before.max.ms", &mut config.message_timestamp_before_max_ms);
    long("min.compaction.lag.ms", &mut config.min_compaction_lag_ms);
    int("min.insync.replicas", &mut config.min_insync_replicas);
    long("retention.bytes", &mut config.retention_bytes);
    long("retention.ms", &mut config.retention_ms);
    int("segment.bytes", &mut config.segment_bytes);
    long("segment.ms", &mut config.segment_ms);
    if let Some(Value::Fraction(ratio)) = value("min.cleanable.dirty.ratio") {
        config.min_cleanable_dirty_ratio = ratio;
    }
    if let Some(Value::Boolean(caching)) = value("write.caching") {
        config.write_caching = caching;
    }
    if let Some(Value::List(policies)) = value("cleanup.policy") {
        let has = |policy: &str| policies.iter().any(|p| p == policy);
        config.cleanup_policy = CleanupPolicy { delete: has("delete"), compact: has("compact") };
    }
    if let Some(Value::String(kind)) = value("compression.type") {
        config.compression = compression(&kind);
    }
    if let Some(Value::String(kind)) = value("message.timestamp.type") {
        let append = kind == "LogAppendTime";
        config.message_timestamp_type =
            if append { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
    }
    config
}

fn compression(name: &str) -> CompressionSetting {
    let codec = match name {
        "uncompressed" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return CompressionSetting::Producer,
    };
    CompressionSetting::Codec(codec)
}
