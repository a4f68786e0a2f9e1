//! What holds, since when, and when it is told: first, again, and that it is over.
//!
//! Pure: the caller passes the time in, counted from the gateway's start. What comes and goes
//! within an alert's time is never told, and what was told is over only once it has stayed away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rules::Alert;

/// For so long what was told must not have been so, before it is over.
const CALM: Duration = Duration::from_mins(2);

/// Which alert, and about what: `origin old`, or nothing where there is only one.
pub(super) type About = (Alert, String);

/// Something that is so now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) about: About,
    /// In words, with its numbers.
    pub(super) summary: String,
}

/// When what is so is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// For how long it must have been so, instead of each alert's own time.
    pub(super) after: Option<Duration>,
    /// After how long it is told again.
    pub(super) repeat: Duration,
}

impl Timing {
    fn hold(&self, alert: Alert) -> Duration {
        self.after.unwrap_or(alert.rule().hold)
    }

    fn calm(&self) -> Duration {
        self.after.unwrap_or(CALM).min(CALM)
    }
}

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is told for the first time.
    Fires,
    /// It is told again.
    Lasts,
    /// It is over.
    Over,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) about: About,
    pub(super) change: Change,
    pub(super) summary: String,
    /// For how long it has been so, as far as that is known.
    pub(super) lasted: Duration,
}

#[derive(Debug)]
struct Known {
    since: Duration,
    last: Duration,
    summary: String,
    /// When it is told again; `None` before it was told.
    again: Option<Duration>,
    /// Told by the gateway before a restart, and not seen since.
    inherited: bool,
}

/// Everything that holds.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<About, Known>);

impl Standing {
    /// With what was told so long ago, before a restart.
    pub(super) fn inherit(
        told: impl IntoIterator<Item = (About, Duration)>,
        at: Duration,
        timing: Timing,
    ) -> Self {
        let known = told.into_iter().map(|(about, ago)| {
            let known = Known {
                since: at,
                last: at,
                summary: String::new(),
                again: Some(at + timing.repeat.saturating_sub(ago)),
                inherited: true,
            };
            (about, known)
        });
        Self(known.collect())
    }

    /// Takes what is so now, and returns what is to be told.
    pub(super) fn take(&mut self, at: Duration, seen: Vec<Seen>, timing: Timing) -> Vec<News> {
        let mut news = Vec::new();
        for Seen { about, summary } in seen {
            let alert = about.0;
            let known = self.0.entry(about.clone()).or_insert(Known {
                since: at,
                last: at,
                summary: String::new(),
                again: None,
                inherited: false,
            });
            known.last = at;
            known.inherited = false;
            known.summary.clone_from(&summary);
            let lasted = at.saturating_sub(known.since);
            let change = match known.again {
                None if lasted >= timing.hold(alert) => Change::Fires,
                Some(again) if at >= again => Change::Lasts,
                _ => continue,
            };
            known.again = Some(at + timing.repeat);
            news.push(News {
                about,
                change,
                summary,
                lasted,
            });
        }
        self.0.retain(|about, known| {
            if known.last == at {
                return true;
            }
            if known.again.is_none() {
                return false;
            }
            // After a restart counters begin anew: it is given the time to be seen again.
            let calm = if known.inherited {
                timing.calm() + timing.hold(about.0)
            } else {
                timing.calm()
            };
            if at.saturating_sub(known.last) < calm {
                return true;
            }
            news.push(News {
                about: about.clone(),
                change: Change::Over,
                summary: std::mem::take(&mut known.summary),
                lasted: known.last.saturating_sub(known.since),
            });
            false
        });
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        after: None,
        repeat: Duration::from_hours(12),
    };

    fn down() -> About {
        (Alert::OriginLeftAlone, "origin old".to_owned())
    }

    fn seen() -> Vec<Seen> {
        vec![Seen {
            about: down(),
            summary: "Origin old is down".to_owned(),
        }]
    }

    fn changes(news: &[News]) -> Vec<Change> {
        news.iter().map(|news| news.change).collect()
    }

    /// One look a minute: `#` where it is so. What was told, with the minute.
    fn told(minutes: &str, timing: Timing) -> Vec<(u64, Change)> {
        let mut standing = Standing::default();
        let mut told = Vec::new();
        for (minute, is_so) in (0..).zip(minutes.chars().map(|one| one == '#')) {
            let seen = if is_so { seen() } else { Vec::new() };
            let news = standing.take(Duration::from_mins(minute), seen, timing);
            told.extend(changes(&news).into_iter().map(|change| (minute, change)));
        }
        told
    }

    #[test]
    fn it_is_told_once_it_has_lasted_and_once_it_has_stayed_away() {
        let told = told("..########.....", TIMING);
        assert_eq!(told, [(7, Change::Fires), (11, Change::Over)]);
    }

    #[test]
    fn what_flaps_is_told_of_neither_as_it_comes_nor_as_it_goes() {
        assert_eq!(told(".##.##.###.#.", TIMING), []);
        let told = told("######.#.##.###.#...", TIMING);
        assert_eq!(told, [(5, Change::Fires), (18, Change::Over)]);
    }

    #[test]
    fn it_is_told_again_now_and_then() {
        let timing = Timing {
            after: Some(Duration::ZERO),
            repeat: Duration::from_mins(3),
        };
        let told = told("########.", timing);
        let lasts = [(3, Change::Lasts), (6, Change::Lasts)];
        assert_eq!(told[0], (0, Change::Fires));
        assert_eq!(told[1..3], lasts);
        assert_eq!(told[3..], [(8, Change::Over)]);
    }

    #[test]
    fn an_alert_that_needs_no_time_is_told_at_once() {
        let suspect = Seen {
            about: (Alert::OriginSuspect, "origin old".to_owned()),
            summary: String::new(),
        };
        let news = Standing::default().take(Duration::ZERO, vec![suspect], TIMING);
        assert_eq!(changes(&news), [Change::Fires]);
    }

    #[test]
    fn a_restart_tells_nothing_again_before_it_is_due() {
        let minutes = Duration::from_mins;
        let told = || [(down(), Duration::from_hours(11))];
        let mut standing = Standing::inherit(told(), minutes(0), TIMING);
        for minute in 0..60 {
            assert_eq!(standing.take(minutes(minute), seen(), TIMING), []);
        }
        let news = standing.take(minutes(60), seen(), TIMING);
        assert_eq!(changes(&news), [Change::Lasts]);

        // It is not seen again: it gets its own time on top, and then it is over.
        let mut standing = Standing::inherit(told(), minutes(0), TIMING);
        assert_eq!(standing.take(minutes(6), Vec::new(), TIMING), []);
        let news = standing.take(minutes(7), Vec::new(), TIMING);
        assert_eq!(changes(&news), [Change::Over]);
        assert_eq!(standing.take(minutes(8), Vec::new(), TIMING), []);
    }

    #[test]
    fn each_subject_stands_for_itself() {
        let mut standing = Standing::default();
        let of = |name: &str| Seen {
            about: (Alert::OriginSuspect, name.to_owned()),
            summary: String::new(),
        };
        let first = standing.take(Duration::ZERO, vec![of("a"), of("b")], TIMING);
        assert_eq!(first.len(), 2);
        let later = standing.take(Duration::from_mins(3), vec![of("a"), of("c")], TIMING);
        assert_eq!(changes(&later), [Change::Fires, Change::Over]);
        assert_eq!(later[1].about.1, "b");
    }
}
