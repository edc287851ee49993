//! No io_uring, and a driver that does not exist.

use crate::child;
#[cfg(target_os = "linux")]
use std::process::Command;

#[test]
fn unknown_driver_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let answer = child::run(child::command("driver", dir.path()).env("JDB_DRIVER", "nonsense"));
    for part in ["InvalidInput", "JDB_DRIVER", "nonsense", "poll", "io_uring"] {
        assert!(answer.contains(part), "no {part} in {answer:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_io_uring_the_database_runs_on_poll_and_says_so() {
    for error in [libc::ENOSYS, libc::EPERM] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = child::command("driver", &dir.path().join("db"));
        block_io_uring(&mut command, error);
        assert_eq!(child::run(&mut command), "Poll b\"value\"", "error {error}");

        let mut command = child::command("driver", &dir.path().join("db"));
        block_io_uring(command.env("JDB_DRIVER", "io_uring"), error);
        let answer = child::run(&mut command);
        assert!(!answer.contains("value"), "asked for io_uring, got something else: {answer}");
    }
}

/// `io_uring_setup` fails with `error` in the process to come.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a seccomp filter, installed between fork and exec")]
fn block_io_uring(command: &mut Command, error: i32) {
    use std::os::unix::process::CommandExt;
    let statement = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        // The number of the call is the first word of what a filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_io_uring_setup as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: two system calls; the program and its filter live until the second returns, which copies them.
        let failed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
        };
        if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure makes system calls only; it takes no lock and no memory.
    unsafe { command.pre_exec(install) };
}
