//! The datagrams of one slice: planned and encoded before the slice begins, laid out in the order in which they leave.
//!
//! A slice is cut in steps. What is due within a step leaves together at its end, so datagrams need no sorting by time:
//! they are put in their step's memory, and within a step those of a socket stand one behind the other. All memory is
//! filled again for a later slice.

use crate::crowd::{Batch, Planner, SLICE_US, Section, Slice, SlicePlan, Tap};
use std::ops::Range;
use std::time::Duration;
use uproar_wire::reaction::{self, HEADER_LEN, RECORD_LEN, Record};
use uproar_wire::{ClientId, RoomId};

/// Steps of a slice.
pub(super) const STEPS: usize = 10;
/// Length of a step in microseconds.
pub(super) const STEP_US: u32 = SLICE_US / STEPS as u32;

const _: () = assert!(STEP_US as usize * STEPS == SLICE_US as usize);

/// Datagrams that are looked at together, so that long steps are not looked through again and again.
const RUN_MAX: usize = 512;
/// Client ids of gateways, who send for many, are from here on. Below are people, who send for themselves.
const GATEWAYS: u64 = 1 << 63;

/// What one thread plays: its sections, those of a socket one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Itinerary {
    sections: Vec<Seat>,
    records_max: usize,
}

/// A section and where it sends from.
#[derive(Clone, Debug)]
struct Seat {
    section: Section,
    socket: usize,
}

impl Itinerary {
    /// No sections; datagrams of at most `records_max` records.
    pub(super) fn new(records_max: usize) -> Self {
        Self { sections: Vec::new(), records_max }
    }

    /// Adds a section that sends from a socket: the last one's or a new one.
    pub(super) fn add(&mut self, section: Section, socket: usize) {
        debug_assert!(self.sections.last().is_none_or(|last| last.socket <= socket));
        self.sections.push(Seat { section, socket });
    }

    /// How many sections.
    pub(super) fn len(&self) -> usize {
        self.sections.len()
    }

    /// The room of a section, by its place in the scenario.
    pub(super) fn room(&self, section: u32) -> usize {
        self.sections[section as usize].section.room
    }

    /// The people of a section, whom nobody else plays.
    pub(super) fn people(&self, section: u32) -> &Range<u32> {
        &self.sections[section as usize].section.people
    }

    /// The socket of a section.
    pub(super) fn socket(&self, section: u32) -> usize {
        self.sections[section as usize].socket
    }
}

/// One datagram that waits for its moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departure {
    /// When it is due, after the start of the slice.
    due_us: u32,
    /// Whose it is, in the itinerary.
    pub(super) section: u32,
    /// Its first tap in the section's plan.
    first: u32,
    /// Its records.
    records: u16,
}

impl Departure {
    /// One with so many records, of whichever section.
    #[cfg(test)]
    pub(super) fn of(records: u16) -> Self {
        Self { due_us: 0, section: 0, first: 0, records }
    }

    /// Bytes of the datagram.
    pub(super) fn len(&self) -> usize {
        HEADER_LEN + usize::from(self.records) * RECORD_LEN
    }
}

/// The datagrams that leave together at the end of a step.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// One behind the other, in the order of `departures`.
    bytes: Vec<u8>,
    departures: Vec<Departure>,
}

/// Datagrams of one step and one socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) departures: &'a [Departure],
}

/// The datagrams of one slice.
#[derive(Debug)]
pub(super) struct Agenda {
    slice: Slice,
    plans: Vec<SlicePlan>,
    steps: [Step; STEPS],
    /// A datagram's records, on their way to its bytes.
    records: Vec<Record>,
}

impl Agenda {
    /// An empty one.
    pub(super) fn new(itinerary: &Itinerary) -> Self {
        Self {
            slice: Slice(0),
            plans: vec![SlicePlan::default(); itinerary.len()],
            steps: Default::default(),
            records: Vec::new(),
        }
    }

    /// Forgets everything and begins another slice, of which [`Self::plan`] plans section by section, in order.
    pub(super) fn begin(&mut self, slice: Slice) {
        self.slice = slice;
        for step in &mut self.steps {
            step.bytes.clear();
            step.departures.clear();
        }
    }

    /// Plans some sections of the slice, at which `planner` must stand.
    pub(super) fn plan(
        &mut self,
        sections: Range<usize>,
        itinerary: &Itinerary,
        planner: &Planner,
        room: impl Fn(usize) -> RoomId,
    ) {
        for at in sections {
            let section = &itinerary.sections[at].section;
            let mut plan = std::mem::take(&mut self.plans[at]);
            planner.plan(section, itinerary.records_max, &mut plan);
            let (mut first, room) = (0, room(section.room));
            for batch in plan.batches() {
                let client = client(section, itinerary.records_max, batch.taps);
                self.add(at as u32, first, &batch, room, client);
                first += batch.taps.len() as u32;
            }
            self.plans[at] = plan;
        }
    }

    fn add(&mut self, section: u32, first: u32, batch: &Batch<'_>, room: RoomId, client: ClientId) {
        let due_us = batch.due.saturating_sub(self.slice.starts_at()).as_micros() as u32;
        self.records.clear();
        self.records.extend(batch.taps.iter().map(|tap| Record { emoji: tap.emoji, count: tap.count }));
        let step = &mut self.steps[((due_us / STEP_US) as usize).min(STEPS - 1)];
        reaction::encode(room, client, &self.records, &mut step.bytes);
        step.departures.push(Departure { due_us, section, first, records: batch.taps.len() as u16 });
    }

    /// The moment of the end of a step, from the start of the match.
    pub(super) fn ends_at(&self, step: usize) -> Duration {
        self.slice.starts_at() + Duration::from_micros(u64::from(STEP_US) * (step as u64 + 1))
    }

    /// Datagrams of a step.
    pub(super) fn len(&self, step: usize) -> usize {
        self.steps[step].departures.len()
    }

    /// The datagrams of a step from number `from` on, which are `bytes_from` into its bytes, as far as they leave from
    /// the same socket.
    pub(super) fn run(&self, step: usize, from: usize, bytes_from: usize, itinerary: &Itinerary) -> Run<'_> {
        let (step, socket) = (&self.steps[step], itinerary.socket(self.steps[step].departures[from].section));
        let departures = &step.departures[from..];
        let departures = &departures[..departures.len().min(RUN_MAX)];
        // Sections of a socket are neighbours, and a section has many datagrams: asked once for each section.
        let run = departures.chunk_by(|a, b| a.section == b.section);
        let count = run.take_while(|same| itinerary.socket(same[0].section) == socket).map(<[_]>::len).sum();
        Run { bytes: &step.bytes[bytes_from..], departures: &departures[..count] }
    }

    /// What a departure carries.
    pub(super) fn batch(&self, departure: &Departure) -> Batch<'_> {
        let taps = &self.plans[departure.section as usize].taps()[departure.first as usize..];
        let due = self.slice.starts_at() + Duration::from_micros(departure.due_us.into());
        Batch { due, lot: 0, taps: &taps[..usize::from(departure.records)] }
    }
}

/// Who a datagram says it is from: its person when it can only have one, else a gateway, one for each section. Never 0,
/// which would be nobody.
fn client(section: &Section, records_max: usize, taps: &[Tap]) -> ClientId {
    match (records_max, taps) {
        (1, [tap]) => ClientId(u64::from(tap.person) + 1),
        _ => ClientId(GATEWAYS | u64::from(section.number)),
    }
}
