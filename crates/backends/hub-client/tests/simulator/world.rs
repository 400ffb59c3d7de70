//! A world: a device, a hub and its clients, drawn from a seed.

use crate::client::{self, Manner};
use crate::reference::{Book, Heard, compare};
use barewire_hub::{Hub, Options};
use barewire_rt::{Role, System};
use barewire_testkit::BatonSystem;
use barewire_types::{Ns, SampleFormat};
use barewire_virtual::{Description, Sink, Source, VirtualBackend};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What one of the clients does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    Stall,
    Die,
    Flood,
    Scribble,
}

impl Trouble {
    pub const ALL: [Self; 5] = [Self::None, Self::Stall, Self::Die, Self::Flood, Self::Scribble];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| format!("{trouble:?}").eq_ignore_ascii_case(name))
    }
}

#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

pub struct World {
    pub system: Arc<dyn System>,
    pub hub: Arc<Hub>,
    pub heard: Arc<Heard>,
    pub book: Book,
    pub block_frames: u32,
    pub joins: AtomicU64,
    complaints: Mutex<Vec<String>>,
}

impl World {
    /// A hub over the virtual device; whoever is in trouble never leads, save while it is alone.
    pub fn new(
        system: Arc<dyn System>,
        heard: Arc<Heard>,
        description: Description,
        block_frames: u32,
        taps: bool,
    ) -> Arc<Self> {
        let options = Options {
            system: system.clone(),
            backends: vec![Arc::new(VirtualBackend::new(system.clone(), vec![description]))],
            wanted: Arc::new(|device| device.is_default),
            leader: Some("client".to_owned()),
            taps,
            most_clients: 16,
        };
        let hub = Hub::new(options).unwrap();
        let (book, joins, complaints) = (Book::default(), AtomicU64::new(0), Mutex::default());
        Arc::new(Self { system, hub, heard, book, block_frames, joins, complaints })
    }

    /// What was wrong so far.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    pub fn period_ns(&self) -> Ns {
        u64::from(self.block_frames) * 1_000_000_000 / 48_000
    }

    pub fn complain(&self, text: String) {
        self.complaints.lock().unwrap().push(text);
    }
}

#[derive(Debug)]
pub struct Outcome {
    pub hash: u64,
    pub cycles: u64,
    pub frames: u64,
    pub joins: u64,
    pub lates: u64,
    pub faults: Vec<String>,
}

/// The device has so many periods of silence before it runs.
pub const PREFILL_PERIODS: u32 = 2;

pub fn device(heard: &Arc<Heard>, random: &mut Random, calm: bool) -> Description {
    let heard = heard.clone();
    let sink = Sink::Call(Arc::new(move || {
        let heard = heard.clone();
        let mut openings = heard.openings.lock().unwrap();
        openings.push(Vec::new());
        let opening = openings.len() - 1;
        drop(openings);
        Box::new(move |position, bytes: &[u8]| heard.take(opening, position, bytes))
    }));
    let mut description = Description {
        formats: vec![SampleFormat::INT32],
        prefill_periods: PREFILL_PERIODS,
        sink,
        source: Source::Counter,
        ..Description::default()
    };
    // Wake-ups that come late by up to 100 µs; clients in trouble have trouble enough.
    description.script.seed = random.below(1 << 30);
    description.script.jitter_ns = if calm { random.below(100_000) } else { 0 };
    description
}

pub fn run(seed: u64, trouble: Trouble) -> Outcome {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ trouble as u64);
    let baton = BatonSystem::new(seed);
    let system: Arc<dyn System> = baton.clone();
    let heard = Arc::new(Heard::default());
    let block_frames = [16, 32, 48, 64, 128][random.below(5) as usize];
    let description = device(&heard, &mut random, trouble == Trouble::None);
    let world = World::new(system.clone(), heard, description, block_frames, false);
    let honest = 1 + random.below(8) as u32;
    for number in 1..=honest {
        let (its, random) = (world.clone(), Random(random.below(1 << 31) << 20 | 1));
        let body = Box::new(move || client::honest(&its, number, random));
        drop(system.spawn(&format!("client {number}"), Role::Helper, body).unwrap());
    }
    if trouble != Trouble::None {
        let (its, random) = (world.clone(), Random(random.below(1 << 31) << 20 | 1));
        let body = Box::new(move || match trouble {
            Trouble::Stall => client::troubled(&its, 99, random, &Manner::Stall),
            Trouble::Die => client::troubled(&its, 99, random, &Manner::Die),
            Trouble::Scribble => client::troubled(&its, 99, random, &Manner::Scribble),
            Trouble::Flood => client::flood(&its, 99, random),
            Trouble::None => {}
        });
        drop(system.spawn("trouble", Role::Helper, body).unwrap());
    }
    let (figures, ended) = watch(&world, &baton);
    let mut faults = world.complaints();
    if !ended {
        faults.push("the world does not end".to_owned());
    }
    let ahead = u64::from(block_frames * PREFILL_PERIODS);
    let checks_troubled = matches!(trouble, Trouble::Stall | Trouble::Die);
    let block = u64::from(block_frames);
    let (frames, wrong) = compare(&world.heard, &world.book, ahead, block, checks_troubled);
    faults.extend(wrong);
    if figures.xruns > 0 {
        faults.push(format!("{} xruns", figures.xruns));
    }
    if figures.overstay_ns > 0 {
        faults.push(format!("the hub waited {} ns past a deadline", figures.overstay_ns));
    }
    if figures.honest_lates > 0 {
        faults.push(format!("honest clients were late {} times", figures.honest_lates));
    }
    let frames_of = |blocks: &[Vec<[i32; 2]>]| blocks.iter().map(Vec::len).sum::<usize>() as u64;
    let cycles = frames_of(&world.heard.openings.lock().unwrap()) / block;
    let joins = world.joins.load(Ordering::Relaxed);
    Outcome { hash: baton.hash(), cycles, frames, joins, lates: figures.lates, faults }
}

#[derive(Default)]
struct Figures {
    xruns: u64,
    lates: u64,
    honest_lates: u64,
    overstay_ns: u64,
}

/// Looks at the hub as its own command does, until all clients have gone.
fn watch(world: &World, baton: &Arc<BatonSystem>) -> (Figures, bool) {
    let mut figures = Figures::default();
    for _ in 0..20_000 {
        let report = world.hub.report();
        figures.xruns = figures.xruns.max(report.xruns);
        figures.lates = figures.lates.max(report.lates);
        figures.overstay_ns = figures.overstay_ns.max(report.longest_overstay_ns);
        let honest = report.clients.iter().filter(|client| client.who.process != 99);
        figures.honest_lates = figures.honest_lates.max(honest.map(|client| client.lates).sum());
        // The device thread of a hub without clients has ended too.
        if baton.finish(2_000_000) {
            return (figures, true);
        }
    }
    (figures, false)
}
