//! How many requests beyond the first an origin is asked for one miss.
//!
//! Pure. Each primary request earns a fifth of a token; each hedge, retry and resume costs one.
//! So an origin never sees more than 1.2 requests per miss, however badly it behaves. A few are
//! lent at the start, and paid back from what is earned first.

const EARNED_PER_PRIMARY: f64 = 0.2;
const LENT: f64 = 5.0;
const MOST: f64 = 10.0;

/// One origin's budget for requests beyond the first.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    level: f64,
    owed: f64,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self {
            level: LENT,
            owed: LENT,
        }
    }

    /// A primary request is made.
    pub(crate) fn earn(&mut self) {
        if self.owed > 0.0 {
            self.owed -= EARNED_PER_PRIMARY;
        } else {
            self.level = (self.level + EARNED_PER_PRIMARY).min(MOST);
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self) -> bool {
        let granted = self.level >= 1.0;
        if granted {
            self.level -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flapping_origin_sees_at_most_a_fifth_more_requests_than_misses() {
        for misses in [25, 100, 1000] {
            let mut tokens = Tokens::new();
            let mut extra = 0;
            for _ in 0..misses {
                tokens.earn();
                extra += u32::from(tokens.take());
            }
            assert!(extra * 5 <= misses, "{extra} beyond {misses}");
        }
    }

    #[test]
    fn the_first_trouble_of_a_quiet_origin_can_be_answered() {
        assert!(Tokens::new().take());
    }
}
