//! Copies that the gateway's cache has from the audited origin, and that no other origin has: once
//! it is retired, the cache alone has them, until it evicts them.
//!
//! What the audited origin lists was looked at already; these are those that it has lost, or that
//! were not named.

use futures_util::{StreamExt, stream};

use super::Audit;
use super::account::Account;
use super::blocker::Against;
use super::home::{Has, Home};
use super::inventory::Seen;
use super::rows::has;
use crate::error::MigrationError;

/// Asks for all of them, page by page, and looks for each of them.
pub(crate) async fn take(
    audit: &Audit,
    homes: &[Home],
    seen: &Seen,
    account: &mut Account,
    requests: &mut u64,
) -> Result<(), MigrationError> {
    let mut after = None;
    loop {
        let page = match audit.memory.cached(after).await {
            Ok(page) => page,
            Err(why) => {
                account.doubt(format!("what only the cache has cannot be told: {}", why.0));
                return Ok(());
            }
        };
        let is_wanted = |key: &_| {
            let mut routes = audit.routes.iter();
            routes.any(|route| route.publishes(key)) && !seen.contains(key)
        };
        let wanted = page.keys.into_iter().filter(is_wanted);
        let mut looked = stream::iter(wanted)
            .map(async |key| (has(audit, homes, &key).await, key))
            .buffered(audit.options.jobs.max(1));
        let mut only_cached = Vec::new();
        while let Some((said, key)) = looked.next().await {
            *requests += said.requests;
            match said.has {
                Has::Yes => {}
                Has::No => only_cached.push(key),
                Has::Unknown(why) => account.doubt_about_a_key(format!("{}: {why}", key.as_str())),
            }
        }
        drop(looked);
        let recalled = audit.recall(&only_cached, homes).await?;
        for (key, recalled) in only_cached.iter().zip(recalled) {
            let mut bars = audit.routes.iter().zip(&recalled.barred);
            let needs_a_home = bars.any(|(route, barred)| route.publishes(key) && barred.is_none());
            let rows = audit.options.rows.as_ref();
            if needs_a_home && rows.is_none_or(|rows| rows.name(key)) {
                account.counts.only_cached += 1;
                account.block(Against::OnlyCached, Some(key.as_str()), None);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
