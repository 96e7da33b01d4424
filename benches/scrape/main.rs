//! What does it cost ingest that Prometheus scrapes both pages every second?
//!
//! One appliance takes reaction datagrams at a steady rate, below saturation so that every datagram is taken. Slices
//! without a scrape and slices with scrapes of both pages take turns, A B A B; CPU time of the process, kernel included, is
//! divided by the datagrams taken, and a figure is the median of its slices. What a slice with scrapes costs more than the
//! one beside it is paired with it, so that the machine's slow changes of pace cancel out. As one scrape a second drowns in
//! noise, a slice has [`SCRAPES_PER_SECOND`], and what they cost is divided by as many; its uncertainty (twice the standard
//! error) stands beside it. Scrapes are measured alone, too: many in a row, of a server that does nothing else.
//!
//! It fails when one scrape a second costs 1 % of ingest or more, beyond the uncertainty or alone, and when the uncertainty is
//! above 1 %, as nothing is decided then. A small run only has to run.
//!
//! ```text
//! cargo bench --bench scrape                         two minutes
//! cargo bench --bench scrape -- --rounds 4           with so many pairs of slices, of 2 s each
//! cargo bench --bench scrape -- --rate 100000        datagrams a second; 60 % of saturation otherwise
//! cargo bench --bench scrape -- --json FILE          and the same as JSON
//! cargo bench --bench scrape -- --quick              a second
//! ```

#[allow(dead_code, reason = "the receiver knows bare loops, which have nothing to scrape")]
#[path = "../udp_floor/bare.rs"]
mod bare;
#[path = "../sustained/pace.rs"]
mod pace;
#[path = "../process/mod.rs"]
mod process;
#[path = "../provided/mod.rs"]
mod provided;
#[path = "../udp_floor/receiver.rs"]
mod receiver;
#[path = "../udp_floor/sender.rs"]
mod sender;

mod scraper;

use receiver::Receiver;
use scraper::Scraper;
use sender::Sender;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

/// Of saturation, what is offered: the server naps between batches, as it does in production.
const LOAD: f64 = 0.6;
/// What scraping may cost.
const COST_PERCENT_MAX: f64 = 1.0;
/// Scrapes of a slice that has some, so that their cost is seen.
const SCRAPES_PER_SECOND: u32 = 20;

/// How much is measured.
struct Effort {
    /// Bursts with which saturation is found.
    bursts: u64,
    slice: Duration,
    /// Pairs of slices.
    rounds: usize,
    /// Scrapes of an idle server.
    alone: u32,
    is_strict: bool,
}

#[derive(Serialize)]
struct Report {
    offered_per_s: f64,
    cpu_ns_datagram: f64,
    cpu_ns_datagram_scraped: f64,
    /// Of one scrape a second: median over the pairs.
    difference_percent: f64,
    /// Twice the standard error of the pairs' differences.
    uncertainty_percent: f64,
    /// Of one scrape of both pages, by an idle server.
    scrape_cpu_us: f64,
    scrape_bytes: usize,
    /// One such scrape a second, of what ingest costs in a second.
    alone_percent: f64,
    /// Of the datagrams sent, the part that was taken.
    taken: f64,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Held,
    Failed,
    /// The machine was too noisy to tell.
    NotDecided,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| args.iter().position(|arg| arg == flag).map(|at| args.get(at + 1).expect("a value"));
    let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    let mut effort = match is_measuring {
        true => Effort { bursts: 30, slice: Duration::from_secs(2), rounds: 25, alone: 500, is_strict: true },
        false => Effort { bursts: 1, slice: Duration::from_millis(200), rounds: 1, alone: 5, is_strict: false },
    };
    if let Some(rounds) = value("--rounds") {
        effort.rounds = rounds.parse().expect("--rounds N");
    }
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);
    let mut appliance = Receiver::appliance(&["--shards=1"], Some(receiving));
    process::pin(sending);
    let mut sender = Sender::new(1, false);
    let rate = match value("--rate") {
        Some(rate) => rate.parse().expect("--rate DATAGRAMS"),
        None => saturation(&mut appliance, &mut sender, effort.bursts) * LOAD,
    };
    let report = measure(&mut appliance, &mut sender, rate, &effort);
    report.print();
    if let Some(file) = value("--json") {
        process::write_json(file, &report);
    }
    if report.verdict == Verdict::Held || !effort.is_strict { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Datagrams a second at which the server, or the sender that carries its receive path on loopback, has a core to the full.
fn saturation(appliance: &mut Receiver, sender: &mut Sender, bursts: u64) -> f64 {
    appliance.take(sender, 1);
    let before_ns = process::own_cpu_ns();
    let turn = appliance.take(sender, bursts);
    let sender_ns = (process::own_cpu_ns() - before_ns) as f64 / (bursts * sender.burst()) as f64;
    1e9 / turn.cpu_ns_datagram().max(sender_ns)
}

fn measure(appliance: &mut Receiver, sender: &mut Sender, rate: f64, effort: &Effort) -> Report {
    let scraper = Scraper::of(appliance);
    let (scrape_cpu_us, scrape_bytes) = alone(appliance, &scraper, effort.alone);
    let [mut plain, mut scraped, mut differences, mut parts]: [Vec<f64>; 4] = Default::default();
    println!("pair  cpu_ns_datagram  scraped  difference_percent");
    for round in 0..effort.rounds {
        // Whoever goes first in a pair goes second in the next one.
        let order = if round % 2 == 0 { [false, true] } else { [true, false] };
        let mut costs = [0.0; 2];
        for is_scraped in order {
            let slice = slice(appliance, sender, rate, effort.slice, is_scraped.then_some(&scraper));
            costs[usize::from(is_scraped)] = slice.cpu_ns_datagram;
            parts.push(slice.taken);
        }
        let difference = (costs[1] / costs[0] - 1.0) * 100.0;
        println!("{:4}  {:15.1}  {:7.1}  {difference:18.2}", round + 1, costs[0], costs[1]);
        plain.push(costs[0]);
        scraped.push(costs[1]);
        differences.push(difference);
    }
    let cpu_ns_datagram = process::median(plain);
    let of_one = |percent: f64| percent / f64::from(SCRAPES_PER_SECOND);
    let uncertainty_percent = of_one(2.0 * standard_error(&differences));
    let difference_percent = of_one(process::median(differences));
    let alone_percent = scrape_cpu_us * 1e3 / (cpu_ns_datagram * rate) * 100.0;
    Report {
        offered_per_s: rate,
        cpu_ns_datagram,
        cpu_ns_datagram_scraped: process::median(scraped),
        difference_percent,
        uncertainty_percent,
        scrape_cpu_us,
        scrape_bytes,
        alone_percent,
        taken: process::median(parts),
        verdict: verdict(difference_percent, uncertainty_percent, alone_percent),
    }
}

fn verdict(difference_percent: f64, uncertainty_percent: f64, alone_percent: f64) -> Verdict {
    if difference_percent - uncertainty_percent >= COST_PERCENT_MAX || alone_percent >= COST_PERCENT_MAX {
        Verdict::Failed
    } else if uncertainty_percent > COST_PERCENT_MAX {
        Verdict::NotDecided
    } else {
        Verdict::Held
    }
}

fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return f64::INFINITY;
    }
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (variance / n).sqrt()
}

/// CPU time of one scrape in microseconds, and its bytes.
fn alone(appliance: &Receiver, scraper: &Scraper, scrapes: u32) -> (f64, usize) {
    let mut connection = scraper.connect();
    let bytes = connection.scrape();
    let before_ns = appliance.process().cpu_ns();
    for _ in 0..scrapes {
        connection.scrape();
    }
    ((appliance.process().cpu_ns() - before_ns) as f64 / 1e3 / f64::from(scrapes), bytes)
}

/// One slice of ingest.
struct Slice {
    cpu_ns_datagram: f64,
    taken: f64,
}

fn slice(appliance: &mut Receiver, sender: &mut Sender, rate: f64, time: Duration, scraper: Option<&Scraper>) -> Slice {
    appliance.count();
    let before_ns = appliance.process().cpu_ns();
    let sent = std::thread::scope(|scope| {
        let scraping = scraper.map(|scraper| scraper.every(Duration::from_secs(1) / SCRAPES_PER_SECOND, scope));
        let sent = pace::send(sender, appliance.port(), rate, time, |_| {}).sent;
        drop(scraping);
        sent
    });
    appliance.wait_until_drained();
    let cpu_ns = appliance.process().cpu_ns() - before_ns;
    let taken = appliance.count();
    Slice { cpu_ns_datagram: cpu_ns as f64 / taken as f64, taken: taken as f64 / sent as f64 }
}

impl Report {
    fn print(&self) {
        let Self { offered_per_s, cpu_ns_datagram: plain, cpu_ns_datagram_scraped: scraped, .. } = self;
        println!("offered {offered_per_s:.0} datagrams/s, of which {:.3} were taken", self.taken);
        println!(
            "cpu_ns_datagram {plain:.1}, with {SCRAPES_PER_SECOND} scrapes a second {scraped:.1}; one a second: {:+.2} % (+- {:.2})",
            self.difference_percent, self.uncertainty_percent
        );
        println!(
            "alone: {:.0} us of CPU for the {} bytes of both pages, {:.3} % of ingest",
            self.scrape_cpu_us, self.scrape_bytes, self.alone_percent
        );
        println!(
            "{}",
            match self.verdict {
                Verdict::Held => "held: one scrape a second costs less than 1 %",
                Verdict::Failed => "FAILED: 1 % or more",
                Verdict::NotDecided =>
                    "NOT DECIDED: the uncertainty is above 1 %; measure with more --rounds, or in quiet",
            }
        );
    }
}
