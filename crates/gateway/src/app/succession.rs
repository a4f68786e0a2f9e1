//! From one configuration to the next, without a request noticing.
//!
//! What has not changed is taken over as it is: routes with their hints and brakes, origins with
//! their breakers, canaries and connections, budgets with what was read. Requests that are under
//! way keep what they began with, but for one thing: an origin that has left is not asked by
//! anybody any more.

use std::sync::Arc;
use std::time::Duration;

use origin_resolver::{BuildError, GuardedOrigin, Origin, OriginSettings, build};

use super::{App, Lasting};
use crate::config::Config;
use crate::lending::Allowances;
use crate::moved;

/// What takes an app's place, until it does.
pub(crate) struct Succession {
    pub(crate) next: Arc<App>,
    before: Arc<App>,
    /// Whether names of origins mean other places.
    moves: bool,
}

impl App {
    /// What a changed configuration makes of this. Nothing has changed when it returns.
    ///
    /// # Errors
    /// An origin cannot exist as it is configured.
    pub(crate) fn after(
        self: &Arc<Self>,
        was: &Config,
        now: &Config,
    ) -> Result<Succession, BuildError> {
        // All that can fail comes first: what follows changes what both share.
        let names = &self.lasting.names;
        let made = now.origin_settings().map(|settings| build(settings, names));
        let made = made.collect::<Result<Vec<_>, BuildError>>()?;
        let allowances = Arc::new(self.allowances.after(now));
        let origins = now.origin_settings().zip(made);
        let origins =
            origins.map(|(settings, made)| self.origin_after(settings, made, &allowances));
        let origins = origins.collect();
        let moved = moved::between(was, now);
        let mut lasting = self.lasting.clone();
        if !moved.is_empty() {
            lasting.book = lasting.book.map(|book| Arc::new(book.moving(&moved)));
        }
        Ok(Succession {
            next: Self::build(now, lasting, allowances, origins, Some(self)),
            before: Arc::clone(self),
            moves: !moved.is_empty(),
        })
    }

    /// The same origin, its heir, or a new one.
    fn origin_after(
        &self,
        settings: &OriginSettings,
        made: Arc<dyn Origin>,
        allowances: &Allowances,
    ) -> Arc<GuardedOrigin> {
        let name = &*settings.name;
        let known = self.origins.iter().find(|known| known.name() == name);
        let allowance = allowances.get(name);
        let is_counted_so = match (allowance, self.allowances.get(name)) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (now, then) => now.is_none() && then.is_none(),
        };
        if let Some(known) = known
            && known.settings() == settings
            && is_counted_so
        {
            return Arc::clone(known);
        }
        let observer = self.metrics.origin(name, allowance.cloned());
        let heir = known.and_then(|known| known.heir(settings, &made, Arc::clone(&observer)));
        heir.unwrap_or_else(|| {
            let tasks = self.lasting.tasks.clone();
            GuardedOrigin::new(settings.clone(), made, observer, tasks)
        })
    }
}

impl Succession {
    /// Requests that are under way learn of it. Whoever gives new ones the next app does so
    /// between this and [`Self::settle`].
    pub(crate) fn begin(&self) {
        self.next.routes.iter().for_each(|route| route.begin());
        // There is one successor: changes of the configuration come one after the other.
        let _ = self.before.successor.set(Arc::clone(&self.next));
    }

    /// Origins that are gone get no request from now on; what they are sending may end within
    /// this time. Their names no longer mean what the ledger knows of them, and those that have
    /// come back know their canaries again.
    pub(crate) async fn settle(self, config: &Arc<Config>, within: Duration) {
        let Self {
            next,
            before,
            moves,
        } = self;
        let stays = |old: &GuardedOrigin| next.origins.iter().any(|new| new.succeeds(old));
        for gone in before.origins.iter().filter(|old| !stays(old)) {
            gone.leave(within);
            if !next.origins.iter().any(|new| new.name() == gone.name()) {
                next.metrics.origin_left(gone.name());
            }
        }
        let Lasting { keeping, book, .. } = next.lasting.clone();
        let Some(keeping) = keeping else {
            return;
        };
        let (config, state) = (Arc::clone(config), Arc::clone(&keeping.state));
        let forgotten = tokio::task::spawn_blocking(move || {
            let written = !moves || state.ledger().flush().is_ok();
            (written && moved::notice(&config, &state), state.canaries())
        });
        let Ok((forgotten, mut canaries)) = forgotten.await else {
            return;
        };
        if forgotten && let Some(book) = book {
            book.has_moved();
        }
        for origin in &next.origins {
            let is_new = !before.origins.iter().any(|old| origin.succeeds(old));
            if let Some(keys) = canaries.remove(origin.name()).filter(|_| is_new) {
                origin.restore_canaries(keys);
            }
        }
    }
}
