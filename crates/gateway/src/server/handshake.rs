//! TLS on one connection, up to where HTTP begins.
//!
//! The time for it is part of the time for the first request's headers. A client that fails is
//! told so by an alert and forgotten: it is noted at the level `debug` only, since everybody on
//! the internet may fail as often as they like.

use std::io;
use std::net::IpAddr;

use tokio_rustls::TlsAcceptor;

use super::connection::{End, FIRST_REQUEST, Shared, shown};
use super::io::{Socket, Wire};
use crate::acme::PROTOCOL;

/// Bytes that wait encrypted for a slow reader: two records.
const UNSENT_BYTES: usize = 32 * 1024;

/// The stream to speak HTTP on, or how the connection ended without it.
pub(super) async fn shake_hands(
    acceptor: TlsAcceptor,
    wire: Wire,
    client: Option<IpAddr>,
    shared: &Shared,
) -> Result<Socket, End> {
    let shaken = async {
        // Who says nothing costs no more here than where nothing is encrypted.
        wire.readable().await?;
        let accepted = acceptor.accept_with(wire, |session| {
            session.set_buffer_limit(Some(UNSENT_BYTES));
        });
        accepted.await
    };
    let stopped = async {
        shared.stop.cancelled().await;
        tokio::time::sleep(FIRST_REQUEST).await;
    };
    let shaken = tokio::select! {
        biased;
        () = shared.abort.cancelled() => return Err(End::Aborted),
        () = stopped => return Err(End::Finished),
        shaken = tokio::time::timeout(shared.limits.header_timeout, shaken) => shaken,
    };
    match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        // An authority has seen what it came for.
        Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(PROTOCOL) => Err(End::Finished),
        Ok(stream) => Ok(Socket::tls(stream)),
        Err(error) => {
            tracing::debug!(client = client.map(shown), %error, "no TLS connection came about");
            Err(End::Finished)
        }
    }
}
