//! The table, for people and as JSON.

use crate::process;
use crate::server::{SERVERS, Turn};
use serde::Serialize;

/// All rows.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
}

/// Microseconds of CPU a request, by server; `None` for one that is not installed.
#[derive(Serialize)]
pub(crate) struct Row {
    connections: usize,
    pipeline: usize,
    cpu_us_request: f64,
    epoll_us_request: f64,
    ring_us_request: f64,
    ring_direct_us_request: f64,
    nginx_us_request: Option<f64>,
    /// The cheaper of the two bare ring loops.
    floor_us_request: f64,
    /// The appliance over the floor.
    ratio: f64,
    /// Requests of a CPU second: the appliance's over nginx's.
    nginx_ratio: Option<f64>,
    /// CPU time over time, in the order of the columns; 1 is saturated.
    busy: Vec<f64>,
}

/// Names the columns.
pub(crate) fn print_head() {
    println!("CPU us a request; in brackets, how busy its core was");
    println!(
        "connections  pipeline   appliance       epoll        ring  ring,direct       nginx  floor_us  ratio  \
         nginx/appliance"
    );
}

impl Row {
    /// Medians of the rounds, by column.
    pub(crate) fn new(connections: usize, pipeline: usize, turns: [Vec<Turn>; SERVERS]) -> Self {
        let busy = |turns: &Vec<Turn>| process::median(turns.iter().map(|turn| turn.busy).collect());
        let busy = turns.iter().filter(|turns| !turns.is_empty()).map(busy).collect();
        let costs = turns.map(|turns| turns.iter().map(|turn| turn.cpu_ns / 1e3 / turn.requests as f64).collect());
        let [appliance, epoll, ring, ring_direct, nginx]: [Vec<f64>; SERVERS] = costs;
        let floor = if median(&ring) < median(&ring_direct) { &ring } else { &ring_direct };
        let nginx = (!nginx.is_empty()).then_some(nginx);
        Self {
            connections,
            pipeline,
            cpu_us_request: median(&appliance),
            epoll_us_request: median(&epoll),
            ring_us_request: median(&ring),
            ring_direct_us_request: median(&ring_direct),
            nginx_us_request: nginx.as_deref().map(median),
            floor_us_request: median(floor),
            ratio: ratio(&appliance, floor),
            nginx_ratio: nginx.map(|nginx| ratio(&nginx, &appliance)),
            busy,
        }
    }

    /// One line.
    pub(crate) fn print(&self) {
        let costs = [
            Some(self.cpu_us_request),
            Some(self.epoll_us_request),
            Some(self.ring_us_request),
            Some(self.ring_direct_us_request),
            self.nginx_us_request,
        ];
        print!("{:11}  {:8}", self.connections, self.pipeline);
        for (column, cost) in costs.into_iter().enumerate() {
            let text = cost.map_or("-".into(), |cost| format!("{cost:.2} ({:.2})", self.busy[column]));
            print!("  {text:>11}");
        }
        let nginx_ratio = self.nginx_ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        println!("  {:8.2}  {:5.2}  {nginx_ratio:>15}", self.floor_us_request, self.ratio);
    }
}

fn median(values: &[f64]) -> f64 {
    process::median(values.to_vec())
}

/// Of two servers' costs in the same rounds.
fn ratio(costs: &[f64], others: &[f64]) -> f64 {
    process::median(costs.iter().zip(others).map(|(cost, other)| cost / other).collect())
}
