//! A subscription to a shard as a stream of events.

use futures_util::stream;
use kinesis::{Log, Subscription, Turn};

use crate::{
    encoding::Encoding,
    fault::Fault,
    memory::Memory,
    service::{Event, Events},
};

/// The model's name for the event.
const KIND: &str = "SubscribeToShardEvent";

/// The events of a subscription, each made once there is memory for it.
pub(crate) fn events<L: Log>(
    subscription: Subscription<L>,
    encoding: Encoding,
    memory: Memory,
) -> Events {
    let going = Going { subscription, encoding, memory };
    Box::pin(stream::try_unfold(going, |mut going| async move {
        Ok(going.next().await?.map(|event| (event, going)))
    }))
}

struct Going<L> {
    subscription: Subscription<L>,
    encoding: Encoding,
    memory: Memory,
}

impl<L: Log> Going<L> {
    async fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            if self.subscription.turn().await? == Turn::End {
                return Ok(None);
            }
            let bytes = self.subscription.event_bytes_max();
            let share = self.memory.admit_event(bytes).await.ok_or_else(Fault::no_memory)?;
            if let Some(event) = self.subscription.event().await? {
                let payload = self.encoding.encode(&event)?;
                return Ok(Some(Event { kind: KIND, payload, share }));
            }
        }
    }
}
