//! Slow, hanging, dead and flapping origins: what a viewer waits, and what the origins are asked.

use std::time::Duration;

use tokio::time::Instant;

use super::fake::{Fake, Said, Version, failing, found, hanging, key, missing, route, unknown};
use crate::{Answer, Failure, Outcome, Part, Reason};

fn is_found(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Found(_))
}

#[tokio::test(start_paused = true)]
async fn a_hanging_first_origin_costs_less_than_three_seconds() {
    let (first, second) = (hanging(), found("hello"));
    let route = route(&[&first, &second]);
    for n in 0..20 {
        let began = Instant::now();
        let resolution = route.resolve(&key(&format!("k{n}")), Part::Whole).await;
        assert!(is_found(&resolution.outcome));
        assert!(began.elapsed() < Duration::from_secs(3), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn once_the_breaker_knows_a_hanging_origin_costs_nothing() {
    let (first, second) = (hanging(), found("hello"));
    let route = route(&[&first, &second]);
    for n in 0..5 {
        let _ = route.resolve(&key(&format!("k{n}")), Part::Whole).await;
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    for n in 0..100 {
        let began = Instant::now();
        let resolution = route.resolve(&key(&format!("l{n}")), Part::Whole).await;
        assert!(is_found(&resolution.outcome));
        assert!(began.elapsed() < Duration::from_millis(50), "{n}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_asks_for_no_body_while_the_earlier_origin_may_still_answer() {
    let slow = Version::new("from the first");
    let first = Fake::new(move |question, _| match slow.answer(question) {
        Said::Now(answer) => Said::After(Duration::from_millis(500), answer),
        other => other,
    });
    let later = Version::new("from the second");
    let second = Fake::new(move |question, _| match later.answer(question) {
        Said::Now(answer) => Said::After(Duration::from_millis(300), answer),
        other => other,
    });
    let route = route(&[&first, &second]);
    let resolution = route.resolve(&key("k"), Part::Whole).await;
    let Outcome::Found(resolved) = resolution.outcome else {
        panic!("both have it");
    };
    assert_eq!(&*resolved.origin, "first");
    assert_eq!(second.questions()[0].part, Part::Head);
    assert_eq!(second.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tripped_origin_is_still_asked_when_nobody_else_can_answer() {
    let version = Version::new("hello");
    // Seven failures trip it; then it fails one time in three.
    let first = Fake::new(move |question, nth| {
        if nth < 7 || nth % 3 == 0 {
            unknown(Reason::ServerError)
        } else {
            version.answer(question)
        }
    });
    let second = missing();
    let route = route(&[&first, &second]);
    for _ in 0..7 {
        let _ = route.resolve(&key("k"), Part::Whole).await;
    }
    let mut served = 0;
    for _ in 0..60 {
        served += u32::from(is_found(
            &route.resolve(&key("k"), Part::Whole).await.outcome,
        ));
    }
    assert!(served >= 38, "{served} of 60");
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_passed_over_at_once() {
    let (first, second) = (failing(Reason::Connect), found("hello"));
    let route = route(&[&first, &second]);
    let began = Instant::now();
    assert!(is_found(
        &route.resolve(&key("k"), Part::Whole).await.outcome
    ));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_flapping_origin_sees_at_most_a_fifth_more_requests_than_misses() {
    let version = Version::new("hello");
    let first = Fake::new(move |question, nth| {
        if nth % 2 == 0 {
            let failure = Failure::new(Reason::Connect, "dropped by the script");
            Said::Now(Answer::Dropped(failure))
        } else {
            version.answer(question)
        }
    });
    let route = route(&[&first]);
    let misses = 500;
    for n in 0..misses {
        let _ = route.resolve(&key(&format!("k{n}")), Part::Whole).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Trials of the breaker come on top: at most one a second.
    assert!(first.asked() <= misses * 12 / 10, "{}", first.asked());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_gets_one_fresh_one() {
    let version = Version::new("hello");
    let first = Fake::new(move |question, _| {
        if question.fresh_connection {
            version.answer(question)
        } else {
            let failure = Failure::new(Reason::Connect, "an old connection was closed");
            Said::Now(Answer::Dropped(failure))
        }
    });
    let route = route(&[&first]);
    for _ in 0..50 {
        assert!(is_found(
            &route.resolve(&key("k"), Part::Whole).await.outcome
        ));
    }
    assert_eq!(first.asked(), 51, "after the first drop, only fresh ones");
}

#[tokio::test(start_paused = true)]
async fn a_head_without_a_body_is_no_answer() {
    let first = Fake::new(|question, _| Version::new("hello").answer_until(question, 0));
    let second = found("world");
    let route = route(&[&first, &second]);
    let Outcome::Found(resolved) = route.resolve(&key("k"), Part::Whole).await.outcome else {
        panic!("the second has it");
    };
    assert_eq!(&*resolved.origin, "second");
}

#[tokio::test(start_paused = true)]
async fn a_rehearsing_origin_does_not_stand_in_for_one_that_is_merely_slow() {
    let slow = Version::new("hello");
    let first = Fake::new(move |question, _| match slow.answer(question) {
        Said::Now(answer) => Said::After(Duration::from_millis(900), answer),
        other => other,
    });
    let rehearsing = found("hello");
    let mut settings = super::fake::settings("old");
    settings.state = crate::OriginState::Rehearsal;
    let origins = [
        super::fake::guard(super::fake::settings("current"), &first),
        super::fake::guard(settings, &rehearsing),
    ];
    let route = crate::Resolver::new(&origins, 10);
    assert!(is_found(
        &route.resolve(&key("k"), Part::Whole).await.outcome
    ));
    assert_eq!(rehearsing.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_questions_to_a_silent_origin_is_refused_and_not_queued_without_end() {
    let first = hanging();
    let mut settings = super::fake::settings("first");
    settings.max_concurrency = 2;
    let route = crate::Resolver::new(&[super::fake::guard(settings, &first)], 10);
    let keys: Vec<_> = (0..100).map(|n| key(&format!("k{n}"))).collect();
    let all =
        futures_util::future::join_all(keys.iter().map(|key| route.resolve(key, Part::Whole)))
            .await;
    let over = all.iter().filter(|one| {
        let failure = one.trail.first().and_then(|step| step.failure.as_ref());
        failure.is_some_and(|failure| failure.reason == Reason::Budget)
    });
    assert!(over.count() >= 80);
    assert!(first.asked() <= 16, "{}", first.asked());
}
