//! librdkafka's configuration.

use anyhow::Context;
use rdkafka::config::ClientConfig;

use crate::load::options::{Sending, Target};

/// The version of librdkafka that is linked.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

fn base(target: &Target) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &target.bootstrap)
        .set("broker.address.family", "v4")
        .set("client.id", "bench");
    config
}

fn with_settings(mut config: ClientConfig, target: &Target) -> anyhow::Result<ClientConfig> {
    for setting in &target.settings {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--set {setting}: KEY=VALUE is needed"))?;
        config.set(key, value);
    }
    Ok(config)
}

/// Of a producer.
pub fn producer_config(target: &Target, sending: &Sending) -> anyhow::Result<ClientConfig> {
    let mut config = base(target);
    config
        .set("acks", sending.acks.setting())
        .set("enable.idempotence", sending.idempotent.to_string())
        .set("compression.codec", sending.compression.setting())
        .set("queue.buffering.max.ms", sending.linger_ms.to_string())
        .set("queue.buffering.max.kbytes", "2097151")
        // An open loop must never be refused by its own client: what waits, waits in its latency.
        .set("queue.buffering.max.messages", "10000000");
    with_settings(config, target)
}

/// Of a consumer, which is told its partitions: no group is made.
pub fn consumer_config(target: &Target) -> anyhow::Result<ClientConfig> {
    let mut config = base(target);
    config
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "500")
        .set("fetch.min.bytes", "1");
    with_settings(config, target)
}
