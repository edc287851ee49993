//! What changes the database, and the model with it.

use super::*;
use crate::model::Version;
use bytes::Bytes;
use jdb::{ErrorKind, Expected, SeqNo};

impl Run {
    pub(super) async fn put(&mut self) {
        let (ns, key, value) = (self.ns(), self.key(), value(&mut self.rng));
        self.note(|| format!("put {} {} bytes in {ns}", show(&key), value.len()));
        let write = self.db().ns(ns).put(&key, &value);
        let write = self.with_durability(write);
        let seq = write.await.unwrap().seq().get();
        self.rises(seq, 1);
        self.model.entry(ns).or_default().insert(key, Version { value, seq });
    }

    pub(super) async fn put_if(&mut self) {
        let (ns, key, value) = (self.ns(), self.key(), value(&mut self.rng));
        let old = self.model.get(&ns).and_then(|rows| rows.get(&key)).cloned();
        let choice = self.rng.below(4);
        let (other, wrong) = (old.clone().map(|old| old.value).unwrap_or_default(), vec![7; 3]);
        let expected = match (choice, &old) {
            (0, _) => Expected::Absent,
            (1, Some(old)) => Expected::Seq(SeqNo::new(old.seq)),
            (2, Some(_)) => Expected::Value(&other),
            (3, _) => Expected::Value(&wrong),
            _ => Expected::Seq(SeqNo::new(self.last_seq + 1)),
        };
        self.note(|| format!("put {} in {ns} if {expected:?}", show(&key)));
        let holds = match expected {
            Expected::Absent => old.is_none(),
            Expected::Seq(seq) => old.as_ref().is_some_and(|old| old.seq == seq.get()),
            Expected::Value(value) => old.as_ref().is_some_and(|old| old.value == value),
        };
        match self.db().ns(ns).put_if(&key, expected, &value).await {
            Ok(commit) => {
                self.check(holds, || {
                    format!("put_if of {} went through, found {:?}", show(&key), old.is_some())
                });
                let seq = commit.seq().get();
                self.rises(seq, 1);
                self.model.entry(ns).or_default().insert(key, Version { value, seq });
            }
            Err(error) => {
                self.check(!holds && error.kind() == ErrorKind::Conflict, || format!("put_if: {error}"));
            }
        }
    }

    pub(super) async fn update(&mut self) {
        let (ns, key, more) = (self.ns(), self.key(), value(&mut self.rng));
        let delete = self.rng.one_in(4);
        self.note(|| format!("update {} in {ns}", show(&key)));
        let old = self.model.get(&ns).and_then(|rows| rows.get(&key)).map(|old| old.value.clone());
        let mut seen = None;
        let change = |old: Option<Bytes>| {
            seen = Some(old.as_deref().map(<[u8]>::to_vec));
            let grown = [old.as_deref().unwrap_or_default(), &more].concat();
            (!delete).then(|| grown.into())
        };
        let seq = self.db().ns(ns).update(&key, change).await.unwrap().seq().get();
        self.check(seen == Some(old.clone()), || format!("update of {} saw {seen:?}", show(&key)));
        let rows = self.model.entry(ns).or_default();
        if delete {
            rows.remove(&key);
        } else {
            rows.insert(key, Version { value: [old.clone().unwrap_or_default(), more].concat(), seq });
        }
        self.rises(seq, u64::from(!delete || old.is_some()));
    }

    pub(super) async fn put_many(&mut self) {
        let mut rows = Vec::new();
        for _ in 0..self.rng.below(12) {
            rows.push((self.ns(), self.key(), value(&mut self.rng)));
        }
        self.note(|| format!("put many: {}", rows.len()));
        let commits = self.db().put_many(rows.iter().map(|(ns, k, v)| (*ns, k, v))).await.unwrap();
        self.last_seq = commits.iter().map(|commit| commit.seq().get()).max().unwrap_or(self.last_seq);
        for (ns, key, value) in rows {
            // Its sequence is in one of the commits: the row is asked.
            let seq = self.seq_of(ns, &key).await;
            self.model.entry(ns).or_default().insert(key, Version { value, seq });
        }
    }

    async fn seq_of(&self, ns: NsId, key: &[u8]) -> u64 {
        let mut scan = self.db().ns(ns).range(key..).limit(1);
        let item = scan.next().await.unwrap().expect("the row is there");
        self.check(item.key() == key, || format!("{} is not where it was put", show(key)));
        item.seq().get()
    }

    pub(super) async fn delete(&mut self) {
        let (ns, key) = (self.ns(), self.key());
        self.note(|| format!("delete {} in {ns}", show(&key)));
        let write = self.db().ns(ns).delete(&key);
        let write = self.with_durability(write);
        let seq = write.await.unwrap().seq().get();
        self.rises(seq, 1);
        self.model.entry(ns).or_default().remove(&key);
    }

    pub(super) async fn batch(&mut self) {
        let ns = self.ns();
        let mut batch = self.db().ns(ns).batch();
        let mut ops: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for _ in 0..self.rng.below(12) {
            let repeated = self.rng.one_in(4) && !ops.is_empty();
            let key = if repeated { ops[self.rng.index(ops.len())].0.clone() } else { self.key() };
            let value = (!self.rng.one_in(4)).then(|| value(&mut self.rng));
            match &value {
                Some(value) => batch.put(&key, value),
                None => batch.delete(&key),
            };
            ops.push((key, value));
        }
        self.note(|| format!("batch of {} in {ns}", ops.len()));
        let commit = batch.commit().await.unwrap();
        let count = ops.len() as u64;
        let first = commit.seq().get() + 1 - count;
        if count > 0 {
            self.rises(commit.seq().get(), count);
        }
        let rows = self.model.entry(ns).or_default();
        for ((key, value), seq) in ops.into_iter().zip(first..) {
            match value {
                Some(value) => rows.insert(key, Version { value, seq }),
                None => rows.remove(&key),
            };
        }
        if self.rng.one_in(4) {
            commit.durable().await.unwrap();
        }
    }

    pub(super) async fn drop_ns(&mut self) {
        let ns = self.ns();
        self.note(|| format!("drop {ns}"));
        let seq = self.db().drop_ns(ns).await.unwrap().seq().get();
        self.rises(seq, 1);
        self.model.remove(&ns);
    }

    fn with_durability(&mut self, write: jdb::Write) -> jdb::Write {
        match self.rng.below(4) {
            0 => write.durability(Durability::Sync),
            1 => write.durability(Durability::Os),
            _ => write,
        }
    }

    /// In one shard sequences rise over all namespaces, one an operation.
    fn rises(&mut self, seq: u64, count: u64) {
        if self.options.shards == 1 {
            let last = self.last_seq;
            self.check(seq >= last + count, || format!("sequence {seq} of {count} operations after {last}"));
            self.last_seq = seq;
        }
    }
}
