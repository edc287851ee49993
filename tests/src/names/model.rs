//! Every namespace that ever was: the states it went through, and how far they are promised.
//!
//! All that decides over a namespace, its rows and its hidden row, lies in one log. So after a crash it is as it was at some
//! moment between what was promised and what was begun, whatever becomes of the others.

use super::look::Found;
use crate::broken;
use crate::oracle::{After, show, show_value};
use crate::violation::Check;
use bytes::Bytes;
use jdb_base::{Class, NsId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a namespace is at one moment; the default is nothing: not made yet, or dropped.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct State {
    /// The name that it has.
    pub name: Option<Bytes>,
    /// Its rows.
    pub rows: BTreeMap<Bytes, Bytes>,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().map_or("no name".into(), |name| show(name));
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(key, value)| format!("{}={}", show(key), show_value(Some(value))))
            .collect();
        write!(f, "{name} [{}]", rows.join(" "))
    }
}

/// A namespace by its place in the model.
pub type Place = usize;

/// One namespace from its making to its end.
#[derive(Clone, Debug)]
struct Space {
    /// `None` while nobody has been told.
    id: Option<NsId>,
    /// In the order in which its client caused them; the last one may be under way.
    states: Vec<State>,
    /// Index of the newest state that was acknowledged.
    acknowledged: usize,
    /// Index of the newest state that was promised to survive a power cut.
    durable: usize,
}

impl Space {
    fn settled(id: NsId, state: State) -> Self {
        Self { id: Some(id), states: vec![state], acknowledged: 0, durable: 0 }
    }

    fn last(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    fn promised(&self, after: After) -> usize {
        match after {
            After::Damage => 0,
            After::PowerCut => self.durable,
            After::Kill => self.acknowledged,
        }
    }
}

/// How far everything is acknowledged.
#[derive(Debug)]
pub struct Marks {
    acknowledged: Vec<usize>,
    dropped: Vec<NsId>,
}

/// The model of one timeline of one database.
#[derive(Clone, Debug)]
pub struct Model {
    spaces: Vec<Space>,
    /// Ids that groups were given, in all lives.
    ids: BTreeSet<NsId>,
    /// Ids of raced names that were seen.
    raced: BTreeSet<NsId>,
    /// Those whose drop was acknowledged, and whether it survives a power cut.
    dropped: BTreeMap<NsId, bool>,
    /// Names that had a namespace.
    used: BTreeSet<Bytes>,
}

impl Model {
    /// The model of an empty database in which these ids of the user's are written to; their places are 0, 1 and so on.
    #[must_use]
    pub fn new(plain: impl Iterator<Item = NsId>) -> Self {
        Self {
            spaces: plain.map(|id| Space::settled(id, State::default())).collect(),
            ids: BTreeSet::new(),
            raced: BTreeSet::new(),
            dropped: BTreeMap::new(),
            used: BTreeSet::new(),
        }
    }

    /// What has this name.
    #[must_use]
    pub fn named(&self, name: &Bytes) -> Option<Place> {
        self.spaces.iter().rposition(|space| space.last().name.as_ref() == Some(name))
    }

    /// What a namespace is.
    #[must_use]
    pub fn state(&self, place: Place) -> &State {
        self.spaces[place].last()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self, place: Place) -> Option<NsId> {
        self.spaces[place].id
    }

    /// All ids that were ever told.
    pub fn told(&self) -> impl Iterator<Item = NsId> {
        self.spaces.iter().filter_map(|space| space.id).chain(self.raced.iter().copied())
    }

    /// Ids of raced names whose drop was acknowledged.
    #[must_use]
    pub fn dropped(&self) -> BTreeSet<NsId> {
        self.dropped.keys().copied().collect()
    }

    /// A namespace is about to be made; true: of a name that had one before.
    pub fn create(&mut self, state: State) -> (Place, bool) {
        let again = state.name.as_ref().is_some_and(|name| self.used.contains(name));
        self.used.extend(state.name.clone());
        let states = vec![State::default(), state];
        self.spaces.push(Space { id: None, states, acknowledged: 0, durable: 0 });
        (self.spaces.len() - 1, again)
    }

    /// A namespace is about to become this.
    pub fn begin(&mut self, place: Place, state: State) {
        self.used.extend(state.name.clone());
        self.spaces[place].states.push(state);
    }

    /// What was begun last of a namespace was answered.
    pub fn acknowledged(&mut self, place: Place, durable: bool) {
        let space = &mut self.spaces[place];
        space.acknowledged = space.states.len() - 1;
        if durable {
            space.durable = space.acknowledged;
        }
    }

    /// A namespace that was made has this id.
    ///
    /// # Errors
    /// Another one has it, or had it.
    pub fn tell(&mut self, place: Place, id: NsId) -> Check {
        let space = &mut self.spaces[place];
        match space.id {
            Some(known) if known == id => return Ok(()),
            Some(known) => broken!("{}: its id was {known:?} and is {id:?}", space.last()),
            None => space.id = Some(id),
        }
        if id.class() != Class::Named || id.id() == 0 {
            broken!("{}: {id:?} is no id of a name", space.last());
        }
        if !self.ids.insert(id) || self.raced.contains(&id) {
            broken!("an id is used again: {id:?} for {}", self.spaces[place].last());
        }
        Ok(())
    }

    /// A raced name leads to this id, or did a moment ago.
    ///
    /// # Errors
    /// A group has it.
    pub fn saw(&mut self, id: NsId) -> Check {
        if self.ids.contains(&id) {
            broken!("an id is used again: {id:?} for a raced name");
        }
        self.raced.insert(id);
        Ok(())
    }

    /// The drop of a raced name's namespace was acknowledged: nothing brings it back.
    pub fn drop_acknowledged(&mut self, id: NsId, durable: bool) {
        *self.dropped.entry(id).or_default() |= durable;
    }

    /// What is acknowledged now.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks {
            acknowledged: self.spaces.iter().map(|space| space.acknowledged).collect(),
            dropped: self.dropped.keys().copied().collect(),
        }
    }

    /// Everything up to `marks` survives a power cut.
    pub fn made_durable(&mut self, marks: &Marks) {
        for (space, &acknowledged) in self.spaces.iter_mut().zip(&marks.acknowledged) {
            space.durable = space.durable.max(acknowledged);
        }
        for id in &marks.dropped {
            self.dropped.insert(*id, true);
        }
    }

    /// What a database shows is the model: each namespace at a moment between what was promised and what was begun.
    ///
    /// # Errors
    /// A namespace that is as it never was, or was before what was promised; one that nobody made.
    pub fn check(&self, found: &Found, raced: &[Bytes], after: After) -> Check {
        self.settle(found, raced, after).map(drop)
    }

    /// [`Model::check`], and the model that goes on from what is shown.
    ///
    /// # Errors
    /// Those of [`Model::check`].
    pub fn settle(&self, found: &Found, raced: &[Bytes], after: After) -> Check<Self> {
        let mut settled = Self { spaces: Vec::new(), ..self.clone() };
        let nothing = State::default();
        for space in &self.spaces {
            let Some(id) = space.id else { continue };
            let state = found.states.get(&id).unwrap_or(&nothing);
            if !space.states[space.promised(after)..].contains(state) {
                broken!("{}", explain(space, id, state, after));
            }
            settled.spaces.push(Space::settled(id, state.clone()));
        }
        for (&id, &durable) in &self.dropped {
            let state = found.states.get(&id).unwrap_or(&nothing);
            if *state == nothing {
                settled.dropped.insert(id, true);
            } else if durable || after == After::Kill {
                broken!("{id:?} of a raced name was dropped and is {state}");
            } else {
                settled.dropped.remove(&id);
            }
        }
        // At most one of a group was under way.
        let mut unknown: Vec<&Space> = self.spaces.iter().filter(|space| space.id.is_none()).collect();
        for (name, id) in &found.names {
            if self.ids.contains(id) {
                continue;
            }
            let state = found.states.get(id).unwrap_or(&nothing);
            if raced.contains(name) {
                settled.raced.insert(*id);
            } else if let Some(at) = unknown.iter().position(|space| space.states[1..].contains(state))
                && !self.raced.contains(id)
            {
                unknown.remove(at);
                settled.ids.insert(*id);
                settled.spaces.push(Space::settled(*id, state.clone()));
            } else {
                broken!("{id:?} is {state}, which nobody made");
            }
        }
        Ok(settled)
    }
}

fn explain(space: &Space, id: NsId, state: &State, after: After) -> String {
    let from = space.promised(after);
    let was = match space.states[..from].iter().rposition(|earlier| earlier == state) {
        Some(at) => format!("was so {} changes before what was promised", from - at),
        None => "was never so".into(),
    };
    let may: Vec<_> = space.states[from..].iter().map(ToString::to_string).collect();
    format!("{id:?} is {state} and {was}; after {after:?} it may be: {}", may.join(" | "))
}
