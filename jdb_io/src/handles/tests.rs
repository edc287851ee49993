use super::*;

/// Says how many of its kind are open.
struct Open(u32, Rc<Cell<usize>>);

impl Open {
    fn new(number: u32, open: &Rc<Cell<usize>>) -> Rc<Self> {
        open.set(open.get() + 1);
        Rc::new(Self(number, open.clone()))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn never_more_open_than_the_cap_and_those_in_use() {
    for (count_max, len_max) in [(1, usize::MAX), (2, usize::MAX), (7, 100), (64, 1), (256, 5000)] {
        let handles = Rc::new(Handles::new(count_max, len_max));
        let open = Rc::new(Cell::new(0));
        let owners: Vec<_> = (0..3000).map(|_| Held::<Open>::new(&handles)).collect();
        let (mut seed, mut in_use) = (1, Vec::new());
        for step in 0..50_000 {
            let number = next(&mut seed) as usize % 3000;
            let len = next(&mut seed) as usize % 60;
            let owner = &owners[number];
            let case = format!("cap {count_max}, {len_max} bytes, step {step}");
            let thing = owner.get().unwrap_or_else(|| owner.put(Open::new(number as u32, &open), len));
            assert_eq!(thing.0, number as u32, "{case}");
            match next(&mut seed) % 20 {
                0 => in_use.push(thing),
                1 => in_use.clear(),
                2 => owner.weigh(len),
                3 => owner.clear(),
                _ => {}
            }
            assert!(handles.count() <= count_max, "{case}");
            assert!(handles.len() <= len_max || handles.count() == 1, "{case}: {} bytes", handles.len());
            assert!(open.get() <= handles.count() + in_use.len() + 1, "{case}: {} open", open.get());
        }
        assert!(handles.evicted() > 1000, "{handles:?}");
        drop((in_use, owners));
        assert_eq!((handles.count(), handles.len(), open.get()), (0, 0, 0), "cap {count_max}");
    }
}

#[test]
fn what_is_used_often_outlives_what_is_used_once() {
    let handles = Rc::new(Handles::new(20, usize::MAX));
    let [often, once] = [10, 10_000].map(|n| (0..n).map(|_| Held::new(&handles)).collect::<Vec<_>>());
    often.iter().for_each(|owner| drop(owner.put(Rc::new(()), 1)));
    for (i, owner) in once.iter().enumerate() {
        owner.put(Rc::new(()), 1);
        assert!(often[i % 10].get().is_some(), "{i} was let go");
    }
}

#[test]
fn evicted_while_in_use_is_found_again_with_its_weight() {
    let handles = Rc::new(Handles::new(1, usize::MAX));
    let [a, b] = [(); 2].map(|()| Held::new(&handles));
    let used = a.put(Rc::new("a"), 10);
    drop(b.put(Rc::new("b"), 20));
    assert_eq!((handles.count(), handles.len()), (1, 20));
    let again = a.get().unwrap();
    assert!(Rc::ptr_eq(&used, &again), "opened twice");
    assert_eq!((handles.count(), handles.len(), b.is_open()), (1, 10, false));
    drop((used, again));
    assert_eq!(a.get().as_deref(), Some(&"a"), "kept again");
    assert!(b.get().is_none());
}

#[test]
fn of_two_that_opened_at_once_the_first_stays() {
    let handles = Rc::new(Handles::new(4, usize::MAX));
    let owner = Held::new(&handles);
    let first = owner.put(Rc::new(1), 5);
    let second = owner.put(Rc::new(2), 7);
    assert!(Rc::ptr_eq(&first, &second));
    assert_eq!((handles.count(), handles.len(), owner.weight()), (1, 5, 5));
}

#[test]
fn a_place_given_up_is_not_found_under_its_next_owner() {
    let handles = Rc::new(Handles::new(4, usize::MAX));
    let [a, b] = [(); 2].map(|()| Held::new(&handles));
    let used = a.put(Rc::new("a"), 1);
    a.clear();
    assert!(a.get().is_none(), "removed, though somebody uses it");
    b.put(Rc::new("b"), 2);
    a.weigh(1000);
    assert!(a.get().is_none());
    assert_eq!((b.get().as_deref(), handles.len()), (Some(&"b"), 2));
    drop((a, b, used));
    assert!(handles.is_empty());
}

#[test]
fn what_is_dropped_may_have_places_of_its_own() {
    let handles = Rc::new(Handles::new(3, usize::MAX));
    let outer: Vec<_> = (0..10).map(|_| Held::new(&handles)).collect();
    for owner in &outer {
        let inner = Held::new(&handles);
        inner.put(Rc::new(0), 1);
        owner.put(Rc::new(inner), 1);
        assert!(handles.count() <= 3);
    }
    drop(outer);
    assert!(handles.is_empty());
}
