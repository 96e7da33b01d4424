//! A crowd that has frames in any order, and what is told of it.

use super::*;

const WINDOW_US: u64 = 2_000_000;

struct Crowd {
    arrivals: Arrivals,
    records: Receiver<WindowArrivals>,
    places: Vec<Place>,
    start: Instant,
}

impl Crowd {
    fn of(places: usize) -> Self {
        let (arrivals, records) = Arrivals::new(2);
        let places = (0..places).map(|_| Place::default()).collect();
        Self { arrivals, records, places, start: Instant::now() }
    }

    fn frame(&mut self, place: usize, window: u64, late_us: u64) {
        self.frame_of(0, place, window, late_us);
    }

    fn frame_of(&mut self, room: u32, place: usize, window: u64, late_us: u64) {
        let end_unix_us = (window + 1) * WINDOW_US;
        let at = Moment { instant: self.start + Duration::from_micros(late_us), unix_us: end_unix_us + late_us };
        let picture = Picture { room, window, end_unix_us, window_us: WINDOW_US, hash: 0 };
        self.arrivals.handle_frame(at, &mut self.places[place], picture);
        self.arrivals.settle();
    }

    fn frames(&mut self, places: std::ops::Range<usize>, window: u64) {
        places.for_each(|place| self.frame(place, window, 1000 * (place as u64 + 1)));
    }

    fn told(&self) -> Vec<(u64, u64, u64)> {
        self.records.try_iter().map(|record| (record.window.0, record.frames, record.missing)).collect()
    }
}

#[test]
fn a_window_is_told_once_all_who_waited_have_it() {
    let mut crowd = Crowd::of(4);
    crowd.frames(0..4, 7);
    crowd.frames(0..3, 8);
    assert_eq!(crowd.told(), [], "7 was everybody's first, and one still waits for 8");
    crowd.frame(3, 8, 9000);
    let record = crowd.records.try_recv().unwrap();
    assert_eq!((record.window.0, record.frames, record.missing), (8, 4, 0));
    assert_eq!((record.spread(), record.lateness_us_max / 100), (Duration::from_micros(8000), 90));
    assert!((2000..2100).contains(&record.lateness_us_p50), "{record:?}");
}

#[test]
fn who_has_not_come_when_most_are_past_is_missing() {
    let mut crowd = Crowd::of(4);
    crowd.frames(0..4, 7);
    crowd.frames(0..3, 8);
    crowd.frames(0..2, 9);
    assert_eq!(crowd.told(), []);
    crowd.frame(2, 9, 1);
    assert_eq!(crowd.told(), [(8, 3, 1)]);
    crowd.frame(3, 9, 1);
    assert_eq!(crowd.told(), [(9, 4, 0)]);
    assert_eq!((crowd.arrivals.gaps, crowd.arrivals.duplicates), (1, 0));
    crowd.frame(3, 9, 1);
    assert_eq!((crowd.arrivals.gaps, crowd.arrivals.duplicates), (1, 1));
}

#[test]
fn who_comes_in_the_middle_is_due_from_the_next_window_on() {
    let mut crowd = Crowd::of(4);
    crowd.frames(0..2, 7);
    crowd.frame(0, 8, 1);
    crowd.frames(2..4, 8);
    crowd.frame(1, 8, 1);
    assert_eq!(crowd.told(), [(8, 2, 0)]);
    crowd.frames(0..4, 9);
    assert_eq!(crowd.told(), [(9, 4, 0)]);
}

#[test]
fn who_leaves_is_missed_by_nobody() {
    let mut crowd = Crowd::of(4);
    crowd.frames(0..4, 7);
    crowd.frames(0..2, 8);
    for place in [0, 3] {
        let Crowd { arrivals, places, .. } = &mut crowd;
        arrivals.leave(&mut places[place]);
    }
    crowd.frame(2, 8, 1);
    assert_eq!(crowd.told(), [(8, 3, 0)], "one of the two who left had it");
    // What was skipped meanwhile is no gap, and what comes late is not waited for.
    let Crowd { arrivals, places, .. } = &mut crowd;
    arrivals.frames = 0;
    arrivals.come_back(&mut places[3]);
    crowd.frames(1..3, 9);
    crowd.frame(3, 9, 1);
    assert_eq!(crowd.told(), [(9, 2, 0)]);
    assert_eq!((crowd.arrivals.gaps, crowd.arrivals.gaps_while_paused), (0, 1));
    crowd.frames(1..4, 10);
    assert_eq!(crowd.told(), [(10, 3, 0)]);
}

#[test]
fn a_window_is_told_once_all_rooms_have_it() {
    let mut crowd = Crowd::of(4);
    let watches = [(0, 0), (0, 1), (1, 2), (1, 3)];
    for window in 7..9 {
        watches.into_iter().for_each(|(room, place)| crowd.frame_of(room, place, window, 1));
    }
    assert_eq!(crowd.told(), [(8, 4, 0)]);
    crowd.frame_of(0, 0, 9, 1);
    crowd.frame_of(0, 1, 9, 1);
    assert_eq!(crowd.told(), [], "the other room waits");
    watches[1..].iter().for_each(|&(room, place)| crowd.frame_of(room, place, 10, 1));
    assert_eq!(crowd.told(), [(9, 2, 2)]);
    assert_eq!(crowd.arrivals.gaps, 2);
}

#[test]
fn each_frame_that_was_due_is_measured() {
    let mut crowd = Crowd::of(2);
    crowd.frames(0..2, 7);
    assert_eq!(crowd.arrivals.delays.lateness_us.len(), 0, "nobody was due");
    crowd.frame(0, 8, 10_000);
    crowd.frame(1, 8, 12_000);
    crowd.frame(0, 9, 5000);
    crowd.frame(1, 10, 7000);
    crowd.frame(1, 10, 9000);
    let values = |histogram: &Histogram<u64>| -> Vec<u64> {
        histogram.iter_recorded().map(|value| value.value_iterated_to()).collect()
    };
    let near = |values: Vec<u64>, expected: &[u64]| {
        assert_eq!(values.len(), expected.len(), "{values:?}");
        assert!(values.iter().zip(expected).all(|(value, expected)| value.abs_diff(*expected) <= expected / 500));
    };
    near(values(&crowd.arrivals.delays.lateness_us), &[5000, 7000, 10_000, 12_000]);
    near(values(&crowd.arrivals.delays.spread_us), &[2000]);
    // The last had the picture of 8 until that of 10 came.
    near(values(&crowd.arrivals.delays.staleness_us), &[2_005_000, 2_010_000, 2_012_000, 4_007_000]);
    assert_eq!((crowd.arrivals.duplicates, crowd.arrivals.conflicting()), (1, 0));
}
