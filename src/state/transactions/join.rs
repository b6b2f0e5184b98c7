//! What joins a transaction: partitions before (or while) they are written to, and consumer groups
//! whose offsets are committed with it.

use model::TopicPartition;

use super::{
    Identity, Protocol, Status, Transaction, TransactionError, Transactions, TransactionsCommand,
};

impl Transactions {
    /// Adds to a transaction, which begins with it if none is open. `None` if all of it is part of
    /// it already.
    pub fn add(
        &self,
        id: &str,
        identity: Identity,
        partitions: &[TopicPartition],
        groups: &[String],
        protocol: Protocol,
    ) -> Result<Option<TransactionsCommand>, TransactionError> {
        let known = self.of_producer(id, identity)?;
        if known.status == Status::Ongoing
            && partitions.iter().all(|partition| known.partitions.contains(partition))
            && groups.iter().all(|group| known.groups.contains(group))
        {
            return Ok(None);
        }
        let (partitions, groups) = (partitions.to_vec(), groups.to_vec());
        Ok(Some(TransactionsCommand::Add { id: id.to_owned(), partitions, groups, protocol }))
    }

    /// Whether partitions are part of the producer's open transaction, each for itself.
    pub fn verify(
        &self,
        id: &str,
        identity: Identity,
        partitions: &[TopicPartition],
    ) -> Result<Vec<bool>, TransactionError> {
        let known = self.of_producer(id, identity)?;
        let is_in =
            |partition| known.status == Status::Ongoing && known.partitions.contains(partition);
        Ok(partitions.iter().map(is_in).collect())
    }

    /// Whether a group is part of the producer's open transaction.
    pub fn verify_group(
        &self,
        id: &str,
        identity: Identity,
        group: &str,
    ) -> Result<bool, TransactionError> {
        let known = self.of_producer(id, identity)?;
        Ok(known.status == Status::Ongoing && known.groups.contains(group))
    }

    /// The transaction, if it is the producer's and not on its way to its end.
    fn of_producer(&self, id: &str, identity: Identity) -> Result<&Transaction, TransactionError> {
        let known = self.by_id.get(id).ok_or(TransactionError::UnknownProducer)?;
        if known.identity.id != identity.id {
            return Err(TransactionError::UnknownProducer);
        }
        if known.identity.epoch != identity.epoch {
            // With its markers under way the epoch may be the next one already; once they are
            // written the client is told which is its.
            let (found, current) = (identity.epoch, known.identity.epoch);
            return Err(TransactionError::Fenced { found, current });
        }
        match known.status.ending() {
            Some(_) => Err(TransactionError::Concurrent),
            None => Ok(known),
        }
    }
}
