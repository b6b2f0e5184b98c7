//! Sequences, epochs, snapshots.

use batch::Attributes;
use model::LeaderEpoch;
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);
const MAX: i32 = i32::MAX;

/// A batch of `count` records of one producer, of which only the sequencing fields matter.
fn batch(producer: i64, epoch: i16, sequence: i32, count: i32) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(0),
        length: 49,
        leader_epoch: LeaderEpoch(0),
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: count - 1,
        base_timestamp: Timestamp(7),
        max_timestamp: Timestamp(i64::from(sequence)),
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: BatchSequence(sequence),
        record_count: count,
    }
}

/// What became of one batch, in few words.
fn offer(table: &mut ProducerTable, end: &mut Offset, header: &BatchHeader) -> String {
    match table.check(header) {
        Ok(Sequenced::New) => {
            table.record(header, *end, NOW);
            *end = end.plus(i64::from(header.last_offset_delta) + 1);
            "new".to_owned()
        }
        Ok(Sequenced::Duplicate { base_offset, .. }) => format!("duplicate of {base_offset}"),
        Err(SequenceError::OutOfOrder { .. }) => "out of order".to_owned(),
        Err(SequenceError::NewEpochNotAtZero { .. }) => "epoch not at 0".to_owned(),
        Err(SequenceError::InvalidEpoch { .. }) => "fenced".to_owned(),
        Err(SequenceError::NotTransactional { .. }) => "not transactional".to_owned(),
    }
}

/// Offers batches `(epoch, sequence, count)` of producer 9 in order.
fn check_all(batches: &[(i16, i32, i32, &str)]) {
    let (mut table, mut end) = (ProducerTable::default(), Offset(0));
    for (place, (epoch, sequence, count, expected)) in batches.iter().enumerate() {
        let got = offer(&mut table, &mut end, &batch(9, *epoch, *sequence, *count));
        assert_eq!(got, *expected, "batch {place} of {batches:?}");
    }
}

#[test]
fn batches_follow_one_another() {
    check_all(&[(0, 0, 3, "new"), (0, 3, 1, "new"), (0, 4, 2, "new")]);
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    check_all(&[(4, 77, 3, "new"), (4, 80, 1, "new")]);
}

#[test]
fn a_gap_or_a_step_back_is_out_of_order() {
    check_all(&[
        (0, 0, 3, "new"),
        (0, 4, 1, "out of order"),
        (0, 2, 1, "out of order"),
        // The same first sequence with another last one is not the same batch.
        (0, 0, 2, "out of order"),
        (0, 3, 1, "new"),
    ]);
}

#[test]
fn any_of_the_last_five_batches_is_recognised() {
    check_all(&[
        (0, 0, 1, "new"),
        (0, 1, 2, "new"),
        (0, 3, 1, "new"),
        (0, 4, 1, "new"),
        (0, 5, 1, "new"),
        (0, 0, 1, "duplicate of 0"),
        (0, 6, 1, "new"),
        (0, 0, 1, "out of order"),
        (0, 1, 2, "duplicate of 1"),
        (0, 6, 1, "duplicate of 6"),
    ]);
}

#[test]
fn sequences_wrap_to_zero() {
    check_all(&[
        (0, MAX - 1, 2, "new"),
        (0, 0, 5, "new"),
        (0, MAX - 1, 2, "duplicate of 0"),
        (0, 5, 1, "new"),
    ]);
    // The wrap may fall within a batch.
    check_all(&[(0, MAX, 3, "new"), (0, 2, 1, "new"), (0, MAX, 3, "duplicate of 0")]);
    check_all(&[(0, MAX, 1, "new"), (0, 1, 1, "out of order"), (0, 0, 1, "new")]);
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    check_all(&[
        (3, 0, 2, "new"),
        (4, 2, 1, "epoch not at 0"),
        (4, 0, 2, "new"),
        (3, 2, 1, "fenced"),
        // Not even a duplicate of the old epoch is answered.
        (3, 0, 2, "fenced"),
        (4, 0, 2, "duplicate of 2"),
        (4, 2, 1, "new"),
    ]);
}

#[test]
fn batches_without_a_producer_are_always_new() {
    let (mut table, mut end) = (ProducerTable::default(), Offset(0));
    let plain = batch(-1, -1, -1, 1);
    for _ in 0..3 {
        assert_eq!(offer(&mut table, &mut end, &plain), "new");
    }
    assert!(table.is_empty());
    assert!(table.snapshot().is_empty(), "an idle partition costs nothing");
}

#[test]
fn a_duplicate_gets_the_time_of_the_original() {
    let mut table = ProducerTable::default();
    let mut original = batch(9, 0, 0, 1);
    original.max_timestamp = Timestamp(55);
    table.record(&original, Offset(12), NOW);
    original.max_timestamp = Timestamp(99);
    let duplicate = Sequenced::Duplicate { base_offset: Offset(12), timestamp: Timestamp(55) };
    assert_eq!(table.check(&original), Ok(duplicate));
}

#[test]
fn a_producer_is_forgotten_after_a_day_of_silence() {
    // Given a producer that wrote once, with a record timestamp of long ago
    let mut table = ProducerTable::default();
    table.record(&batch(9, 0, 0, 1), Offset(0), NOW);
    let gap = batch(9, 0, 5, 1);

    // When nearly a day has passed, it is remembered: a gap is noticed
    table.expire(Timestamp(NOW.0 + EXPIRATION_MS - 1), EXPIRATION_MS);
    assert!(table.check(&gap).is_err());

    // When the day is over, it is unknown and may start anywhere
    table.expire(Timestamp(NOW.0 + EXPIRATION_MS), EXPIRATION_MS);
    assert_eq!(table.check(&gap), Ok(Sequenced::New));
}

#[test]
fn a_replayed_producer_is_remembered_for_a_day_from_the_first_sweep() {
    // Recovery has no clock and record timestamps may be of long ago (a backfill), so neither
    // may make a live producer's sequence expire.
    let mut table = ProducerTable::default();
    table.replay(&batch(9, 0, 0, 1));
    let first_sweep = Timestamp(NOW.0 + 10 * EXPIRATION_MS);
    table.expire(first_sweep, EXPIRATION_MS);
    assert_eq!(table.len(), 1);
    table.expire(Timestamp(first_sweep.0 + EXPIRATION_MS), EXPIRATION_MS);
    assert!(table.is_empty());
}

#[test]
fn replay_passes_over_what_the_snapshot_holds() {
    // Given a snapshot of three batches, taken at the proposed end 3
    let batches: Vec<_> = (0..5)
        .map(|i| BatchHeader { base_offset: Offset(i64::from(i)), ..batch(9, 0, i, 1) })
        .collect();
    let mut table = ProducerTable::default();
    for header in &batches[..3] {
        table.record(header, header.base_offset, NOW);
    }
    let snapshot = table.snapshot();

    // When the journal replays from the first batch on, nothing changes at first …
    let mut restored = ProducerTable::restore(&snapshot, Offset(3)).expect("our own bytes");
    for header in &batches[..3] {
        restored.replay(header);
        assert_eq!(restored, table, "after {}", header.base_offset);
    }
    // … and then the newer ones join
    for header in &batches[3..] {
        restored.replay(header);
    }

    // Then each is remembered once
    for header in &batches {
        let duplicate = Sequenced::Duplicate {
            base_offset: header.base_offset,
            timestamp: header.max_timestamp,
        };
        assert_eq!(restored.check(header), Ok(duplicate));
    }
    assert_eq!(restored.check(&batch(9, 0, 5, 1)), Ok(Sequenced::New));
}

#[test]
fn foreign_bytes_are_refused() {
    let mut table = ProducerTable::default();
    table.record(&batch(9, 0, 0, 1), Offset(0), NOW);
    let good = table.snapshot();
    let restore = |bytes: &[u8]| ProducerTable::restore(bytes, Offset(1));
    assert_eq!(restore(&good).expect("our own bytes"), table);

    let mut newer = good.clone();
    newer[0] = 3;
    assert!(matches!(restore(&newer), Err(DecodeError::UnknownVersion { found: 3, .. })));
    for length in 1..good.len() {
        assert!(restore(&good[..length]).is_err(), "cut at {length}");
    }
    // A count of 2^63 producers, and nothing after it.
    assert!(restore(&[2, 255, 255, 255, 255, 255, 255, 255, 255, 127]).is_err());
    // A producer with six batches.
    let six = [[1_u8, 1, 18, 0, 0, 6].as_slice(), &[0; 24]].concat();
    assert!(restore(&six).is_err());
}

#[test]
fn a_table_of_format_1_is_read_and_has_no_transaction() {
    // One producer 9, epoch 4, last seen at 7, one batch: sequences 0 to 2 at offset 5, time 6.
    let old = [1, 1, 18, 8, 14, 1, 0, 4, 10, 12];
    let table = ProducerTable::restore(&old, Offset(8)).expect("format 1");
    assert!(!table.is_in_transaction(ProducerId(9), ProducerEpoch(4)));
    assert_eq!(table.check(&batch(9, 4, 3, 1)), Ok(Sequenced::New));
    assert!(table.check(&batch(9, 4, 4, 1)).is_err());
}

fn transactional(producer: i64, epoch: i16, sequence: i32, count: i32) -> BatchHeader {
    let attributes = Attributes(0).with_transactional();
    BatchHeader { attributes, ..batch(producer, epoch, sequence, count) }
}

fn marker(producer: i64, epoch: i16) -> BatchHeader {
    let attributes = Attributes(0).with_transactional().with_control();
    BatchHeader { attributes, ..batch(producer, epoch, -1, 1) }
}

#[test]
fn a_transaction_is_open_from_its_first_batch_to_its_marker() {
    let (id, epoch) = (ProducerId(9), ProducerEpoch(0));
    let mut table = ProducerTable::default();
    assert!(!table.is_in_transaction(id, epoch));
    assert_eq!(table.check_marker(id, epoch), MarkerNeed::Needless);

    table.record(&transactional(9, 0, 0, 2), Offset(10), NOW);
    table.record(&transactional(9, 0, 2, 1), Offset(12), NOW);
    assert!(table.is_in_transaction(id, epoch));
    assert_eq!(table.producers().next().expect("one").transaction_start, Some(Offset(10)));
    assert_eq!(table.check_marker(id, epoch), MarkerNeed::Needed);
    // Only its transaction's batches may come now.
    let refused = SequenceError::NotTransactional { producer: id };
    assert_eq!(table.check(&batch(9, 0, 3, 1)), Err(refused));
    // An open transaction is not forgotten, however long it is silent.
    table.expire(Timestamp(NOW.0 + EXPIRATION_MS), EXPIRATION_MS);

    table.record(&marker(9, 0), Offset(13), NOW);
    assert!(!table.is_in_transaction(id, epoch));
    assert_eq!(table.check_marker(id, epoch), MarkerNeed::Needless);
    // The same epoch goes on with its sequence.
    assert_eq!(table.check(&transactional(9, 0, 3, 1)), Ok(Sequenced::New));
}

#[test]
fn a_marker_with_a_new_epoch_fences_the_old_one_and_resets_the_sequence() {
    let mut table = ProducerTable::default();
    table.record(&transactional(9, 0, 0, 2), Offset(0), NOW);
    assert_eq!(table.check_marker(ProducerId(9), ProducerEpoch(1)), MarkerNeed::Needed);
    table.record(&marker(9, 1), Offset(2), NOW);
    let table = ProducerTable::restore(&table.snapshot(), Offset(3)).expect("our own bytes");

    let late = table.check(&transactional(9, 0, 2, 1));
    assert!(matches!(late, Err(SequenceError::InvalidEpoch { .. })));
    assert_eq!(table.check_marker(ProducerId(9), ProducerEpoch(0)), MarkerNeed::Fenced);
    assert!(table.check(&transactional(9, 1, 2, 1)).is_err());
    assert_eq!(table.check(&transactional(9, 1, 0, 1)), Ok(Sequenced::New));
}

/// The rules in their plainest form: every batch ever appended, per producer.
#[derive(Default)]
struct Model {
    appended: BTreeMap<i64, Vec<(i16, i32, i32, Offset)>>,
}

impl Model {
    fn offer(&mut self, end: Offset, (producer, epoch, sequence, count): Offer) -> String {
        let all = self.appended.entry(producer).or_default();
        let newest = all.iter().map(|(epoch, ..)| *epoch).max();
        let wanted = match newest {
            Some(newest) if epoch < newest => return "fenced".to_owned(),
            Some(newest) if epoch == newest => {
                let of_epoch: Vec<_> = all.iter().filter(|(e, ..)| *e == epoch).collect();
                let recent = &of_epoch[of_epoch.len().saturating_sub(5)..];
                let same = |b: &&&(i16, i32, i32, Offset)| b.1 == sequence && b.2 == count;
                if let Some(found) = recent.iter().find(same) {
                    return format!("duplicate of {}", found.3);
                }
                let last = of_epoch[of_epoch.len() - 1];
                let next = (i64::from(last.1) + i64::from(last.2)) % (i64::from(MAX) + 1);
                (i64::from(sequence) == next).then_some(()).ok_or("out of order")
            }
            Some(_) => (sequence == 0).then_some(()).ok_or("epoch not at 0"),
            None => Ok(()),
        };
        match wanted {
            Ok(()) => {
                all.push((epoch, sequence, count, end));
                "new".to_owned()
            }
            Err(why) => why.to_owned(),
        }
    }
}

type Offer = (i64, i16, i32, i32);

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let sequence = prop_oneof![0..6_i32, (MAX - 3)..=MAX];
    prop::collection::vec((0..2_i64, 0..2_i16, sequence, 1..4_i32), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_table_agrees_with_the_plain_rules(offers in offers(), restart_at in 0..80_usize) {
        let (mut table, mut end, mut model) =
            (ProducerTable::default(), Offset(0), Model::default());
        for (place, offered) in offers.into_iter().enumerate() {
            if place == restart_at {
                table = ProducerTable::restore(&table.snapshot(), end).expect("our own bytes");
            }
            let (producer, epoch, sequence, count) = offered;
            let expected = model.offer(end, offered);
            let got = offer(&mut table, &mut end, &batch(producer, epoch, sequence, count));
            prop_assert_eq!(got, expected, "batch {} {:?}", place, offered);
        }
    }

    #[test]
    fn no_bytes_make_restore_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ProducerTable::restore(&bytes, Offset(0));
    }
}
