//! Both kinds against a server that says exactly what a test wants, byte for byte.

mod answers;
mod requests;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use object::{Interruption, ObjectKey, RangeRequest};
use secrecy::SecretString;

use super::build;
use super::scripted::{Scripted, Step};
use crate::names::Names;
use crate::{
    Access, Addressing, Answer, Canary, Credentials, ForbiddenMeans, HttpSettings, IpVersions,
    Kind, MissingMeans, Origin, OriginSettings, OriginState, Part, Provider, Question, ReadAs,
    Reason, Reply, S3Settings,
};

const ACCESS_KEY: &str = "AKIACANARYOFTHETEST";
const SECRET_KEY: &str = "secretcanaryofthetest";
const MIDDLE: Part = Part::Range(RangeRequest::FromTo { first: 2, last: 5 });

fn settings(kind: Kind) -> OriginSettings {
    OriginSettings {
        name: "current".into(),
        kind,
        state: OriginState::Active,
        rewrite: Vec::new(),
        canary: Canary::Auto,
        forbidden_means: ForbiddenMeans::Unknown,
        connect_timeout: Duration::from_secs(2),
        first_byte_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        hedge_after: Duration::from_millis(400),
        max_requests_per_second: None,
        max_concurrency: 8,
    }
}

fn bucket_at(endpoint: &str) -> S3Settings {
    S3Settings {
        endpoint: endpoint.parse().unwrap(),
        region: "us-east-1".into(),
        bucket: "media".into(),
        addressing: Addressing::Path,
        credentials: None,
        read: ReadAs::Anonymous,
        provider: None,
        public_writes: false,
        ip: IpVersions::Any,
    }
}

fn keys() -> Credentials {
    Credentials {
        access_key_id: SecretString::from(ACCESS_KEY),
        secret_access_key: SecretString::from(SECRET_KEY),
    }
}

fn open(kind: Kind) -> Arc<dyn Origin> {
    build(&settings(kind), &Names::new()).unwrap()
}

/// An anonymous bucket behind this server.
fn bucket(server: &Scripted) -> Arc<dyn Origin> {
    open(Kind::S3(bucket_at(&format!("http://{}", server.address()))))
}

/// The same, with keys, reading as said.
fn keyed_bucket(server: &Scripted, read: ReadAs, provider: Option<Provider>) -> Arc<dyn Origin> {
    open(Kind::S3(S3Settings {
        credentials: Some(keys()),
        read,
        provider,
        ..bucket_at(&format!("http://{}", server.address()))
    }))
}

fn web_at(url: &str) -> HttpSettings {
    HttpSettings {
        url: url.parse().unwrap(),
        missing_means: MissingMeans::Missing,
        allow_html: false,
        ip: IpVersions::Any,
    }
}

/// A web server that is this server.
fn web(server: &Scripted) -> Arc<dyn Origin> {
    open(Kind::Http(web_at(&format!(
        "http://{}/old/",
        server.address()
    ))))
}

fn question(part: Part) -> Question {
    Question::new(ObjectKey::parse("a.webp").unwrap(), part)
}

/// What an anonymous bucket is taken to say when its server answers like this.
async fn ask_bucket(part: Part, steps: impl IntoIterator<Item = Step>) -> Answer {
    let server = Scripted::new(steps);
    bucket(&server).ask(&question(part)).await
}

async fn ask_web(part: Part, steps: impl IntoIterator<Item = Step>) -> Answer {
    let server = Scripted::new(steps);
    web(&server).ask(&question(part)).await
}

fn found(answer: Answer) -> Reply {
    match answer {
        Answer::Found(reply) => reply,
        other => panic!("not found but {other:?}"),
    }
}

fn reason(answer: &Answer) -> Reason {
    match answer {
        Answer::Unknown(failure) => failure.reason,
        other => panic!("not unknown but {other:?}"),
    }
}

/// All bytes of a body, and how it broke off if it did.
async fn read(mut reply: Reply) -> (String, Option<Interruption>) {
    let mut text = String::new();
    while let Some(chunk) = reply.body.next().await {
        match chunk {
            Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Err(error) => return (text, Some(error.kind)),
        }
    }
    (text, None)
}

fn signed(question: Question) -> Question {
    Question {
        access: Access::Signed,
        ..question
    }
}
