//! `get`, `put`, `delete`, `scan`, `ls`, `stat`, `drop`, `compact`, as a person uses them.

use crate::support::Place;
use serde_json::json;

#[test]
fn what_is_put_is_got_scanned_and_deleted() {
    let place = Place::new();
    assert_eq!(place.ok(&["put", "--ns", "7", "name", "Alice"]), "");
    assert_eq!(place.ok(&["get", "--ns", "7", "name"]), "Alice");
    assert_eq!(place.run_with(&["put", "--ns", "7", "raw"], b"\0\xff\n").code, Some(0));
    let raw = place.command(&["get", "--ns", "7", "raw"]).output().unwrap().stdout;
    assert_eq!(raw, b"\0\xff\n");
    place.write("file", "of a file");
    place.ok(&["put", "--ns", "7", "file", "--file", "file", "--sync"]);
    assert_eq!(place.ok(&["scan", "--ns", "7"]), "file\tof a file\nname\tAlice\nraw\t\\u{0}\\xff\\n\n");
    assert_eq!(place.ok(&["delete", "--ns", "7", "name", "never there"]), "");
    assert!(place.fails(1, &["get", "--ns", "7", "name"]).contains("no key name in namespace 7"));
    assert_eq!(place.ok(&["scan", "--ns", "7", "--count"]), "2\n");
    assert_eq!(place.ok(&["scan", "--ns", "8"]), "");
}

#[test]
fn keys_and_values_go_in_and_out_in_three_encodings() {
    let place = Place::new();
    place.ok(&["put", "--ns", "1", "--keys", "hex", "ff00", "--values", "base64", "AAE="]);
    for (keys, key) in [("hex", "FF00"), ("base64", "/wA=")] {
        let got = place.ok(&["get", "--ns", "1", "--keys", keys, key, "--values", "hex"]);
        assert_eq!(got, "0001\n", "{keys}");
    }
    assert_eq!(place.ok(&["scan", "--ns", "1"]), "\\xff\\u{0}\t\\u{0}\\u{1}\n");
    assert_eq!(
        place.json(&["scan", "--ns", "1"]),
        json!({ "ns": "1", "key_base64": "/wA=", "value": "\0\u{1}" })
    );
    assert_eq!(
        place.json(&["scan", "--ns", "1", "--keys", "hex", "--values", "hex"]),
        json!({ "ns": "1", "key": "ff00", "value": "0001" })
    );
    for args in [["--keys", "hex", "zz"], ["--keys", "base64", "!"]] {
        assert!(place.fails(64, &[&["get", "--ns", "1"][..], &args].concat()).contains("the key"));
    }
}

#[test]
fn a_scan_takes_ranges_prefixes_limits_and_both_directions() {
    let place = Place::new();
    for key in ["a1", "a2", "b1", "b2", "c1"] {
        place.ok(&["put", "--ns", "1", key, "x"]);
    }
    for (flags, want) in [
        ("", "a1 a2 b1 b2 c1"),
        ("--rev", "c1 b2 b1 a2 a1"),
        ("--prefix b", "b1 b2"),
        ("--prefix b --rev --limit 1", "b2"),
        ("--from a2 --to b2", "a2 b1"),
        ("--from b2", "b2 c1"),
        ("--to b", "a1 a2"),
        ("--from b --rev", "c1 b2 b1"),
        ("--limit 2", "a1 a2"),
        ("--limit 0", ""),
        ("--from c --to a", ""),
    ] {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let keys = place.ok(&[&["scan", "--ns", "1", "--keys-only"], &flags[..]].concat());
        assert_eq!(keys.split_whitespace().collect::<Vec<_>>().join(" "), want, "{flags:?}");
        let count = place.ok(&[&["scan", "--ns", "1", "--count"], &flags[..]].concat());
        assert_eq!(count.trim(), want.split_whitespace().count().to_string(), "{flags:?}");
    }
    assert_eq!(place.json(&["scan", "--ns", "1", "--count"]), json!({ "count": 5 }));
}

#[test]
fn namespaces_are_named_in_four_ways_listed_in_pages_counted_and_dropped() {
    let place = Place::new();
    let uuid = "00000000-0000-0000-0000-000000000009";
    for (flag, ns) in [("--ns", "5"), ("--ns", "0x6"), ("--ns", "1/2"), ("--ns", uuid), ("--ns-of", "babel")]
    {
        place.ok(&["put", flag, ns, "key", "value"]);
    }
    let all = place.ok(&["ls"]);
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(all[..4], ["5", "6", "9", "18446744073709551618"]);
    assert_eq!(place.ok(&["get", "--ns", all[4], "key"]), "value");
    assert_eq!(place.ok(&["ls", "--after", "5", "--limit", "2"]), "6\n9\n");
    assert_eq!(place.ok(&["ls", "--limit", "1", "--rows"]), "5\t1\n");
    assert_eq!(place.json(&["ls", "--limit", "1", "--rows"]), json!({ "ns": "5", "rows": 1 }));
    let stat = place.json(&["stat", "--ns", "5"]);
    assert!(stat["changed_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(
        stat,
        json!({
            "ns": "5", "rows": 1, "key_len": 3, "value_len": 5, "exact": true, "changed_ms": stat["changed_ms"]
        })
    );
    assert!(place.fails(64, &["drop", "--ns", "5"]).contains("--yes"));
    place.ok(&["drop", "--ns", "5", "--yes"]);
    assert_eq!(place.ok(&["scan", "--ns", "5"]), "");
    assert_eq!(place.ok(&["ls", "--limit", "1"]), "6\n");
    assert_eq!(place.ok(&["scan", "--all", "--limit", "2"]), "6\tkey\tvalue\n9\tkey\tvalue\n");
}

#[test]
fn the_largest_and_the_newest_namespaces_come_first() {
    let place = Place::new();
    for (ns, rows, value) in [("1", 3, "v"), ("2", 1, "a long value, longer than all others"), ("3", 2, "v")]
    {
        for row in 0..rows {
            place.ok(&["put", "--ns", ns, &format!("key{row}"), value]);
        }
    }
    place.ok(&["compact"]);
    place.ok(&["delete", "--ns", "3", "key0"]);
    for (flags, want) in [
        ("", "2 1 3"),
        ("--by rows", "1 2 3"),
        ("--by rows --limit 1", "1"),
        ("--by changed --limit 1", "3"),
        ("--limit 0", ""),
    ] {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let table = place.ok(&[&["top"][..], &flags].concat());
        let mut lines = table.lines().map(|line| line.split_whitespace().next().unwrap());
        assert_eq!(lines.next(), Some("namespace"));
        let mut found: Vec<&str> = lines.collect();
        // Two of one row each: either may come first.
        if flags == ["--by", "rows"] {
            found[1..].sort_unstable();
        }
        assert_eq!(found.join(" "), want, "{flags:?}");
    }
    let most = place.json(&["top", "--limit", "1"]);
    assert_eq!((&most["ns"], &most["rows"], &most["value_len"]), (&json!("2"), &json!(1), &json!(36)));
    assert_eq!(place.ok(&["top", "--limit", "1"]).lines().count(), 2);
}

#[test]
fn json_has_a_shape() {
    let place = Place::new();
    let keys = |value: &serde_json::Value| {
        value.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(&place.json(&["put", "--ns", "1", "k", "v"])), "seq");
    assert_eq!(keys(&place.json(&["delete", "--ns", "1", "other"])), "seq");
    assert_eq!(place.json(&["get", "--ns", "1", "k"]), json!({ "ns": "1", "key": "k", "value": "v" }));
    assert_eq!(keys(&place.json(&["compact"])), "table_len table_len_before written_len");
    assert_eq!(keys(&place.json(&["collect"])), "freed_len log_len log_len_before moved_len");
    let stat = place.json(&["stat"]);
    assert_eq!(
        keys(&stat),
        "driver drops levels live_len log_len memtable_len packs segments shards table_len tables unflushed_len"
    );
    assert_eq!(
        keys(&stat["shards"][0]),
        "drops last_seq level_len live_len log_len pack_len packs segments stopped table_len tables unflushed_len"
    );
    assert_eq!((&stat["tables"], stat["shards"].as_array().unwrap().len()), (&json!(1), 8));
    assert_eq!(keys(&stat["levels"][0]), "len tables");
    let verify = place.json(&["verify"]);
    assert_eq!(
        keys(&verify),
        "damage damage_count entries footers_bad len packs records segments tables values"
    );
    assert_eq!(keys(&place.json(&["backup", "copy"])), "copied copied_len len linked");
    assert_eq!(keys(&place.json(&["salvage", "saved"])), "damage damage_count len lost_values rows");
    assert_eq!(keys(&place.json(&["drop", "--ns", "1", "--yes"])), "seq");
}

#[test]
fn a_wrong_command_line_is_one_line_and_code_64() {
    let place = Place::new();
    place.ok(&["put", "--ns", "1", "k", "v"]);
    for (args, word) in [
        (&["scan", "--ns", "1", "--frobnicate"][..], "--frobnicate"),
        (&["nothing"], "nothing"),
        (&["get", "--ns", "1"], "<KEY>"),
        (&["get", "k"], "--ns"),
        (&["get", "--ns", "x", "k"], "SITE/USER"),
        (&["get", "--ns", "1", "--ns-of", "a", "k"], "--ns-of"),
        (&["scan", "--ns", "1", "--all"], "--all"),
        (&["scan", "--ns", "1", "--prefix", "a", "--from", "b"], "--prefix"),
        (&["scan", "--ns", "1", "--limit", "-1"], "-1"),
        (&["import", "x.json", "--header"], "--header"),
        (&["import", "x.tsv"], "--ns"),
        (&["import", ".", "--ns", "1", "--format", "tsv"], "--format tree"),
        (&["dump", "nothing", "x"], "nothing"),
    ] {
        let said = place.fails(64, args);
        assert!(said.contains(word), "{args:?}: {said}");
    }
    let mut bare = place.command(&["stat", "--db", "db"]);
    bare = std::process::Command::new(bare.get_program());
    let said = crate::support::said(&bare.arg("stat").output().unwrap());
    assert_eq!((said.code, said.err.contains("--db DIR")), (Some(64), true), "{said:?}");
    for args in [&["help"][..], &["--version"], &["scan", "--help"]] {
        let mut command = std::process::Command::new(bare.get_program());
        assert_eq!(command.args(args).output().unwrap().status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn errors_say_what_to_do() {
    let place = Place::new();
    assert!(place.fails(1, &["stat"]).contains("--db names the directory"));
    assert!(!place.path("db").exists(), "a look made a database");
    place.write("full", "x");
    assert!(place.fails(1, &["stat", "--db", "full"]).contains("full"));
    std::fs::create_dir(place.path("other")).unwrap();
    place.write("other/file", "x");
    assert!(place.fails(1, &["put", "--db", "other", "--ns", "1", "k", "v"]).contains("not a database"));
    let key = "k".repeat(65_501);
    assert!(place.fails(1, &["put", "--ns", "1", &key, "v"]).contains("limit of 65500"));
    assert!(place.fails(1, &["put", "--ns", "1", "k", "--file", "missing"]).contains("open missing"));
    place.ok(&["put", "--ns", "1", "k", "v"]);
    assert!(place.fails(1, &["salvage", "other"]).contains("not empty"));
    assert!(place.fails(1, &["backup", "other"]).contains("other"));
}

#[test]
fn who_has_enough_of_the_output_ends_it_quietly() {
    let place = Place::new();
    let rows: String = (0..20_000).map(|n| format!("key{n:05}\t{}\n", "v".repeat(50))).collect();
    assert_eq!(place.run_with(&["import", "-", "--ns", "1"], rows.as_bytes()).code, Some(0));
    let mut command = place.command(&["scan", "--ns", "1"]);
    let (out, err) = (std::process::Stdio::piped(), std::process::Stdio::piped());
    let mut child = command.stdout(out).stderr(err).spawn().unwrap();
    drop(child.stdout.take());
    let said = crate::support::said(&child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}
