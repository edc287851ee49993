//! Whether anything older of a key lies outside the inputs of a compaction.
//!
//! Older than the inputs are level-0 tables behind them and the levels from the output's on. Asked about ascending keys
//! only, so that each level remembers where it was.

use crate::picker::Plan;
use crate::table::Table;
use crate::version::Version;
use crate::weigh::Older;
use std::rc::Rc;

/// The tables that hold what is older than the inputs.
#[derive(Debug)]
pub(super) struct Below {
    /// Level-0 tables, which may overlap.
    newest: Vec<Rc<Table>>,
    /// Tables of deeper levels, and the first one that may still cover a key.
    levels: Vec<(Vec<Rc<Table>>, usize)>,
}

impl Below {
    pub(super) fn new(version: &Version, plan: &Plan) -> Self {
        let is_input = |table: &Rc<Table>| {
            let number = table.meta().number;
            plan.inputs.contains(&number) || plan.below.contains(&number)
        };
        let mut newest = Vec::new();
        if plan.from == 0 {
            // Everything behind the newest input that is no input itself.
            let tables = version.levels.first().map(Vec::as_slice).unwrap_or_default();
            newest.extend(tables.iter().skip_while(|t| !is_input(t)).filter(|t| !is_input(t)).cloned());
        }
        let mut levels = Vec::new();
        for tables in version.levels.iter().skip(plan.to.max(1)) {
            let tables: Vec<_> = tables.iter().filter(|table| !is_input(table)).cloned().collect();
            if !tables.is_empty() {
                levels.push((tables, 0));
            }
        }
        Self { newest, levels }
    }

    /// All of them, to look keys up.
    pub(super) fn older(&self) -> Older<'_> {
        Older {
            newest: &self.newest,
            levels: self.levels.iter().map(|(tables, _)| tables.as_slice()).collect(),
        }
    }

    /// Whether any of them may hold `key`, which is not below the key asked about before.
    pub(super) fn covers(&mut self, key: &[u8]) -> bool {
        let mut covers = self.newest.iter().any(|table| table.covers(key));
        for (tables, at) in &mut self.levels {
            while tables.get(*at).is_some_and(|table| table.meta().last_key.as_slice() < key) {
                *at += 1;
            }
            covers |= tables.get(*at).is_some_and(|table| table.covers(key));
        }
        covers
    }
}
