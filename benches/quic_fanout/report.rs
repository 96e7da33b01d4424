//! The table, for people and as JSON, and what must hold of it.

use serde::Serialize;

/// All rows.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Slope of the appliance's memory over subscribers.
    pub(crate) rss_bytes_subscriber: Option<f64>,
}

/// Microseconds of server CPU a delivered frame; none where something was not measured.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Row {
    pub(crate) subscribers: usize,
    pub(crate) cpu_us_frame: Option<f64>,
    pub(crate) floor_us_frame: Option<f64>,
    pub(crate) tokio_us_frame: Option<f64>,
    pub(crate) redis_us_frame: Option<f64>,
    /// From the first subscriber's frame to the last one's.
    pub(crate) spread_ms: f64,
    /// CPU of a handshake, with hello, welcome and palette.
    pub(crate) handshake_us: f64,
}

/// Names the columns.
pub(crate) fn print_head() {
    println!("server CPU us a delivered frame");
    println!("subscribers  appliance   floor  ratio   tokio   redis  spread_ms  handshake_us");
}

impl Row {
    /// One line.
    pub(crate) fn print(&self) {
        let [cpu, floor, tokio, redis] =
            [self.cpu_us_frame, self.floor_us_frame, self.tokio_us_frame, self.redis_us_frame].map(text);
        let ratio = text(ratio(self.cpu_us_frame, self.floor_us_frame));
        let Self { subscribers, spread_ms, handshake_us, .. } = self;
        println!(
            "{subscribers:11}  {cpu:>9}  {floor:>6}  {ratio:>5}  {tokio:>6}  {redis:>6}  {spread_ms:9.1}  {handshake_us:12.1}"
        );
    }
}

impl Report {
    /// One line for each thing that must hold.
    pub(crate) fn print_verdicts(&self) {
        let row = |subscribers| self.rows.iter().find(|row| row.subscribers == subscribers);
        let cost = |subscribers| row(subscribers).and_then(|row| row.cpu_us_frame);
        let floors: Option<Vec<_>> = self.rows.iter().map(|row| ratio(row.cpu_us_frame, row.floor_us_frame)).collect();
        let worst = floors.and_then(|floors| floors.into_iter().max_by(f64::total_cmp));
        let tokio = ratio(row(5000).and_then(|row| row.tokio_us_frame), cost(5000));
        let redis = row(5000).and_then(|row| row.redis_us_frame);
        let kib = self.rss_bytes_subscriber.map(|bytes| bytes / 1024.0);
        println!();
        verdict("appliance / floor, the worst row", worst, worst.map(|worst| worst <= 2.5), "at most 2.5");
        verdict("tokio / appliance at 5000", tokio, tokio.map(|tokio| tokio >= 6.0), "at least 6");
        let below_redis = cost(5000).zip(redis).map(|(cost, redis)| cost < redis);
        verdict("appliance at 5000, us", cost(5000), below_redis, &format!("below Redis, {}", text(redis)));
        verdict("memory a subscriber, KiB", kib, kib.map(|kib| kib <= 20.0), "at most 20");
        let growth = ratio(cost(50_000), cost(1000));
        verdict("cost at 50000 / at 1000", growth, growth.map(|growth| growth <= 1.25), "at most 1.25");
    }
}

fn verdict(what: &str, figure: Option<f64>, is_reached: Option<bool>, bound: &str) {
    let word = match is_reached {
        Some(true) => "reached",
        Some(false) => "NOT reached",
        None => "not measured",
    };
    println!("{what:34} {:>8}  {bound}: {word}", text(figure));
}

fn ratio(over: Option<f64>, under: Option<f64>) -> Option<f64> {
    over.zip(under).map(|(over, under)| over / under)
}

fn text(figure: Option<f64>) -> String {
    figure.map_or("-".into(), |figure| format!("{figure:.2}"))
}
