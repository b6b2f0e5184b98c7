//! The broker as threads outside the cores reach it.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use model::CoreId;
use runtime::{Call, Cores};

use crate::{Broker, BrokerError, Outcome};

/// Reaches the broker from any thread; cheap to clone.
#[derive(Clone)]
pub struct BrokerHandle {
    cores: Cores<Broker>,
    next: Arc<AtomicUsize>,
}

impl BrokerHandle {
    pub(crate) fn new(cores: Cores<Broker>) -> BrokerHandle {
        BrokerHandle { cores, next: Arc::default() }
    }

    /// How many cores there are.
    pub fn core_count(&self) -> usize {
        self.cores.count()
    }

    /// A core for work that any of them can do, each in turn.
    pub fn any_core(&self) -> CoreId {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.cores.count().max(1);
        CoreId(u16::try_from(turn).unwrap_or(0))
    }

    /// Runs `ask` on a core with its part of the broker. Posted at once, in order.
    pub fn call<T, F, Fut>(&self, core: CoreId, ask: F) -> Call<T>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Broker>) -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
    {
        self.cores.call(core, ask)
    }

    /// Like [`BrokerHandle::call`], on any core, for operations that find their way themselves.
    pub async fn ask<T, F, Fut>(&self, ask: F) -> Outcome<T>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Broker>) -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
    {
        self.call(self.any_core(), ask).await.map_err(BrokerError::from)
    }
}
