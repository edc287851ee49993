//! What reads the database, and what the model says to it.

use super::*;
use crate::model::Version;
use bytes::Bytes;
use jdb::Item;
use std::ops::Bound;

impl Run {
    pub(super) async fn multi_get(&mut self) {
        let keys: Vec<(NsId, Vec<u8>)> = (0..self.rng.below(30)).map(|_| (self.ns(), self.key())).collect();
        self.note(|| format!("multi_get of {}", keys.len()));
        let got = self.db().multi_get(keys.iter().map(|(ns, key)| (*ns, key))).await.unwrap();
        self.check(got.len() == keys.len(), || format!("{} answers to {} keys", got.len(), keys.len()));
        for ((ns, key), got) in keys.iter().zip(got) {
            let want = self.model.get(ns).and_then(|rows| rows.get(key)).map(|version| &version.value[..]);
            self.check(got.as_deref() == want, || format!("multi_get {} in {ns}: {got:?}", show(key)));
            let len = self.db().ns(*ns).value_len(key).await.unwrap();
            self.check(len == want.map(|value| value.len() as u64), || format!("length of {}", show(key)));
        }
    }

    pub(super) async fn get(&mut self) {
        let (ns, key) = (self.ns(), self.key());
        self.note(|| format!("get {} in {ns}", show(&key)));
        let got = self.db().ns(ns).get(&key).await.unwrap();
        let want = self.model.get(&ns).and_then(|rows| rows.get(&key)).map(|version| &version.value[..]);
        self.check(got.as_deref() == want, || format!("get {} in {ns}: {got:?}, not {want:?}", show(&key)));
    }

    pub(super) fn begin_scan(&mut self) {
        if self.scans.len() >= SCANS_MAX {
            let oldest = self.rng.index(self.scans.len());
            self.scans.swap_remove(oldest);
        }
        let ns = self.ns();
        let (a, b) = (self.key(), self.key());
        let space = self.db().ns(ns);
        let choice = self.rng.below(7);
        let prefix = &a[..self.rng.index(a.len() + 1)];
        self.note(|| format!("scan {choice} of {ns}, {} {}", show(&a), show(&b)));
        let bounds = match choice {
            0 | 1 => (Bound::Unbounded, Bound::Unbounded),
            2 => (Bound::Included(a.clone()), Bound::Excluded(b)),
            3 => (Bound::Excluded(a.clone()), Bound::Included(b)),
            4 => (Bound::Included(a.clone()), Bound::Unbounded),
            5 => (Bound::Unbounded, Bound::Excluded(b)),
            _ => (Bound::Unbounded, Bound::Unbounded),
        };
        let mut scan = match choice {
            0 | 1 => space.iter(),
            6 => space.prefix(prefix),
            _ => space.range(bounds.clone()),
        };
        let rows = self.model.get(&ns).into_iter().flatten().filter(|(key, _)| {
            let inside = match &bounds.0 {
                Bound::Included(from) => *key >= from,
                Bound::Excluded(from) => *key > from,
                Bound::Unbounded => true,
            } && match &bounds.1 {
                Bound::Included(to) => *key <= to,
                Bound::Excluded(to) => *key < to,
                Bound::Unbounded => true,
            };
            inside && (choice != 6 || key.starts_with(prefix))
        });
        let mut model = ModelScan::new(rows.map(|(key, version)| (key.clone(), version.clone())));
        if self.rng.one_in(2) {
            scan = scan.rev();
            model.rev();
        }
        if self.rng.one_in(4) {
            let limit = self.rng.index(6);
            scan = scan.limit(limit);
            model.limit(limit);
        }
        scan = match self.rng.below(6) {
            0 => scan.keys_only(),
            1 => scan.prefetch(1),
            2 => scan.prefetch(3),
            3 => scan.prefetch(64),
            _ => scan,
        };
        self.scans.push((ns, scan, model));
    }

    pub(super) fn take_snapshot(&mut self) {
        if self.snapshots.len() == SNAPSHOTS_MAX {
            let oldest = self.rng.index(self.snapshots.len());
            self.snapshots.swap_remove(oldest);
        }
        let ns = self.ns();
        self.note(|| format!("snapshot of {ns}"));
        let rows = self.model.get(&ns).cloned().unwrap_or_default();
        self.snapshots.push((ns, self.db().ns(ns).snapshot(), rows));
    }

    /// A snapshot reads the same, whatever happened since.
    pub(super) async fn read_snapshot(&mut self) {
        let Some(chosen) = self.snapshots.len().checked_sub(1) else { return };
        let chosen = self.rng.index(chosen + 1);
        let key = self.key();
        let (ns, snapshot, rows) = &self.snapshots[chosen];
        let got = snapshot.get(&key).await.unwrap();
        let want = rows.get(&key).map(|version| &version.value[..]);
        self.check(got.as_deref() == want, || {
            format!("get {} in a snapshot of {ns}: {got:?}, not {want:?}", show(&key))
        });
        let many = snapshot.multi_get(rows.keys().chain([&key])).await.unwrap();
        let wanted = rows.values().map(|version| Some(&version.value[..])).chain([want]);
        self.check(many.iter().map(Option::as_deref).eq(wanted), || {
            format!("multi_get in a snapshot of {ns}")
        });
        let mut scan = snapshot.iter();
        let mut model = ModelScan::new(rows.iter().map(|(key, version)| (key.clone(), version.clone())));
        for _ in 0..=rows.len() {
            model.next();
            self.check_item(scan.next().await.unwrap(), &model, true).await;
        }
        if self.rng.one_in(2) {
            let (ns, snapshot, rows) = &self.snapshots[chosen];
            let model = ModelScan::new(rows.iter().map(|(key, version)| (key.clone(), version.clone())));
            self.scans.push((*ns, snapshot.iter(), model));
        }
    }

    /// Some steps of a scan that is open, in any mix.
    pub(super) async fn step_scan(&mut self) {
        if self.scans.is_empty() {
            self.begin_scan();
        }
        let chosen = self.rng.index(self.scans.len());
        let (ns, mut scan, mut model) = self.scans.swap_remove(chosen);
        // The row that was stepped on before other steps changed and flushed it.
        self.check_item(scan.item(), &model, true).await;
        let mut forward = self.rng.one_in(2);
        for _ in 0..1 + self.rng.below(20) {
            match self.rng.below(20) {
                0 => {
                    let key = self.key();
                    self.note(|| format!("seek {} in a scan of {ns}", show(&key)));
                    scan.seek(&key).await.unwrap();
                    model.seek(&key);
                }
                1 if self.rng.one_in(3) => {
                    self.note(|| format!("rev a scan of {ns}"));
                    scan = scan.rev();
                    model.rev();
                }
                1..4 => forward = !forward,
                _ => {}
            }
            let name = if forward { "next" } else { "prev" };
            self.note(|| format!("{name} in a scan of {ns}"));
            let item = if forward { scan.next().await } else { scan.prev().await }.unwrap();
            if forward {
                model.next()
            } else {
                model.prev()
            };
            let with_value = self.rng.one_in(2);
            self.check_item(item, &model, with_value).await;
        }
        self.scans.push((ns, scan, model));
    }

    async fn check_item(&self, item: Option<Item<'_>>, model: &ModelScan, with_value: bool) {
        let want = model.item();
        let got = item.as_ref().map(|item| (item.key(), item.seq().get()));
        let wanted = want.map(|(key, version)| (&key[..], version.seq));
        self.check(got == wanted, || format!("a scan sits on {}, not {}", show_row(got), show_row(wanted)));
        if with_value && let (Some(item), Some((key, version))) = (item, want) {
            let value: Bytes = item.value().await.unwrap();
            self.check(value == version.value, || format!("value of {} in a scan: {value:?}", show(key)));
        }
    }

    /// Every namespace forward and backward, and all keys.
    pub(super) async fn check_all(&mut self) {
        self.note(|| "check all".into());
        let empty = Rows::new();
        let mut listed = Vec::new();
        let mut namespaces = self.db().namespaces();
        while let Some(ns) = namespaces.next().await.unwrap() {
            listed.push(ns);
        }
        let there = self.model.iter().filter(|(_, rows)| !rows.is_empty()).map(|(ns, _)| *ns);
        self.check(listed.iter().copied().eq(there), || format!("namespaces: {listed:?}"));
        if let [first, second, ..] = listed[..] {
            let mut page = self.db().namespaces().after(first).limit(1);
            self.check(page.next().await.unwrap() == Some(second), || format!("the one behind {first}"));
            self.check(page.next().await.unwrap().is_none(), || "a page of one".into());
        }
        for ns in &self.ids {
            let space = self.db().ns(*ns);
            let rows = self.model.get(ns).unwrap_or(&empty);
            let mut model = ModelScan::new(rows.iter().map(|(key, version)| (key.clone(), version.clone())));
            let mut scan = space.iter();
            for _ in 0..=rows.len() {
                model.next();
                self.check_item(scan.next().await.unwrap(), &model, true).await;
            }
            for _ in 0..=rows.len() {
                model.prev();
                self.check_item(scan.prev().await.unwrap(), &model, true).await;
            }
            let stats = space.stats().await.unwrap();
            let len = |f: fn((&Vec<u8>, &Version)) -> usize| rows.iter().map(f).sum::<usize>() as u64;
            let want =
                (rows.len() as u64, len(|(key, _)| key.len()), len(|(_, version)| version.value.len()));
            let found = (stats.rows, stats.key_len, stats.value_len);
            let at_least = found.0 >= want.0 && found.1 >= want.1 && found.2 >= want.2;
            self.check(if stats.is_exact { found == want } else { at_least }, || {
                format!("{ns}: {stats:?}, not {want:?}")
            });
            let owned = |row: Option<(&Vec<u8>, &Version)>| {
                row.map(|(key, version)| (Bytes::from(key.clone()), Bytes::from(version.value.clone())))
            };
            self.check(space.first().await.unwrap() == owned(rows.first_key_value()), || {
                format!("first of {ns}")
            });
            self.check(space.last().await.unwrap() == owned(rows.last_key_value()), || {
                format!("last of {ns}")
            });
            for key in self.keys.iter().chain(rows.keys()) {
                let got = space.get(key).await.unwrap();
                let want = rows.get(key).map(|version| &version.value[..]);
                self.check(got.as_deref() == want, || {
                    format!("get {} in {ns}: {got:?}, not {want:?}", show(key))
                });
            }
        }
    }
}
