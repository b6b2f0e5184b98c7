//! What time does: open transactions are aborted, idle transactional ids forgotten.

use model::Timestamp;

use super::{Status, Transactions, TransactionsCommand};

/// Kafka's default for `transaction.max.timeout.ms`: 15 minutes.
pub const TIMEOUT_MAX_MS: i32 = 900_000;

impl Transactions {
    /// The open transactions whose time is up.
    pub fn timed_out(&self, now: Timestamp) -> Vec<String> {
        let is_late = |id: &&String| {
            let deadline = self.by_id.get(*id).and_then(|known| known.deadline());
            deadline.is_some_and(|deadline| deadline < now)
        };
        self.open.iter().filter(is_late).cloned().collect()
    }

    /// Aborts a transaction whose time is up, and fences its producer. `None` if it is not so.
    pub fn time_out(&self, id: &str, now: Timestamp) -> Option<TransactionsCommand> {
        let known = self.by_id.get(id)?;
        (known.deadline()? < now).then(|| {
            let transaction = Box::new(known.fenced(now));
            TransactionsCommand::Put { id: id.to_owned(), transaction }
        })
    }

    /// Forgets transactional ids that have begun nothing for `expiration_ms`
    /// (`transactional.id.expiration.ms`).
    pub fn expired(&self, now: Timestamp, expiration_ms: i64) -> Vec<TransactionsCommand> {
        let idle = self.by_id.iter().filter(|(_, known)| {
            let at_rest = matches!(
                known.status,
                Status::Empty | Status::CompleteCommit | Status::CompleteAbort
            );
            at_rest && now.0.saturating_sub(known.updated.0) >= expiration_ms
        });
        idle.map(|(id, _)| TransactionsCommand::Remove { id: id.clone() }).collect()
    }
}
