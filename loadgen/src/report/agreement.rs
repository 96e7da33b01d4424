//! A window's frame beside what was sent in it.
//!
//! What left in the window's body must be in its frame, and what left at a border may be: each count has a least and a
//! most. Both add up over machines, so the merged row of several parts is judged as one machine's would be.
//!
//! Deliberately not here: totals, which do not depend on borders.

use super::WindowRow;

/// Whether others tap too, whose taps are not in a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// All taps are there, but for so many whose fate is unknown.
    None {
        /// Taps that were sent and never answered, and those that visitors may have made in it.
        unconfirmed: u64,
    },
    /// Other machines play other parts of the crowd: there is no most.
    Tap,
}

impl WindowRow {
    /// What its frame says that the sent taps cannot explain; empty when it agrees.
    pub fn find_disagreement(&self, others: Others) -> String {
        let spare = match others {
            Others::None { unconfirmed } => unconfirmed,
            Others::Tap => u64::MAX,
        };
        let found = match self.taps_framed {
            None if self.taps_sent_min > 0 => {
                Some(format!("no frame came, at least {} taps were sent in it", self.taps_sent_min))
            }
            None => None,
            Some(total) => self.sum_disagreement(total, spare).or_else(|| self.top_disagreement(total, spare)),
        };
        found.unwrap_or_default()
    }

    fn sum_disagreement(&self, total: u64, spare: u64) -> Option<String> {
        let (least, most) = (self.taps_sent_min, self.taps_sent_max);
        if total < least {
            return Some(format!("shows {total} taps, at least {least} were sent in it"));
        }
        (total > most.saturating_add(spare)).then(|| format!("shows {total} taps, at most {most} were sent in it"))
    }

    fn top_disagreement(&self, total: u64, spare: u64) -> Option<String> {
        self.emoji_disagreement(spare).or_else(|| self.order_disagreement()).or_else(|| self.left_out(total))
    }

    fn emoji_disagreement(&self, spare: u64) -> Option<String> {
        let bound = |bounds: &[u64], emoji: u16| bounds.get(usize::from(emoji)).copied().unwrap_or(0);
        self.top.iter().find_map(|&(emoji, taps)| {
            let (least, most) = (bound(&self.emoji_sent_min, emoji), bound(&self.emoji_sent_max, emoji));
            let is_explained = (least..=most.saturating_add(spare)).contains(&taps);
            (!is_explained).then(|| format!("shows {taps} taps of emoji {emoji}, {least} to {most} were sent in it"))
        })
    }

    fn order_disagreement(&self) -> Option<String> {
        let pair = self.top.windows(2).find(|pair| pair[0].1 < pair[1].1)?;
        Some(format!("shows emoji {} before {}, which has more taps", pair[0].0, pair[1].0))
    }

    /// No emoji may be left out that was tapped more often than the last one shown, or at all where everything is shown.
    fn left_out(&self, total: u64) -> Option<String> {
        let shown: u64 = self.top.iter().map(|(_, taps)| taps).sum();
        let threshold = if shown == total { 0 } else { self.top.last().map_or(0, |(_, taps)| *taps) };
        let is_shown = |emoji: usize| self.top.iter().any(|(shown, _)| usize::from(*shown) == emoji);
        let mut sent = self.emoji_sent_min.iter().enumerate();
        let (emoji, least) = sent.find(|(emoji, least)| **least > threshold && !is_shown(*emoji))?;
        Some(format!("leaves out emoji {emoji}, of which at least {least} taps were sent in it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::window;

    const ALONE: Others = Others::None { unconfirmed: 0 };

    fn row(least: &[u64], most: &[u64], total: u64, top: &[(u16, u64)]) -> WindowRow {
        WindowRow {
            taps_sent_min: least.iter().sum(),
            taps_sent_max: most.iter().sum(),
            emoji_sent_min: least.to_vec(),
            emoji_sent_max: most.to_vec(),
            taps_framed: Some(total),
            top: top.to_vec(),
            ..window(1, 5)
        }
    }

    #[test]
    fn a_window_must_have_its_body_and_may_have_its_borders() {
        let of = |total| row(&[4], &[31], total, &[(0, total)]);
        for total in [4, 14, 31] {
            assert_eq!(of(total).find_disagreement(ALONE), "");
        }
        assert_eq!(of(3).find_disagreement(ALONE), "shows 3 taps, at least 4 were sent in it");
        assert_eq!(of(32).find_disagreement(ALONE), "shows 32 taps, at most 31 were sent in it");
        assert_eq!(of(32).find_disagreement(Others::None { unconfirmed: 1 }), "");
        assert_eq!(of(99).find_disagreement(Others::Tap), "");
        assert_eq!(of(3).find_disagreement(Others::Tap), "shows 3 taps, at least 4 were sent in it");
    }

    #[test]
    fn a_frame_that_did_not_come_is_missed_where_it_must_show_something() {
        let none = |least: &[u64]| WindowRow { taps_framed: None, top: Vec::new(), ..row(least, &[9], 0, &[]) };
        assert_eq!(none(&[0]).find_disagreement(ALONE), "");
        assert_eq!(none(&[2]).find_disagreement(Others::Tap), "no frame came, at least 2 taps were sent in it");
    }

    #[test]
    fn emoji_are_compared_one_by_one_and_in_their_order() {
        let of = |total, top: &[(u16, u64)]| row(&[10, 6, 5], &[10, 6, 5], total, top).find_disagreement(ALONE);
        assert_eq!(of(21, &[(0, 10), (1, 6), (2, 5)]), "");
        assert_eq!(of(21, &[(0, 10), (1, 6)]), "", "a top of two leaves out the least");
        assert_eq!(of(21, &[(0, 9)]), "shows 9 taps of emoji 0, 10 to 10 were sent in it");
        assert!(of(21, &[(7, 10)]).contains("emoji 7"));
        assert_eq!(of(21, &[(1, 6), (0, 10)]), "shows emoji 1 before 0, which has more taps");
        assert!(of(21, &[(0, 10), (2, 5)]).starts_with("leaves out emoji 1"));
    }

    #[test]
    fn what_shows_everything_leaves_nothing_out() {
        let wrong = row(&[10, 1], &[11, 1], 11, &[(0, 11)]).find_disagreement(ALONE);
        assert!(wrong.starts_with("leaves out emoji 1"), "{wrong}");
    }
}
