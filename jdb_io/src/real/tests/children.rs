//! What takes a process of its own: a limit on file lengths, a variable. Each `child_` test is run by the one before it.

use super::*;

/// Runs one ignored test of this file in a process of its own, started by a line of shell.
fn in_a_child(test: &str, before: &str, variable: (&str, &str)) -> (bool, String) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("{before} exec \"$0\" --exact --ignored --nocapture \"$1\""))
        .arg(program)
        .arg(format!("real::tests::children::{test}"))
        .env(variable.0, variable.1)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "{text}");
    (output.status.success(), text)
}

/// A limit on file lengths cuts a write short, then fails it, as a full disk does.
#[test]
fn a_write_past_the_limit_fails_and_what_was_written_is_there() {
    let (success, text) =
        in_a_child("child_writes_past_the_limit", "trap '' XFSZ; ulimit -f 300;", ("JDB_TEST_CHILD", "1"));
    assert!(success, "{text}");
}

#[test]
#[ignore = "runs as a child, under a limit"]
fn child_writes_past_the_limit() {
    if std::env::var_os("JDB_TEST_CHILD").is_none() {
        return;
    }
    on_each_driver(async |disk, dir| {
        let data = bytes(1 << 20, 5);
        let file = disk.open(&dir.join("f"), Mode::CreateNew).await.unwrap();
        let before = disk.counters();
        let (result, back) = file.write_at(0, data.clone()).await;
        let error = result.unwrap_err();
        assert!(error.is_no_space(), "{error:?}");
        assert!(error.to_string().starts_with("write "), "{error}");
        assert!(back == data);
        let len = file.len().await.unwrap();
        assert!(
            (100 << 10..1 << 20).contains(&len) && len % (256 << 10) != 0,
            "cut short inside a slice: {len}"
        );
        assert_eq!(disk.counters().write_len - before.write_len, len);
        assert!(file.read_at(0, 1 << 20).await.unwrap() == data[..len as usize]);
        cool(&file).await;
        assert!(file.read_at(0, 1 << 20).await.unwrap() == data[..len as usize]);
        assert!(file.write_at(len, vec![1]).await.0.unwrap_err().is_no_space(), "still");
        file.write_at(0, vec![1; 100]).await.0.unwrap();
    });
}

#[test]
fn a_short_write_is_continued_where_it_ended() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return println!("skipped: there is no prlimit");
    }
    let (success, text) =
        in_a_child("child_is_given_room_after_a_short_write", "trap '' XFSZ;", ("JDB_TEST_CHILD", "1"));
    assert!(success, "{text}");
}

#[test]
#[ignore = "runs as a child, and changes its limit"]
fn child_is_given_room_after_a_short_write() {
    if std::env::var_os("JDB_TEST_CHILD").is_none() {
        return;
    }
    let limit = |len: &str| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--pid={}", std::process::id())).arg(format!("--fsize={len}:unlimited"));
        assert!(command.status().unwrap().success());
    };
    on_each_driver(async |disk, dir| {
        let data = bytes(1 << 20, 5);
        let file = disk.open(&dir.join("f"), Mode::CreateNew).await.unwrap();
        limit("150001");
        disk.spawn({
            let file = file.clone();
            async move {
                assert_eq!(file.len().await.unwrap(), 150_001);
                limit("unlimited");
            }
        });
        file.write_at(0, data.clone()).await.0.unwrap();
        assert!(file.read_at(0, 2 << 20).await.unwrap() == data);
        let counters = disk.counters();
        assert_eq!((counters.writes, counters.write_len), (5, 1 << 20));
    });
}

#[test]
fn the_environment_chooses_the_driver() {
    for (value, works) in
        [("poll", true), ("io_uring", runtimes().len() == 2), ("", true), ("iocp", false), ("x", false)]
    {
        let (success, text) = in_a_child("child_names_its_driver", "", (DRIVER_VARIABLE, value));
        assert_eq!(success, works, "{value}: {text}");
        match value {
            "poll" => assert!(text.contains("driver Poll"), "{text}"),
            "io_uring" if works => assert!(text.contains("driver IoUring"), "{text}"),
            "iocp" => assert!(text.contains("does not exist on this system"), "{text}"),
            "x" => assert!(text.contains("it may be poll, io_uring or iocp"), "{text}"),
            _ => {}
        }
    }
}

#[test]
#[ignore = "runs as a child, with a variable set"]
fn child_names_its_driver() {
    let runtime = runtime(&Config::default()).unwrap();
    println!("driver {:?}", runtime.block_on(async { Disk::real().driver() }));
}
