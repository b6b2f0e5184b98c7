//! Answers to appends: one group per request and core, answered once all its batches are settled.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use model::{Offset, Timestamp};
use runtime::sync::oneshot;

use crate::ProposeError;

/// What became of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The broker's time, where the topic uses it.
    pub log_append_time: Option<Timestamp>,
    /// The partition's first offset.
    pub log_start: Offset,
}

/// The outcomes of one group, in the order of its slots.
pub type Outcomes = Vec<Result<Appended, ProposeError>>;

/// The batches of one request on one core.
pub struct AppendGroup {
    unsettled: Cell<usize>,
    outcomes: RefCell<Outcomes>,
    sender: Cell<Option<oneshot::Sender<Outcomes>>>,
}

impl AppendGroup {
    /// A group of `count` batches and where its outcomes arrive. A receiver that is never sent to
    /// means that the core stopped.
    pub fn new(count: usize) -> (Rc<AppendGroup>, oneshot::Receiver<Outcomes>) {
        let (sender, receiver) = oneshot::channel();
        let group = AppendGroup {
            unsettled: Cell::new(count),
            outcomes: RefCell::new(vec![Err(ProposeError::UnknownPartition); count]),
            sender: Cell::new(Some(sender)),
        };
        if count == 0 {
            group.send();
        }
        (Rc::new(group), receiver)
    }

    /// The place of batch `index` in the group.
    pub fn slot(self: &Rc<Self>, index: usize) -> AppendSlot {
        AppendSlot { group: Rc::clone(self), index }
    }

    fn send(&self) {
        if let Some(sender) = self.sender.take() {
            // Nobody waits any more when the client is gone; its data stays written.
            let _ = sender.send(self.outcomes.take());
        }
    }
}

/// One batch's place in its group; settled exactly once.
pub struct AppendSlot {
    group: Rc<AppendGroup>,
    index: usize,
}

impl AppendSlot {
    /// Puts in the outcome; the last one of the group answers the request.
    pub fn settle(self, outcome: Result<Appended, ProposeError>) {
        if let Some(place) = self.group.outcomes.borrow_mut().get_mut(self.index) {
            *place = outcome;
        }
        let left = self.group.unsettled.get().saturating_sub(1);
        self.group.unsettled.set(left);
        if left == 0 {
            self.group.send();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_answers_when_its_last_batch_is_settled_in_the_order_of_the_request() {
        let (group, mut receiver) = AppendGroup::new(2);
        let done = |offset| {
            Ok(Appended {
                base_offset: Offset(offset),
                log_append_time: None,
                log_start: Offset::ZERO,
            })
        };
        group.slot(1).settle(done(7));
        assert!(receiver.try_recv().is_err(), "one batch is still out");
        group.slot(0).settle(Err(ProposeError::StorageFull));
        assert_eq!(receiver.try_recv(), Ok(vec![Err(ProposeError::StorageFull), done(7)]));
    }
}
