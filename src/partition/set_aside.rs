//! A newest segment whose file is damaged: it stays as it is, and the partition goes on without it.
//!
//! Nothing can be written behind bytes that are not there. But what was appended since the last
//! checkpoint is durable in the journal and whole in memory; if it could not be written to a file,
//! there would be no checkpoint any more for the whole core, and its journal would grow without end.
//! So it goes to a segment of its own. The damaged one is sealed where the last checkpoint saw its
//! end: who reads from it meets the damage, and nothing of it is removed.

use std::rc::Rc;

use batch::BatchHeader;

use crate::{StorageError, partition::Inner, segment::Segment};

impl Inner {
    /// Sets the open segment aside if `error` says that it is damaged or missing. The error is to be
    /// reported nevertheless: a checkpoint under way counts on the segment. The next one does not.
    ///
    /// The caller has the turn, and nothing was written to the segment's file by this process.
    pub fn set_aside(&self, error: StorageError) -> StorageError {
        let damaged = matches!(error, StorageError::Damaged { .. } | StorageError::Missing { .. });
        let segment = self.log.borrow().segments.iter().find(|it| it.is_uncut()).cloned();
        if let Some(segment) = segment.filter(|_| damaged) {
            match self.begin_another_behind(&segment) {
                Ok(()) => tracing::error!(
                    %error, partition = %self.id,
                    "the newest segment is set aside as it is; new records go to another file"
                ),
                Err(invalid) => return invalid,
            }
        }
        error
    }

    fn begin_another_behind(&self, segment: &Rc<Segment>) -> Result<(), StorageError> {
        let begin = segment.written_through.get();
        let end = segment.next_offset.get();
        let interval_bytes = u64::try_from(self.config.borrow().index_interval_bytes).unwrap_or(0);
        let now = runtime::wall_clock();
        let another = Rc::new(Segment::new(self.place(), begin, 0, now));
        another.sealed.set(segment.sealed.get());
        let mut log = self.log.borrow_mut();
        let appended = log.tail.batches_from(begin).take_while(|batch| batch.next_offset <= end);
        for batch in appended {
            let header = BatchHeader::parse(&batch.bytes).map_err(|error| {
                let (partition, why) = (self.id, error.to_string());
                StorageError::InvalidBatch { partition, why }
            })?;
            another.note_append(&header, batch.bytes.len(), interval_bytes);
        }
        segment.seal_as_opened();
        let place = log.segments.iter().position(|it| Rc::ptr_eq(it, segment));
        if let Some(place) = place.filter(|_| !another.is_empty()) {
            log.segments.insert(place + 1, another);
        }
        Ok(())
    }
}
