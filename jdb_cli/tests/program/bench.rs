//! `jdb bench`: a small run, and what it writes.

use crate::support::Place;
use serde_json::Value;
use std::collections::BTreeSet;

const FIELDS: [&str; 23] = [
    "engine",
    "namespaces",
    "rows",
    "load_per_s",
    "rss_load_bytes",
    "rss_open_bytes",
    "open_clean_ms",
    "open_crash_ms",
    "replay_bytes",
    "files",
    "dirs",
    "fds",
    "disk_bytes",
    "first_touch_p50_us",
    "first_touch_reads",
    "get_p50_us",
    "absent_p50_us",
    "active_per_s",
    "active_alone_per_s",
    "drop_small_us",
    "drop_big_us",
    "list_page_ms",
    "walk_per_s",
];

#[test]
fn bench_tenants_writes_every_figure_and_leaves_nothing_behind() {
    let place = Place::new();
    std::fs::create_dir(place.path("dir")).unwrap();
    let args = ["bench", "tenants", "--namespaces", "2000", "--rows", "2", "--value-len", "32"];
    let said = place.ok(&[&args[..], &["--dir", "dir", "--json", "figures.json"]].concat());
    for words in ["first touch, cold", "a page of 1000", "walk over all"] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    assert_eq!(std::fs::read_dir(place.path("dir")).unwrap().count(), 0);

    let text = std::fs::read_to_string(place.path("figures.json")).unwrap();
    let figures: Value = serde_json::from_str(&text).unwrap();
    let names: BTreeSet<&str> = figures.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(FIELDS));
    assert_eq!(figures["engine"], "jdb");
    let figure = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name} in {text}"));
    for (name, least, most) in [
        ("namespaces", 2000.0, 2000.0),
        ("rows", 2.0, 2.0),
        ("load_per_s", 1.0, 1e9),
        ("rss_load_bytes", 1e5, 1e9),
        ("rss_open_bytes", 1e5, 1e9),
        ("open_clean_ms", 0.001, 1e5),
        ("open_crash_ms", 0.001, 1e5),
        // The process that is killed puts every row again.
        ("replay_bytes", 4000.0 * 40.0, 1e6),
        ("files", 8.0, 300.0),
        ("dirs", 9.0, 64.0),
        ("fds", 3.0, 288.0),
        ("disk_bytes", 4000.0 * 40.0, 1e8),
        ("first_touch_p50_us", 0.01, 1e6),
        // The cache holds all that few namespaces have.
        ("first_touch_reads", 0.0, 100.0),
        ("get_p50_us", 0.01, 1e5),
        ("absent_p50_us", 0.01, 1e5),
        ("active_per_s", 1.0, 1e9),
        ("active_alone_per_s", 1.0, 1e9),
        ("drop_small_us", 0.1, 1e6),
        ("drop_big_us", 0.1, 1e7),
        ("list_page_ms", 0.001, 1e5),
        ("walk_per_s", 1.0, 1e9),
    ] {
        let figure = figure(name);
        assert!((least..=most).contains(&figure), "{name}: {figure}");
    }
}

#[test]
fn bench_tenants_prints_json_when_there_is_no_file() {
    let place = Place::new();
    let figures = place.json(&["bench", "tenants", "--namespaces", "100"]);
    assert_eq!(figures["namespaces"], 100);
    place.fails(64, &["bench", "tenants", "figures.json"]);
    place.fails(64, &["bench", "tenants", "--namespaces", "1"]);
}
