//! Answers of *missing*, and of 403, that are worth nothing: emptied, swapped, closed and throttled
//! buckets.

use origin_resolver::{
    Canary, ForbiddenMeans, Kind, OriginSettings, Outcome, ReadAs, Reason, S3Settings,
};
use test_servers::Keys;
use test_servers::faulty::{BUCKET, Fault, Faulty, Missing, Object, On};

use super::{
    KEY, assert_missing, assert_unknown, bucket, each_kind, found, key, quick, read, reason,
    resolve, route,
};
use crate::kinds::{credentials, public_bucket};

const CANARY: &str = "misskey/canary.webp";

fn with_canary(origin: OriginSettings) -> OriginSettings {
    OriginSettings {
        canary: Canary::Keys(vec![key(CANARY)]),
        ..origin
    }
}

#[tokio::test]
async fn missing_is_believed_of_an_origin_that_still_has_its_canary() {
    let server = Faulty::start().await;
    server.put(CANARY, "tweet");
    for origin in each_kind(&server) {
        assert_missing(&resolve(&route([with_canary(origin)]), KEY).await, &"full");
    }
}

#[tokio::test]
async fn an_emptied_or_swapped_bucket_makes_no_404() {
    let server = Faulty::start().await;
    for swapped in [false, true] {
        if swapped {
            server.put("someone/elses.webp", "object");
        }
        for origin in each_kind(&server) {
            let route = route([with_canary(origin)]);
            assert_eq!(
                reason(&route, KEY).await,
                Reason::Bucket,
                "swapped: {swapped}"
            );
            assert!(route.origins()[0].standing().suspect);
            assert_eq!(reason(&route, "another").await, Reason::Bucket);
        }
    }
}

#[tokio::test]
async fn a_bucket_emptied_between_two_lives_of_the_gateway_makes_no_404() {
    let server = Faulty::start().await;
    server.put(KEY, "object");
    let before = route([bucket("o", &server)]);
    read(found(&before, KEY).await.body).await;
    let learned = before.origins()[0].learned_canaries();
    assert_eq!(learned, [key(KEY)]);

    let after = route([bucket("o", &server)]);
    after.origins()[0].restore_canaries(learned.clone());
    assert_missing(&resolve(&after, "absent").await, &"still there");

    server.empty();
    let after = route([bucket("o", &server)]);
    after.origins()[0].restore_canaries(learned);
    assert_unknown(&resolve(&after, "absent").await, &"emptied");
}

#[tokio::test]
async fn a_canary_that_cannot_be_asked_makes_no_404() {
    let server = Faulty::start().await;
    server.put(CANARY, "tweet");
    for fault in [Fault::status(500), Fault::Drop, Fault::access_denied()] {
        server.heal();
        server.fault(On::key(CANARY), fault.clone());
        for origin in each_kind(&server) {
            let route = route([with_canary(origin)]);
            assert_unknown(&resolve(&route, KEY).await, &fault);
        }
    }
}

#[tokio::test]
async fn a_403_is_missing_only_where_a_canary_proves_it() {
    let server = Faulty::start().await;
    server.missing(Missing::ForbiddenToStrangers);
    server.put(CANARY, "tweet");
    let proven = route([with_canary(bucket("o", &server))]);
    assert_missing(&resolve(&proven, KEY).await, &"proven");

    let unproven = route([bucket("o", &server)]);
    assert_eq!(reason(&unproven, KEY).await, Reason::Denied);

    let told = OriginSettings {
        forbidden_means: ForbiddenMeans::Missing,
        ..bucket("o", &server)
    };
    assert_missing(&resolve(&route([told]), KEY).await, &"told");

    // The whole bucket is closed: the canary is refused too.
    server.private(true);
    let closed = route([with_canary(bucket("o", &server))]);
    assert_eq!(reason(&closed, KEY).await, Reason::Denied);
}

#[tokio::test]
async fn a_403_by_which_an_origin_throttles_is_not_missing() {
    let server = Faulty::start().await;
    server.put(CANARY, "tweet");
    server.put(KEY, "object");
    // Everything is throttled.
    server.fault(On::any(), Fault::access_denied());
    let all = route([with_canary(bucket("o", &server))]);
    assert_eq!(reason(&all, KEY).await, Reason::Denied);
    // The canary is served, the absent key gets an honest 404: 403 does not mean missing here.
    server.heal();
    server.fault(On::key(KEY), Fault::access_denied());
    let one = route([with_canary(bucket("o", &server))]);
    assert_eq!(reason(&one, KEY).await, Reason::Denied);
    // Throttled for a moment, by an origin whose 403 does mean missing.
    server.heal();
    server.missing(Missing::ForbiddenToStrangers);
    server.fault(On::key(KEY).nth(1), Fault::access_denied());
    let moment = route([with_canary(bucket("o", &server))]);
    assert_eq!(&*read(found(&moment, KEY).await.body).await.0, b"object");
}

#[tokio::test]
async fn keys_settle_what_a_strangers_403_means() {
    let server = Faulty::start().await;
    server.missing(Missing::ForbiddenToStrangers);
    server.put("withdrawn", Object::new("x").private());
    server.put("public", "x");
    let settling = || {
        let settings = S3Settings {
            credentials: Some(credentials(&Keys::default())),
            read: ReadAs::Anonymous,
            ..public_bucket(&server.endpoint(), BUCKET)
        };
        route([quick("o", Kind::S3(settings))])
    };
    found(&settling(), "public").await;
    assert_missing(&resolve(&settling(), "absent").await, &"absent");
    let withheld = resolve(&settling(), "withdrawn").await;
    assert!(
        matches!(withheld.outcome, Outcome::Withheld),
        "{withheld:?}"
    );
    assert!(
        server
            .requests_for("public")
            .iter()
            .all(|asked| !asked.is_signed())
    );

    server.fault(On::any().signed(), Fault::invalid_access_key());
    assert_eq!(reason(&settling(), "absent").await, Reason::Credentials);
}
