//! What one run of one workload gave: a line of JSON, a row of the table.

use crate::engine::EngineName;
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

/// Figures of one engine, workload and round. Field order is that of the lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) engine: String,
    pub(crate) version: String,
    pub(crate) workload: String,
    /// Rows of the database.
    pub(crate) n: u64,
    pub(crate) value_len: usize,
    /// What an answered commit survives: `none` nothing, `os` the death of the process, `sync` a power cut.
    pub(crate) durability: String,
    /// Requests that wait for their answer at the same time.
    pub(crate) in_flight: usize,
    pub(crate) round: usize,
    /// Rows put, deleted, asked for or met; for YCSB, operations.
    pub(crate) ops: u64,
    /// Of the time until the last answer; background work that then goes on is `settle_s`.
    pub(crate) ops_per_s: f64,
    /// Of one answered request: a get, a commit, a call for 32 rows, a seek with its 50 rows, 100 rows of a scan.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// User and kernel, all threads, until settled.
    pub(crate) cpu_s: f64,
    pub(crate) peak_rss_bytes: Option<u64>,
    /// Keys and values handed over.
    pub(crate) bytes_put: u64,
    /// By this process, as the kernel counts.
    pub(crate) bytes_written: Option<u64>,
    /// As the block device counts, for all processes.
    pub(crate) dev_bytes_written: Option<u64>,
    /// Blocks of the database's files at the end.
    pub(crate) disk_bytes: u64,
    /// The most that they were at a hundred looks while rows were put; 0 for other workloads.
    pub(crate) disk_peak_bytes: u64,
    /// From the last answer until background work is idle and everything is on the disk.
    pub(crate) settle_s: f64,
}

/// Medians over the rounds, a row for each workload and engine; rates stand beside those of jdb.
pub(crate) fn table(records: &[Record]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "workload",
        "engine",
        "k ops/s",
        "x jdb",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "CPU us/op",
        "RSS MiB",
        "written/put",
        "device/put",
        "disk MiB",
        "peak MiB",
        "settle s",
    ]);
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for record in records {
        let name = (record.workload.as_str(), record.engine.as_str());
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        table.add_row(row(records, record));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn row(records: &[Record], of: &Record) -> Vec<String> {
    let median = |engine: &str, figure: &dyn Fn(&Record) -> Option<f64>| {
        let same = records.iter().filter(|record| record.workload == of.workload && record.engine == engine);
        let figures: Vec<f64> = same.filter_map(figure).collect();
        (!figures.is_empty()).then(|| jdb_bench::median(figures))
    };
    let show = |digits: usize, figure: &dyn Fn(&Record) -> Option<f64>| {
        median(&of.engine, figure).map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
    };
    let rate = |record: &Record| Some(record.ops_per_s);
    let ratio = median(&of.engine, &rate).zip(median(&EngineName::Jdb.name(), &rate));
    let per_put = |record: &Record, len: Option<u64>| {
        (record.bytes_put > 0).then_some(len? as f64 / record.bytes_put as f64)
    };
    let mib = |len: u64| len as f64 / f64::from(1 << 20);
    vec![
        of.workload.clone(),
        of.engine.clone(),
        show(1, &|record| Some(record.ops_per_s / 1e3)),
        ratio.map_or_else(|| "-".to_owned(), |(own, jdb)| format!("{:.2}", own / jdb)),
        show(1, &|record| Some(record.p50_us)),
        show(1, &|record| Some(record.p99_us)),
        show(1, &|record| Some(record.p999_us)),
        show(2, &|record| Some(record.cpu_s * 1e6 / record.ops as f64)),
        show(0, &|record| record.peak_rss_bytes.map(mib)),
        show(2, &|record| per_put(record, record.bytes_written)),
        show(2, &|record| per_put(record, record.dev_bytes_written)),
        show(0, &|record| Some(mib(record.disk_bytes))),
        show(0, &|record| (record.disk_peak_bytes > 0).then_some(mib(record.disk_peak_bytes))),
        show(2, &|record| Some(record.settle_s)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(engine: &str, ops_per_s: f64) -> Record {
        Record {
            engine: engine.to_owned(),
            version: "1".to_owned(),
            workload: "fillseq".to_owned(),
            n: 10,
            value_len: 100,
            durability: "os".to_owned(),
            in_flight: 1,
            round: 0,
            ops: 10,
            ops_per_s,
            p50_us: 1.0,
            p99_us: 2.0,
            p999_us: 3.0,
            cpu_s: 0.5,
            peak_rss_bytes: Some(1 << 20),
            bytes_put: 1240,
            bytes_written: Some(2480),
            dev_bytes_written: None,
            disk_bytes: 4096,
            disk_peak_bytes: 8192,
            settle_s: 0.0,
        }
    }

    #[test]
    fn a_line_has_exactly_these_fields() -> jdb_bench::Result<()> {
        let line = serde_json::to_string(&record("jdb", 1.0))?;
        let names = line.split([',', '{']).filter_map(|field| field.split('"').nth(1));
        assert_eq!(
            names.collect::<Vec<_>>().join(" "),
            "engine version workload n value_len durability in_flight round ops ops_per_s p50_us p99_us p999_us cpu_s \
             peak_rss_bytes bytes_put bytes_written dev_bytes_written disk_bytes disk_peak_bytes settle_s"
        );
        assert!(line.contains(r#""dev_bytes_written":null"#), "{line}");
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Record>(&line)?)?, line);
        Ok(())
    }

    #[test]
    fn the_table_has_medians_and_ratios_to_jdb() {
        let rates = [("jdb", 1000.0), ("redb", 500.0), ("jdb", 2000.0), ("jdb", 9000.0)];
        let records = rates.map(|(engine, rate)| record(engine, rate));
        let table = table(&records);
        let cells = |row: usize| -> Vec<&str> {
            table.lines().nth(row).unwrap().split('|').map(str::trim).skip(1).take(4).collect()
        };
        assert_eq!(cells(2), ["fillseq", "jdb", "2.0", "1.00"]);
        assert_eq!(cells(3), ["fillseq", "redb", "0.5", "0.25"]);
        assert_eq!(table.lines().count(), 4);
    }
}
