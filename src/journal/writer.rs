//! Group commit: what has gathered is one write.
//!
//! Each of a few identical writer tasks takes a frame, writes it durably, and tells the state. More
//! than one may be in flight; the state acknowledges in order. While one is in flight a second one
//! starts only when enough has gathered to be worth a write of its own.

use std::rc::Rc;

use crate::shared::{PlacedFrame, Shared};

pub(crate) fn start(shared: &Rc<Shared>) {
    for _ in 0..shared.config.writes_in_flight_max {
        shared.state.borrow_mut().running_tasks += 1;
        runtime::spawn("journal writer", write_frames(Rc::clone(shared)));
    }
}

async fn write_frames(shared: Rc<Shared>) {
    loop {
        let work = shared.work.notified();
        let next = shared.state.borrow_mut().place_next(&shared.config, &shared.supply);
        match next {
            Some(frame) => write(&shared, frame).await,
            None if is_finished(&shared) => break,
            None => work.await,
        }
    }
    shared.state.borrow_mut().running_tasks -= 1;
    // The next one looks, finds the same, and wakes the one after it.
    shared.work.notify_one();
    shared.supply.notify_one();
    shared.progress.notify_waiters();
}

async fn write(shared: &Shared, frame: PlacedFrame) {
    let PlacedFrame { file, position, sequence, command_count, buffer } = frame;
    let began = runtime::now();
    let (result, buffer) = file.write_durable(position, buffer).await;
    if let Err(error) = result {
        // After a failed write nobody knows what the disk holds, and the kernel may have forgotten
        // the failure by the next try: the only safe way on is recovery.
        let directory = shared.config.directory.display();
        runtime::abort(&format!(
            "writing frame {sequence} to the journal in {directory} failed: {error}. The process \
             ends; nothing acknowledged is lost. Check the disk, then start again"
        ));
    }
    shared.metrics.note_write(runtime::now() - began, buffer.len(), command_count);
    // Before anyone hears of it, so that a file with no write in flight has no writer's handle.
    drop(file);
    let mut state = shared.state.borrow_mut();
    let moved = state.written(sequence, buffer);
    let listener = state.listener.clone();
    let closing = state.closing;
    drop(state);
    if let Some(durable) = moved {
        if let Some(listener) = listener {
            listener(durable);
        }
        shared.progress.notify_waiters();
    }
    if closing {
        shared.supply.notify_one();
    }
    // What gathered meanwhile may be enough for two: this task takes one, another the other.
    shared.wake_writer();
}

/// Whether the journal closes and nothing is left to write.
fn is_finished(shared: &Shared) -> bool {
    let state = shared.state.borrow();
    state.closing && state.gather.front().is_none()
}
