//! From one generation to the next.

use super::{super::GroupError, CallId, ClassicGroup, Output, Phase, Reply, member::Member};

/// A group that was empty waits a while for more members, and longer while more come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Initial {
    /// Somebody joined since the wait began or was prolonged.
    pub has_grown: bool,
    /// By how much it may still be prolonged.
    pub remaining_ms: u64,
}

impl ClassicGroup {
    /// Makes all members join again: what they have is not what they should have.
    pub fn rebalance(&mut self, now_ms: u64) -> Output {
        self.rebalance_or_complete(now_ms);
        self.take_output()
    }

    /// Somebody came or went: a rebalance begins, or the one under way may be complete.
    pub(super) fn rebalance_or_complete(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Preparing { .. } => self.complete_join_if_all_are_in(now_ms),
            Phase::Empty | Phase::Completing | Phase::Stable => self.prepare(now_ms),
        }
    }

    fn prepare(&mut self, now_ms: u64) {
        if self.phase == Phase::Completing {
            self.answer_syncs(GroupError::RebalanceInProgress);
        }
        (self.sync_until_ms, self.has_lost) = (u64::MAX, false);
        let timeout_ms = self.rebalance_timeout_ms();
        let delay_ms = self.settings.initial_rebalance_delay_ms;
        let (until_ms, initial) = if self.phase == Phase::Empty {
            let remaining_ms = timeout_ms.saturating_sub(delay_ms);
            (now_ms + delay_ms, Some(Initial { has_grown: false, remaining_ms }))
        } else {
            (now_ms + timeout_ms, None)
        };
        self.phase = Phase::Preparing { until_ms, initial };
        self.deadline(until_ms);
        if initial.is_none() {
            self.complete_join_if_all_are_in(now_ms);
        } else if delay_ms == 0 {
            self.complete_join(now_ms);
        }
    }

    pub(super) fn complete_join_if_all_are_in(&mut self, now_ms: u64) {
        let all =
            self.pending.is_empty() && self.members.values().all(|member| member.join.is_some());
        if all && matches!(self.phase, Phase::Preparing { initial: None, .. }) {
            self.complete_join(now_ms);
        }
    }

    /// The time for joining is up.
    pub(super) fn join_deadline(&mut self, now_ms: u64) {
        let Phase::Preparing { initial, .. } = self.phase else { return };
        match initial {
            Some(Initial { has_grown: true, remaining_ms }) if remaining_ms > 0 => {
                let delay_ms = self.settings.initial_rebalance_delay_ms.min(remaining_ms);
                let until_ms = now_ms + delay_ms;
                let remaining_ms = remaining_ms - delay_ms;
                let initial = Some(Initial { has_grown: false, remaining_ms });
                self.phase = Phase::Preparing { until_ms, initial };
                self.deadline(until_ms);
            }
            _ => self.complete_join(now_ms),
        }
    }

    /// Those who have joined are the next generation. Static members stay without it.
    fn complete_join(&mut self, now_ms: u64) {
        let missing = |member: &&Member| member.join.is_none() && !member.is_static();
        let missing: Vec<String> =
            self.members.values().filter(missing).map(|member| member.record.id.clone()).collect();
        for id in missing {
            self.remove(&id, GroupError::UnknownMemberId);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Only static members, and none has come back yet: they are waited for again.
            let until_ms = now_ms + self.rebalance_timeout_ms();
            self.phase = Phase::Preparing { until_ms, initial: None };
            self.deadline(until_ms);
            return;
        }
        self.has_lost = false;
        // Kafka's clients take a negative generation for "none".
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        if self.members.is_empty() {
            (self.protocol, self.phase) = (None, Phase::Empty);
            self.output.store = Some(self.record());
            return;
        }
        self.protocol = self.select_protocol();
        self.phase = Phase::Completing;
        self.sync_until_ms = now_ms + self.rebalance_timeout_ms();
        self.deadline(self.sync_until_ms);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            self.begin_generation(&id, now_ms);
        }
    }

    fn begin_generation(&mut self, id: &str, now_ms: u64) {
        let Some(member) = self.members.get_mut(id) else { return };
        (member.synced, member.is_new) = (false, false);
        if let Some(waiting) = member.join.take() {
            let joined = self.joined(id);
            self.reply(waiting.call, Reply::Join(Ok(joined)));
        }
        self.start_session(id, now_ms);
    }

    /// The leader stays if it has joined; else the first who has. False if nobody has.
    fn elect_leader(&mut self) -> bool {
        let joined = |id: &String| self.members.get(id).is_some_and(|m| m.join.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let waiting = self.members.values().filter(|member| member.join.is_some());
        let Some(first) = waiting.min_by_key(|member| member.ordinal) else { return false };
        self.leader = Some(first.record.id.clone());
        true
    }

    /// The assignor that most members prefer among those that all of them have.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let candidates: Vec<&str> = first
            .record
            .protocols
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let votes = |candidate: &str| {
            self.members.values().filter(|m| m.vote(&candidates) == Some(candidate)).count()
        };
        // Of several with as many votes the first in the first member's order.
        let best = candidates.iter().rev().max_by_key(|candidate| votes(candidate))?;
        Some((*best).to_owned())
    }

    /// The longest that any member may take to rejoin.
    fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(Member::rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Takes a member out, answering what it waits for. What follows from it is the caller's.
    pub(super) fn remove(&mut self, id: &str, why: GroupError) {
        let Some(member) = self.members.remove(id) else { return };
        self.has_lost = true;
        if let Some(instance) = &member.record.instance_id
            && self.instances.get(instance).is_some_and(|current| current == id)
        {
            self.instances.remove(instance);
        }
        if let Some(waiting) = member.join {
            let refused = super::JoinRefused { error: why, member_id: String::new() };
            self.reply(waiting.call, Reply::Join(Err(refused)));
        }
        if let Some(waiting) = member.sync {
            self.reply(waiting, Reply::Sync(Err(why)));
        }
        if self.leader.as_deref() == Some(id) {
            let first = self.members.values().min_by_key(|member| member.ordinal);
            self.leader = first.map(|member| member.record.id.clone());
        }
    }

    fn answer_syncs(&mut self, error: GroupError) {
        let waiting: Vec<CallId> =
            self.members.values_mut().filter_map(|member| member.sync.take()).collect();
        for call in waiting {
            self.reply(call, Reply::Sync(Err(error)));
        }
    }
}
