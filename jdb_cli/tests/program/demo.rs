//! The program, run as a user runs it.

use std::process::{Command, Output};

fn jdb(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jdb")).args(args).output().expect("the program starts")
}

#[test]
fn demo_survives_its_kill_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let out = jdb(&["demo", "--limit-mb", "2", "--dir", dir.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    for words in ["SIGKILL", "acknowledged files are there", "reopen after the kill", "all checks passed"] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    assert!(!said.contains('\x1b'), "colour in what is no terminal");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn demo_keeps_its_database_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = jdb(&["demo", "--limit-mb", "1", "--keep", "--dir", dir.path().to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let kept = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert!(kept.join("db").is_dir());
}

#[test]
fn a_wrong_argument_is_an_error_of_one_line() {
    for args in [&["demo", "--limit-mb", "0"][..], &["demo", "--dir", "Cargo.toml/x"], &["nothing"]] {
        let out = jdb(args);
        assert!(!out.status.success(), "{args:?}");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.starts_with("error: "), "{args:?}: {said}");
    }
}
