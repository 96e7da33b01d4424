//! The table, for people and as JSON, and what must hold of it.

use serde::Serialize;

/// All rows.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Slopes of memory over connections.
    pub(crate) rss_bytes_connection: Option<f64>,
    pub(crate) nchan_rss_bytes_connection: Option<f64>,
}

/// Microseconds of server CPU a delivered event; none where something was not measured.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Row {
    pub(crate) connections: usize,
    /// Of every server's events.
    pub(crate) event_bytes: usize,
    pub(crate) cpu_us_event: Option<f64>,
    pub(crate) floor_send_us_event: Option<f64>,
    pub(crate) floor_ring_us_event: Option<f64>,
    pub(crate) nchan_us_event: Option<f64>,
    /// From the first connection's event to the last one's.
    pub(crate) spread_ms: f64,
    /// Memory before the connections came, and with all of them.
    pub(crate) rss_bytes: [u64; 2],
    pub(crate) nchan_rss_bytes: Option<[u64; 2]>,
}

/// Names the columns.
pub(crate) fn print_head() {
    println!("server CPU us a delivered event");
    println!("connections  bytes  appliance    send    ring   ratio   nchan  spread_ms");
}

impl Row {
    /// One line.
    pub(crate) fn print(&self) {
        let [cpu, send, ring, nchan] =
            [self.cpu_us_event, self.floor_send_us_event, self.floor_ring_us_event, self.nchan_us_event].map(text);
        let ratio = text(ratio(self.cpu_us_event, self.floor_us_event()));
        let Self { connections, event_bytes, spread_ms, .. } = self;
        println!(
            "{connections:11}  {event_bytes:5}  {cpu:>9}  {send:>6}  {ring:>6}  {ratio:>6}  {nchan:>6}  {spread_ms:9.1}"
        );
    }

    /// The cheaper way.
    fn floor_us_event(&self) -> Option<f64> {
        self.floor_send_us_event.zip(self.floor_ring_us_event).map(|(send, ring)| send.min(ring))
    }
}

impl Report {
    /// Bytes a connection of those who remember connections.
    pub(crate) fn print_memory(&self) {
        let [ours, nchan] = [self.rss_bytes_connection, self.nchan_rss_bytes_connection]
            .map(|bytes| bytes.map_or("-".into(), |bytes| format!("{bytes:.0}")));
        println!("memory a connection, bytes: appliance {ours}, nchan {nchan}");
    }

    /// One line for each thing that must hold; whether none is known not to.
    pub(crate) fn print_verdicts(&self) -> bool {
        println!();
        let (mut has_held, mut is_judged) = (true, true);
        for row in &self.rows {
            let is_reached = row.cpu_us_event.zip(row.nchan_us_event).map(|(ours, nchan)| ours <= nchan);
            let word = match is_reached {
                Some(true) => "reached",
                Some(false) => "NOT reached",
                None => "not measured",
            };
            has_held &= is_reached != Some(false);
            is_judged &= is_reached.is_some();
            let (ours, nchan) = (text(row.cpu_us_event), text(row.nchan_us_event));
            println!("appliance at {:6}, us {ours:>8}  at most nchan's, {nchan}: {word}", row.connections);
        }
        if !is_judged {
            println!("NOT judged as a whole: something above was not measured, so nobody knows whether it holds");
        }
        has_held
    }
}

fn ratio(over: Option<f64>, under: Option<f64>) -> Option<f64> {
    over.zip(under).map(|(over, under)| over / under)
}

fn text(figure: Option<f64>) -> String {
    figure.map_or("-".into(), |figure| format!("{figure:.2}"))
}
