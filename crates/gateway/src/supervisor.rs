//! What a supervisor such as systemd is told, by `sd_notify(3)`: that viewers are served, that the
//! configuration is read anew, that the end has begun, how it is doing, and that it lives.
//!
//! Without `NOTIFY_SOCKET` nobody is told anything and nothing is different. A supervisor that
//! does not read holds nobody up for longer than a moment. Refuses to vouch for a gateway that
//! does not work: see [`Supervisor::accompany`].

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a supervisor that does not read what it is sent is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is told how the gateway is doing, where it does not want signs of life more often.
const EVERY: Duration = Duration::from_secs(10);
/// What the end takes beyond the drain time: cutting what is left, and writing down what waits.
const AFTER_DRAIN: Duration = Duration::from_secs(15);

/// Who started this process and wants to know how it is doing; or nobody.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    at: Option<SocketAddr>,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
    /// What follows the status until the next reload.
    remark: Mutex<Option<&'static str>>,
    /// That it cannot be told anything is said once.
    unheard: AtomicBool,
}

/// `NOTIFY_SOCKET` names no socket.
#[derive(Debug, thiserror::Error)]
#[error(
    "NOTIFY_SOCKET={value}: {reason}, so the supervisor is told nothing; it has to be an absolute path or an abstract name (@…), and is written by the supervisor: unset it where there is none"
)]
pub(crate) struct NoSocket {
    value: String,
    reason: String,
}

impl Supervisor {
    /// The one that the environment names. An error leaves nobody to tell.
    pub(crate) fn of_environment() -> Result<Self, NoSocket> {
        let at = match env::var_os("NOTIFY_SOCKET").filter(|value| !value.is_empty()) {
            None => return Ok(Self::default()),
            Some(value) => address(&value).map_err(|error| NoSocket {
                value: value.to_string_lossy().into_owned(),
                reason: error.to_string(),
            })?,
        };
        Ok(Self {
            at: Some(at),
            // Zero would ask for signs of life without a pause.
            watchdog: sd_notify::watchdog_enabled().filter(|wait| !wait.is_zero()),
            ..Self::default()
        })
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.at.is_some()
    }

    /// Says that viewers are served, and from then on, until `over`, how the gateway is doing and
    /// that it lives.
    ///
    /// Call it in the task that accepts connections: a sign of life is sent from there, after a
    /// worker of the runtime has done a task for it. So none is sent where connections are no
    /// longer accepted, or where accepted ones are no longer looked after. Origins and disks are
    /// not asked: their failures are no reason to start anew.
    pub(crate) async fn accompany(&self, status: impl Fn() -> String, over: &CancellationToken) {
        if !self.is_there() {
            return;
        }
        self.tell(&[
            NotifyState::Ready,
            NotifyState::Status(&self.line(status())),
        ])
        .await;
        let every = self.watchdog.map_or(EVERY, |wait| EVERY.min(wait / 2));
        let mut turns = tokio::time::interval_at(Instant::now() + every, every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tasks = TaskTracker::new();
        while over.run_until_cancelled(turns.tick()).await.is_some() {
            let worked = tasks.spawn(async {});
            if over.run_until_cancelled(worked).await.is_none() {
                return;
            }
            let line = self.line(status());
            let mut told = vec![NotifyState::Status(&line)];
            if self.watchdog.is_some() {
                told.push(NotifyState::Watchdog);
            }
            self.tell(&told).await;
        }
    }

    /// Says that the configuration is being read anew.
    pub(crate) async fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]).await;
        }
    }

    /// Says that this is over, and whether the configuration holds.
    pub(crate) async fn reloaded(&self, taken: bool) {
        let remark = (!taken).then_some(
            "the configuration was refused at the last reload and the one before holds: see the log",
        );
        *self.remark.lock().unwrap_or_else(PoisonError::into_inner) = remark;
        let status = remark.unwrap_or("The configuration was read anew");
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)])
            .await;
    }

    /// Says that the end has begun, and how long it may take.
    pub(crate) async fn stopping(&self, drain: Duration) {
        let within = (drain + AFTER_DRAIN).as_micros();
        // Not the library's own state: that ends at 71 minutes.
        let extend = format!("EXTEND_TIMEOUT_USEC={within}");
        let status = format!(
            "Accepting nothing new; running downloads may take {} s",
            drain.as_secs()
        );
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Custom(&extend),
            NotifyState::Status(&status),
        ])
        .await;
    }

    /// Says why it could not start.
    pub(crate) async fn cannot_start(&self, why: &str) {
        self.tell(&[NotifyState::Status(&one_line(why))]).await;
    }

    fn line(&self, mut status: String) -> String {
        if let Some(remark) = *self.remark.lock().unwrap_or_else(PoisonError::into_inner) {
            status.push_str("; ");
            status.push_str(remark);
        }
        one_line(&status)
    }

    async fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(at) = &self.at else { return };
        let lines: Vec<_> = states.iter().map(NotifyState::to_string).collect();
        let sent = tokio::time::timeout(PATIENCE, send(at, lines.join("\n").as_bytes())).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let unheard = sent.is_err();
        if let Err(error) = sent
            && !self.unheard.load(Ordering::Relaxed)
        {
            tracing::warn!(%error, "the supervisor at NOTIFY_SOCKET cannot be told how this gateway is doing");
        }
        self.unheard.store(unheard, Ordering::Relaxed);
    }
}

/// One datagram, by a socket of its own: the supervisor may have been started anew meanwhile.
///
/// Not by the library, which waits without an end where the supervisor does not read.
async fn send(at: &SocketAddr, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(at)?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixDatagram::from_std(socket)?;
    socket.send(message).await.map(drop)
}

/// What `NOTIFY_SOCKET` means: a path, or a name in the kernel's own space after an `@`.
fn address(value: &OsStr) -> io::Result<SocketAddr> {
    match value.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(value),
        _ => Err(io::Error::other(
            "it is neither an absolute path nor an abstract name",
        )),
    }
}

/// A line ends a state, and nothing that is told may begin another one.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
