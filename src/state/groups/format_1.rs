//! The groups of a lane as format 1 stored them: without the epochs since which members of the newer
//! protocol have their partitions, and without settings of single groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClassicRecord, GroupRecord, Groups, StagedOffsets, consumer::GroupV1};
use crate::leases::LeaseTable;

/// [`Groups`] of format 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupsV1 {
    pub records: BTreeMap<String, RecordV1>,
    pub leases: LeaseTable,
    pub staged: StagedOffsets,
}

/// [`GroupRecord`] of format 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum RecordV1 {
    Classic(ClassicRecord),
    Consumer(GroupV1),
}

impl From<GroupsV1> for Groups {
    fn from(old: GroupsV1) -> Groups {
        let GroupsV1 { records, leases, staged } = old;
        let records = records.into_iter().map(|(name, record)| match record {
            RecordV1::Classic(record) => (name, GroupRecord::Classic(record)),
            RecordV1::Consumer(group) => (name, GroupRecord::Consumer(group.into())),
        });
        Groups { records: records.collect(), leases, staged, configs: BTreeMap::new() }
    }
}
