//! Threads of the process for small things that need nothing of the engine and take long.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after the other, started for the first. It lives as long as the process.
#[derive(Debug)]
pub(super) struct Elsewhere {
    name: &'static str,
    /// `None` inside when the system had no thread to give.
    sender: OnceLock<Option<Sender<Work>>>,
}

impl Elsewhere {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, sender: OnceLock::new() }
    }

    /// Does it there; here, if there is no such thread.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let work: Work = Box::new(work);
        let Some(sender) = self.sender() else { return work() };
        // What cannot be sent comes back in the error.
        if let Err(back) = sender.send(work) {
            back.0();
        }
    }

    /// Whether there is such a thread, or can be.
    pub(super) fn is_there(&self) -> bool {
        self.sender().is_some()
    }

    /// Waits until everything is done that was given to it before. Blocks.
    pub(super) fn wait(&self) {
        if let Some(Some(_)) = self.sender.get() {
            let (sender, turn) = channel();
            // Nobody may be waiting any more.
            self.run(move || sender.send(()).unwrap_or_default());
            turn.recv().unwrap_or_default();
        }
    }

    fn sender(&self) -> Option<&Sender<Work>> {
        let sender = self.sender.get_or_init(|| {
            let (sender, works) = channel::<Work>();
            let thread = std::thread::Builder::new().name(self.name.to_owned());
            thread.spawn(move || works.into_iter().for_each(|work| work())).is_ok().then_some(sender)
        });
        sender.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn things_are_done_in_their_order_and_waited_for_and_here_when_the_thread_is_gone() {
        static THREAD: Elsewhere = Elsewhere::new("jdb-test");
        static DONE: Mutex<Vec<(u32, bool)>> = Mutex::new(Vec::new());
        let here = std::thread::current().id();
        let note = move |n| DONE.lock().unwrap().push((n, std::thread::current().id() == here));
        THREAD.wait();
        (0..100).for_each(|n| THREAD.run(move || note(n)));
        THREAD.wait();
        assert!(THREAD.is_there());
        assert_eq!(*DONE.lock().unwrap(), (0..100).map(|n| (n, false)).collect::<Vec<_>>());
        THREAD.run(|| panic!("a test's"));
        THREAD.wait();
        THREAD.run(move || note(100));
        assert_eq!(DONE.lock().unwrap().last(), Some(&(100, true)));
    }
}
