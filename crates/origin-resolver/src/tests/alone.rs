//! One origin asked by itself.

use super::fake::{Version, failing, found, guard, key, missing, route, settings};
use crate::{Canary, Outcome, Part, Reason, Resolver, VerdictLabel};

#[tokio::test(start_paused = true)]
async fn one_origin_is_asked_and_no_other() {
    let (first, second) = (missing(), found("hello"));
    let route = route(&[&first, &second]);
    let said = route.ask_alone("second", &key("a")).await.label();
    assert_eq!(said, VerdictLabel::Found);
    assert_eq!((first.asked(), second.asked()), (0, 1));
    let said = route.ask_alone("first", &key("a")).await.label();
    assert_eq!(said, VerdictLabel::Missing);
    let said = route.ask_alone("third", &key("a")).await.label();
    assert_eq!(said, VerdictLabel::Unknown);
    assert_eq!((first.asked(), second.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_without_its_canaries_lacks_is_unknown() {
    let first = missing();
    let mut with_canary = settings("first");
    with_canary.canary = Canary::Keys(vec![key("canary")]);
    let route = Resolver::new(&[guard(with_canary, &first)], 1);
    let said = route.ask_alone("first", &key("a")).await.label();
    assert_eq!(said, VerdictLabel::Unknown);
    assert!(!route.is_believed("first").await);
    assert!(!route.is_believed("second").await);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_left_alone_is_not_asked_by_itself() {
    let first = failing(Reason::Timeout);
    let route = route(&[&first]);
    for _ in 0..10 {
        route.ask_alone("first", &key("a")).await;
    }
    assert!(first.asked() < 10, "{}", first.asked());
}

#[tokio::test(start_paused = true)]
async fn without_its_hint_a_key_is_looked_for_in_order_again() {
    let (first, second) = (missing(), found("hello"));
    let route = route(&[&first, &second]);
    for _ in 0..2 {
        route.resolve(&key("a"), Part::Whole).await;
    }
    assert_eq!(first.asked(), 1);
    route.forget_hint(&key("a"));
    let version = Version::new("again");
    first.now_says(move |question, _| version.answer(question));
    let outcome = route.resolve(&key("a"), Part::Whole).await.outcome;
    assert!(matches!(outcome, Outcome::Found(found) if &*found.origin == "first"));
}
