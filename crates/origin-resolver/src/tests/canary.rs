//! Buckets that were emptied or swapped, and 403s that may mean anything.

use std::time::Duration;

use super::fake::{
    Fake, Said, Version, guard, key, missing, route, settings, unknown, withholding,
};
use crate::{Answer, Canary, ForbiddenMeans, Outcome, Part, Reason, Resolver};

async fn outcome(route: &Resolver, text: &str) -> Outcome {
    route.resolve(&key(text), Part::Whole).await.outcome
}

#[tokio::test(start_paused = true)]
async fn an_emptied_bucket_never_turns_into_404s() {
    let version = Version::new("hello");
    let first = Fake::new(move |question, _| version.answer(question));
    let route = route(&[&first]);
    assert!(matches!(outcome(&route, "a").await, Outcome::Found(_)));
    first.now_says(|_, _| Said::Now(Answer::Missing));
    tokio::time::sleep(Duration::from_secs(61)).await;
    for _ in 0..100 {
        let answer = outcome(&route, "b").await;
        assert!(matches!(answer, Outcome::Unknown { .. }));
    }
    assert!(route.origins()[0].standing().suspect);
    // One question and two canaries, then only questions: canaries are asked once a minute.
    assert_eq!(first.asked(), 1 + 2 + 100);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_that_has_its_canary_again_is_believed_again() {
    let first = missing();
    let mut with_canary = settings("first");
    with_canary.canary = Canary::Keys(vec![key("canary")]);
    let route = Resolver::new(&[guard(with_canary, &first)], 1);
    assert!(matches!(
        outcome(&route, "b").await,
        Outcome::Unknown { .. }
    ));
    first.now_says(|question, _| {
        if question.key.as_str() == "canary" {
            Version::new("hello").answer(question)
        } else {
            Said::Now(Answer::Missing)
        }
    });
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(matches!(outcome(&route, "b").await, Outcome::Missing));
}

#[tokio::test(start_paused = true)]
async fn one_deleted_canary_does_not_make_a_suspect() {
    let first = Fake::new(|question, _| {
        if question.key.as_str() == "kept" {
            Version::new("hello").answer(question)
        } else {
            Said::Now(Answer::Missing)
        }
    });
    let mut with_canaries = settings("first");
    with_canaries.canary = Canary::Keys(vec![key("deleted"), key("kept")]);
    let route = Resolver::new(&[guard(with_canaries, &first)], 1);
    assert!(matches!(outcome(&route, "b").await, Outcome::Missing));
}

#[tokio::test(start_paused = true)]
async fn learned_canaries_survive_a_restart_into_a_typo() {
    let route = route(&[&missing()]);
    route.origins()[0].restore_canaries([key("a"), key("b")]);
    assert!(matches!(
        outcome(&route, "c").await,
        Outcome::Unknown { .. }
    ));
}

/// A public bucket that grants only `GetObject`: 403 for what is not there.
fn forbids_missing(question: &crate::Question) -> Said {
    if question.key.as_str() == "canary" {
        Version::new("hello").answer(question)
    } else {
        Said::Now(Answer::Forbidden)
    }
}

fn with_canary(fake: &std::sync::Arc<Fake>) -> Resolver {
    let mut settings = settings("first");
    settings.canary = Canary::Keys(vec![key("canary")]);
    Resolver::new(&[guard(settings, fake)], 1)
}

#[tokio::test(start_paused = true)]
async fn a_403_means_missing_where_a_canary_sings_and_a_random_key_gets_one_too() {
    let first = Fake::new(|question, _| forbids_missing(question));
    let route = with_canary(&first);
    assert!(matches!(outcome(&route, "gone").await, Outcome::Missing));
    let asked: Vec<_> = first.questions();
    assert_eq!(asked.len(), 4, "key, canary, random key, key again");
    assert_eq!(asked[1].key, key("canary"));
    assert!(asked[2].key.as_str().starts_with("absent-"));
    assert_eq!(asked[3].key, key("gone"));
}

#[tokio::test(start_paused = true)]
async fn a_403_for_everything_means_nothing() {
    let first = Fake::new(|_, _| Said::Now(Answer::Forbidden));
    let route = with_canary(&first);
    assert!(matches!(
        outcome(&route, "gone").await,
        Outcome::Unknown { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_403_without_a_canary_means_nothing_unless_the_operator_says_so() {
    let first = Fake::new(|_, _| Said::Now(Answer::Forbidden));
    assert!(matches!(
        outcome(&route(&[&first]), "gone").await,
        Outcome::Unknown { .. }
    ));
    let mut told = settings("first");
    told.forbidden_means = ForbiddenMeans::Missing;
    let told = Resolver::new(&[guard(told, &first)], 1);
    assert!(matches!(outcome(&told, "gone").await, Outcome::Missing));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_403_that_passes_before_the_second_look_is_served() {
    let first = Fake::new(|question, nth| {
        if question.key.as_str() == "here" && nth > 0 {
            Version::new("hello").answer(question)
        } else {
            forbids_missing(question)
        }
    });
    assert!(matches!(
        outcome(&with_canary(&first), "here").await,
        Outcome::Found(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn waiting_403s_share_one_probe() {
    let slowly = |question: &crate::Question| match forbids_missing(question) {
        Said::Now(answer) => Said::After(Duration::from_millis(50), answer),
        other => other,
    };
    let first = Fake::new(move |question, _| slowly(question));
    let route = with_canary(&first);
    let keys: Vec<_> = (0..50).map(|n| format!("gone{n}")).collect();
    let all = futures_util::future::join_all(keys.iter().map(|key| outcome(&route, key))).await;
    assert!(all.iter().all(|one| matches!(one, Outcome::Missing)));
    let canaries = first
        .questions()
        .iter()
        .filter(|question| question.key.as_str() == "canary")
        .count();
    assert!(canaries <= 2, "{canaries}");
}

#[tokio::test(start_paused = true)]
async fn with_credentials_one_signed_question_settles_a_403() {
    let route1 = route(&[&withholding()]);
    assert!(matches!(outcome(&route1, "k").await, Outcome::Withheld));
    let absent = Fake::settling(|question, _| match question.access {
        crate::Access::AsConfigured => Said::Now(Answer::Forbidden),
        crate::Access::Signed => Said::Now(Answer::Missing),
    });
    assert!(matches!(
        outcome(&route(&[&absent]), "k").await,
        Outcome::Missing
    ));
    assert_eq!(absent.asked(), 2);
    let closed = Fake::settling(|question, _| match question.access {
        crate::Access::AsConfigured => Said::Now(Answer::Forbidden),
        crate::Access::Signed => unknown(Reason::Credentials),
    });
    assert!(matches!(
        outcome(&route(&[&closed]), "k").await,
        Outcome::Unknown { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn an_upload_between_the_403_and_the_signed_question_is_served() {
    let uploaded = Fake::settling(|question, nth| match nth {
        0 => Said::Now(Answer::Forbidden),
        _ => Version::new("hello").answer(question),
    });
    assert!(matches!(
        outcome(&route(&[&uploaded]), "k").await,
        Outcome::Found(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn what_the_hinted_origin_withholds_is_still_looked_for_in_its_turn() {
    let first = missing();
    let second = Fake::settling(|question, _| Version::new("hello").answer(question));
    let route = route(&[&first, &second]);
    assert!(matches!(outcome(&route, "k").await, Outcome::Found(_)));
    // Moved to the first origin, and made private in the second.
    first.now_says(|question, _| Version::new("hello").answer(question));
    second.now_says(|question, _| match question.access {
        crate::Access::AsConfigured => Said::Now(Answer::Forbidden),
        crate::Access::Signed => Version::new("hello").answer(question),
    });
    assert!(matches!(outcome(&route, "k").await, Outcome::Found(_)));
}

#[tokio::test(start_paused = true)]
async fn our_own_limit_does_not_make_a_suspect() {
    let first = Fake::new(|question, _| {
        if question.key.as_str() == "canary" {
            Version::new("hello").answer(question)
        } else {
            Said::Now(Answer::Missing)
        }
    });
    let mut limited = settings("first");
    limited.canary = Canary::Keys(vec![key("canary")]);
    limited.max_requests_per_second = Some(1.0);
    let route = Resolver::new(&[guard(limited, &first)], 1);
    let keys: Vec<_> = (0..20).map(|n| format!("gone{n}")).collect();
    let _ = futures_util::future::join_all(keys.iter().map(|key| outcome(&route, key))).await;
    assert!(!route.origins()[0].standing().suspect);
}

#[tokio::test(start_paused = true)]
async fn a_hint_never_skips_an_origin_that_can_withhold() {
    let first = Fake::settling(|_, _| Said::Now(Answer::Missing));
    let second = super::fake::found("hello");
    let route = route(&[&first, &second]);
    assert!(matches!(outcome(&route, "k").await, Outcome::Found(_)));
    // Uploaded to the first origin, and made private there.
    first.now_says(|question, _| match question.access {
        crate::Access::AsConfigured => Said::Now(Answer::Forbidden),
        crate::Access::Signed => Version::new("hello").answer(question),
    });
    assert!(matches!(outcome(&route, "k").await, Outcome::Withheld));
}
