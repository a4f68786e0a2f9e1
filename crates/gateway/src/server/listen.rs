//! Binding the addresses, and how many connections the process can hold.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use super::handed::Handed;

pub(super) const BACKLOG: i32 = 1024;
/// Descriptors for listeners, logs, name servers and the runtime.
const RESERVED: u64 = 32;

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let open = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // `[::]` takes IPv4 too, whatever the system's default says.
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Binds every address that was not handed over; an error names the one that failed.
pub(super) fn bind_all(
    addresses: &[SocketAddr],
    handed: &mut Handed,
) -> io::Result<Vec<TcpListener>> {
    let addresses = addresses.iter();
    addresses
        .map(|address| handed.take(*address).map_or_else(|| bind(*address), Ok))
        .collect()
}

/// The addresses with the ports that the system chose.
pub(super) fn addresses_of(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses
        .map(|address| address.expect("a bound socket has an address"))
        .collect()
}

/// Raises the limit on open descriptors as far as the process may, and returns it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        )?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// How many connections to hold when so many are configured and so many descriptors may be open.
///
/// Each may need a second descriptor, for its origin or its file.
pub fn connection_cap(configured: usize, descriptors: u64) -> usize {
    let possible = descriptors.saturating_sub(RESERVED) / 2;
    configured.min(usize::try_from(possible).unwrap_or(usize::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_origins_and_files() {
        assert_eq!(connection_cap(4096, 1_048_576), 4096);
        assert_eq!(connection_cap(4096, 1024), 496);
        assert_eq!(connection_cap(4096, 64), 16);
        assert_eq!(connection_cap(4096, 10), 1);
    }

    #[test]
    fn an_address_that_is_taken_is_named() {
        let taken = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
