//! Which moment of the model is this?

use super::{Contents, Fate, Marks, Ns, Op, Oracle, Shard, row_hash, show, show_value};
use crate::broken;
use crate::violation::Check;
use bytes::Bytes;
use std::collections::BTreeMap;

/// After what the database is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Damage: nothing must be there, but it must be a moment of the model.
    Damage,
    /// A power cut: what was promised durable must be there.
    PowerCut,
    /// The death of the process, or nothing at all: what was acknowledged must be there.
    Kill,
}

/// More commits with unknown fate than this are not tried in all combinations.
const FAILED_MAX: usize = 10;

type State = BTreeMap<(Ns, Bytes), Bytes>;

impl Oracle {
    /// The database is the model at some k with promised <= k <= submitted, in every shard: returns k of every shard (the
    /// highest that fits).
    ///
    /// # Errors
    /// A state that the model never had, or had before what was promised.
    pub fn check(&self, contents: &Contents, after: After) -> Check<Marks> {
        let mut hashes = vec![0; self.shards.len()];
        for row in contents.rows() {
            match self.spaces[usize::from(row.ns)].shard {
                Some(no) => hashes[usize::from(no)] ^= row_hash(row.ns, &row.key, &row.value),
                None => broken!("namespace {}: key {} was never written", row.ns, show(&row.key)),
            }
        }
        let mut marks = Vec::with_capacity(self.shards.len());
        for (no, (shard, &hash)) in self.shards.iter().zip(&hashes).enumerate() {
            let lo = match after {
                After::Damage => 0,
                After::PowerCut => shard.durable,
                After::Kill => shard.acknowledged,
            };
            let plain = (lo..=shard.commits.len()).rev().find(|&k| shard.hashes[k] == hash);
            match plain.or_else(|| self.with_failed(no, lo, hash)) {
                Some(k) => marks.push(k),
                None => broken!("{}", self.explain(no, lo, contents, after)),
            }
        }
        Ok(Marks(marks))
    }

    /// What `contents` show at rest says what became of failed commits: one that is not to be seen although a later one was
    /// acknowledged has been left out, for ever.
    pub fn resolve(&mut self, contents: &Contents) {
        for no in 0..self.shards.len() {
            let mine = |ns: Ns| self.spaces[usize::from(ns)].shard == Some(no as u16);
            let rows = contents.rows().iter().filter(|row| mine(row.ns));
            let hash = rows.fold(0, |hash, row| hash ^ row_hash(row.ns, &row.key, &row.value));
            let shard = &self.shards[no];
            let newest = shard.commits.iter().rposition(|commit| commit.fate == Fate::Acknowledged);
            let failed: Vec<usize> =
                (0..newest.unwrap_or(0)).filter(|&i| shard.commits[i].fate == Fate::Failed).collect();
            // With any other choice the state would be another one; several that hide each other are left open.
            if failed.is_empty() || failed.len() > FAILED_MAX || shard.hashes[shard.commits.len()] != hash {
                continue;
            }
            let alone = |&i: &usize| self.hash_with(no, i) != hash;
            let gone: Vec<usize> = failed.into_iter().filter(alone).collect();
            for i in gone {
                self.shards[no].commits[i].fate = Fate::Gone;
            }
        }
    }

    /// Hash of the newest state if commit `with` had happened.
    fn hash_with(&self, no: usize, with: usize) -> u64 {
        let mut state = self.base_of(no);
        for (i, commit) in self.shards[no].commits.iter().enumerate() {
            if i == with || !commit.is_left_out() {
                apply(&mut state, &commit.ops);
            }
        }
        state_hash(&state)
    }

    /// Looks for the state among those in which some failed commits did happen.
    fn with_failed(&self, no: usize, lo: usize, hash: u64) -> Option<usize> {
        let shard = &self.shards[no];
        let failed: Vec<usize> =
            (0..shard.commits.len()).filter(|&i| shard.commits[i].fate == Fate::Failed).collect();
        if failed.is_empty() {
            return None;
        }
        let optional = failed.len().min(FAILED_MAX);
        let first = failed[failed.len() - optional];
        let skipped = &failed[..failed.len() - optional];
        let mut state = self.base_of(no);
        for (i, commit) in shard.commits[..first].iter().enumerate() {
            if !skipped.contains(&i) && commit.fate != Fate::Gone {
                apply(&mut state, &commit.ops);
            }
        }
        branch(shard, first, lo, state, hash)
    }

    fn base_of(&self, no: usize) -> State {
        let rows = self.base.rows().iter();
        rows.filter(|row| self.spaces[usize::from(row.ns)].shard == Some(no as u16))
            .map(|row| ((row.ns, row.key.clone()), row.value.clone()))
            .collect()
    }

    /// Says what is wrong: compares with the nearest state.
    fn explain(&self, no: usize, lo: usize, contents: &Contents, after: After) -> String {
        let shard = &self.shards[no];
        let rows = contents.rows().iter();
        let got: State = rows
            .filter(|row| self.spaces[usize::from(row.ns)].shard == Some(no as u16))
            .map(|row| ((row.ns, row.key.clone()), row.value.clone()))
            .collect();
        let hash = got.iter().fold(0, |hash, ((ns, key), value)| hash ^ row_hash(*ns, key, value));
        let hi = shard.commits.len();
        let last = |k: usize| k.checked_sub(1).map_or(0, |i| shard.commits[i].last_seq);
        if let Some(k) = (0..lo).rev().find(|&k| shard.hashes[k] == hash) {
            return format!(
                "P1, shard {no}: after {after:?} the database is the model at commit {k} (sequence {}), but {lo} \
                 (sequence {}) was promised; {hi} submitted; lost first: {:?}",
                last(k),
                last(lo),
                shard.commits[k].ops.iter().take(2).collect::<Vec<_>>(),
            );
        }
        let mut state = self.base_of(no);
        let mut best = (usize::MAX, 0, Vec::new());
        for k in 0..=hi {
            if k > 0 && !shard.commits[k - 1].is_left_out() {
                apply(&mut state, &shard.commits[k - 1].ops);
            }
            let difference = difference(&got, &state);
            if k >= lo && difference.len() <= best.0 {
                best = (difference.len(), k, difference);
            }
        }
        let (count, k, mut list) = best;
        list.truncate(8);
        format!(
            "P2/P3, shard {no}: after {after:?} the database is the model at no commit of {lo}..={hi}; nearest is {k} \
             (sequence {}) with {count} differences:\n  {}",
            last(k),
            list.join("\n  "),
        )
    }
}

/// Walks the commits from `i` on; branches at each that may or may not have happened.
fn branch(shard: &Shard, i: usize, lo: usize, mut state: State, hash: u64) -> Option<usize> {
    for (i, commit) in shard.commits.iter().enumerate().skip(i) {
        if i >= lo && state_hash(&state) == hash {
            return Some(i);
        }
        if commit.fate == Fate::Gone {
            continue;
        }
        if commit.fate == Fate::Failed
            && let Some(k) = branch(shard, i + 1, lo, state.clone(), hash)
        {
            return Some(k);
        }
        apply(&mut state, &commit.ops);
    }
    (state_hash(&state) == hash).then_some(shard.commits.len())
}

fn state_hash(state: &State) -> u64 {
    state.iter().fold(0, |hash, ((ns, key), value)| hash ^ row_hash(*ns, key, value))
}

fn apply(state: &mut State, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put { ns, key, value } => drop(state.insert((*ns, key.clone()), value.clone())),
            Op::Delete { ns, key } => drop(state.remove(&(*ns, key.clone()))),
            Op::Drop { ns } => state.retain(|(of, _), _| of != ns),
        }
    }
}

fn difference(got: &State, want: &State) -> Vec<String> {
    let mut list = Vec::new();
    for ((ns, key), value) in got {
        let wanted = want.get(&(*ns, key.clone()));
        if wanted != Some(value) {
            let (got, want) = (show_value(Some(value)), show_value(wanted));
            list.push(format!("namespace {ns} key {}: got {got}, want {want}", show(key)));
        }
    }
    for ((ns, key), value) in want {
        if !got.contains_key(&(*ns, key.clone())) {
            list.push(format!(
                "namespace {ns} key {}: got nothing, want {}",
                show(key),
                show_value(Some(value))
            ));
        }
    }
    list
}
