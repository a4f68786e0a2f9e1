//! Certificates that the gateway fetches itself, by ACME (RFC 8555).
//!
//! One certificate for each name, so that a name which cannot be proven holds up no other. Nothing
//! is ordered before it was noted on disk, so that a gateway that is started again and again does
//! not use up what the authority allows. Refuses to take away a certificate that is served: a
//! renewal that fails leaves it as it is.
//!
//! | file | what it knows |
//! |---|---|
//! | `pace` | when to renew and when to try again; pure |
//! | `store` | what is kept in the state directory |
//! | `authority` | HTTP to the authority, and what its refusals mean |
//! | `order` | the way of one order |
//! | `proofs` | what is shown to the authority while a name is proven |

mod authority;
mod order;
mod pace;
mod proofs;
mod store;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use proofs::{PROTOCOL, Proofs};
pub(crate) use store::Store;

use authority::{Authority, Failure};
use pace::Attempts;

use crate::clock::unix_now;
use crate::config::{self, Acme, Challenge, Config};
use crate::reloading::Reloading;
use crate::tls::{Certificates, Shown};

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_secs(1);
/// How long one order may take: the authority looks for the proof from several places.
const WITHIN: Duration = Duration::from_mins(3);

/// Fetches what is missing and renews what is old, until `stop`.
pub(crate) async fn run(reloading: &Reloading, shown: &Shown, stop: CancellationToken) {
    let work = async {
        let mut pause = Pause::default();
        loop {
            let config = reloading.config();
            if let Some(acme) = config.acme()
                && pause.is_over()
            {
                look(reloading, acme, shown, &mut pause).await;
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    let _ = stop.run_until_cancelled(work).await;
}

/// How long nothing is tried where nothing was ordered: an authority that does not answer, a disk that
/// cannot be used. It costs nothing there to ask again.
#[derive(Default)]
struct Pause {
    times: u32,
    until: Option<Instant>,
}

impl Pause {
    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }

    fn once_more(&mut self) -> Duration {
        let pause = pace::after_unreached(self.times, random());
        self.times += 1;
        self.until = Some(Instant::now() + pause);
        pause
    }
}

fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}

/// Orders what is due, one name after the other.
async fn look(reloading: &Reloading, acme: &Acme, shown: &Shown, pause: &mut Pause) {
    let store = Store::of(&reloading.config(), acme);
    for domain in &acme.domains {
        let now = unix_now();
        if !is_due(shown, domain, now) {
            continue;
        }
        let name = domain.clone();
        let attempts = match store.blocking(move |store| store.attempts(&name)).await {
            Ok(attempts) => attempts,
            Err(failure) => return tell(domain, &failure, pause),
        };
        let next = attempts.next(now);
        if now < next {
            let seconds = next - now;
            tracing::debug!(domain, seconds, "server.tls.acme: the next order waits");
            continue;
        }
        // A reload may have read what was kept just before an order was done.
        show(reloading, shown).await;
        if !is_due(shown, domain, now) {
            continue;
        }
        match fetch(&store, acme, domain, attempts, shown).await {
            Ok(()) => {
                *pause = Pause::default();
                show(reloading, shown).await;
                tracing::info!(domain, "server.tls.acme: a new certificate is served");
            }
            Err(failure) => {
                tell(domain, &failure, pause);
                if !matches!(failure, Failure::Refused { .. }) {
                    // The next name would meet the same.
                    return;
                }
            }
        }
    }
}

/// Says why there is no certificate, and when it is tried again where that is not for the name alone.
fn tell(domain: &str, failure: &Failure, pause: &mut Pause) {
    match failure {
        Failure::Unreached(reason) => {
            let again = pause.once_more();
            tracing::warn!(
                domain,
                reason,
                ?again,
                "server.tls.acme: the authority cannot be reached; look at server.tls.acme.directory, DNS and the firewall. What is served stays"
            );
        }
        Failure::Disk(reason) => {
            let again = pause.once_more();
            tracing::error!(
                domain,
                reason,
                ?again,
                "server.tls.acme: a file cannot be used, and nothing is ordered until it can; look at its owner, its disk and what is said of it. What is served stays"
            );
        }
        Failure::Refused { reason, remedy, .. } => {
            tracing::error!(
                domain,
                reason,
                remedy,
                "server.tls.acme: no certificate came about. What is served stays"
            );
        }
    }
}

fn is_due(shown: &Shown, domain: &str, now: u64) -> bool {
    let held = shown.now().span_of(domain);
    held.is_none_or(|(from, until)| now >= pace::renewal(domain, from, until))
}

/// Shows what is kept now.
async fn show(reloading: &Reloading, shown: &Shown) {
    let config = reloading.config();
    let read = tokio::task::spawn_blocking(move || Certificates::of(&config));
    if let Ok(Ok(Some(certificates))) = read.await {
        shown.become_these(certificates);
    }
}

/// One certificate, ordered and kept.
async fn fetch(
    store: &Store,
    acme: &Acme,
    domain: &str,
    mut attempts: Attempts,
    shown: &Shown,
) -> Result<(), Failure> {
    let root = match acme.directory_root.clone() {
        None => None,
        Some(root) => {
            let read = move |_: &Store| {
                let read = std::fs::read(&root);
                read.map_err(|error| store::naming(&root, &error))
            };
            Some(store.blocking(read).await?)
        }
    };
    let authority = Authority::new(root.as_deref())?;
    authority.answers(acme).await?;
    let by_tls = match acme.challenge {
        Challenge::Http01 => false,
        Challenge::TlsAlpn01 => true,
        // The way that went well last; the other one after each failure.
        Challenge::Auto => attempts.by_tls == attempts.failures.is_multiple_of(2),
    };
    // Before anything is asked for: a process that is killed here has tried all the same.
    attempts.begin(unix_now());
    note(store, domain, &attempts).await?;
    let ordering = async {
        let account = account(store, acme, &authority).await?;
        order::order(&account, domain, by_tls, shown.proofs()).await
    };
    let ordered = tokio::time::timeout(WITHIN, ordering).await;
    let ordered = ordered.unwrap_or_else(|_| Err(Failure::slow(WITHIN)));
    match ordered {
        Ok(pem) => {
            let name = domain.to_owned();
            store
                .blocking(move |store| store.keep_certificate(&name, &pem))
                .await?;
            attempts.succeeded(by_tls);
            note(store, domain, &attempts).await
        }
        Err(failure) => {
            if let Failure::Refused { limited: true, .. } = failure {
                attempts.limited();
            }
            note(store, domain, &attempts).await?;
            Err(failure.noted())
        }
    }
}

async fn note(store: &Store, domain: &str, attempts: &Attempts) -> Result<(), Failure> {
    let (domain, attempts) = (domain.to_owned(), attempts.clone());
    store
        .blocking(move |store| store.keep_attempts(&domain, &attempts))
        .await
}

/// The account that is kept, or a new one. Its key is kept before anything is ordered by it.
async fn account(
    store: &Store,
    acme: &Acme,
    authority: &Authority,
) -> Result<instant_acme::Account, Failure> {
    if let Some(credentials) = store.blocking(Store::account).await? {
        return authority.account(credentials).await;
    }
    let (account, credentials) = authority.create(acme).await?;
    store
        .blocking(move |store| store.keep_account(&credentials))
        .await?;
    let directory = &acme.directory;
    tracing::info!(%directory, "server.tls.acme: an account was made at the authority");
    Ok(account)
}

impl Config {
    /// What is fetched by ACME, if anything is.
    pub(crate) fn acme(&self) -> Option<&Acme> {
        match &self.server.tls.as_ref()?.certificates {
            config::Certificates::Acme(acme) => Some(acme),
            config::Certificates::Files(_) => None,
        }
    }
}
