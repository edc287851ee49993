//! What holds a descriptor and may be opened again: the least recently used goes when there are too many, over all shards.
//!
//! An owner (a table, a segment of the log) keeps a [`Held`]: its place here, empty or not. It fills the place when it has
//! opened its file and asks the place at each use. What is evicted is only let go: whoever uses it at that moment keeps it
//! open until done, and its owner finds it again as long as somebody does. So at most the cap, and those in use, are open,
//! and never two of one owner.
//!
//! Used least recently is decided by CLOCK: a use sets a bit, a hand that goes round takes the first without it and clears
//! the bits on its way.
//!
//! Invariants
//! - A place is taken by one [`Held`] at a time; its generation tells it from those before.
//! - Nothing is dropped while the places are borrowed: what is dropped may have places of its own.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

/// Open things, at most so many and at most so many bytes of them. One thread; share it in an `Rc`.
///
/// ```
/// # use jdb_io::handles::{Handles, Held};
/// # use std::rc::Rc;
/// let handles = Rc::new(Handles::new(2, 1 << 20));
/// let [a, b, c] = [(); 3].map(|()| Held::new(&handles));
/// a.put(Rc::new("file a"), 100);
/// b.put(Rc::new("file b"), 100);
/// assert_eq!(a.get().as_deref(), Some(&"file a"));
/// c.put(Rc::new("file c"), 100); // one too many
/// assert_eq!((handles.count(), handles.len()), (2, 200));
/// ```
pub struct Handles {
    places: RefCell<Places>,
    count_max: usize,
    len_max: usize,
    opened: Cell<u64>,
    evicted: Cell<u64>,
}

#[derive(Default)]
struct Places {
    places: Vec<Place>,
    /// Those of `places` that nobody has.
    free: Vec<u32>,
    hand: usize,
    len: usize,
}

#[derive(Default)]
struct Place {
    /// Goes up each time the place is given up.
    generation: u32,
    used: bool,
    len: usize,
    thing: Option<Rc<dyn Any>>,
}

/// Where a thing is kept.
#[derive(Clone, Copy, Debug)]
struct At {
    index: u32,
    generation: u32,
}

impl Handles {
    /// Room for `count_max` things, at least one, that weigh `len_max` bytes together. A single heavier one is kept alone.
    #[must_use]
    pub fn new(count_max: usize, len_max: usize) -> Self {
        let count_max = count_max.clamp(1, u32::MAX as usize);
        Self { places: RefCell::default(), count_max, len_max, opened: Cell::new(0), evicted: Cell::new(0) }
    }

    /// Things kept open.
    #[must_use]
    pub fn count(&self) -> usize {
        let places = self.places.borrow();
        places.places.len() - places.free.len()
    }

    /// Bytes that they weigh.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.borrow().len
    }

    /// Whether nothing is kept open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The most things kept open.
    #[must_use]
    pub fn count_max(&self) -> usize {
        self.count_max
    }

    /// How often something was put here.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// How often something was let go to make room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.get()
    }

    /// Sets the bit of a place; false when it is another's by now.
    #[inline]
    fn touch(&self, at: At) -> bool {
        let places = &mut *self.places.borrow_mut();
        places.get(at).map(|place| place.used = true).is_some()
    }

    fn put(&self, thing: Rc<dyn Any>, len: usize) -> At {
        self.make_room(1, len);
        self.opened.set(self.opened.get() + 1);
        let places = &mut *self.places.borrow_mut();
        places.len += len;
        let index = places.free.pop().unwrap_or_else(|| {
            places.places.push(Place::default());
            (places.places.len() - 1) as u32
        });
        // Not yet used again. The hand stands right behind the place that was made free, so it has a whole round.
        let generation = places.places.get_mut(index as usize).map_or(0, |place| {
            (place.used, place.len, place.thing) = (false, len, Some(thing));
            place.generation
        });
        At { index, generation }
    }

    /// Takes note of another weight.
    fn weigh(&self, at: At, len: usize) {
        {
            let places = &mut *self.places.borrow_mut();
            let Some(place) = places.get(at) else { return };
            let before = std::mem::replace(&mut place.len, len);
            // Used just now: others go first.
            place.used = true;
            places.len = places.len - before + len;
        }
        self.make_room(0, 0);
    }

    /// Evicts until `count` more things of `len` bytes fit, or there is at most one left that is too heavy.
    fn make_room(&self, count: usize, len: usize) {
        loop {
            let evicted = {
                let places = &mut *self.places.borrow_mut();
                let held = places.places.len() - places.free.len();
                let too_heavy = places.len.saturating_add(len) > self.len_max && held + count > 1;
                if held == 0 || (held + count <= self.count_max && !too_heavy) {
                    return;
                }
                places.evict()
            };
            self.evicted.set(self.evicted.get() + 1);
            drop(evicted);
        }
    }

    fn remove(&self, at: At) {
        let removed = {
            let places = &mut *self.places.borrow_mut();
            if places.get(at).is_some() { places.give_up(at.index as usize) } else { None }
        };
        drop(removed);
    }
}

impl Places {
    #[inline]
    fn get(&mut self, at: At) -> Option<&mut Place> {
        let place = self.places.get_mut(at.index as usize)?;
        (place.generation == at.generation && place.thing.is_some()).then_some(place)
    }

    /// Lets the next one go that was not used since the hand came by. There is one.
    fn evict(&mut self) -> Option<Rc<dyn Any>> {
        loop {
            let index = self.hand;
            self.hand = (index + 1) % self.places.len().max(1);
            let place = self.places.get_mut(index)?;
            if place.thing.is_some() && !std::mem::take(&mut place.used) {
                return self.give_up(index);
            }
        }
    }

    fn give_up(&mut self, index: usize) -> Option<Rc<dyn Any>> {
        let place = self.places.get_mut(index)?;
        let thing = place.thing.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.len -= std::mem::take(&mut place.len);
        self.free.push(index as u32);
        Some(thing)
    }
}

impl Default for Handles {
    /// Room for 256 things of any weight.
    fn default() -> Self {
        Self::new(256, usize::MAX)
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles")
            .field("count", &self.count())
            .field("count_max", &self.count_max)
            .field("len", &self.len())
            .field("len_max", &self.len_max)
            .finish_non_exhaustive()
    }
}

/// An owner's place for the one thing that it opens. Dropped, it gives the place up: the thing closes unless it is in use.
pub struct Held<T> {
    handles: Rc<Handles>,
    at: Cell<Option<At>>,
    len: Cell<usize>,
    /// The thing: alive while it is kept there, or used by somebody.
    thing: RefCell<Weak<T>>,
}

impl<T: 'static> Held<T> {
    /// An empty place. Cost: no allocation, nothing in `handles`.
    #[must_use]
    pub fn new(handles: &Rc<Handles>) -> Self {
        Self { handles: handles.clone(), at: Cell::new(None), len: Cell::new(0), thing: RefCell::default() }
    }

    /// The thing, if it is open, noted as used. Cost: a few loads and stores, no hash, no allocation.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<Rc<T>> {
        let at = self.at.get()?;
        let thing = self.thing.borrow().upgrade();
        if thing.is_some() && self.handles.touch(at) {
            return thing;
        }
        self.again(thing)
    }

    /// Keeps `thing`, which weighs `len` bytes, and gives it back; or what another task has put here meanwhile: the first
    /// one stays.
    pub fn put(&self, thing: Rc<T>, len: usize) -> Rc<T> {
        if let Some(first) = self.get() {
            return first;
        }
        self.len.set(len);
        self.keep(thing)
    }

    /// Corrects the weight of what is kept, in bytes; others are let go when it is too much now.
    pub fn weigh(&self, len: usize) {
        if let Some(at) = self.at.get() {
            self.len.set(len);
            self.handles.weigh(at, len);
        }
    }

    /// What is kept weighs this, in bytes.
    #[inline]
    #[must_use]
    pub fn weight(&self) -> usize {
        self.len.get()
    }

    /// Gives the place up: who uses the thing keeps it, nobody finds it here any more.
    pub fn clear(&self) {
        if let Some(at) = self.at.take() {
            self.handles.remove(at);
        }
        *self.thing.borrow_mut() = Weak::new();
    }

    /// Whether the thing is open, without using it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.thing.borrow().strong_count() > 0
    }

    /// It was evicted: kept again when somebody still uses it, forgotten with its memory otherwise.
    #[cold]
    fn again(&self, thing: Option<Rc<T>>) -> Option<Rc<T>> {
        self.clear();
        Some(self.keep(thing?))
    }

    fn keep(&self, thing: Rc<T>) -> Rc<T> {
        *self.thing.borrow_mut() = Rc::downgrade(&thing);
        self.at.set(Some(self.handles.put(thing.clone(), self.len.get())));
        thing
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(at) = self.at.get() {
            self.handles.remove(at);
        }
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("at", &self.at.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
