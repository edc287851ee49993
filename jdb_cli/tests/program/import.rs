//! `import`: what goes in, what is refused, and what is there when it ends early.

use crate::support::{Place, files};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::io::Write;
use std::process::Stdio;

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_with_tabs_go_in_from_files_packed_files_and_standard_input() {
    let text = "key\tvalue\na\t1\tx\r\nb\t\n";
    for (name, bytes) in
        [("rows.tsv", text.as_bytes().to_vec()), ("rows.tsv.gz", packed(text)), ("-", vec![])]
    {
        let place = Place::new();
        if name != "-" {
            place.write(name, &bytes);
        }
        let said = place.run_with(&["import", name, "--ns", "1", "--header"], text.as_bytes());
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(0), "2 rows, 5 bytes of keys and values\n"),
            "{said:?}"
        );
        assert_eq!(place.ok(&["scan", "--ns", "1"]), "a\t1\\tx\nb\t\n", "{name}");
    }
    let place = Place::new();
    place.write("rows.tsv", text);
    assert_eq!(place.json(&["import", "rows.tsv", "--ns", "1"]), json!({ "rows": 3, "len": 13 }));
}

#[test]
fn a_column_or_a_field_spreads_rows_over_namespaces() {
    let place = Place::new();
    place.write("rows.tsv", "a\tx\t1\nb\ty\t2\nc\tx\t3\n");
    place.ok(&["import", "rows.tsv", "--ns-column", "2"]);
    assert_eq!(place.ok(&["scan", "--ns-of", "x", "--keys-only"]), "a\nc\n");
    assert_eq!(place.ok(&["scan", "--ns-of", "y", "--keys-only"]), "b\n");
    place.write("rows.jsonl", "{\"id\":7,\"who\":\"z\"}\n{\"id\":\"k\",\"who\":\"z\",\"more\":[1]}\n");
    place.ok(&["import", "rows.jsonl", "--key-field", "id", "--ns-field", "who"]);
    assert_eq!(place.ok(&["scan", "--ns-of", "z", "--keys-only"]), "7\nk\n");
    assert_eq!(place.ok(&["get", "--ns-of", "z", "7"]), "{\"id\":7,\"who\":\"z\"}");
}

#[test]
fn what_scan_prints_as_json_comes_back_the_same() {
    let place = Place::new();
    place.ok(&["put", "--ns", "1/2", "é\n", "text\t"]);
    place.ok(&["put", "--ns", "3", "--keys", "hex", "ff", "--values", "hex", "00fe"]);
    place.ok(&["put", "--ns", "3", "", ""]);
    let all = place.ok(&["scan", "--all", "--json"]);
    assert_eq!(all.lines().count(), 3);
    place.write("all.json", &all);
    place.ok(&["import", "all.json", "--db", "copy"]);
    assert_eq!(place.ok(&["scan", "--all", "--json", "--db", "copy"]), all);
}

#[test]
fn a_tree_goes_in_with_its_paths() {
    let place = Place::new();
    for (dir, file, text) in [("tree/b", "deep", "2"), ("tree/a/b", "c", "1"), ("tree", "top", "")] {
        std::fs::create_dir_all(place.path(dir)).unwrap();
        place.write(&format!("{dir}/{file}"), text);
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("top", place.path("tree/link")).unwrap();
    place.ok(&["import", "tree", "--ns", "1"]);
    assert_eq!(place.ok(&["scan", "--ns", "1"]), "a/b/c\t1\nb/deep\t2\ntop\t\n");
    assert!(place.fails(1, &["import", "none", "--ns", "1", "--format", "tree"]).contains("list none"));
}

#[test]
fn a_malformed_row_names_its_line_and_says_what_is_in() {
    let long = format!("{}\tx", "k".repeat(65_501));
    for (name, text, why) in [
        ("rows.tsv", "a\t1\nb\t2\nno tab\nd\t4\n".to_owned(), "rows.tsv, line 3: no tab"),
        ("rows.tsv", format!("a\t1\nb\t2\n{long}\nd\t4\n"), "rows.tsv, line 3: a key of 65501 bytes"),
        (
            "rows.jsonl",
            "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n{\"key\":\"c\"\n{\"key\":\"d\",\"value\":\"4\"}\n".to_owned(),
            "rows.jsonl, line 3: no JSON object: EOF",
        ),
    ] {
        let place = Place::new();
        place.write(name, &text);
        let said = place.fails(1, &["import", name, "--ns", "1"]);
        assert!(said.contains(why) && said.contains("2 rows before it are imported"), "{said}");
        assert_eq!(place.ok(&["scan", "--ns", "1", "--keys-only"]), "a\nb\n", "{why}");

        let said = place.run(&["import", name, "--ns", "1", "--keep-going"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains(why) && said.err.contains("1 of 4 rows were passed over"), "{said:?}");
        assert_eq!(place.ok(&["scan", "--ns", "1", "--keys-only"]), "a\nb\nd\n", "{why}");
    }
}

#[test]
fn a_cut_packed_file_is_an_error_and_what_came_before_is_in() {
    let place = Place::new();
    let rows: String = (0..5000).map(|n| format!("{n:05}\t{}\n", n * 7919 % 65_537)).collect();
    let mut bytes = packed(&rows);
    bytes.truncate(bytes.len() / 2);
    place.write("rows.tsv.gz", bytes);
    let said = place.fails(1, &["import", "rows.tsv.gz", "--ns", "1"]);
    assert!(said.contains("read rows.tsv.gz"), "{said}");
    let count: u32 = place.ok(&["scan", "--ns", "1", "--count"]).trim().parse().unwrap();
    assert!((1000..5000).contains(&count), "{count}");
    place.write("none.tsv.gz", "not packed");
    assert!(place.fails(1, &["import", "none.tsv.gz", "--ns", "1"]).contains("read none.tsv.gz"));
    assert!(place.fails(1, &["import", "missing", "--ns", "1"]).contains("open missing"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_an_import_with_code_130_and_everything_acknowledged_is_there() {
    let place = Place::new();
    let mut command = place.command(&["import", "-", "--ns", "1", "--batch", "100"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Rows without end.
    let feeder = std::thread::spawn(move || {
        for n in 0u64.. {
            if writeln!(stdin, "{n:012}\t{}", "v".repeat(100)).is_err() {
                return;
            }
        }
    });
    // It is in the middle of it when the log holds rows.
    while !place.path("db").exists()
        || files(&place.path("db"), ".log")
            .iter()
            .all(|log| log.metadata().map_or(0, |meta| meta.len()) < 100_000)
    {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let said = crate::support::said(&child.wait_with_output().unwrap());
    feeder.join().unwrap();
    assert_eq!(said.code, Some(130), "{said:?}");
    let (_, rest) = said.err.split_once("interrupted: ").expect("it says so");
    let told: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    let there: u64 = place.ok(&["scan", "--ns", "1", "--count"]).trim().parse().unwrap();
    assert!(told > 0 && there >= told, "{told} told, {there} there");
    // No gap: rows are acknowledged in their order.
    let last = place.ok(&["scan", "--ns", "1", "--rev", "--limit", "1", "--keys-only"]);
    assert_eq!(last.trim().parse::<u64>().unwrap(), there - 1);
}
