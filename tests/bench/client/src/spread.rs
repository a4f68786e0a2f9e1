//! How times spread: median, percentiles, the longest. Pure.

use std::time::Duration;

use serde_json::{Value, json};

/// Times, from the shortest to the longest.
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that so many hundredths of all do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(at).copied().unwrap_or_default()
    }

    /// In seconds.
    pub(crate) fn json(&self) -> Value {
        json!({
            "p50": self.percentile(50).as_secs_f64(),
            "p99": self.percentile(99).as_secs_f64(),
            "max": self.percentile(100).as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_secs).collect());
        let at = |percent| spread.percentile(percent).as_secs();
        assert_eq!((at(0), at(50), at(99), at(100)), (1, 100, 198, 200));
        assert_eq!(Spread::of(Vec::new()).percentile(50), Duration::ZERO);
    }
}
