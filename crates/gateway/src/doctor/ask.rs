//! Puts the questions to one origin and writes down the answers.
//!
//! Says nothing about what they mean. Whatever hangs ends at the deadline, and what was learned
//! until then is kept.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::{OptionFuture, join_all};
use object::ObjectKey;
use origin_resolver::{
    Access, Answer, Canary, Failure, Filesystem, GuardedOrigin, Kind, Part, Question, Reason,
};
use tokio::time::{Instant, timeout_at};

use super::aside::aside;
use super::facts::{Facts, Heard};

/// Enough for a median that the handshake does not spoil.
const ROUND_TRIPS: usize = 3;

/// Examines one origin until the deadline. `absent` is a key of a route that nobody has uploaded;
/// `learned` are keys in the origin's own spelling.
pub(super) async fn ask(
    origin: &Arc<GuardedOrigin>,
    absent: &ObjectKey,
    learned: &[ObjectKey],
    deadline: Instant,
) -> Facts {
    let mut facts = Facts::default();
    let settings = origin.settings();
    if let Kind::Filesystem(directory) = &settings.kind {
        let directory = Filesystem::open(&settings.name, directory);
        let patience = deadline.saturating_duration_since(Instant::now());
        let inspected = aside(patience, move || directory.inspect_root()).await;
        facts.root = inspected.map(|looked| looked.map_err(|error| error.to_string()));
        // What cannot be looked at is not asked: a thread that hangs would be one more.
        if !matches!(facts.root, Some(Ok(_))) {
            return facts;
        }
    }
    let own = match origin.own_key(absent) {
        Ok(own) => own,
        Err(error) => {
            let what = format!("its rewrite makes no key of {absent:?}: {error}");
            facts.no_answer = Some(Failure::new(Reason::Protocol, what));
            return facts;
        }
    };
    take_round_trips(origin, &own, deadline, &mut facts).await;
    if facts.round_trips.is_empty() {
        return facts;
    }
    origin.restore_canaries(learned.iter().cloned());
    let canaries = match &settings.canary {
        Canary::Auto => learned,
        Canary::Keys(keys) => keys,
    };
    let (has_keys, is_bucket) = match &settings.kind {
        Kind::S3(s3) => (s3.credentials.is_some(), true),
        Kind::Http(_) | Kind::Filesystem(_) => (false, false),
    };
    let can_be_listed = !matches!(settings.kind, Kind::Http(_));
    let access = if has_keys {
        Access::Signed
    } else {
        Access::AsConfigured
    };
    let list = |access| origin.inner().top_prefixes(access);
    let verdict = in_time(deadline, origin.examine(absent));
    let signed = only_if(has_keys, hear(origin, &own, Access::Signed, deadline));
    let strangers = only_if(is_bucket, in_time(deadline, list(Access::AsConfigured)));
    let listed = only_if(can_be_listed, in_time(deadline, list(access)));
    let canaries = join_all(canaries.iter().map(|key| async move {
        let heard = hear(origin, key, Access::AsConfigured, deadline).await;
        (key.clone(), heard)
    }));
    let (verdict, signed, strangers, listed, canaries) =
        tokio::join!(verdict, signed, strangers, listed, canaries);
    facts.verdict = verdict.map(|examined| (examined.verdict, examined.failure));
    facts.absent_signed = signed;
    facts.listed_by_strangers = strangers.flatten();
    facts.listed = listed.flatten();
    facts.canaries = canaries;
    facts.clock_ahead_seconds = origin.inner().clock_ahead_seconds();
    facts
}

/// One after the other; the first that gets no answer is the last.
async fn take_round_trips(
    origin: &Arc<GuardedOrigin>,
    own: &ObjectKey,
    deadline: Instant,
    facts: &mut Facts,
) {
    let settings = origin.settings();
    let patience = settings.connect_timeout + settings.first_byte_timeout;
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        let until = deadline.min(began + patience);
        match hear(origin, own, Access::AsConfigured, until).await {
            Heard::Failed(failure) if is_silence(failure.reason) => {
                facts.no_answer = Some(failure);
                return;
            }
            heard => {
                facts.round_trips.push(began.elapsed());
                facts.absent.get_or_insert(heard);
            }
        }
    }
}

/// Whether nothing of an answer came.
fn is_silence(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Dns | Reason::Connect | Reason::Tls | Reason::Timeout
    )
}

async fn hear(
    origin: &Arc<GuardedOrigin>,
    own: &ObjectKey,
    access: Access,
    until: Instant,
) -> Heard {
    let question = Question {
        access,
        ..Question::new(own.clone(), Part::Head)
    };
    match in_time(until, origin.inner().ask(&question)).await {
        Some(Answer::Found(_)) => Heard::Found,
        Some(Answer::Missing) => Heard::Missing,
        Some(Answer::Forbidden) => Heard::Forbidden,
        Some(Answer::Changed) => Heard::Failed(Failure::new(
            Reason::Protocol,
            "answered that it has another version, and was asked for none",
        )),
        Some(Answer::Dropped(failure) | Answer::Unknown(failure)) => Heard::Failed(failure),
        None => Heard::Failed(Failure::new(Reason::Timeout, "no answer in time")),
    }
}

async fn in_time<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    timeout_at(deadline, work).await.ok()
}

fn only_if<F: Future>(wanted: bool, work: F) -> OptionFuture<F> {
    wanted.then_some(work).into()
}
