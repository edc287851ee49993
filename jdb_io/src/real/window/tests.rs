use super::*;
use std::os::unix::fs::FileExt;

/// A file of `len` zeros on a disk, and what knows of it; `None`, and said so, where nothing is stored.
fn file_of(len: u64) -> Option<(File, State)> {
    let file = tempfile::tempfile_in(std::env::current_dir().expect("the system does it"))
        .expect("the system does it");
    file.set_len(len).expect("the system does it");
    let supported = is_supported(&file);
    if !supported {
        println!("skipped: not on this file system, or this kernel");
    }
    supported.then(|| (file, State::default()))
}

/// One write, by a system call when it is not stored. Whether it was.
fn write(file: &File, state: &mut State, offset: u64, len: usize, now: u64) -> bool {
    let data: Vec<u8> = (0..len as u64).map(|at| ((offset + at) % 251) as u8).collect();
    let stored = state.write(file, offset, &data, now);
    let ahead = state.ahead.as_ref().map(|ahead| ahead.ready.start + WRITE_LEN_MAX as u64);
    assert!(
        if stored { ahead.is_none_or(|from| offset + len as u64 <= from) } else { ahead.is_none() },
        "{offset}: {state:?}"
    );
    if !stored {
        file.write_all_at(&data, offset).expect("the system does it");
    }
    stored
}

/// Whether the file holds what [`write`] wrote, from its beginning, and zeros behind it.
fn check(file: &File, end: u64) {
    let mut bytes = vec![0xff; file.metadata().expect("the system does it").len() as usize];
    file.read_exact_at(&mut bytes, 0).expect("the system does it");
    let want = |at: usize| if at as u64 >= end { 0 } else { (at % 251) as u8 };
    let wrong = bytes.iter().enumerate().find(|&(at, &byte)| byte != want(at));
    assert_eq!(wrong, None, "of {end}");
}

#[test]
fn writes_in_a_row_are_stored_as_far_as_the_file_reaches_and_are_read_back() {
    let Some((file, mut state)) = file_of(2 << 20) else { return };
    let (mut offset, mut stored) = (0, 0);
    while offset < 3 << 20 {
        let len = 1 + offset as usize % 3000;
        let was = write(&file, &mut state, offset, len, offset >> 15);
        assert!(!was || offset + len as u64 <= 2 << 20, "{offset}");
        stored += u64::from(was);
        offset += len as u64;
    }
    assert!(stored > 600, "{stored}");
    check(&file, offset);
    assert_eq!(
        file.metadata().expect("the system does it").len(),
        offset,
        "only system calls make it longer"
    );
}

#[test]
fn what_does_not_follow_soon_or_is_long_is_written_by_a_system_call() {
    let Some((file, mut state)) = file_of(2 << 20) else { return };
    let mut offset = 0;
    let mut next = |state: &mut State, len: usize, now| {
        offset += len as u64;
        write(&file, state, offset - len as u64, len, now)
    };
    (0..COUNT_MIN).for_each(|count| assert!(!next(&mut state, 100, 7), "{count}"));
    assert!(next(&mut state, 100, 7 + PAUSE_MS));
    assert!(!next(&mut state, WRITE_LEN_MAX + 1, 7 + PAUSE_MS));
    assert!(next(&mut state, WRITE_LEN_MAX, 7 + PAUSE_MS), "it goes on behind that");
    // Later than the answer is believed, it is asked for again.
    let later = 7 + FRESH_MS;
    (2..=4).for_each(|part| assert!(next(&mut state, 100, 7 + part * PAUSE_MS)));
    assert!(state.ready_ms > later, "{state:?}");
    assert!(!next(&mut state, 100, 8 + 5 * PAUSE_MS), "a pause");
    (1..COUNT_MIN).for_each(|count| assert!(!next(&mut state, 100, 300), "{count}"));
    assert!(next(&mut state, 100, 300));
    let stores = Stores(RefCell::new(state));
    stores.syncing();
    (0..2 * COUNT_MIN).for_each(|_| assert!(!next(&mut stores.0.borrow_mut(), 100, 300), "a sync"));
    stores.synced();
    let mut state = stores.0.take();
    assert!(next(&mut state, 100, 300));
    check(&file, offset);
    // Over what is there already.
    assert!(!write(&file, &mut state, 0, 100, 300));
}

#[test]
fn a_file_that_is_cut_is_not_stored_into_behind_its_end() {
    let Some((file, mut state)) = file_of(1 << 20) else { return };
    (0..100).for_each(|at| _ = write(&file, &mut state, at * 100, 100, 1));
    assert!(state.window.is_some());
    let stores = Stores(RefCell::new(state));
    stores.suspend();
    assert!(stores.0.borrow().window.is_none());
    file.set_len(10_000).expect("the system does it");
    for at in 100..140 {
        assert!(!write(&file, &mut stores.0.borrow_mut(), at * 100, 100, 1), "{at}");
    }
    stores.resume();
    for at in 140..200 {
        assert!(!write(&file, &mut stores.0.borrow_mut(), at * 100, 100, 1), "{at}");
    }
    file.set_len(1 << 20).expect("the system does it");
    assert!(write(&file, &mut stores.0.borrow_mut(), 20_000, 100, 1));
    check(&file, 20_100);
}

#[test]
fn who_needs_little_is_given_little_and_who_has_used_it_up_is_given_more_ahead() {
    let Some((file, mut state)) = file_of(2 << 20) else { return };
    let (mut offset, mut now) = (0, 0);
    let mut next = |state: &mut State, pause| {
        now += pause;
        offset += 1000;
        (write(&file, state, offset - 1000, 1000, now), offset)
    };
    // A trickle: what was made ready is asked for again before it is used up.
    while !next(&mut state, 0).0 {}
    for _ in 0..10 {
        (0..5).for_each(|_| _ = next(&mut state, PAUSE_MS));
        assert!(state.ahead.is_none() && state.ready.end - state.ready.start == FIRST_LEN, "{state:?}");
    }
    let end = state.ready.end;
    while next(&mut state, 0).1 <= end {}
    assert_eq!(state.ready.end - state.ready.start, READY_LEN);
    let ahead = state.ahead.as_ref().map(|ahead| (ahead.ready.start, ahead.ready.end));
    let end = state.ready.end;
    assert_eq!(ahead, Some((end - WRITE_LEN_MAX as u64, end + AHEAD_LEN)));
    while next(&mut state, 0).1 <= end {}
    assert_eq!(state.ready.end, end + AHEAD_LEN, "it is taken over");
}

#[test]
fn zeros_that_another_thread_writes_are_never_over_what_was_written() {
    let mut state = 11_u64;
    // Knuth's multiplier; the upper half is random enough.
    let mut below = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 32) % end
    };
    for _ in 0..12 {
        let Some((file, of_file)) = file_of(1 << 20) else { return };
        let stores = Stores(RefCell::new(of_file));
        let (mut offset, mut now, mut stored) = (0, 0, 0);
        while offset < 3 << 20 {
            match below(400) {
                0 => now += PAUSE_MS + 1,
                1 => now += FRESH_MS / 3,
                2 => {
                    stores.syncing();
                    file.sync_data().expect("the system does it");
                    stores.synced();
                }
                3 => {
                    stores.suspend();
                    file.set_len(offset).expect("the system does it");
                    stores.resume();
                }
                // The log has its file made longer before it writes so far, mostly.
                4..40 => {
                    let len = file.metadata().expect("the system does it").len();
                    file.set_len(len.max(offset + (1 << 20))).expect("the system does it");
                }
                _ => {}
            }
            let long = if below(100) == 0 { 300_000 } else { 4_000 };
            let len = 1 + below(long) as usize;
            stored += u32::from(write(&file, &mut stores.0.borrow_mut(), offset, len, now));
            offset += len as u64;
        }
        assert!(stored > 100, "{stored}");
        drop(stores);
        check(&file, offset);
    }
}

#[test]
fn a_thread_that_comes_late_writes_over_nothing() {
    // Everything up to what was asked for; then a write that is too long to be stored, and lies where zeros were to be written.
    for long in [0, 300_000] {
        let Some((file, mut state)) = file_of(2 << 20) else { return };
        let mut offset = 0;
        while state.ready.end - state.ready.start != READY_LEN {
            write(&file, &mut state, offset, 1000, 1);
            offset += 1000;
        }
        // What was asked for ahead by now is given back, and the next request waits for its turn.
        state.start_over();
        (state.count, state.ready) = (COUNT_MIN, offset..offset + 1);
        let (go_on, told) = std::sync::mpsc::channel();
        ASKER.run(move || told.recv().unwrap());
        write(&file, &mut state, offset, 1000, 1);
        offset += 1000;
        assert!(state.ahead.is_some(), "{state:?}");
        while offset + 1000 <= state.ready.end {
            assert!(write(&file, &mut state, offset, 1000, 1));
            offset += 1000;
        }
        if long > 0 {
            assert!(!write(&file, &mut state, offset, long, 1));
            offset += long as u64;
        }
        go_on.send(()).unwrap();
        ASKER.wait();
        check(&file, offset);
    }
}

#[test]
fn what_is_not_begun_is_done_here_or_not_at_all() {
    let Some((file, _)) = file_of(1 << 20) else { return };
    let window = Window::new(&file, 0, WINDOW_LEN).expect("supported");
    let ahead = |fill| {
        let request = Request { pages: window.pages().clone(), ready: 0..READY_LEN, fill };
        let work = Work::Waiting(request, file.try_clone().expect("the system does it"));
        Ahead {
            window: None,
            ready: 0..READY_LEN,
            fill_end: READY_LEN,
            asked_ms: 0,
            work: Arc::new(Mutex::new(work)),
        }
    };
    file.write_all_at(&[1; 100], 0).expect("the system does it");
    let cancelled = ahead(0..READY_LEN);
    let work = cancelled.work.clone();
    assert_eq!(cancelled.cancel(), 0);
    assert!(!Work::carry_out(&work));
    let mut bytes = [0; 100];
    file.read_exact_at(&mut bytes, 0).expect("the system does it");
    assert_eq!(bytes, [1; 100], "cancelled, and done");
    let done = ahead(PAGE_LEN..READY_LEN);
    assert!(done.wait() && done.wait());
    assert_eq!(done.cancel(), READY_LEN);
}

#[test]
fn what_may_not_be_written_is_refused_by_an_error() {
    let Some((file, mut state)) = file_of(1 << 20) else { return };
    (0..20).for_each(|at| _ = write(&file, &mut state, at * 100, 100, 1));
    let read_only = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)))
        .expect("the system does it");
    let mut state = State::default();
    let data = [1; 100];
    (0..40).for_each(|at| assert!(!state.write(&read_only, at * 100, &data, 1)));
    assert!(state.refused);
}
