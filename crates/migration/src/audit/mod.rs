//! May an origin be switched off? Only if each key that it serves is proven elsewhere.
//!
//! The remaining origins are listed first, then the audited one, so that what comes while it runs
//! is looked for in vain and never passed over. Nothing is written anywhere, and no object is read
//! that [`Options::max_egress`] does not pay for. What is proven is decided by pure functions.

mod account;
mod blocker;
mod cached;
mod counts;
mod examination;
mod finding;
mod home;
mod inventory;
mod listing;
mod memory;
mod report;
mod rows;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object::ObjectKey;

use crate::end::End;
use crate::error::MigrationError;
use crate::knowledge::Forgetful;
use crate::options::Named;
use crate::selection::Selection;
use account::Account;
pub use account::Verdict;
pub use blocker::{Against, Blocker};
pub use counts::Counts;
pub use finding::{Known, Proof};
use home::Home;
pub use memory::{Cached, Memory, Recollection, Saved, Standing};
pub use report::{Report, RouteReport};
pub use rows::{Nowhere, ReadRow, Rows, RowsReport};

/// Deletions that nobody had noticed are believed up to this many, and a tenth of all keys.
const BELIEVED_DELETIONS: u64 = 10;

/// A route that asks the audited origin.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name.
    pub name: Box<str>,
    /// What it publishes, as beginnings of keys.
    pub keys: Vec<String>,
    /// The origins that remain on it, as places in the audit's list.
    pub homes: Vec<usize>,
    /// Where the application deletes, if that is one of them.
    pub uploads: Option<usize>,
    /// What the audited origin is for on this route, besides being asked.
    pub roles: Vec<Against>,
}

/// What an audit is asked to do.
#[derive(Clone)]
pub struct Options {
    /// What was written less long ago stands against it; zero looks at no times.
    pub quiet_for: Duration,
    /// Saves within this time stand against it; zero looks at none.
    pub saves_within: Duration,
    /// Only the keys that stand in a file; else what the origin lists.
    pub named: Option<Named>,
    /// What the application's rows name, where that is known.
    pub rows: Option<Rows>,
    /// Only so many keys by chance, asked for one by one: nothing is safe then.
    pub sample: Option<usize>,
    /// What makes the chance another one each time.
    pub seed: u64,
    /// How many bytes may be read from buckets and web servers to prove what nothing else does.
    pub max_egress: u64,
    /// Keys that are asked for at one time.
    pub jobs: usize,
    /// Blockers of each sort that are listed.
    pub most_blockers: usize,
}

/// An audit of one origin.
pub struct Audit {
    origin: End,
    homes: Vec<End>,
    routes: Vec<Route>,
    options: Options,
    memory: Arc<dyn Memory>,
    now: SystemTime,
    egress_left: AtomicU64,
    reading_bytes: AtomicU64,
}

impl Audit {
    /// Of this origin, at this time.
    pub fn new(
        origin: End,
        homes: Vec<End>,
        routes: Vec<Route>,
        options: Options,
        memory: Arc<dyn Memory>,
        now: SystemTime,
    ) -> Self {
        let egress_left = AtomicU64::new(options.max_egress);
        Self {
            origin,
            homes,
            routes,
            options,
            memory,
            now,
            egress_left,
            reading_bytes: AtomicU64::new(0),
        }
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// Something cannot be listed, or what must stay gone cannot be told: then nobody can say
    /// whether it is safe.
    pub async fn run(&self) -> Result<Report, MigrationError> {
        // Whoever cannot remember says so before anything is listed.
        self.memory.standing(self.saves_since()).await?;
        let mut account = Account::new(self.options.most_blockers);
        for route in &self.routes {
            for role in &route.roles {
                account.block(*role, None, Some(&route.name));
            }
            if route.homes.is_empty() {
                account.block(Against::OnlyOrigin, None, Some(&route.name));
            }
        }
        let mut requests = 0;
        let homes = self.list_homes(&mut requests).await?;
        let seen = inventory::take(self, &homes, &mut account, &mut requests).await?;
        let mut rows_report = None;
        if let Some(rows) = &self.options.rows {
            rows.look_at_unreferenced(&mut account);
            if self.options.sample.is_none() {
                let (account, requests) = (&mut account, &mut requests);
                let taken = rows::take(self, rows, &homes, &seen, account, requests).await?;
                rows_report = Some(taken);
            }
        }
        if self.options.sample.is_none() {
            cached::take(self, &homes, &seen, &mut account, &mut requests).await?;
        }
        self.look_at_deletions(&homes, &mut account);
        let standing = self.memory.standing(self.saves_since()).await?;
        self.look_at_standing(&standing, &mut account);
        if let Some(sample) = self.options.sample {
            account.doubt(format!(
                "only {sample} keys were looked at, chosen by chance"
            ));
        }
        account.close();
        Ok(Report::new(self, account, &standing, rows_report, requests))
    }

    /// What is remembered of keys, of as many as were asked for and of each route and home.
    async fn recall(
        &self,
        keys: &[ObjectKey],
        homes: &[Home],
    ) -> Result<Vec<Recollection>, MigrationError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let recalled = self.memory.recall(keys).await?;
        let fits = |one: &Recollection| {
            one.there.len() == homes.len() && one.barred.len() == self.routes.len()
        };
        if recalled.len() != keys.len() || !recalled.iter().all(fits) {
            let what = "the answer has another form than the question";
            return Err(Forgetful(what.to_owned()).into());
        }
        Ok(recalled)
    }

    fn look_at_standing(&self, standing: &Standing, account: &mut Account) {
        let waiting = standing.promotions_waiting;
        if waiting > 0 {
            account.block(Against::PromotionsWaiting { waiting }, None, None);
        }
        let rows = self.options.rows.as_ref();
        for save in &standing.saves {
            // Others ask for what the application has deleted, for as long as they like.
            if rows.is_some_and(|rows| !rows.name(&save.key)) {
                continue;
            }
            let (first, count) = (save.first, save.count);
            let key = Some(save.key.as_str());
            account.block(Against::Save { first, count }, key, None);
        }
        if standing.unlisted_saves > 0 {
            account.doubt(format!(
                "{} rehearsal saves are counted without their keys",
                standing.unlisted_saves
            ));
        }
    }

    fn saves_since(&self) -> u64 {
        if self.options.saves_within.is_zero() {
            return u64::MAX;
        }
        let since = self.now.checked_sub(self.options.saves_within);
        since.map_or(0, seconds)
    }

    /// Lists what remains; what cannot be listed by its kind is asked for each key.
    async fn list_homes(&self, requests: &mut u64) -> Result<Vec<Home>, MigrationError> {
        let mut homes = Vec::with_capacity(self.homes.len());
        for (index, end) in self.homes.iter().enumerate() {
            let end = end.clone();
            let home = if self.options.sample.is_some()
                || self.options.named.is_some()
                || !end.is_listable()
            {
                Home::asked(end)
            } else {
                let of_home = |route: &&Route| route.homes.contains(&index);
                let prefixes = prefixes(self.routes.iter().filter(of_home));
                Home::listed(end, prefixes, requests).await?
            };
            homes.push(home);
        }
        Ok(homes)
    }

    /// A bucket that has lost what was in it looks as if the application had deleted everything.
    fn look_at_deletions(&self, homes: &[Home], account: &mut Account) {
        let (deleted, all) = (
            account.counts.deleted.objects,
            account.counts.objects.objects,
        );
        let mut uploads = self.routes.iter().filter_map(|route| route.uploads);
        let is_empty = uploads.any(|home| homes[home].is_empty());
        if deleted > BELIEVED_DELETIONS + all / 10 || (deleted > 0 && is_empty) {
            account.doubt(format!(
                "{deleted} of {all} objects were verified at the origin that the application \
                 uploads to and are missing there now, unnoticed until this audit: were they \
                 deleted, or has it lost them?"
            ));
        }
    }
}

/// What has to be listed so that every published key of these routes is seen, and nothing twice.
fn prefixes<'r>(routes: impl Iterator<Item = &'r Route>) -> Vec<String> {
    let published = routes.flat_map(|route| route.keys.iter().cloned());
    let selection = Selection {
        published: Some(published.collect()),
        ..Selection::everything()
    };
    selection.prefixes()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
