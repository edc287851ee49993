//! The program in a terminal of 40 columns: bars, cut lines, colours.
#![cfg(unix)]

use crate::support::Place;
use pty_process::Size;
use pty_process::blocking::{Command, open};
use std::io::Read;

/// What a terminal of 40 columns got to see, and the exit code.
fn in_terminal(place: &Place, args: &[&str], no_color: bool) -> (String, Option<i32>) {
    let (mut pty, pts) = open().unwrap();
    pty.resize(Size::new(24, 40)).unwrap();
    let plain = place.command(args);
    let mut command = Command::new(plain.get_program());
    command = command.args(plain.get_args()).current_dir(place.path("")).env("TERM", "xterm");
    command = if no_color { command.env("NO_COLOR", "1") } else { command.env_remove("NO_COLOR") };
    let mut child = command.spawn(pts).unwrap();
    let mut seen = Vec::new();
    // Linux answers EIO when the other side is closed.
    let _ = pty.read_to_end(&mut seen);
    (String::from_utf8_lossy(&seen).into_owned(), child.wait().unwrap().code())
}

/// What stays on the lines: without colours and what erases or moves.
fn lines(seen: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut letters = seen.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => {
                let _ = letters.by_ref().skip(1).find(|letter| letter.is_ascii_alphabetic());
            }
            '\r' => plain.push('\n'),
            letter => plain.push(letter),
        }
    }
    plain.lines().map(str::to_owned).collect()
}

#[test]
fn an_import_draws_a_bar_that_fits_and_is_gone_at_the_end() {
    let place = Place::new();
    let rows: String = (0..20_000).map(|n| format!("key{n:05}\t{}\n", "v".repeat(50))).collect();
    place.write("rows.tsv", rows);
    for (args, words) in [
        (&["import", "rows.tsv", "--ns", "1"][..], "20000 rows"),
        (&["verify"], "all is sound"),
        (&["compact"], "bytes written"),
        (&["collect"], "bytes written"),
        (&["stat"], "shards"),
    ] {
        let (seen, code) = in_terminal(&place, args, true);
        assert_eq!(code, Some(0), "{seen}");
        assert!(seen.contains(words), "{args:?}: {seen:?}");
        assert!(!seen.contains("\x1b[3"), "{args:?}: colours in spite of NO_COLOR: {seen:?}");
        let bars: Vec<_> = lines(&seen).into_iter().filter(|line| line.contains('[')).collect();
        let too_long: Vec<_> = bars.iter().filter(|line| line.chars().count() > 40).collect();
        assert!(too_long.is_empty(), "{args:?}: {too_long:?}");
        if args[0] == "import" {
            assert!(!bars.is_empty(), "no bar: {seen:?}");
        }
    }
}

#[test]
fn a_scan_is_cut_to_the_terminal_and_whole_in_a_pipe() {
    let place = Place::new();
    place.ok(&["put", "--ns", "1", "key", &"long".repeat(30)]);
    let (seen, _) = in_terminal(&place, &["scan", "--ns", "1"], true);
    let shown = lines(&seen);
    let shown: Vec<_> = shown.iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(shown.len(), 1, "{seen:?}");
    assert!(shown[0].ends_with("..") && shown[0].chars().count() <= 40, "{seen:?}");
    assert_eq!(place.ok(&["scan", "--ns", "1"]).trim_end().len(), 4 + 120);
}

#[test]
fn an_error_is_red_unless_no_color_is_set() {
    let place = Place::new();
    for (no_color, want) in [(false, true), (true, false)] {
        let (seen, code) = in_terminal(&place, &["stat"], no_color);
        assert_eq!(code, Some(1));
        assert_eq!(seen.contains("\x1b[31merror\x1b[0m"), want, "{seen:?}");
    }
}
