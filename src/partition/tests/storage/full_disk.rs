//! A full disk: what was acknowledged is safe, reads and deletes go on, writing comes back by itself.

use std::time::Duration;

use model::Offset;
use runtime::simulation;

use crate::given::*;

/// Given a disk that fills up, when a checkpoint is taken, then it fails and the core says that it
/// is full; reads go on; and when there is space again all is written, once, within seconds.
#[test]
fn a_full_disk_heals_when_there_is_space() {
    run(async |path| {
        let storage = storage();
        let partition = empty(&storage, &path, small_segments()).await;
        let mut batches = fill(&partition, 20);
        checkpoint(&partition).await;
        simulation::set_free_bytes(Some(0));
        batches.extend(fill(&partition, 40));
        let snapshot = partition.snapshot();
        let error = partition.flush_to(&snapshot).await.unwrap_err();
        assert!(error.is_storage_full(), "{error}");
        assert!(storage.is_full());
        assert_eq!(read_all(&partition, Offset(0), 900).await, batches);
        runtime::sleep(Duration::from_secs(10)).await;
        assert!(storage.is_full());
        simulation::set_free_bytes(None);
        runtime::sleep(Duration::from_secs(3)).await;
        assert!(!storage.is_full());
        let snapshot = checkpoint(&partition).await;
        partition.close();
        let partition = reopen(&self::storage(), &path, small_segments(), &snapshot).await;
        assert_eq!(read_all(&partition, Offset(0), 900).await, batches);
    });
}

/// Given a full disk, when the log start moves on, then files are given back without a checkpoint,
/// and writing resumes.
#[test]
fn deleting_records_makes_space_on_a_full_disk() {
    run(async |path| {
        let storage = storage();
        let partition = empty(&storage, &path, small_segments()).await;
        fill(&partition, 200);
        checkpoint(&partition).await;
        simulation::set_free_bytes(Some(0));
        let after = fill(&partition, 5);
        assert!(partition.flush_to(&partition.snapshot()).await.is_err());
        partition.advance_log_start(Offset(400));
        runtime::sleep(Duration::from_secs(3)).await;
        assert!(!storage.is_full());
        assert_eq!(read_all(&partition, Offset(400), 900).await, after);
    });
}
