//! Both faces, read where they were shown.

use super::text::tests::picture;
use super::*;
use indicatif::InMemoryTerm;
use std::sync::{Arc, Mutex};

/// A pipe that remembers.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn in_lines(period: Duration) -> (Live, Pipe) {
    let pipe = Pipe::default();
    let face = Face::Plain(Plain::new(Box::new(pipe.clone()), period));
    (Live { face, before: LiveSnapshot::default() }, pipe)
}

fn on_terminal() -> (Live, InMemoryTerm) {
    let terminal = InMemoryTerm::new(24, 80);
    (Live::drawn_on(ProgressDrawTarget::term_like(Box::new(terminal.clone()))), terminal)
}

/// A picture, and one a quarter of a second later in which 1,000 more taps have gone.
fn two_pictures() -> [LiveSnapshot; 2] {
    let (first, mut second) = (picture(), picture());
    second.moment.at += Duration::from_millis(250);
    second.planned_taps += 1000;
    second.sent_taps += 1000;
    [first, second]
}

#[test]
fn a_pipe_gets_whole_lines_without_control_characters() {
    let (mut live, pipe) = in_lines(Duration::MAX);
    assert_eq!(Live::in_lines(Box::new(pipe.clone())).period(), PLAIN_PERIOD);
    live.say("50,000,000 people in 3 rooms");
    two_pictures().into_iter().for_each(|picture| live.show(picture));
    drop(live);
    let text = pipe.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "50,000,000 people in 3 rooms"));
    assert!(lines[1].starts_with("01:25 of 05:00, a six: "), "{text}");
    assert!(lines[2].starts_with("01:25 of 05:00, a six: 4,000 taps/s of 4,000 planned, 99.99 % so far"), "{text}");
    assert!(text.ends_with('\n') && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn in_a_pipe_a_step_is_named_and_its_progress_told_a_period_apart() {
    let (mut live, pipe) = in_lines(Duration::MAX);
    let step = live.begin("seating 2,000 subscribers", Some(2000));
    (0..2000).for_each(|_| step.advance(1));
    drop(step);
    drop(live.begin("waiting for the last frames", None));
    assert_eq!(pipe.text(), "seating 2,000 subscribers\nwaiting for the last frames\n");

    let (mut live, pipe) = in_lines(Duration::ZERO);
    let step = live.begin("opening 3 connections", Some(3));
    (0..3).for_each(|_| step.advance(1));
    assert_eq!(pipe.text(), "opening 3 connections\nopening 3 connections: 1 of 3\nopening 3 connections: 2 of 3\n");
}

#[test]
fn a_pipe_that_is_closed_is_no_reason_to_stop() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut live = Live::in_lines(Box::new(Closed));
    live.begin("seating 2,000 subscribers", Some(2000)).advance(1);
    live.show(picture());
}

#[test]
fn a_terminal_shows_the_newest_picture_only() {
    let (mut live, terminal) = on_terminal();
    assert_eq!(live.period(), TERMINAL_PERIOD);
    two_pictures().into_iter().for_each(|picture| live.show(picture));
    let expected = "[========>---------------------] 01:25 of 05:00  a six
  taps/s          4,000 planned         4,000 sent   99.99 % so far
  lag p99       0.21 ms
  people     28,234,567 of 50,000,000 have tapped
  frames              0 a second            3 missing
  server           78 % CPU     1,239 MiB         0 dropped     1,200 refused";
    assert_eq!(terminal.contents(), expected);
    live.say("the server was stopped");
    assert_eq!(terminal.contents(), format!("the server was stopped\n{expected}"));
    drop(live);
    assert_eq!(terminal.contents(), "the server was stopped", "a report begins on a clean screen");
}

#[test]
fn steps_have_a_bar_until_they_are_over() {
    let (mut live, terminal) = on_terminal();
    let step = live.begin("seating 2,000 subscribers", Some(2000));
    assert_eq!(terminal.contents(), "[------------------------------] seating 2,000 subscribers: 0 of 2,000");
    step.advance(999);
    step.advance(1);
    assert_eq!(terminal.contents(), "[===============>--------------] seating 2,000 subscribers: 1,000 of 2,000");
    drop(step);
    assert_eq!(terminal.contents(), "");
    let step = live.begin("waiting for the last frames", None);
    assert_eq!(terminal.contents(), "waiting for the last frames");
    drop(step);
    assert_eq!(terminal.contents(), "");
}

#[test]
fn what_is_hidden_shows_nothing_and_fails_nothing() {
    let mut live = Live::drawn_on(ProgressDrawTarget::hidden());
    live.begin("opening 500 connections", Some(500)).advance(500);
    live.show(picture());
    live.say("done");
}
