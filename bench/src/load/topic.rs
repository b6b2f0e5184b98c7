//! The topic that is written to or read from.

use anyhow::bail;

use crate::load::options::Target;
use crate::wire::Connection;

/// Makes the target's topic if it is missing. Returns how many partitions it has.
pub fn ensure(target: &Target) -> anyhow::Result<i32> {
    let mut connection = Connection::open(&target.bootstrap)?;
    if let Some(partitions) = connection.led_partitions(&target.topic)?
        && partitions > 0
    {
        return Ok(partitions as i32);
    }
    connection.create_topic(&target.topic, target.partitions)?;
    Ok(target.partitions)
}

/// The partitions of a topic that must be there.
pub fn existing(target: &Target) -> anyhow::Result<i32> {
    match Connection::open(&target.bootstrap)?.led_partitions(&target.topic)? {
        Some(partitions) if partitions > 0 => Ok(partitions as i32),
        _ => {
            bail!("there is no topic {} at {}: produce to it first", target.topic, target.bootstrap)
        }
    }
}
