//! A group to send events to, and the replies that came.

use std::collections::BTreeMap;

use super::super::*;

/// A group with its clock and everything that came out of it.
pub struct Script {
    pub group: ClassicGroup,
    pub now_ms: u64,
    pub replies: BTreeMap<CallId, Reply>,
    pub stored: Vec<ClassicRecord>,
    calls: u64,
}

impl Script {
    pub fn new() -> Script {
        Script::with(ClassicSettings::default())
    }

    pub fn with(settings: ClassicSettings) -> Script {
        Script {
            group: ClassicGroup::new(settings),
            now_ms: 1_000,
            replies: BTreeMap::new(),
            stored: Vec::new(),
            calls: 0,
        }
    }

    /// The next call's number.
    pub fn call(&mut self) -> CallId {
        self.calls += 1;
        CallId(self.calls)
    }

    pub fn take_in(&mut self, output: Output) {
        for (call, reply) in output.replies {
            assert!(self.replies.insert(call, reply).is_none(), "{call:?} was answered twice");
        }
        self.stored.extend(output.store);
    }

    pub fn join(&mut self, request: JoinRequest) -> CallId {
        let call = self.call();
        let output = self.group.join(self.now_ms, call, request);
        self.take_in(output);
        call
    }

    pub fn sync(&mut self, request: SyncRequest) -> CallId {
        let call = self.call();
        let output = self.group.sync(self.now_ms, call, request);
        self.take_in(output);
        call
    }

    pub fn heartbeat(&mut self, id: &str) -> Result<(), GroupError> {
        let identity = self.identity(id);
        self.group.heartbeat(self.now_ms, &identity)
    }

    pub fn identity(&self, id: &str) -> Identity {
        Identity {
            member_id: id.to_owned(),
            instance_id: None,
            generation: self.group.generation(),
        }
    }

    pub fn leave(&mut self, id: &str) -> Result<(), GroupError> {
        let departure = Departure { member_id: id.to_owned(), instance_id: None };
        let (results, output) = self.group.leave(self.now_ms, &[departure]);
        self.take_in(output);
        results[0]
    }

    /// Time passes; deadlines are kept as they fall due.
    pub fn pass(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while self.group.next_deadline_ms() <= end_ms {
            self.now_ms = self.now_ms.max(self.group.next_deadline_ms());
            let output = self.group.tick(self.now_ms);
            self.take_in(output);
        }
        self.now_ms = end_ms;
    }

    pub fn joined(&self, call: CallId) -> &Joined {
        match self.replies.get(&call) {
            Some(Reply::Join(Ok(joined))) => joined,
            other => panic!("{call:?}: {other:?}"),
        }
    }

    pub fn join_refused(&self, call: CallId) -> &JoinRefused {
        match self.replies.get(&call) {
            Some(Reply::Join(Err(refused))) => refused,
            other => panic!("{call:?}: {other:?}"),
        }
    }

    pub fn synced(&self, call: CallId) -> &[u8] {
        match self.replies.get(&call) {
            Some(Reply::Sync(Ok(synced))) => &synced.assignment,
            other => panic!("{call:?}: {other:?}"),
        }
    }

    pub fn sync_refused(&self, call: CallId) -> GroupError {
        match self.replies.get(&call) {
            Some(Reply::Sync(Err(error))) => *error,
            other => panic!("{call:?}: {other:?}"),
        }
    }

    pub fn waits(&self, call: CallId) -> bool {
        !self.replies.contains_key(&call)
    }

    /// The leader assigns each member its own id.
    pub fn assignment(&self) -> Vec<(String, Vec<u8>)> {
        let members = self.group.members();
        members.iter().map(|m| (m.id.clone(), m.id.clone().into_bytes())).collect()
    }

    /// Members join a group and all get their assignments. The first leads.
    pub fn stable(&mut self, ids: &[&str]) {
        let calls: Vec<CallId> = ids.iter().map(|id| self.join(new(id))).collect();
        self.pass(self.group.settings.initial_rebalance_delay_ms * 2);
        for call in calls {
            self.joined(call);
        }
        self.sync_all();
        assert_eq!(self.group.state(), ClassicState::Stable);
    }

    /// Every member of the generation syncs, the leader last.
    pub fn sync_all(&mut self) {
        let leader = self.group.leader().unwrap().to_owned();
        let ids: Vec<String> = self.group.members().iter().map(|m| m.id.clone()).collect();
        let followers: Vec<_> = ids
            .iter()
            .filter(|id| **id != leader)
            .map(|id| (id.clone(), self.sync(sync(self.identity(id), Vec::new()))))
            .collect();
        let assignment = self.assignment();
        let call = self.sync(sync(self.identity(&leader), assignment));
        assert_eq!(self.synced(call), leader.as_bytes());
        for (id, call) in followers {
            assert_eq!(self.synced(call), id.as_bytes());
        }
    }
}

/// A dynamic member that joins for the first time, in a version without KIP-394.
pub fn new(id: &str) -> JoinRequest {
    JoinRequest {
        member_id: String::new(),
        new_member_id: id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), b"topics".to_vec())],
        id_first: false,
        may_skip_assignment: false,
    }
}

/// A member that comes again.
pub fn again(id: &str) -> JoinRequest {
    JoinRequest { member_id: id.to_owned(), ..new("unused") }
}

/// A static member that starts; `id` is what it will get.
pub fn named(instance: &str, id: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(instance.to_owned()), ..new(id) }
}

pub fn sync(identity: Identity, assignments: Vec<(String, Vec<u8>)>) -> SyncRequest {
    SyncRequest { identity, protocol_type: None, protocol: None, assignments }
}
