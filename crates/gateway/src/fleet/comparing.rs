//! Tombstones of the fleet and of this gateway, made the same.
//!
//! Nothing is ever taken away because Redis lacks it: what this gateway holds is put there, and
//! what Redis holds is taken over where it is later. Held at a time: one part of either.

use std::sync::Arc;

use object::ObjectKey;
use state::Action;
use tokio::sync::mpsc;

use super::running::Ended;
use super::session::{Session, TOGETHER};
use super::words;
use crate::clock::unix_now;

/// Tombstones that are taken over at once.
pub(crate) const AT_ONCE: usize = 10_000;
/// More than so many tombstones are not taken from Redis.
const MOST: usize = 5_000_000;

/// Compares everything, both ways.
pub(super) async fn compare(session: &mut Session<'_>) -> Result<(), Ended> {
    let mut cursor = "0".to_owned();
    let mut found = Vec::new();
    loop {
        let part = session.link.scan(&cursor).await?;
        let now = unix_now();
        let all = part.pairs.len();
        let before = found.len();
        found.extend(
            part.pairs
                .iter()
                .filter_map(|pair| words::action(pair, now).ok()),
        );
        let nonsense = (all - (found.len() - before)) as u64 + part.refused;
        session.refuse(nonsense, "tombstones that no gateway would write");
        cursor = part.cursor;
        if found.len() >= AT_ONCE || cursor == "0" {
            let some = std::mem::take(&mut found);
            if !follow(session, some).await {
                // What was told in between is not done here, and is looked for again.
                session.fleet.compare();
            }
        }
        if cursor == "0" {
            break;
        }
    }
    put(session).await
}

/// Puts what this gateway has where Redis lacks it, and has the others look if there was any.
async fn put(session: &mut Session<'_>) -> Result<(), Ended> {
    let (sender, mut parts) = mpsc::channel::<Vec<Action>>(4);
    let state = Arc::clone(&session.fleet.state);
    let reading = tokio::task::spawn_blocking(move || {
        let mut part = Vec::new();
        let read = state.tombstones().each_action(|action| {
            part.push(action);
            part.len() < TOGETHER || sender.blocking_send(std::mem::take(&mut part)).is_ok()
        });
        if !part.is_empty() {
            // Nobody takes it where the connection was lost.
            let _ = sender.blocking_send(part);
        }
        read
    });
    let member = session.fleet.notes().member.clone();
    let latest = words::latest(unix_now());
    let mut lacking = 0_u64;
    while let Some(part) = parts.recv().await {
        let pairs: Vec<_> = part.iter().map(words::pair).collect();
        let newer = session.link.tell(&member, &latest, false, &pairs).await?;
        lacking += newer.parse::<u64>().unwrap_or(0);
    }
    if let Ok(Err(error)) = reading.await {
        tracing::error!(%error, "tombstones");
    }
    if lacking > 0 {
        tracing::info!(
            tombstones = lacking,
            "put in Redis, which did not have them"
        );
        session.link.tell(&member, &latest, true, &[]).await?;
    }
    Ok(())
}

/// Takes over what others did: durably, and running responses are cut. Whether that was done.
pub(super) async fn follow(session: &mut Session<'_>, actions: Vec<Action>) -> bool {
    if actions.is_empty() {
        return true;
    }
    let state = Arc::clone(&session.fleet.state);
    if state.tombstones().len() + actions.len() > MOST {
        session.refuse(
            actions.len() as u64,
            "more tombstones than a gateway takes over",
        );
        return true;
    }
    let work = tokio::task::spawn_blocking(move || {
        let news = state.tombstones().follow(&actions)?;
        Ok::<_, state::TombstoneError>((news, actions))
    });
    match work.await {
        Ok(Ok((news, actions))) => {
            let gone: Vec<_> = news
                .iter()
                .map(|at| &actions[*at])
                .filter(|action| action.adds)
                .filter_map(|action| {
                    let key = ObjectKey::parse(str::from_utf8(&action.key).ok()?).ok()?;
                    Some((Arc::from(&*action.scope), key))
                })
                .collect();
            session.fleet.metrics.told("in", "tombstone", news.len());
            if !news.is_empty() {
                session.cache.erase(&gone).await;
                let (added, removed) = (gone.len(), news.len() - gone.len());
                tracing::info!(added, removed, "tombstones taken over from the fleet");
            }
            true
        }
        Ok(Err(error)) => {
            session.fail(&error);
            false
        }
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
