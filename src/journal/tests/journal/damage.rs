//! What recovery makes of files that are not as they were written.

use crate::support::{FILE_BYTES, commands, config, damage, files, replay, write_one_by_one};
use journal::frame::{self, BLOCK_BYTES, FRAME_HEADER_BYTES, FrameHeader, record_header};
use journal::{JournalConfig, JournalError, JournalPosition};
use model::{CommandIndex, LaneId, Term};
use proptest::prelude::*;

/// The offset of frame `number` (from 1) in the first file, when each takes one block.
fn block(number: u64) -> u64 {
    number * BLOCK_BYTES as u64
}

#[test]
fn a_torn_last_frame_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let all = commands(5, 1_000);
    write_one_by_one(config(directory.path()), all.clone());
    damage(&files(directory.path())[0], block(5) + 500);
    assert_eq!(replay(config(directory.path())).unwrap(), &all[..4]);
    // And the journal goes on from there, with the torn frame still in its place.
    write_one_by_one(config(directory.path()), vec![b"next".to_vec()]);
    let expected: Vec<_> = all[..4].iter().cloned().chain([b"next".to_vec()]).collect();
    assert_eq!(replay(config(directory.path())).unwrap(), expected);
}

#[test]
fn a_damaged_frame_before_others_is_an_error_that_names_file_and_offset() {
    let directory = tempfile::tempdir().unwrap();
    write_one_by_one(config(directory.path()), commands(5, 1_000));
    let file = files(directory.path())[0].clone();
    damage(&file, block(3) + 500);
    match replay(config(directory.path())) {
        Err(JournalError::Damaged { path, offset, missing, .. }) => {
            assert_eq!((path, offset, missing), (file, block(3), JournalPosition(3)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_last_frame_of_a_file_is_an_error_when_the_next_file_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    // 15 frames fill a file.
    write_one_by_one(config(directory.path()), commands(20, 1_000));
    let file = files(directory.path())[0].clone();
    damage(&file, block(15) + 500);
    match replay(config(directory.path())) {
        Err(JournalError::Damaged { path, offset, missing, .. }) => {
            assert_eq!((path, offset, missing), (file, block(15), JournalPosition(15)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_first_frame_of_a_file_is_an_error_at_that_file() {
    let directory = tempfile::tempdir().unwrap();
    write_one_by_one(config(directory.path()), commands(20, 1_000));
    for file in 0..2 {
        let path = files(directory.path())[file].clone();
        damage(&path, block(1) + 500);
        match replay(config(directory.path())) {
            Err(JournalError::Damaged { path: named, offset, .. }) => {
                assert_eq!((named, offset), (path.clone(), block(1)));
            }
            other => panic!("{other:?}"),
        }
        damage(&path, block(1) + 500);
    }
    assert_eq!(replay(config(directory.path())).unwrap().len(), 20);
}

#[test]
fn a_damaged_file_header_before_frames_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    write_one_by_one(config(directory.path()), commands(20, 1_000));
    let path = files(directory.path())[1].clone();
    damage(&path, 17);
    match replay(config(directory.path())) {
        Err(JournalError::Damaged { path: named, offset: 0, .. }) => assert_eq!(named, path),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_of_another_format_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write_one_by_one(config(directory.path()), commands(1, 10));
    let path = files(directory.path())[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    let crc = crc32c::crc32c(&bytes[..24]);
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    match replay(config(directory.path())) {
        Err(JournalError::UnsupportedFormat { path: named, version: 9, .. }) => {
            assert_eq!(named, path);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_files_are_an_error() {
    let directory = tempfile::tempdir().unwrap();
    write_one_by_one(config(directory.path()), commands(40, 1_000));
    let all = files(directory.path());
    assert!(all.len() >= 3);
    let from = |position| JournalConfig {
        replay_from: JournalPosition(position),
        ..config(directory.path())
    };
    // The first is covered by the checkpoint: nobody needs it.
    std::fs::remove_file(&all[0]).unwrap();
    assert_eq!(replay(from(16)).unwrap().len(), 25);
    // But it is needed when the checkpoint is older.
    assert!(matches!(replay(from(15)), Err(JournalError::MissingFrames { .. })));
    std::fs::remove_file(&all[1]).unwrap();
    assert!(matches!(replay(from(16)), Err(JournalError::MissingFrames { .. })));
    for file in files(directory.path()) {
        std::fs::remove_file(file).unwrap();
    }
    assert!(matches!(replay(from(41)), Err(JournalError::MissingFrames { .. })));
}

#[test]
fn a_missing_file_in_the_middle_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    write_one_by_one(config(directory.path()), commands(40, 1_000));
    std::fs::remove_file(&files(directory.path())[1]).unwrap();
    assert!(replay(config(directory.path())).is_err());
}

/// One frame with one command, as the writer would make it.
fn frame_of(generation: u64, sequence: u64, durable: u64, command: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    let index = CommandIndex(sequence);
    bytes.extend(record_header(LaneId(3), Term(1), index, command.len() as u32));
    bytes.extend(command);
    let header = FrameHeader {
        generation,
        sequence: JournalPosition(sequence),
        durable: JournalPosition(durable),
        payload_bytes: 0,
        record_count: 1,
    };
    frame::seal(&mut bytes, header);
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    bytes
}

#[test]
fn a_whole_frame_after_a_torn_one_is_no_damage_when_both_were_in_flight() {
    // Given frames 1 and 2, then 3 lost and 4 whole: a power cut with two writes in flight.
    let directory = tempfile::tempdir().unwrap();
    let all = commands(2, 1_000);
    write_one_by_one(config(directory.path()), all.clone());
    let path = files(directory.path())[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = block(4) as usize;
    bytes[at..at + BLOCK_BYTES].copy_from_slice(&frame_of(1, 4, 2, b"never acknowledged"));
    std::fs::write(&path, &bytes).unwrap();
    // When the journal is opened, frame 4 must not come back,
    assert_eq!(replay(config(directory.path())).unwrap(), all);
    // not even after new frames 3 and 4 were written.
    write_one_by_one(config(directory.path()), vec![b"3".to_vec(), b"4".to_vec()]);
    let expected: Vec<_> = all.into_iter().chain([b"3".to_vec(), b"4".to_vec()]).collect();
    assert_eq!(replay(config(directory.path())).unwrap(), expected);
    // But a frame 4 that knows 3 to be durable proves damage.
    let path = files(directory.path())[0].clone();
    bytes[at..at + BLOCK_BYTES].copy_from_slice(&frame_of(1, 4, 3, b"acknowledged"));
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(
        replay(config(directory.path())),
        Err(JournalError::Damaged { missing: JournalPosition(3), .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever byte of whatever file is damaged, recovery says so, or returns exactly what was
    /// written, or all of it but the last frame.
    #[test]
    fn damage_anywhere_never_changes_or_silently_drops_commands(
        count in 1usize..40,
        file in 0usize..4,
        offset in 0..FILE_BYTES,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let all = commands(count, 2_500);
        write_one_by_one(config(directory.path()), all.clone());
        let files = files(directory.path());
        damage(&files[file % files.len()], offset);
        match replay(config(directory.path())) {
            Ok(replayed) => {
                prop_assert!(replayed == all || replayed == all[..count - 1]);
            }
            Err(JournalError::Damaged { path, .. } | JournalError::UnsupportedFormat { path, .. }) => {
                prop_assert!(files.contains(&path));
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }

    #[test]
    fn a_frame_comes_back_and_any_flipped_bit_is_noticed(
        generation in any::<u64>(),
        sequence in any::<u64>(),
        command in proptest::collection::vec(any::<u8>(), 0..5_000),
        flip in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frame_of(generation, sequence, 0, &command);
        let header = FrameHeader::parse(&bytes, generation).unwrap();
        prop_assert_eq!(header.sequence, JournalPosition(sequence));
        prop_assert_eq!(header.frame_bytes(), bytes.len());
        let whole = bytes::Bytes::from(bytes.clone());
        let records: Vec<_> = frame::FrameRecords::new(&whole, &header).collect();
        prop_assert_eq!(records.len(), 1);
        prop_assert_eq!(&records[0].command[..], &command[..]);

        prop_assert!(FrameHeader::parse(&bytes, generation.wrapping_add(1)).is_err());
        // The padding is not summed, and not read.
        let meaningful = FRAME_HEADER_BYTES + header.payload_bytes as usize;
        let bit = flip.index(meaningful * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(FrameHeader::parse(&bytes, generation).is_err());
    }
}
