//! What a connection is doing, and until when it may.
//!
//! Pure: the caller passes the time in.

use std::time::Duration;

use tokio::time::Instant;

use super::pace::Pace;
use crate::config::Limits;

/// Why a connection is ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The headers of a request, or its first byte on a new connection, did not come in time.
    Headers,
    /// No request for the whole idle timeout.
    Idle,
    /// The reader is slower than the minimum rate.
    Slow,
}

#[derive(Debug)]
enum Between {
    /// A request is being received, or is due because the connection is new.
    Receiving(Instant),
    /// Nothing was received since the last request's end.
    Idle(Instant),
}

/// One connection as its reads, writes and requests tell it.
#[derive(Debug)]
pub(super) struct Phase {
    header_timeout: Duration,
    idle_timeout: Duration,
    pace: Pace,
    between: Between,
    requests_in_flight: usize,
    served: bool,
    multiplexed: bool,
    /// Bytes came while a request was in flight: the next request's, unless multiplexed.
    ahead: bool,
    last_sign: Instant,
}

impl Phase {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            pace: Pace::new(limits.minimum_rate_bytes, limits.minimum_rate_grace),
            between: Between::Receiving(now),
            requests_in_flight: 0,
            served: false,
            multiplexed: false,
            ahead: false,
            last_sign: now,
        }
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_sign = now;
        if self.multiplexed {
            // Pings and window updates must not keep a connection without requests open.
        } else if self.requests_in_flight > 0 {
            self.ahead = true;
        } else if let Between::Idle(_) = self.between {
            self.between = Between::Receiving(now);
        }
    }

    pub(super) fn write_blocked(&mut self, now: Instant) {
        self.pace.waiting(now);
    }

    pub(super) fn wrote(&mut self, now: Instant, bytes: usize) {
        self.last_sign = now;
        self.pace.took(now, bytes);
    }

    pub(super) fn request_started(&mut self, now: Instant, multiplexed: bool) {
        self.last_sign = now;
        self.served = true;
        self.multiplexed = multiplexed;
        self.requests_in_flight += 1;
    }

    pub(super) fn request_ended(&mut self, now: Instant) {
        self.last_sign = now;
        self.requests_in_flight -= 1;
        if self.requests_in_flight == 0 {
            self.between = if std::mem::take(&mut self.ahead) {
                Between::Receiving(now)
            } else {
                Between::Idle(now)
            };
        }
    }

    /// Whether it has had a request.
    pub(super) fn has_served(&self) -> bool {
        self.served
    }

    /// Whether bytes came that no request was made of.
    pub(super) fn is_receiving(&self) -> bool {
        self.requests_in_flight == 0 && matches!(self.between, Between::Receiving(_))
    }

    /// Whether its requests share it; such a client says again and again how much it has read.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed
    }

    /// Since when nothing is under way; `None` while something is.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        (self.requests_in_flight == 0 && !self.pace.is_waiting()).then_some(self.last_sign)
    }

    /// Since when nothing of a request is here; not told of a connection that is shared by several.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        match self.between {
            Between::Idle(since) if self.requests_in_flight == 0 => {
                (!self.multiplexed && !self.pace.is_waiting()).then_some(since)
            }
            _ => None,
        }
    }

    /// When the connection is cut if nothing happens, and why.
    pub(super) fn deadline(&self) -> Option<(Instant, Cut)> {
        if self.pace.is_waiting() {
            return self.pace.deadline().map(|at| (at, Cut::Slow));
        }
        if self.requests_in_flight > 0 {
            return None;
        }
        Some(match self.between {
            Between::Receiving(since) => (since + self.header_timeout, Cut::Headers),
            Between::Idle(since) => (since + self.idle_timeout, Cut::Idle),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::limits;

    fn phase(start: Instant) -> Phase {
        let mut limits = limits();
        limits.header_timeout = Duration::from_secs(10);
        limits.idle_timeout = Duration::from_secs(75);
        limits.minimum_rate_bytes = 1000;
        limits.minimum_rate_grace = Duration::from_secs(30);
        Phase::new(&limits, start)
    }

    #[test]
    fn a_new_connection_has_the_header_timeout_whatever_it_trickles() {
        let start = Instant::now();
        let mut phase = phase(start);
        let cut = Some((start + Duration::from_secs(10), Cut::Headers));
        assert_eq!(phase.deadline(), cut);
        phase.received(start + Duration::from_secs(9));
        assert_eq!(phase.deadline(), cut);
    }

    #[test]
    fn after_a_request_the_idle_timeout_runs_and_the_next_byte_starts_the_header_timeout() {
        let start = Instant::now();
        let mut phase = phase(start);
        phase.request_started(start, false);
        assert_eq!(phase.deadline(), None);
        phase.request_ended(start);
        let idle = Some((start + Duration::from_secs(75), Cut::Idle));
        assert_eq!(phase.deadline(), idle);
        let byte = start + Duration::from_secs(70);
        phase.received(byte);
        let headers = Some((byte + Duration::from_secs(10), Cut::Headers));
        assert_eq!(phase.deadline(), headers);
        phase.received(byte + Duration::from_secs(5));
        assert_eq!(phase.deadline(), headers);
    }

    #[test]
    fn a_request_begun_during_the_one_before_has_the_header_timeout_too() {
        let start = Instant::now();
        let mut phase = phase(start);
        phase.request_started(start, false);
        phase.received(start);
        phase.request_ended(start);
        let headers = Some((start + Duration::from_secs(10), Cut::Headers));
        assert_eq!(phase.deadline(), headers);
    }

    #[test]
    fn frames_do_not_keep_a_multiplexed_connection_without_requests_open() {
        let start = Instant::now();
        let mut phase = phase(start);
        phase.request_started(start, true);
        phase.received(start);
        phase.request_ended(start);
        phase.received(start + Duration::from_secs(74));
        let idle = Some((start + Duration::from_secs(75), Cut::Idle));
        assert_eq!(phase.deadline(), idle);
    }

    #[test]
    fn a_response_that_waits_for_its_reader_is_measured_even_when_it_was_handed_over_whole() {
        let start = Instant::now();
        let mut phase = phase(start);
        phase.request_started(start, false);
        phase.write_blocked(start);
        phase.request_ended(start);
        let slow = Some((start + Duration::from_secs(30), Cut::Slow));
        assert_eq!(phase.deadline(), slow);
        assert_eq!(phase.quiet_since(), None);
    }
}
