//! Which alerts hold at a moment, and in what words.
//!
//! Pure: the caller brings the moment and the time. The conditions are those of
//! `docker/monitoring/alerts.yaml`, reckoned from the same counters; what was counted before the
//! first moment counts in none of them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;

use super::moment::{Moment, OriginMoment, RouteMoment};
use super::rules::Alert;
use super::standing::Seen;
use super::window::Window;

const MINUTE: u64 = 60;
/// Reasons that do not pass by themselves.
const REFUSALS: [&str; 3] = ["credentials", "suspended", "bucket"];
/// Goings and comings within half an hour.
const MOST_CHANGES: u64 = 6;
/// Errors of the cache's disk in an hour.
const MOST_DISK_ERRORS: u64 = 10;
/// Seconds that a certificate should have left.
const CERTIFICATE: i64 = 14 * 86_400;

/// What is counted, of what.
type Counter = (&'static str, String);

/// What is remembered between two moments.
#[derive(Debug, Default)]
pub(super) struct Judge {
    windows: BTreeMap<Counter, Window>,
    /// Whether each origin was up, and how often that has changed.
    ups: BTreeMap<String, (bool, u64)>,
    /// Since when something has waited to be copied.
    waiting_since: Option<Duration>,
    /// There was a moment before.
    begun: bool,
}

impl Judge {
    /// What holds now.
    pub(super) fn look(&mut self, at: Duration, moment: &Moment) -> Vec<Seen> {
        let mut seen = Vec::new();
        for route in &moment.routes {
            self.route(at, route, &mut seen);
        }
        for origin in &moment.origins {
            self.origin(at, origin, &mut seen);
        }
        self.cache(at, moment, &mut seen);
        self.promotions(at, moment, &mut seen);
        self.edge(at, moment, &mut seen);
        self.begun = true;
        // Of what has left the configuration nothing is kept.
        let names: Vec<&str> = moment
            .routes
            .iter()
            .map(|route| &*route.name)
            .chain(moment.origins.iter().map(|origin| &*origin.name))
            .chain([""])
            .collect();
        self.windows.retain(|(_, of), _| names.contains(&&**of));
        self.ups.retain(|name, _| names.contains(&&**name));
        seen
    }

    /// By how much a counter has grown in the last minutes. One that appears later began at 0.
    fn grown(&mut self, at: Duration, minutes: u64, of: Counter, total: u64) -> u64 {
        let begun = self.begun;
        let window = self.windows.entry(of).or_insert_with(|| {
            let before = if begun { 0 } else { total };
            Window::new(Duration::from_secs(minutes * MINUTE), before)
        });
        window.take(at, total)
    }

    fn route(&mut self, at: Duration, route: &RouteMoment, seen: &mut Vec<Seen>) {
        let (name, totals) = (&route.name, &route.totals);
        let mut grown = |minutes, what, total| self.grown(at, minutes, (what, name.clone()), total);
        let errors = grown(5, "errors", totals.errors);
        let answers = grown(5, "answers", totals.answers);
        let stale = grown(15, "stale", totals.stale);
        let answers_for_long = grown(15, "answers for long", totals.answers);
        if exceeds(errors, answers, 1) {
            let part = percent(errors, answers);
            let summary = format!("{part} of the answers of route {name} are errors");
            seen.push(of_route(Alert::ViewersGetErrors, name, summary));
        }
        if exceeds(stale, answers_for_long, 5) {
            let part = percent(stale, answers_for_long);
            let summary =
                format!("{part} of the answers of route {name} are older than they should be");
            seen.push(of_route(Alert::StaleServed, name, summary));
        }
        if route.brake {
            let summary = format!("Route {name}: more is deleted than deletes_brake lets follow");
            seen.push(of_route(Alert::DeletionsNotFollowed, name, summary));
        }
    }

    fn origin(&mut self, at: Duration, origin: &OriginMoment, seen: &mut Vec<Seen>) {
        let name = &origin.name;
        let mut grown = |minutes, what, total| self.grown(at, minutes, (what, name.clone()), total);
        let asked = grown(5, "asked", origin.asked);
        let unknown = grown(5, "unknown", origin.unknown);
        let saves = grown(24 * 60, "saves", origin.saves);
        let mut refusals = Vec::new();
        for reason in REFUSALS {
            if grown(15, reason, count(origin, reason)) > 0 {
                refusals.push(reason);
            }
        }
        let limited = grown(15, "budget", count(origin, "budget"));
        let (was_up, changes) = self.ups.entry(name.clone()).or_insert((origin.up, 0));
        if *was_up != origin.up {
            *was_up = origin.up;
            *changes += 1;
        }
        let changes = *changes;
        let lately = self.grown(at, 30, ("changes", name.clone()), changes);
        let mut see = |alert, summary| seen.push(of_origin(alert, name, summary));
        if exceeds(unknown, asked, 20) {
            let part = percent(unknown, asked);
            let summary = format!("{part} of what origin {name} is asked stays unknown");
            see(Alert::OriginUnknown, summary);
        }
        if !refusals.is_empty() {
            let summary = format!("Origin {name} says: {}", refusals.join(", "));
            see(Alert::OriginRefuses, summary);
        }
        if origin.suspect {
            let summary = format!("Origin {name} has lost files that it had");
            see(Alert::OriginSuspect, summary);
        }
        if !origin.up {
            see(Alert::OriginLeftAlone, format!("Origin {name} is down"));
        }
        if lately >= MOST_CHANGES {
            let summary =
                format!("Origin {name} went down and came back {lately} times in half an hour");
            see(Alert::OriginComesAndGoes, summary);
        }
        if limited > 0 {
            let summary = format!("Questions to origin {name} were refused by our own limits");
            see(Alert::OwnLimitReached, summary);
        }
        if saves > 0 {
            let summary = format!(
                "Only origin {name}, which rehearses being gone, had what viewers asked for"
            );
            see(Alert::RehearsalFoundMissing, summary);
        }
        if let Some((left, of)) = origin.budget
            && left < of / 10
        {
            let left = ByteSize(left).display().si();
            let summary = format!("Origin {name} may be read for {left} more in this period");
            see(Alert::BudgetNearItsEnd, summary);
        }
    }

    fn cache(&mut self, at: Duration, moment: &Moment, seen: &mut Vec<Seen>) {
        let Some(cache) = &moment.cache else { return };
        let errors = self.grown(at, 60, ("disk", String::new()), cache.errors);
        let mut see = |alert, summary: String| seen.push(of_all(alert, summary));
        if !cache.up {
            see(Alert::CacheDown, "The cache's disk is not used".to_owned());
        }
        if errors > MOST_DISK_ERRORS {
            let summary = format!("The cache's disk fails: {errors} errors in an hour");
            see(Alert::CacheFails, summary);
        }
        if cache.orphans > 0 {
            let summary = format!(
                "{} objects are in the cache and at no origin any more",
                cache.orphans
            );
            see(Alert::CacheIsLastHome, summary);
        }
    }

    fn promotions(&mut self, at: Duration, moment: &Moment, seen: &mut Vec<Seen>) {
        let Some((waiting, copied)) = moment.promotions else {
            return;
        };
        let copied = self.grown(at, 30, ("copied", String::new()), copied);
        let since = (waiting > 0).then(|| self.waiting_since.unwrap_or(at));
        self.waiting_since = since;
        let is_long =
            since.is_some_and(|since| at.saturating_sub(since) >= Duration::from_mins(30));
        if is_long && copied == 0 {
            let summary =
                format!("{waiting} objects wait to be copied, and none was in half an hour");
            seen.push(of_all(Alert::PromotionStuck, summary));
        }
    }

    fn edge(&mut self, at: Duration, moment: &Moment, seen: &mut Vec<Seen>) {
        for (name, left) in &moment.certificates {
            if *left < CERTIFICATE {
                let summary = match u64::try_from(*left) {
                    Ok(left) => {
                        let hours = humantime::format_duration(Duration::from_hours(left / 3600));
                        format!("The certificate {name} ends in {hours}")
                    }
                    Err(_) => format!("The certificate {name} has ended"),
                };
                let about = format!("certificate {name}");
                seen.push(of(Alert::CertificateNearItsEnd, about, summary));
            }
        }
        if !moment.without_certificate.is_empty() {
            let names = moment.without_certificate.join(", ");
            let summary = format!("There is no certificate for {names}");
            seen.push(of_all(Alert::CertificateMissing, summary));
        }
        let unrouted = self.grown(at, 15, ("unrouted", String::new()), moment.unrouted);
        if unrouted > 15 * MINUTE {
            let summary = "Requests arrive for hosts or paths that no route has".to_owned();
            seen.push(of_all(Alert::WrongAddresses, summary));
        }
        if moment.fleet_up == Some(false) {
            let summary = "This gateway and its fleet do not know the same of what is gone";
            seen.push(of_all(Alert::GatewayOnItsOwn, summary.to_owned()));
        }
    }
}

fn count(origin: &OriginMoment, reason: &str) -> u64 {
    let mut reasons = origin.reasons.iter();
    let found = reasons.find(|(label, _)| *label == reason);
    found.map_or(0, |(_, count)| *count)
}

/// Whether a part is more than so many percent of the whole.
fn exceeds(part: u64, whole: u64, percent: u64) -> bool {
    u128::from(part) * 100 > u128::from(whole) * u128::from(percent)
}

fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn of(alert: Alert, subject: String, summary: String) -> Seen {
    Seen {
        about: (alert, subject),
        summary,
    }
}

fn of_route(alert: Alert, name: &str, summary: String) -> Seen {
    of(alert, format!("route {name}"), summary)
}

fn of_origin(alert: Alert, name: &str, summary: String) -> Seen {
    of(alert, format!("origin {name}"), summary)
}

fn of_all(alert: Alert, summary: String) -> Seen {
    of(alert, String::new(), summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::moment::CacheMoment;
    use crate::metrics::totals::RouteTotals;

    const LOOK: Duration = Duration::from_secs(15);

    fn fine() -> Moment {
        Moment {
            routes: vec![RouteMoment {
                name: "media".to_owned(),
                ..RouteMoment::default()
            }],
            origins: vec![OriginMoment {
                name: "old".to_owned(),
                up: true,
                budget: Some((500, 1000)),
                ..OriginMoment::default()
            }],
            cache: Some(CacheMoment {
                up: true,
                ..CacheMoment::default()
            }),
            promotions: Some((0, 0)),
            certificates: vec![("media.example.com".to_owned(), CERTIFICATE)],
            fleet_up: Some(true),
            ..Moment::default()
        }
    }

    /// What is seen at each of these looks.
    fn looks(moments: impl IntoIterator<Item = Moment>) -> Vec<Vec<Alert>> {
        let mut judge = Judge::default();
        (0_u32..)
            .zip(moments)
            .map(|(n, moment)| {
                let seen = judge.look(LOOK * n, &moment);
                seen.into_iter().map(|seen| seen.about.0).collect()
            })
            .collect()
    }

    fn with(change: impl Fn(&mut Moment)) -> Moment {
        let mut moment = fine();
        change(&mut moment);
        moment
    }

    #[test]
    fn what_is_well_is_no_alert_and_what_is_so_is_one_by_itself() {
        type Spoil = fn(&mut Moment);
        let cases: [(Alert, Spoil); 15] = [
            (Alert::OriginSuspect, |now| {
                now.origins[0].suspect = true;
            }),
            (Alert::OriginLeftAlone, |now| {
                now.origins[0].up = false;
            }),
            (Alert::CacheDown, |now| {
                now.cache.as_mut().unwrap().up = false;
            }),
            (Alert::CacheFails, |now| {
                now.cache.as_mut().unwrap().errors = 11;
            }),
            (Alert::CacheIsLastHome, |now| {
                now.cache.as_mut().unwrap().orphans = 1;
            }),
            (Alert::BudgetNearItsEnd, |now| {
                now.origins[0].budget = Some((99, 1000));
            }),
            (Alert::CertificateNearItsEnd, |now| {
                now.certificates[0].1 -= 1;
            }),
            (Alert::CertificateMissing, |now| {
                now.without_certificate.push("a".to_owned());
            }),
            (Alert::GatewayOnItsOwn, |now| {
                now.fleet_up = Some(false);
            }),
            (Alert::DeletionsNotFollowed, |now| {
                now.routes[0].brake = true;
            }),
            (Alert::OriginRefuses, |now| {
                now.origins[0].reasons = vec![("credentials", 1)];
            }),
            (Alert::OwnLimitReached, |now| {
                now.origins[0].reasons = vec![("budget", 1)];
            }),
            (Alert::RehearsalFoundMissing, |now| {
                now.origins[0].saves = 1;
            }),
            (Alert::WrongAddresses, |now| {
                now.unrouted = 901;
            }),
            (Alert::OriginUnknown, |now| {
                (now.origins[0].asked, now.origins[0].unknown) = (100, 21);
            }),
        ];
        for (alert, spoil) in cases {
            let seen = looks([fine(), with(spoil)]);
            assert_eq!(seen[0], [], "{alert:?}");
            assert_eq!(seen[1], [alert]);
        }
    }

    #[test]
    fn parts_of_the_answers_count_within_their_minutes() {
        let answered = |answers, errors, stale| {
            with(|now| {
                now.routes[0].totals = RouteTotals {
                    answers,
                    errors,
                    stale,
                };
            })
        };
        let some = answered(1000, 10, 50);
        assert_eq!(looks([fine(), some])[1], []);
        let more = answered(1000, 11, 51);
        let both = [Alert::ViewersGetErrors, Alert::StaleServed];
        assert_eq!(looks([fine(), more.clone()])[1], both);
        // 5 minutes are 20 looks.
        let seen = looks(std::iter::once(fine()).chain(std::iter::repeat_n(more, 80)));
        assert_eq!(seen[30], [Alert::StaleServed]);
        assert_eq!(seen[80], []);
    }

    #[test]
    fn what_was_counted_before_the_first_look_is_no_news() {
        let before = with(|now| {
            now.unrouted = 100_000;
            now.origins[0].reasons = vec![("credentials", 5)];
            now.origins[0].saves = 5;
        });
        assert_eq!(looks([before.clone(), before]), [[], []]);
    }

    #[test]
    fn an_origin_that_flaps_comes_and_goes() {
        let flap = (0..8).map(|n| with(|now| now.origins[0].up = n % 2 == 0));
        let seen = looks(flap);
        assert!(!seen[5].contains(&Alert::OriginComesAndGoes));
        assert!(seen[6].contains(&Alert::OriginComesAndGoes));
    }

    #[test]
    fn a_queue_that_does_not_move_for_half_an_hour_is_stuck() {
        let waits = |copied| with(|now| now.promotions = Some((7, copied)));
        // Half an hour is 120 looks.
        let seen = looks(std::iter::repeat_n(waits(3), 122));
        assert_eq!(seen[119], []);
        assert_eq!(seen[120], [Alert::PromotionStuck]);
        let moving = looks((0..130).map(|n| waits(n / 60)));
        assert_eq!(moving[129], []);
    }

    #[test]
    fn nothing_is_kept_of_what_has_left() {
        let mut judge = Judge::default();
        judge.look(Duration::ZERO, &fine());
        let kept = judge.windows.len();
        let other = with(|now| now.origins[0].name = "new".to_owned());
        judge.look(LOOK, &other);
        assert_eq!(judge.windows.len(), kept);
        assert_eq!(judge.ups.len(), 1);
    }
}
