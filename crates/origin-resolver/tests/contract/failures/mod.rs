//! What origins do wrong, over real sockets and through the whole resolver: a wrong byte, a wrong
//! 404 or a leak would have passed every layer.
//!
//! Timeouts are short, and nothing sleeps longer than they need.

mod bodies;
mod canaries;
mod headers;
mod refusals;
mod rescue;
mod slowness;
mod storms;
mod tls;
mod wire;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object::{Interruption, ObjectBody, ObjectKey};
use origin_resolver::{
    Failure, GuardedOrigin, Kind, Names, OriginSettings, Outcome, Part, Reason, Resolution,
    Resolved, Resolver, Unobserved, build,
};
use test_servers::Keys;
use test_servers::faulty::{BUCKET, Faulty};
use tokio_util::task::TaskTracker;

use crate::kinds::{private_bucket, public_bucket, settings, web};

/// The key most tests ask for.
const KEY: &str = "misskey/a.webp";

/// A route of these origins, in this order.
fn route(origins: impl IntoIterator<Item = OriginSettings>) -> Resolver {
    let names = Names::new();
    let guarded: Vec<_> = origins
        .into_iter()
        .map(|settings| {
            let origin = build(&settings, &names).unwrap();
            GuardedOrigin::new(settings, origin, Arc::new(Unobserved), TaskTracker::new())
        })
        .collect();
    Resolver::new(&guarded, 1000)
}

/// With timeouts that a test can wait for.
fn quick(name: &str, kind: Kind) -> OriginSettings {
    OriginSettings {
        connect_timeout: Duration::from_millis(500),
        first_byte_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(500),
        hedge_after: Duration::from_millis(100),
        ..settings(name, kind)
    }
}

fn bucket(name: &str, server: &Faulty) -> OriginSettings {
    quick(name, Kind::S3(public_bucket(&server.endpoint(), BUCKET)))
}

fn signed_bucket(name: &str, server: &Faulty) -> OriginSettings {
    let bucket = private_bucket(&server.endpoint(), BUCKET, &Keys::default());
    quick(name, Kind::S3(bucket))
}

fn web_server(name: &str, server: &Faulty) -> OriginSettings {
    quick(name, Kind::Http(web(&server.base_url())))
}

/// The same origin as a stranger's bucket, with a signature, and as a web server.
fn each_kind(server: &Faulty) -> [OriginSettings; 3] {
    [
        bucket("stranger", server),
        signed_bucket("signed", server),
        web_server("web", server),
    ]
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

async fn resolve(route: &Resolver, text: &str) -> Resolution {
    route.resolve(&key(text), Part::Whole).await
}

/// What was found of a key that must be.
async fn found(route: &Resolver, text: &str) -> Resolved {
    match resolve(route, text).await {
        Resolution {
            outcome: Outcome::Found(resolved),
            ..
        } => *resolved,
        other => panic!("{text:?}: {other:?}"),
    }
}

/// The failure of the only origin asked, where nobody can say.
async fn failure(route: &Resolver, text: &str) -> Failure {
    let resolution = resolve(route, text).await;
    assert_unknown(&resolution, &text);
    let failures = resolution.trail.into_iter().filter_map(|step| step.failure);
    let [failure] = &failures.collect::<Vec<_>>()[..] else {
        panic!("{text:?}: not one failure");
    };
    failure.clone()
}

async fn reason(route: &Resolver, text: &str) -> Reason {
    failure(route, text).await.reason
}

fn assert_unknown(resolution: &Resolution, what: &impl Debug) {
    assert!(
        matches!(resolution.outcome, Outcome::Unknown { .. }),
        "{what:?}: {resolution:?}"
    );
}

fn assert_missing(resolution: &Resolution, what: &impl Debug) {
    assert!(
        matches!(resolution.outcome, Outcome::Missing),
        "{what:?}: {resolution:?}"
    );
}

/// What came of a body, and how it broke off if it did.
async fn read(mut body: ObjectBody) -> (Vec<u8>, Option<Interruption>) {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => return (bytes, Some(error.kind)),
        }
    }
    (bytes, None)
}
