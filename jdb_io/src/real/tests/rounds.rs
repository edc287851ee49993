//! Who has a turn when in a runtime of ours.

use super::*;

#[test]
fn whoever_waits_has_its_turn_soon_beside_tasks_that_keep_waking_themselves() {
    for (driver, runtime) in runtimes() {
        let runs = Rc::new(Cell::new(0u32));
        runtime.block_on(async {
            let busy: Vec<_> = (0..100)
                .map(|_| {
                    let runs = Rc::clone(&runs);
                    compio::runtime::spawn(async move {
                        loop {
                            runs.set(runs.get() + 1);
                            task::yield_now().await;
                        }
                    })
                })
                .collect();
            for _ in 0..50 {
                let before = runs.get();
                task::yield_now().await;
                assert!(runs.get() - before <= 4, "{driver:?}: {} runs", runs.get() - before);
            }
            assert!(runs.get() >= 50, "they have their share, too");
            drop(busy);
        });
    }
}
