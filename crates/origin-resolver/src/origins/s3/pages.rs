//! A bucket's objects, page by page.
//!
//! Version 2 of listings with encoded keys, as most providers know it; the first version, or keys
//! without encoding, where a provider knows no better. What a page holds is read in `raw`.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method};

use super::S3;
use super::raw::{From, Raw, Spelling};
use crate::origins::errand::{Cargo, Errand, Refused};
use crate::{Cursor, Failure, Page, Provider, Reason, Turns};

const PATIENCE: Duration = Duration::from_mins(1);
/// What S3 gives at most.
const MOST: &str = "1000";

/// How this bucket is listed, as far as it is known.
pub(super) struct Manner {
    /// 2, or 1 where a provider knows only the first version.
    version: AtomicU8,
    spelling: AtomicU8,
}

impl Manner {
    /// What is known of a provider beforehand.
    pub(super) fn of(provider: Option<Provider>) -> Self {
        let spelling = match provider {
            Some(Provider::Aws | Provider::Minio) => Spelling::Form,
            // It leaves the plus as it is when it encodes.
            Some(Provider::Seaweedfs) => Spelling::Plain,
            _ => Spelling::Unseen,
        };
        Self {
            version: AtomicU8::new(2),
            spelling: AtomicU8::new(spelling as u8),
        }
    }

    fn spelling(&self) -> Spelling {
        Spelling::ALL[usize::from(self.spelling.load(Ordering::Relaxed))]
    }

    fn learn(&self, spelling: Spelling) {
        self.spelling.store(spelling as u8, Ordering::Relaxed);
    }
}

impl S3 {
    /// One page.
    pub(super) async fn page(
        &self,
        prefix: &str,
        after: Option<Cursor>,
        turns: &dyn Turns,
    ) -> Result<Page, Failure> {
        let from = From::of(after.as_ref())?;
        if self.manner.version.load(Ordering::Relaxed) == 2 {
            match self.read(2, prefix, &from, turns).await {
                Ok(page) => {
                    return page
                        .finish(&from)
                        .map_err(|failure| self.wire.named(failure));
                }
                Err(Unread::Useless(_)) => {}
                Err(Unread::Failed(refused))
                    if refused.is_not_implemented() || refused.status == Some(500) => {}
                Err(unread) => return Err(unread.failure()),
            }
        }
        let page = self.read(1, prefix, &from, turns).await;
        let page = page.map_err(Unread::failure)?;
        self.manner.version.store(1, Ordering::Relaxed);
        page.finish(&from)
            .map_err(|failure| self.wire.named(failure))
    }

    /// Asks in one version and makes sure of the keys' spelling.
    async fn read(
        &self,
        version: u8,
        prefix: &str,
        from: &From,
        turns: &dyn Turns,
    ) -> Result<Raw, Unread> {
        let spelling = self.manner.spelling();
        let xml = self.ask(version, prefix, from, spelling, turns).await?;
        let mut raw = Raw::parse(&xml, spelling)
            .ok_or_else(|| self.useless("answered a listing with something else"))?;
        if raw.spelling.is_told_by(&raw) {
            // Only the same keys without encoding tell how they are encoded.
            let xml = self
                .ask(version, prefix, from, Spelling::Plain, turns)
                .await?;
            let plain = Raw::parse(&xml, Spelling::Plain)
                .ok_or_else(|| self.useless("answered a listing with something else"))?;
            raw.spelling = raw.spelling_by(&plain);
            self.manner.learn(raw.spelling);
        }
        raw.decode();
        if raw.stands_still(from) {
            return Err(self.useless("gives the same page again and again"));
        }
        Ok(raw)
    }

    fn useless(&self, what: &str) -> Unread {
        Unread::Useless(self.wire.named(Failure::new(Reason::Protocol, what)))
    }

    async fn ask(
        &self,
        version: u8,
        prefix: &str,
        from: &From,
        spelling: Spelling,
        turns: &dyn Turns,
    ) -> Result<String, Unread> {
        let mut query = vec![("prefix", prefix), ("max-keys", MOST)];
        if version == 2 {
            query.push(("list-type", "2"));
        }
        if spelling != Spelling::Plain {
            query.push(("encoding-type", "url"));
        }
        match (from, version) {
            (From::Start, _) => {}
            (From::Key(key), 2) => query.push(("start-after", key)),
            (From::Token(token), 2) => query.push(("continuation-token", token)),
            (From::Key(key) | From::Token(key), _) => query.push(("marker", key)),
        }
        self.get(&query, turns).await.map_err(Unread::Failed)
    }

    /// A document about the bucket.
    pub(super) async fn get(
        &self,
        query: &[(&str, &str)],
        turns: &dyn Turns,
    ) -> Result<String, Refused> {
        let make = || {
            Some(Errand {
                method: Method::GET,
                url: self.signer.url(rusty_s3::Method::Get, None, query, &[]),
                headers: HeaderMap::new(),
                cargo: Cargo::Nothing,
                patience: PATIENCE,
            })
        };
        Ok(self.wire.run(turns, make).await?.text)
    }
}

/// Why there is no page.
enum Unread {
    Failed(Refused),
    /// It answered, and in another version it may answer better.
    Useless(Failure),
}

impl Unread {
    fn failure(self) -> Failure {
        match self {
            Self::Failed(refused) => refused.failure,
            Self::Useless(failure) => failure,
        }
    }
}
