//! How far it is, told to a gateway: the one beside it, or one that `--progress-to` names.
//!
//! For those who look. That nobody hears it is said once and never stops a migration.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use http::Method;
use migration::{Phase, Progress, Report, Shard};
use url::Url;

use super::arguments::MigrateArguments;
use super::remembered::Remembered;
use crate::commands::report::complain;
use crate::config::Config;
use crate::control::call;
use crate::migrations::{End, Failed, MOST_FAILURES, Told};
use crate::posting::Post;

const TELL: &str = "api/migrations";
const EVERY: Duration = Duration::from_secs(2);
/// The last word may take so long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who hears how far it is.
enum Ear {
    /// The gateway that runs beside it.
    Socket(PathBuf),
    /// One somewhere else.
    Far(Box<Post>),
    Nobody,
}

/// Tells how far a migration is.
pub(super) struct Telling {
    ear: Ear,
    from: Box<str>,
    to: Box<str>,
    shard: Option<Box<str>>,
    copying_since: Mutex<Option<Instant>>,
    /// The last attempt has failed, and this was said.
    deaf: Mutex<bool>,
}

impl Telling {
    /// # Errors
    /// `--progress-to` names no gateway, or the configuration has no token for it.
    pub(super) fn of(
        config: &Config,
        arguments: &MigrateArguments,
        remembered: &Remembered,
    ) -> anyhow::Result<Self> {
        let ear = match (&arguments.progress_to, remembered) {
            (Some(url), _) => Ear::Far(Box::new(far(config, url)?)),
            (None, Remembered::Beside { directory, .. }) => Ear::Socket(directory.clone()),
            (None, Remembered::Alone { .. }) => Ear::Nobody,
        };
        let shard = arguments.shard.map(Shard::parts);
        Ok(Self {
            ear,
            from: (*arguments.from).into(),
            to: (*arguments.to).into(),
            shard: shard.map(|(number, of)| format!("{number}/{of}").into()),
            copying_since: Mutex::new(None),
            deaf: Mutex::new(false),
        })
    }

    /// Tells it until it is dropped, which is when the migration has ended.
    pub(super) async fn go_on(&self, progress: &Progress) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell(&self.told(progress)).await;
        }
    }

    /// The last word.
    pub(super) async fn end<E>(&self, progress: &Progress, report: &Result<Report, E>) {
        let mut told = self.told(progress);
        told.end = Some(match report {
            Ok(report) if report.shortfall.is_some() => End::Unable,
            Ok(report) if report.is_complete() => End::Complete,
            Ok(_) => End::Incomplete,
            Err(_) => End::Unable,
        });
        if let Ok(report) = report {
            let failed = report.remarks.failed.iter().take(MOST_FAILURES);
            told.failures = failed
                .map(|remark| Failed {
                    key: remark.key.clone(),
                    why: remark.why.clone(),
                })
                .collect();
        }
        let _ = tokio::time::timeout(PATIENCE, self.tell(&told)).await;
    }

    fn told(&self, progress: &Progress) -> Told {
        let moment = progress.now();
        let mut since = held(&self.copying_since);
        if moment.phase == Phase::Copying {
            since.get_or_insert_with(Instant::now);
        }
        Told {
            from: self.from.clone(),
            to: self.to.clone(),
            shard: self.shard.clone(),
            moment,
            copying_seconds: since.map_or(0, |since| since.elapsed().as_secs()),
            end: None,
            failures: Vec::new(),
        }
    }

    async fn tell(&self, told: &Told) {
        let heard = match &self.ear {
            Ear::Socket(directory) => {
                let path = format!("/{TELL}");
                let told = call(directory, Method::POST, &path, Some(told)).await;
                told.map(drop).map_err(|error| error.to_string())
            }
            Ear::Far(post) => Box::pin(post.send(told)).await,
            Ear::Nobody => return,
        };
        let mut deaf = held(&self.deaf);
        match heard {
            Ok(()) => *deaf = false,
            Err(why) => {
                if !std::mem::replace(&mut *deaf, true) {
                    complain(&format!("nobody hears how far this is: {why}"));
                }
            }
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The gateway with this page. It has the same token as this configuration.
fn far(config: &Config, url: &Url) -> anyhow::Result<Post> {
    if !matches!(url.scheme(), "http" | "https") {
        bail!("--progress-to {url}: it must be http:// or https://, and lead to admin.listen");
    }
    let token = config.admin.token.as_ref().context(
        "--progress-to needs the other gateway's token: set admin.token or admin.token_file",
    )?;
    let mut url = url.clone();
    let page = url.path().trim_end_matches('/');
    let path = format!("{page}/{TELL}");
    url.set_path(&path);
    Post::new(url, Some(token)).map_err(|why| anyhow!("--progress-to: {why}"))
}
