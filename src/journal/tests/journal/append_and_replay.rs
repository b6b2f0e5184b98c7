//! What is appended comes back; positions, waiting, files.

use std::cell::RefCell;
use std::rc::Rc;

use crate::support::{
    FILE_BYTES, append, commands, config, files, on_a_core, open, replay, write_one_by_one,
};
use journal::{AppendError, Journal, JournalConfig, JournalPosition};
use model::{CommandIndex, LaneId, Term};

#[test]
fn a_new_journal_is_empty_and_stays_so_when_closed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(replay(config(directory.path())).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(replay(config(directory.path())).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn what_was_appended_is_replayed_in_order_with_lane_term_and_index() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    on_a_core(move || async move {
        let (journal, _, _) = open(config.clone()).await.unwrap();
        journal.append(LaneId(1), Term(7), CommandIndex(10), &[b"a", b"", b"bc"]).unwrap();
        journal.append(LaneId(2), Term(8), CommandIndex(1), &[]).unwrap();
        journal.close().await;

        let (journal, report, commands) = open(config).await.unwrap();
        assert_eq!((report.frames, report.commands, report.torn_tail), (1, 2, false));
        assert_eq!(report.last, JournalPosition(1));
        assert_eq!(journal.durable(), JournalPosition(1));
        let first = &commands[0];
        assert_eq!((first.lane, first.term, first.index), (LaneId(1), Term(7), CommandIndex(10)));
        assert_eq!(&first.command[..], b"abc");
        assert_eq!((commands[1].lane, commands[1].command.len()), (LaneId(2), 0));
        journal.close().await;
    });
}

#[test]
fn commands_that_gather_share_a_frame_and_a_frame_has_a_limit() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    on_a_core(move || async move {
        let (journal, _, _) = open(config).await.unwrap();
        // Nothing is written while this task runs on, so all of these gather.
        let small: Vec<_> = (1..=3).map(|index| append(&journal, index, b"small")).collect();
        assert_eq!(small, [JournalPosition(1); 3]);
        let large: Vec<_> = (4..=6).map(|index| append(&journal, index, &[7; 10_000])).collect();
        assert_eq!(large, [1, 2, 3].map(JournalPosition));
        // Larger than a frame's limit: a frame of its own.
        assert_eq!(append(&journal, 7, &[7; 30_000]), JournalPosition(4));
        assert_eq!(append(&journal, 8, b"small"), JournalPosition(5));
        assert_eq!(journal.buffered_bytes(), 5 * 4 + 30_000 + 30_000);
        journal.wait_durable(JournalPosition(5)).await;
        assert_eq!(journal.buffered_bytes(), 0);
        journal.close().await;
    });
}

#[test]
fn a_command_larger_than_a_file_is_refused_and_the_largest_that_fits_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let max_bytes = config.command_bytes_max();
    let largest = vec![5; max_bytes];
    let expected = largest.clone();
    let replayed_config = config.clone();
    on_a_core(move || async move {
        let (journal, _, _) = open(config).await.unwrap();
        let refused = journal.append(LaneId(0), Term(0), CommandIndex(1), &[&largest, b"x"]);
        assert_eq!(refused, Err(AppendError::TooLarge { size_bytes: max_bytes + 1, max_bytes }));
        append(&journal, 1, &largest);
        journal.close().await;
    });
    assert_eq!(replay(replayed_config).unwrap(), [expected]);
}

#[test]
fn the_listener_hears_rising_positions_and_may_append() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    on_a_core(move || async move {
        let (journal, _, _) = open(config).await.unwrap();
        let heard = Rc::new(RefCell::new(Vec::new()));
        let (log, again) = (Rc::clone(&heard), journal.clone());
        journal.set_durable_listener(Box::new(move |position| {
            assert_eq!(again.durable(), position);
            log.borrow_mut().push(position.0);
            if position.0 < 5 {
                append(&again, position.0 + 1, b"more");
            }
        }));
        append(&journal, 1, b"first");
        journal.wait_durable(JournalPosition(5)).await;
        assert_eq!(*heard.borrow(), [1, 2, 3, 4, 5]);
        journal.close().await;
    });
}

#[test]
fn a_closed_journal_has_written_everything_and_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let replayed_config = config.clone();
    let all = commands(100, 3_000);
    let appended = all.clone();
    on_a_core(move || async move {
        let (journal, _, _) = open(config).await.unwrap();
        for (index, command) in (1..).zip(&appended) {
            append(&journal, index, command);
        }
        let other = journal.clone();
        journal.close().await;
        let refused = other.append(LaneId(0), Term(0), CommandIndex(1), &[b"late"]);
        assert_eq!(refused, Err(AppendError::Closed));
    });
    assert_eq!(replay(replayed_config).unwrap(), all);
}

#[test]
fn room_comes_back_when_writes_finish() {
    let directory = tempfile::tempdir().unwrap();
    let config = JournalConfig { buffered_bytes_max: 20_000, ..config(directory.path()) };
    on_a_core(move || async move {
        let (journal, _, _) = open(config).await.unwrap();
        for index in 0..200 {
            journal.wait_for_room().await;
            append(&journal, index, &[1; 5_000]);
            assert!(journal.buffered_bytes() <= 25_000);
        }
        journal.close().await;
    });
}

#[test]
fn freed_files_are_used_again_and_their_old_frames_never_return() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let path = directory.path().to_path_buf();
    let kept: Vec<Vec<u8>> = on_a_core(move || async move {
        let (journal, _, _) = open(config).await.unwrap();
        let mut last = JournalPosition::NONE;
        // Twenty files' worth, of which only the newest frames are ever needed.
        for index in 0..400u64 {
            last = append(&journal, index, &[index as u8; 3_500]);
            journal.wait_durable(last).await;
            if index % 10 == 9 {
                journal.free_before(last).await;
            }
        }
        journal.close().await;
        let files = files(&path);
        assert!(files.len() <= 7, "{} files for one that is needed: {files:?}", files.len());
        for file in files {
            assert!(file.metadata().unwrap().len() == FILE_BYTES, "{file:?}");
        }

        let again = JournalConfig { replay_from: last, ..crate::support::config(&path) };
        let (journal, report, commands) = open(again).await.unwrap();
        assert_eq!(report.last, last);
        journal.close().await;
        commands.iter().map(|command| command.command.to_vec()).collect()
    });
    assert_eq!(kept, [vec![399u64 as u8; 3_500]]);
}

#[test]
fn the_bytes_since_a_position_are_known_well_enough() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    on_a_core(move || async move {
        let (journal, _, _) = open(config).await.unwrap();
        let mut positions = Vec::new();
        for index in 0..500 {
            let position = append(&journal, index, &[0; 4_000]);
            journal.wait_durable(position).await;
            positions.push(position);
        }
        let slack = 300 << 10;
        for (written_before, position) in positions.iter().enumerate().step_by(77) {
            let exact = (500 - written_before as u64) * 4096;
            let told = journal.written_bytes_since(*position);
            assert!(told >= exact && told <= exact + slack, "{position}: {told} for {exact}");
        }
        assert!(journal.written_bytes_since(journal.durable().next()) <= slack);
        journal.close().await;
    });
}

#[test]
fn a_restart_goes_on_with_the_next_position_and_frames_before_replay_from_are_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let first = commands(30, 3_000);
    write_one_by_one(config(directory.path()), first.clone());
    write_one_by_one(config(directory.path()), vec![b"after the restart".to_vec()]);
    let expected: Vec<_> = first.into_iter().chain([b"after the restart".to_vec()]).collect();
    assert_eq!(replay(config(directory.path())).unwrap(), expected);

    let later = JournalConfig { replay_from: JournalPosition(29), ..config(directory.path()) };
    assert_eq!(replay(later).unwrap(), &expected[28..]);
    let none = JournalConfig { replay_from: JournalPosition(32), ..config(directory.path()) };
    assert_eq!(replay(none).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_scan_reads_the_same_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let all = commands(30, 3_000);
    write_one_by_one(config(directory.path()), all.clone());
    let before = files(directory.path());
    let path = directory.path().to_path_buf();
    let scanned = on_a_core(move || async move {
        let mut scanned = Vec::new();
        Journal::scan(&path, JournalPosition::NONE, |command| {
            scanned.push(command.command.to_vec());
            Ok::<(), std::convert::Infallible>(())
        })
        .await
        .unwrap();
        scanned
    });
    assert_eq!(scanned, all);
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_journal_that_was_freed_to_its_end_does_not_look_empty() {
    let directory = tempfile::tempdir().unwrap();
    // Exactly one file of frames.
    write_one_by_one(config(directory.path()), commands(15, 1_000));
    for round in 0..3 {
        let config = JournalConfig { replay_from: JournalPosition(16), ..config(directory.path()) };
        on_a_core(move || async move {
            let (journal, report, commands) = open(config).await.unwrap();
            assert_eq!((report.last, commands.len()), (JournalPosition(15), 0), "{round}");
            journal.free_before(JournalPosition(16)).await;
            journal.close().await;
        });
    }
}
