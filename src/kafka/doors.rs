//! The Kafka doors of all cores together, opened and closed from anywhere: the program's tokio
//! runtime, or a simulation's main task.

use std::io;

use broker::{Broker, BrokerHandle};
use model::CoreId;
use runtime::{
    CoreStopped,
    net::SocketAddr,
    sync::{oneshot, watch},
};
use thiserror::Error;

use crate::{
    door_metrics::{DoorQuestions, DoorReader},
    moves::Neighbours,
    server::{self, KafkaConfig},
};

/// Why the doors could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address cannot be had.
    #[error(
        "cannot listen on {address} for Kafka clients: {error}; choose another with --kafka-listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// A core is gone.
    #[error("a core stopped while its Kafka door was opened")]
    Stopped(#[from] CoreStopped),
}

/// One open door on every core, all on one address.
pub struct Doors {
    local_address: SocketAddr,
    stop: watch::Sender<bool>,
    stopped: Vec<oneshot::Receiver<()>>,
    reader: DoorReader,
}

impl Doors {
    /// Listens on every core. With port 0 the first core takes any free port, and the others
    /// the same one.
    pub async fn open(broker: &BrokerHandle, config: KafkaConfig) -> Result<Doors, OpenError> {
        let (stop, _) = watch::channel(false);
        let mut doors = Doors {
            local_address: config.listen,
            stop,
            stopped: Vec::new(),
            reader: DoorReader::default(),
        };
        let neighbours = Neighbours::new(broker.core_count());
        for core in 0..broker.core_count() {
            let core = CoreId(u16::try_from(core).unwrap_or(u16::MAX));
            doors.open_one(broker, core, neighbours.clone()).await?;
        }
        Ok(doors)
    }

    async fn open_one(
        &mut self,
        broker: &BrokerHandle,
        core: CoreId,
        neighbours: Neighbours,
    ) -> Result<(), OpenError> {
        let address = self.local_address;
        let mut stop = self.stop.subscribe();
        let (done, stopped) = oneshot::channel();
        let opened = broker.call(core, move |broker: std::rc::Rc<Broker>| async move {
            let server = server::serve(broker, KafkaConfig { listen: address }, neighbours)?;
            let local_address = server.local_address();
            let questions = DoorReader::answer_here(server.counts());
            runtime::spawn("kafka stop", async move {
                // Also when the doors are dropped.
                let _ = stop.wait_for(|stop| *stop).await;
                server.stop().await;
                let _ = done.send(());
            });
            Ok((local_address, questions))
        });
        let opened: io::Result<(SocketAddr, DoorQuestions)> = opened.await?;
        let opened = opened.map_err(|error| OpenError::Listen { address, error })?;
        let (local_address, questions) = opened;
        self.local_address = local_address;
        self.reader.add(questions);
        self.stopped.push(stopped);
        Ok(())
    }

    /// Where clients can connect to.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// What the doors count.
    pub fn reader(&self) -> DoorReader {
        self.reader.clone()
    }

    /// Stops accepting and reading, lets replies under way go out for a bounded time, and closes
    /// what is left. Call it before the broker is stopped.
    pub async fn close(self) {
        self.stop.send_replace(true);
        for stopped in self.stopped {
            // An error means that the core is gone, and its door with it.
            let _ = stopped.await;
        }
    }
}
