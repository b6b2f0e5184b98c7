//! A core's mailbox: closures from any thread, run on the core in the order in which they came.

use std::{
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

/// One thing to do with a core's state.
pub(super) type Message<S> = Box<dyn FnOnce(&Rc<S>) + Send>;

/// Senders lock it for as long as a push takes, the core for as long as taking everything at once takes.
pub(super) struct Mailbox<S: 'static> {
    queue: Mutex<Queue<S>>,
}

struct Queue<S: 'static> {
    messages: VecDeque<Message<S>>,
    receiver: Option<Waker>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The core was asked to stop; it still takes messages until it has closed.
    Stopping,
    /// Nothing is taken any more, nothing is left inside.
    Closed,
}

/// What the core finds when it looks into its mailbox.
pub(super) enum Received<S: 'static> {
    Messages(VecDeque<Message<S>>),
    Stop,
}

impl<S> Mailbox<S> {
    pub(super) fn new() -> Mailbox<S> {
        Mailbox {
            queue: Mutex::new(Queue {
                messages: VecDeque::new(),
                receiver: None,
                state: State::Open,
            }),
        }
    }

    /// Adds a message, or drops it (and with it the caller's answer channel) when the core has stopped.
    pub(super) fn post(&self, message: Message<S>) {
        let mut queue = self.lock();
        if queue.state == State::Closed {
            // Its destructors may post again: not under the lock.
            drop(queue);
            return drop(message);
        }
        queue.messages.push_back(message);
        let receiver = queue.receiver.take();
        drop(queue);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// Asks the core to stop once it has run what is in the mailbox.
    pub(super) fn stop(&self) {
        let mut queue = self.lock();
        if queue.state == State::Open {
            queue.state = State::Stopping;
        }
        let receiver = queue.receiver.take();
        drop(queue);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// Takes nothing any more. What is inside is dropped, so its callers learn that the core has stopped.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.state = State::Closed;
        let rest = std::mem::take(&mut queue.messages);
        drop(queue);
        drop(rest);
    }

    /// Waits for messages and takes all that are there; then for the stop. For the core alone.
    pub(super) async fn receive(&self) -> Received<S> {
        poll_fn(|context| {
            let mut queue = self.lock();
            if !queue.messages.is_empty() {
                return Poll::Ready(Received::Messages(std::mem::take(&mut queue.messages)));
            }
            if queue.state != State::Open {
                return Poll::Ready(Received::Stop);
            }
            queue.receiver = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Nothing panics under the lock, so its content is whole even if the mutex says that it is poisoned.
    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
