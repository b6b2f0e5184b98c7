//! Connections that go from one core to another, see [`crate::affinity`].

use std::sync::{Arc, OnceLock};

use model::CoreId;
use runtime::{
    net::{MovingStream, Stream},
    sync::mpsc,
};

use crate::{frames::Frame, open_connections::Counted};

/// A connection as a core takes it up.
pub struct Arrival {
    /// The connection.
    pub stream: Stream,
    /// A request that was read on the core before.
    pub first: Option<Frame>,
    /// How often it has moved.
    pub moves: u32,
}

/// A connection between two cores. It moves with a request that has just come, so that moving makes
/// nobody wait: to take that request over would cost as much.
pub struct Departure {
    /// The connection.
    pub stream: MovingStream,
    /// The request; its share of memory is that of the core that read it.
    pub first: Frame,
    /// How often it has moved, this time included.
    pub moves: u32,
}

impl Departure {
    /// Takes the connection up on this core.
    pub fn arrive(self) -> Arrival {
        let Departure { stream, first, moves } = self;
        Arrival { stream: stream.arrive(), first: Some(first), moves }
    }
}

/// A connection with its place among those of the core that accepted it.
type Moving = (Departure, Counted);

/// What each core's door gets from the others.
pub type Arrivals = mpsc::UnboundedReceiver<Moving>;

/// The doors of all cores, to send connections to.
#[derive(Clone)]
pub struct Neighbours {
    doors: Arc<[OnceLock<mpsc::UnboundedSender<Moving>>]>,
}

impl Neighbours {
    /// Of `cores` cores, none of which takes connections yet.
    pub fn new(cores: usize) -> Neighbours {
        Neighbours { doors: (0..cores).map(|_| OnceLock::new()).collect() }
    }

    /// From now on `core` takes connections; once for each core.
    pub fn join(&self, core: CoreId) -> Arrivals {
        // There are never more in it than there are connections.
        let (door, arrivals) = mpsc::unbounded_channel();
        if let Some(place) = self.doors.get(core.index()) {
            // A second one is dropped, and its arrivals never come.
            let _ = place.set(door);
        }
        arrivals
    }

    /// Sends a connection to `core`, or gives it back: its door is not open (yet, or any more).
    pub fn send(
        &self,
        core: CoreId,
        departure: Departure,
        counted: Counted,
    ) -> Result<(), (Departure, Counted)> {
        let moving = (departure, counted);
        match self.doors.get(core.index()).and_then(OnceLock::get) {
            Some(door) => door.send(moving).map_err(|refused| refused.0),
            None => Err(moving),
        }
    }
}
