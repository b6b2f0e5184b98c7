//! What a lane keeps of its groups.

use model::{Offset, PartitionIndex, ProducerId, ShardId, Timestamp, TopicId, TopicPartition};

use super::{
    consumer::{Assignment, Change, GroupV1, Record, Standing, Subscription},
    format_1::{GroupsV1, RecordV1},
    *,
};
use crate::catalog::OverrideChange;
use crate::leases::{CommitDetails, Holding, OffsetCommit, ShardSpan};

const NOW: Timestamp = Timestamp(5);

fn partition(index: u32) -> TopicPartition {
    TopicPartition { topic: TopicId(1), partition: PartitionIndex(index) }
}

fn span(index: u32) -> ShardSpan {
    ShardSpan { shard: ShardId(index), start: Offset::ZERO, end: None }
}

fn offset(index: u32, offset: i64) -> OffsetCommit {
    let details = CommitDetails {
        leader_epoch: -1,
        metadata: "m".to_owned(),
        committed_at: NOW,
        expires_at: None,
    };
    let (partition, spans) = (partition(index), vec![span(index)]);
    OffsetCommit { partition, spans, offset: Offset(offset), details }
}

fn commit(group: &str, offsets: Vec<OffsetCommit>) -> GroupsCommand {
    GroupsCommand::CommitOffsets { group: group.to_owned(), offsets }
}

fn stage(producer: i64, group: &str, offsets: Vec<OffsetCommit>) -> GroupsCommand {
    let (producer, group) = (ProducerId(producer), group.to_owned());
    GroupsCommand::StageOffsets { group, producer, offsets }
}

fn end(producer: i64, commit: bool) -> GroupsCommand {
    GroupsCommand::EndStaged { producer: ProducerId(producer), commit }
}

fn after(commands: &[GroupsCommand]) -> Groups {
    let mut groups = Groups::default();
    for command in commands {
        let journaled = GroupsCommand::decode(&command.encode()).expect("as written");
        assert_eq!(journaled, *command);
        groups.apply(&journaled, NOW);
    }
    assert_eq!(Groups::restore(&groups.snapshot()).expect("as written"), groups);
    groups
}

fn offset_of(groups: &Groups, group: &str, index: u32) -> Option<i64> {
    groups.committed(group, partition(index)).map(|committed| committed.offset.0)
}

fn stable(members: &[&str]) -> GroupsCommand {
    let member = |id: &&str| MemberRecord {
        id: (*id).to_owned(),
        instance_id: None,
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        rebalance_timeout_ms: 1,
        session_timeout_ms: 2,
        protocols: vec![("range".to_owned(), vec![1, 2])],
        assignment: vec![3],
    };
    let record = ClassicRecord {
        protocol_type: Some("consumer".to_owned()),
        generation: 4,
        protocol: Some("range".to_owned()),
        leader: members.first().map(|id| (*id).to_owned()),
        since: Timestamp::NONE,
        members: members.iter().map(member).collect(),
    };
    let holdings = (0..).zip(members).map(|(index, id)| Holding {
        partition: partition(index),
        newest: span(index),
        owner: (*id).to_owned(),
    });
    let holdings = holdings.collect();
    GroupsCommand::StoreClassic { group: "g".to_owned(), record, holdings }
}

#[test]
fn offsets_are_kept_per_group_until_they_or_the_group_go() {
    let both = vec![offset(0, 7), offset(1, 8)];
    let mut commands = vec![commit("g", both), commit("h", vec![offset(0, 9)])];
    let groups = after(&commands);
    assert_eq!(offset_of(&groups, "g", 1), Some(8));
    assert_eq!(offset_of(&groups, "h", 0), Some(9));
    assert_eq!(groups.names(), ["g", "h"].into());
    let partitions = vec![partition(1)];
    commands.push(GroupsCommand::DeleteOffsets { group: "g".to_owned(), partitions });
    assert_eq!(offset_of(&after(&commands), "g", 1), None);
    commands.push(GroupsCommand::DeleteGroup { group: "g".to_owned() });
    let groups = after(&commands);
    assert_eq!((offset_of(&groups, "g", 0), groups.knows("g")), (None, false));
    assert_eq!(offset_of(&groups, "h", 0), Some(9));
}

#[test]
fn a_stored_group_says_since_when_it_is_so_and_who_holds_what() {
    let groups = after(&[stable(&["a", "b"])]);
    let Some(GroupRecord::Classic(record)) = groups.record("g") else { panic!("no record") };
    assert_eq!((record.since, record.generation, record.members.len()), (NOW, 4, 2));
    assert_eq!(groups.leases().of_owner("g", "b").count(), 1);
    let groups = after(&[stable(&["a", "b"]), stable(&[])]);
    assert!(groups.knows("g"), "an empty group is one");
    assert_eq!(groups.leases().of_application("g").count(), 0);
}

#[test]
fn staged_offsets_count_when_their_transaction_commits_and_never_when_it_aborts() {
    let begun = [commit("g", vec![offset(0, 1)]), stage(5, "g", vec![offset(0, 9), offset(1, 9)])];
    let groups = after(&begun);
    assert_eq!((offset_of(&groups, "g", 0), offset_of(&groups, "g", 1)), (Some(1), None));
    assert_eq!(groups.unstable("g"), [partition(0), partition(1)].into());
    assert_eq!(groups.staging_producers().collect::<Vec<_>>(), [ProducerId(5)]);
    for (commits, expected) in [(true, (Some(9), Some(9))), (false, (Some(1), None))] {
        let mut commands = begun.to_vec();
        commands.push(end(5, commits));
        let groups = after(&commands);
        assert_eq!((offset_of(&groups, "g", 0), offset_of(&groups, "g", 1)), expected);
        assert!(groups.unstable("g").is_empty());
    }
    // Another transaction's end changes nothing.
    let groups = after(&[begun[0].clone(), begun[1].clone(), end(6, true)]);
    assert_eq!(offset_of(&groups, "g", 0), Some(1));
}

#[test]
fn a_plain_commit_behind_a_staged_one_stays() {
    let groups = after(&[stage(5, "g", vec![offset(0, 9)]), commit("g", vec![offset(0, 3)])]);
    assert_eq!(groups.unstable("g"), [partition(0)].into(), "until the transaction ends");
    let staged = stage(5, "g", vec![offset(0, 9)]);
    let ended = after(&[staged, commit("g", vec![offset(0, 3)]), end(5, true)]);
    assert_eq!(offset_of(&ended, "g", 0), Some(3));
}

#[test]
fn commands_of_another_version_and_cut_ones_are_refused() {
    let good = commit("g", vec![offset(0, 7)]).encode();
    for length in 0..good.len() {
        assert!(GroupsCommand::decode(&good[..length]).is_err(), "{length}");
    }
    let mut newer = good;
    newer[0] += 1;
    assert!(GroupsCommand::decode(&newer).is_err());
}

#[test]
fn settings_of_a_group_stay_when_it_goes() {
    let alter = |set: &[(&str, &str)], unset: &[&str]| GroupsCommand::AlterConfigs {
        group: "g".to_owned(),
        change: OverrideChange {
            set: set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            unset: unset.iter().map(|name| (*name).to_owned()).collect(),
        },
    };
    let delete = GroupsCommand::DeleteGroup { group: "g".to_owned() };
    let groups = after(&[alter(&[("a", "1"), ("b", "2")], &[]), stable(&["m"]), delete]);
    assert!(!groups.knows("g"));
    assert_eq!(groups.configs("g")["a"], "1");
    let groups = after(&[alter(&[("a", "1"), ("b", "2")], &[]), alter(&[("b", "3")], &["a"])]);
    assert_eq!(groups.configs("g"), [("b".to_owned(), "3".to_owned())].into());
    let groups = after(&[alter(&[("a", "1")], &[]), alter(&[], &["a"])]);
    assert_eq!(groups, Groups::default());
}

#[test]
fn groups_of_format_1_are_read_and_members_have_all_since_the_epoch_in_which_they_are() {
    let (member_id, epoch) = ("m".to_owned(), 4);
    let assigned: Assignment = [(TopicId(1), PartitionIndex(0))].into_iter().collect();
    let records = vec![
        Record::Subscribed { member_id: member_id.clone(), subscription: Subscription::default() },
        Record::Epoch { epoch, topics: BTreeMap::new() },
        Record::Standing {
            member_id,
            standing: Standing { epoch, assigned, ..Standing::default() },
        },
    ];
    let change = Change { group_id: "h".to_owned(), records };
    let newer = GroupsCommand::ChangeConsumer { change, hand_overs: Vec::new() };
    let groups = after(&[stable(&["a"]), newer]);
    let old_record = |name: &str| match groups.record(name) {
        Some(GroupRecord::Classic(record)) => RecordV1::Classic(record.clone()),
        Some(GroupRecord::Consumer(group)) => {
            // Format 1 ends where the epochs begin.
            let bytes = postcard::to_allocvec(group).expect("plain values");
            let (body, _) = postcard::take_from_bytes::<GroupV1>(&bytes).expect("as written");
            RecordV1::Consumer(body)
        }
        None => panic!("no record of {name}"),
    };
    let records = ["g", "h"].map(|name| (name.to_owned(), old_record(name)));
    let leases = groups.leases().clone();
    let old = GroupsV1 { records: records.into(), leases, staged: StagedOffsets::default() };
    assert_eq!(Groups::restore(&FORMAT_1.encode(&old)).expect("format 1"), groups);
}
