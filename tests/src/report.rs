//! What a campaign did, so that a run that tests nothing is noticed.

use jdb_io::sim::SimDisk;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of a campaign.
        #[derive(Clone, Default, Debug)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
            /// Cuts in which each kind of damage took effect.
            pub damage: BTreeMap<&'static str, u64>,
            /// How damaged files ended, by kind of damage and answer.
            pub outcomes: BTreeMap<String, u64>,
        }

        impl Counts {
            /// Adds another's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                for (kind, count) in &other.damage {
                    *self.damage.entry(kind).or_default() += count;
                }
                for (kind, count) in &other.outcomes {
                    *self.outcomes.entry(kind.clone()).or_default() += count;
                }
            }

            fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counts! {
    /// Runs: seeds that were begun.
    runs,
    /// Simulated power cuts whose image was checked.
    cuts,
    /// Of these, cuts of an image: during its recovery or the first writes after it.
    nested,
    /// Of these, three deep or deeper.
    nested_deep,
    /// Deaths of the process alone whose image was checked.
    kills,
    /// Images that lived on: 100 more puts, cut and killed again.
    lived_on,
    /// Images opened a second time.
    opened_twice,
    /// Operations that clients began.
    operations,
    /// Commits answered with `Os`.
    acknowledged_os,
    /// Commits answered with `Sync`.
    acknowledged_sync,
    /// Gets and scans checked while writers ran.
    reads,
    /// Snapshots taken or read again.
    snapshots,
    /// Compactions that lasted, in lives that did not die.
    compactions,
    /// Collections that lasted, in lives that did not die.
    collections,
    /// Segments written over the files of collected ones, in the same.
    recycled,
    /// Packs that were there at their ends.
    packs,
    /// Whole namespaces dropped.
    drops,
    /// Namespaces made for a name.
    creations,
    /// Namespaces made for a name that had one before.
    creations_again,
    /// Namespaces that got another name.
    renames,
    /// Renames that had to be refused.
    renames_refused,
    /// Tables left at the end of the runs: flushes that lasted.
    flushes,
    /// Other files left or passed by at the end of the runs: rotations.
    rotations,
    /// Databases opened in the runs themselves.
    opened,
    /// Databases closed.
    closed,
    /// Futures dropped before they were ready.
    abandoned,
    /// Operations answered with an error.
    errors,
    /// Faults that hit an operation.
    faults_hit,
    /// Files damaged.
    damaged,
}

impl Counts {
    /// Adds the damage that a power cut really did.
    pub fn add_damage(&mut self, image: &SimDisk) {
        for (kind, count) in image.damage_counts().rows() {
            *self.damage.entry(kind).or_default() += u64::from(count > 0);
        }
    }

    /// Adds the tables and segments that a run left on `disk`.
    pub fn add_files(&mut self, disk: &SimDisk) {
        let mut newest: BTreeMap<_, u64> = BTreeMap::new();
        let mut tables = 0;
        for path in disk.paths() {
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let (Some(dir), Some(number)) = (path.parent(), number) {
                let newest = newest.entry(dir.to_owned()).or_default();
                *newest = (*newest).max(number);
                tables += u64::from(path.extension().is_some_and(|e| e == "sst"));
            }
        }
        self.flushes += tables;
        self.rotations += newest.values().sum::<u64>().saturating_sub(tables);
    }

    /// Kinds of damage that took effect in less than `percent` of the cuts; those that the engine gives no occasion for
    /// left out. What can only come on top of another kind is held to a tenth of that.
    #[must_use]
    pub fn rare_damage(&self, percent: f64) -> Vec<&'static str> {
        let is_rare = |kind: &str, count: u64| {
            let floor = if ON_TOP.contains(&kind) { percent / 10.0 } else { percent };
            (count as f64) * 100.0 / (self.cuts.max(1) as f64) < floor
        };
        let kinds =
            self.damage.iter().filter(|(kind, count)| !NO_OCCASION.contains(kind) && is_rare(kind, **count));
        kinds.map(|(kind, _)| *kind).collect()
    }
}

/// After a power cut there is no page cache.
const NO_OCCASION: [&str; 1] = ["caches_evicted"];
/// A lost removal whose blocks are lost too; two changes of names of which the older is lost.
const ON_TOP: [&str; 2] = ["removed_blocks_lost", "names_reordered"];

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.rows().into_iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "  {:<20} {count:>12}", name.replace('_', " "))?;
        }
        if self.cuts > 0 {
            for (kind, count) in self.damage.iter().filter(|(kind, _)| !NO_OCCASION.contains(kind)) {
                let share = *count as f64 * 100.0 / self.cuts as f64;
                writeln!(f, "  effective: {:<22} {share:>6.1} % of the cuts", kind.replace('_', " "))?;
            }
        }
        for (outcome, count) in &self.outcomes {
            writeln!(f, "  {outcome:<44} {count:>8}")?;
        }
        Ok(())
    }
}
