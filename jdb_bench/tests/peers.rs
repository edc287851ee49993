//! The program `peers` as it is run: every workload on every engine, with few rows.

use jdb_bench::Result;
use std::process::{Command, Output};

const FIELDS: [&str; 21] = [
    "engine",
    "version",
    "workload",
    "n",
    "value_len",
    "durability",
    "in_flight",
    "round",
    "ops",
    "ops_per_s",
    "p50_us",
    "p99_us",
    "p999_us",
    "cpu_s",
    "peak_rss_bytes",
    "bytes_put",
    "bytes_written",
    "dev_bytes_written",
    "disk_bytes",
    "disk_peak_bytes",
    "settle_s",
];

fn peers(args: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_peers")).args(args).output()?)
}

#[test]
fn every_engine_does_every_workload_and_answers_rightly() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (home, json) = (dir.path().to_string_lossy(), dir.path().join("out.jsonl"));
    let args = ["--n", "2000", "--rounds", "1", "--dir", &home, "--engine", "jdb,fjall,redb,lmdb", "--json"];
    let output = peers(&[&args[..], &[&json.to_string_lossy()]].concat())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::fs::read_to_string(json)?;
    let mut turns = Vec::new();
    for line in lines.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let fields = record.as_object().ok_or("not an object")?;
        let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
        names.sort_by_key(|name| FIELDS.iter().position(|field| field == name));
        assert_eq!(names, FIELDS, "{line}");
        assert!(record["ops"].as_u64() > Some(0) && record["ops_per_s"].as_f64() > Some(0.0), "{line}");
        assert!(record["p50_us"].as_f64() <= record["p999_us"].as_f64(), "{line}");
        turns.push((record["workload"].to_string(), record["engine"].to_string()));
    }
    assert_eq!(turns.len(), 27 * 4);
    // Engines take turns: the four of each workload follow each other.
    for turn in turns.chunks(4) {
        assert!(turn.iter().all(|(workload, _)| *workload == turn[0].0), "{turn:?}");
    }
    let table = String::from_utf8(output.stdout)?;
    assert_eq!(table.lines().filter(|line| line.contains("| jdb ")).count(), 27, "{table}");
    // Nothing stays but the lines.
    assert_eq!(std::fs::read_dir(dir.path())?.count(), 1);
    Ok(())
}

#[test]
fn what_is_unknown_is_refused_with_a_line() -> Result<()> {
    for (args, names) in
        [(["--engine", "leveldb"], "jdb, fjall, redb, lmdb"), (["--workload", "fill"], "fillseq, fillrandom")]
    {
        let output = peers(&args)?;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = String::from_utf8(output.stderr)?;
        assert!(error.contains(args[1]) && error.contains(names), "{error}");
    }
    let output = peers(&["--n", "10", "--rounds", "1", "--dir", "no/such/directory"])?;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr)?;
    assert!(error.starts_with("error: ") && error.contains("no/such/directory"), "{error}");
    Ok(())
}
