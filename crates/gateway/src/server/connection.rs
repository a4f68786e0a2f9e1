//! One client's connection from its acceptance to its end.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::{DisplayValue, display};

use super::clients::{Clients, Place};
use super::handshake::shake_hands;
use super::io::{Socket, Wire};
use super::phase::{Cut, Phase};
use super::preamble;
use super::requests::{Peer, Requests, Service};
use super::streams::Streams;
use super::talk::{Manners, Talk};
use super::transport::Transport;
use super::watch::Watch;
use crate::address::shortened;
use crate::config::Limits;

/// A connection accepted as the server stops may have its request on the way.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long nothing comes before a connection rests. To begin anew costs a few allocations, which a
/// client that asks again at once should not pay; and what thousands hold that come together stays
/// with the allocator, so it is not long.
const REST_AFTER: Duration = Duration::from_millis(25);
/// How long a connection that was told to end may stay without a sign.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What every connection of one server shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) limits: Arc<Limits>,
    pub(super) tasks: TaskTracker,
    /// No more requests; those in flight go on.
    pub(super) stop: CancellationToken,
    /// Everything ends now.
    pub(super) abort: CancellationToken,
    /// Where clients are limited.
    pub(super) clients: Option<Arc<Clients>>,
}

impl Shared {
    fn announces(&self, peer: Option<SocketAddr>) -> bool {
        let clients = self.clients.as_ref();
        clients.is_some_and(|clients| clients.are_announced_by(peer.map(|peer| peer.ip())))
    }
}

/// As much of a client's address as is logged.
pub(super) fn shown(client: IpAddr) -> DisplayValue<IpAddr> {
    display(shortened(client))
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Aborted,
}

/// A connection as it was accepted.
pub(super) struct Accepted {
    pub(super) transport: Transport,
    /// None of a unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// Where its listener wants TLS.
    pub(super) tls: Option<TlsAcceptor>,
}

pub(super) async fn serve(accepted: Accepted, service: impl Service, shared: Shared) -> End {
    let Accepted {
        mut transport,
        peer,
        tls,
    } = accepted;
    let (peer, _client) = if shared.announces(peer) {
        match announced(&mut transport, peer, &shared).await {
            Some(announced) => announced,
            None => return End::Finished,
        }
    } else {
        (peer, Place::default())
    };
    let secure = tls.is_some();
    let watch = Watch::new(&shared.limits);
    let can_be_reset = transport.can_be_reset();
    let client = peer.map(|peer| peer.ip());
    let wire = Wire::new(transport, Arc::clone(&watch));
    let socket = match tls {
        None => Socket::plain(wire),
        Some(tls) => match shake_hands(tls, wire, client, &shared).await {
            Ok(socket) => socket,
            Err(end) => return end,
        },
    };
    let streams = Streams {
        tasks: shared.tasks.clone(),
        abort: shared.abort.clone(),
        watch: Arc::clone(&watch),
    };
    let manners = Manners {
        limits: &shared.limits,
        streams: &streams,
    };
    let requests = Requests {
        service,
        peer: Peer {
            address: peer,
            client,
            secure,
            can_be_reset,
        },
        watch: Arc::clone(&watch),
        stop: shared.stop.clone(),
        clients: shared.clients.clone(),
    };
    let mut talk = Talk::new(socket, requests);
    let mut stopping = pin!(shared.stop.cancelled());
    let mut aborting = pin!(shared.abort.cancelled());
    let mut alarm = pin!(tokio::time::sleep_until(Instant::now()));
    let mut stopped_at = None;
    let mut closing = false;

    // What changes the phase also wakes this task, so looking after each poll is enough.
    let end = poll_fn(|cx| {
        watch.wake(cx.waker());
        if aborting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Aborted);
        }
        loop {
            if let Poll::Ready(served) = talk.poll(cx, &manners) {
                if let Err(error) = served {
                    tracing::debug!(client = client.map(shown), error, "connection ended early");
                }
                return Poll::Ready(End::Finished);
            }
            if stopped_at.is_none() && stopping.as_mut().poll(cx).is_ready() {
                stopped_at = Some(Instant::now());
            }
            let step = watch.phase(|phase| next(phase, stopped_at, closing, talk.can_rest()));
            match step {
                Step::Wait(None) => return Poll::Pending,
                Step::Wait(Some(until)) => {
                    if alarm.deadline() != until {
                        alarm.as_mut().reset(until);
                    }
                    if alarm.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Step::Close => {
                    closing = true;
                    talk.close();
                }
                Step::Rest => talk.rest(&manners),
                Step::Drop(cut) => {
                    tracing::debug!(client = client.map(shown), ?cut, "connection cut");
                    if cut == Cut::Slow {
                        watch.end_with_reset();
                    }
                    return Poll::Ready(End::Finished);
                }
            }
        }
    })
    .await;
    if end == End::Aborted && watch.phase(|phase| phase.quiet_since().is_none()) {
        watch.end_with_reset();
    }
    end
}

/// Who a trusted proxy says has connected to it, and the client's place; `None` where it says it
/// wrongly, too late, or of a client that has no place left.
async fn announced(
    transport: &mut Transport,
    proxy: Option<SocketAddr>,
    shared: &Shared,
) -> Option<(Option<SocketAddr>, Place)> {
    let said = preamble::read(transport);
    let said = tokio::time::timeout(shared.limits.header_timeout, said);
    let said = tokio::select! {
        biased;
        () = shared.abort.cancelled() => return None,
        () = shared.stop.cancelled() => return None,
        said = said => said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    };
    match said {
        Ok(Some(client)) => {
            let clients = shared.clients.as_ref()?;
            let place = clients.connected(Some(client.ip())).ok()?;
            Some((Some(client), place))
        }
        Ok(None) => Some((proxy, Place::default())),
        Err(error) => {
            tracing::debug!(proxy = proxy.map(display), %error, "closed: the proxy did not say who connects");
            None
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Wait(Option<Instant>),
    /// Nothing is held for it but its socket.
    Rest,
    Close,
    Drop(Cut),
}

fn next(phase: &Phase, stopped_at: Option<Instant>, closing: bool, can_rest: bool) -> Step {
    let now = Instant::now();
    // An idle connection is told before it is dropped.
    let (overdue, mut wake) = match phase.deadline() {
        Some((at, Cut::Idle)) if closing || at > now => (false, (!closing).then_some(at)),
        Some((_, Cut::Idle)) => (true, None),
        Some((at, cut)) if at <= now => return Step::Drop(cut),
        other => (false, other.map(|(at, _)| at)),
    };
    let mut at_latest = |at: Instant| wake = Some(wake.map_or(at, |wake| wake.min(at)));
    if closing {
        if let Some(quiet) = phase.quiet_since() {
            let at = quiet.max(stopped_at.unwrap_or(quiet)) + LAST_WORDS;
            if at <= now {
                return Step::Drop(Cut::Idle);
            }
            at_latest(at);
        }
        return Step::Wait(wake);
    }
    if overdue {
        return Step::Close;
    }
    if let Some(stopped_at) = stopped_at {
        let at = stopped_at + FIRST_REQUEST;
        if phase.has_served() || at <= now {
            return Step::Close;
        }
        at_latest(at);
    }
    if let Some(since) = phase.idle_since().filter(|_| can_rest) {
        let at = since + REST_AFTER;
        if at <= now {
            return Step::Rest;
        }
        at_latest(at);
    }
    Step::Wait(wake)
}
