//! Namespaces with names: what must be true of them, clients that make, rename and drop them, and what an image shows.
//!
//! The general oracle knows namespaces by their ids, which are the user's. Ids of names are the engine's, so that this model
//! stands beside it. Each client is the only one that changes the names of its *group*, so that what its names must be is known
//! at every moment; groups share shards, log and tables. One more group is *raced* for by several clients, and held to the rules
//! that hold whatever the order.
//!
//! | module | what |
//! |---|---|
//! | [`model`] | every namespace that ever was, as a list of states |
//! | [`look`] | all that a database shows of names, checked in itself |
//! | [`client`], [`racer`] | one client with its group; one of several on the same names |
//! | [`life`] | one life of a process; what an image is asked |

pub mod client;
pub mod life;
pub mod look;
pub mod model;
pub mod racer;

use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::spec::Spec;
use crate::world::World;
use bytes::Bytes;
use jdb_base::NsId;
use model::Model;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// What the parties of one timeline with names share.
#[derive(Debug)]
pub struct NamedWorld {
    /// Parameters, counts, the first violation. Its oracle knows of nothing.
    pub world: Rc<World>,
    /// What must be true.
    pub model: RefCell<Model>,
    /// Who works on what.
    pub plan: Rc<Groups>,
}

/// The names of a run.
#[derive(Debug)]
pub struct Groups {
    /// One client each: its names, and an id of the user's.
    pub own: Vec<(Vec<Bytes>, NsId)>,
    /// Names that several clients work on at once.
    pub raced: Vec<Bytes>,
    /// How many do.
    pub racers: usize,
    /// Keys of rows.
    pub keys: Vec<Bytes>,
}

impl Groups {
    fn draw(rng: &mut Rng) -> Self {
        let odd = [b"a".to_vec(), vec![0xff; 1024], b"..\0/".to_vec()];
        let own = (0..rng.within(1..4))
            .map(|group| {
                let mut names: Vec<Bytes> =
                    (0..rng.within(2..5)).map(|i| format!("group {group}/{i}").into()).collect();
                if rng.one_in(3) {
                    names[0] = odd[group as usize].clone().into();
                }
                (names, NsId::from(group))
            })
            .collect();
        Self {
            own,
            raced: (0..3).map(|i| format!("raced/{i}").into()).collect(),
            racers: rng.pick(&[0, 2, 4]),
            keys: (0..rng.within(2..7)).map(|i| format!("key {i}").into()).collect(),
        }
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &Bytes> {
        self.own.iter().flat_map(|(names, _)| names).chain(&self.raced)
    }
}

impl NamedWorld {
    /// The world of run `seed`, of an empty database.
    #[must_use]
    pub fn new(seed: u64, trace: bool) -> Rc<Self> {
        let mut spec = Spec::new(seed, Path::new("/db"));
        let mut rng = Rng::new(seed ^ 0x4a3e);
        spec.names = true;
        spec.ns.clear();
        spec.shards = rng.pick(&[1, 2, 4]);
        let plan = Groups::draw(&mut rng);
        let model = Model::new(plan.own.iter().map(|(_, id)| *id));
        let world = World::new(spec, trace);
        Rc::new(Self { world, model: RefCell::new(model), plan: Rc::new(plan) })
    }

    /// The world of an image of this one's disk.
    #[must_use]
    pub fn fork(&self, model: Model) -> Rc<Self> {
        let world = self.world.fork(Oracle::new(0, usize::from(self.world.spec.shards)));
        Rc::new(Self { world, model: RefCell::new(model), plan: Rc::clone(&self.plan) })
    }
}
