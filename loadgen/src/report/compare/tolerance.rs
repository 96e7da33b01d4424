//! By how much a latency or a cost may rise and count as the same.
//!
//! Invariant: it is a number that is not negative. Nothing is worse than what is not a number, so such a tolerance would
//! make every comparison pass.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// A share of the first report's value, in percent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerance(f64);

/// Why something is no tolerance.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no tolerance; it is in percent, 0 or more")]
pub struct ToleranceError(String);

impl Tolerance {
    /// Unless somebody says otherwise: 10 %.
    pub const USUAL: Self = Self(10.0);

    /// So many percent.
    ///
    /// # Errors
    /// When it is negative, infinite or not a number.
    pub fn new(percent: f64) -> Result<Self, ToleranceError> {
        let is_one = percent.is_finite() && percent >= 0.0;
        if is_one { Ok(Self(percent)) } else { Err(ToleranceError(percent.to_string())) }
    }

    /// In percent.
    pub const fn percent(self) -> f64 {
        self.0
    }
}

impl FromStr for Tolerance {
    type Err = ToleranceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.parse().map_err(|_| ToleranceError(text.to_owned()))?)
    }
}

impl Display for Tolerance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_a_number_that_is_not_negative() {
        for text in ["0", "10", "2.5"] {
            let tolerance: Tolerance = text.parse().unwrap();
            assert_eq!(tolerance.to_string(), text);
        }
        for text in ["NaN", "-1", "inf", "-inf", "ten", ""] {
            let error = text.parse::<Tolerance>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text} is no tolerance")), "{error}");
        }
    }
}
