//! Law 1 in every position: 404 only if every origin was asked and said missing.

use std::sync::Arc;

use super::fake::{Fake, failing, found, key, missing, route, withholding};
use crate::{Outcome, Part, Reason, SaveCause, VerdictLabel};

fn origin(verdict: VerdictLabel) -> Arc<Fake> {
    match verdict {
        VerdictLabel::Found => found("hello"),
        VerdictLabel::Missing => missing(),
        VerdictLabel::Withheld => withholding(),
        VerdictLabel::Unknown => failing(Reason::ServerError),
    }
}

fn label(outcome: &Outcome) -> VerdictLabel {
    match outcome {
        Outcome::Found(_) => VerdictLabel::Found,
        Outcome::Missing => VerdictLabel::Missing,
        Outcome::Withheld => VerdictLabel::Withheld,
        Outcome::Unknown { .. } => VerdictLabel::Unknown,
    }
}

#[tokio::test(start_paused = true)]
async fn three_origins_answer_truthfully_in_every_combination_of_verdicts() {
    for a in VerdictLabel::ALL {
        for b in VerdictLabel::ALL {
            for c in VerdictLabel::ALL {
                let fakes = [origin(a), origin(b), origin(c)];
                let route = route(&[&fakes[0], &fakes[1], &fakes[2]]);
                let resolution = route.resolve(&key("k"), Part::Whole).await;
                let expected = crate::conclude([a, b, c]);
                assert_eq!(label(&resolution.outcome), expected, "{a:?} {b:?} {c:?}");
                let examined = route.examine(&key("k")).await;
                let explained = crate::conclude(examined.iter().map(|one| one.verdict));
                assert_eq!(explained, expected, "explain agrees: {a:?} {b:?} {c:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_reason_for_unknown_prevents_a_404_in_every_position() {
    for reason in Reason::ALL {
        for position in 0..3 {
            let fakes: Vec<_> = (0..3)
                .map(|n| {
                    if n == position {
                        failing(reason)
                    } else {
                        missing()
                    }
                })
                .collect();
            let route = route(&[&fakes[0], &fakes[1], &fakes[2]]);
            for _ in 0..10 {
                let resolution = route.resolve(&key("k"), Part::Whole).await;
                assert!(
                    matches!(resolution.outcome, Outcome::Unknown { .. }),
                    "{reason} at {position}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_saves_the_round_trips_to_the_origins_before() {
    let (first, second) = (missing(), found("hello"));
    let route = route(&[&first, &second]);
    for _ in 0..5 {
        let resolution = route.resolve(&key("k"), Part::Whole).await;
        assert!(matches!(resolution.outcome, Outcome::Found(_)));
    }
    assert_eq!((first.asked(), second.asked()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_was_down_is_asked_again_and_a_hint_does_not_prolong_itself() {
    let (first, second) = (failing(Reason::Denied), found("hello"));
    let route = route(&[&first, &second]);
    let _ = route.resolve(&key("k"), Part::Whole).await;
    assert_eq!(route.hinted(&key("k")), None, "it may have it");
    first.now_says(|_, _| super::fake::Said::Now(crate::Answer::Missing));
    let _ = route.resolve(&key("k"), Part::Whole).await;
    assert_eq!(route.hinted(&key("k")), Some("second"));
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_mins(25)).await;
        let _ = route.resolve(&key("k"), Part::Whole).await;
    }
    assert_eq!(first.asked(), 3, "the hour is counted from the walk");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_hint_never_leads_to_a_404() {
    let (first, second) = (missing(), found("hello"));
    let route = route(&[&first, &second]);
    let _ = route.resolve(&key("k"), Part::Whole).await;
    assert_eq!(route.hinted(&key("k")), Some("second"));
    first.now_says(|question, _| super::fake::Version::new("moved").answer(question));
    second.now_says(|_, _| super::fake::Said::Now(crate::Answer::Missing));
    let resolution = route.resolve(&key("k"), Part::Whole).await;
    let Outcome::Found(resolved) = resolution.outcome else {
        panic!("the object moved to the first origin");
    };
    assert_eq!(&*resolved.origin, "first");
    assert_eq!(route.hinted(&key("k")), None);
}

#[tokio::test(start_paused = true)]
async fn a_rehearsing_origin_is_asked_last_and_its_saves_are_counted_by_cause() {
    use super::fake::{guard, settings};
    use crate::{OriginObserver, OriginState, Resolver};
    use std::sync::Mutex;
    use std::time::Duration;

    #[derive(Default)]
    struct Saves(Mutex<Vec<SaveCause>>);
    impl OriginObserver for Saves {
        fn answered(&self, _verdict: VerdictLabel, _elapsed: Duration) {}
        fn unknown(&self, _failure: &crate::Failure) {}
        fn served_bytes(&self, _count: u64) {}
        fn background_bytes(&self, _count: u64) {}
        fn up(&self, _up: bool) {}
        fn suspect(&self, _suspect: bool) {}
        fn rehearsal_save(&self, cause: SaveCause) {
            self.0.lock().unwrap().push(cause);
        }
        fn resumed(&self) {}
    }

    for (active, cause) in [
        (missing(), SaveCause::Missing),
        (failing(Reason::ServerError), SaveCause::Unknown),
    ] {
        let saves = Arc::new(Saves::default());
        let old = found("old");
        let mut rehearsing = settings("old");
        rehearsing.state = OriginState::Rehearsal;
        let rehearsing = crate::GuardedOrigin::new(
            rehearsing,
            Arc::clone(&old) as Arc<dyn crate::Origin>,
            Arc::clone(&saves) as Arc<dyn OriginObserver>,
            tokio_util::task::TaskTracker::new(),
        );
        // Configured first, asked last.
        let route = Resolver::new(&[rehearsing, guard(settings("current"), &active)], 10);
        let resolution = route.resolve(&key("k"), Part::Whole).await;
        assert_eq!(active.asked(), 1);
        let Outcome::Found(found) = resolution.outcome else {
            panic!("it was not found");
        };
        assert_eq!(found.saved, Some(cause));
        assert!(
            saves.0.lock().unwrap().is_empty(),
            "whoever asked counts it"
        );
        route.note_save("old", cause);
        assert_eq!(*saves.0.lock().unwrap(), [cause]);
        assert_eq!(
            route.hinted(&key("k")),
            None,
            "no hint to a rehearsing origin"
        );
    }
}
