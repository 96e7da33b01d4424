//! Plans the match slice by slice, and hands each batch to its connection at its moment.
//!
//! Two tasks: one plans, a bounded number of slices ahead; the other waits for the moments. So a slice that is long to
//! plan delays nobody. Timers go by the millisecond, and round up.
//!
//! Invariant: a batch's connection follows from its lot alone, and no connection is waited for: one that is slow delays
//! its own batches, and one whose queue is full has them refused.

use super::desk::{Departure, Desk, Queue};
use super::until;
use crate::crowd::{Planner, Slice, SlicePlan};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Slices that are planned ahead.
const SLICES_AHEAD: usize = 16;

/// All batches of one slice, in the order of their moments.
type Planned = (Slice, Vec<Departure>);

/// Plays the desk's sections, in batches of at most `records_max`, and returns when the last one is handed over, or when the
/// match is interrupted: what is left then is no part of it.
pub(super) async fn dispatch(desk: Arc<Desk>, records_max: usize, queues: Vec<Queue>) {
    let (planned, slices) = mpsc::channel(SLICES_AHEAD);
    let mut planning = tokio::task::JoinSet::new();
    planning.spawn(plan(Arc::clone(&desk), records_max, planned));
    tokio::select! {
        biased;
        () = desk.stage().interrupt.wait() => desk.show(),
        () = hand_over(&desk, slices, &queues) => {}
    }
    // Connections go by that: nothing more comes.
    drop(queues);
    // Should planning have failed, the match must not look as if it had been short.
    while let Some(ended) = planning.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

async fn plan(desk: Arc<Desk>, records_max: usize, planned: mpsc::Sender<Planned>) {
    let stage = desk.stage();
    let (mut planner, mut plan) = (Planner::new(&stage.crowd), SlicePlan::default());
    let sections = stage.sections(desk.way());
    for slice in stage.crowd.slices() {
        planner.begin(slice);
        let mut departures = Vec::new();
        for section in &sections {
            planner.plan(section, records_max, &mut plan);
            departures.extend(plan.batches().map(|batch| Departure {
                section: section.number,
                room: section.room,
                due: batch.due,
                lot: batch.lot,
                taps: batch.taps.into(),
            }));
        }
        departures.sort_by_key(|departure| departure.due);
        if planned.send((slice, departures)).await.is_err() {
            return;
        }
    }
}

async fn hand_over(desk: &Desk, mut slices: mpsc::Receiver<Planned>, queues: &[Queue]) {
    while let Some((slice, departures)) = slices.recv().await {
        // An empty slice takes its time too, or planning would run away over a quiet hour.
        until(desk.stage().begins(slice)).await;
        for departure in departures {
            until(desk.stage().moment(departure.due)).await;
            match queues.get(departure.lot as usize % queues.len().max(1)) {
                Some(queue) => queue.leave(departure),
                None => desk.handle_unsent(&departure),
            }
        }
        desk.show();
    }
}
