//! A port that stays ours while nothing listens on it.
//!
//! A server that is stopped must refuse connections and come back at the same address, although
//! other tests take free ports all the time. A socket that is bound but does not listen does
//! both; it also hands a free port to another process without a race, as long as that process
//! sets SO_REUSEADDR (tokio and Go do).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// An address that nobody else is given until this is dropped.
#[derive(Debug)]
pub struct ReservedPort {
    addr: SocketAddr,
    _held: TcpSocket,
}

impl ReservedPort {
    /// Reserves a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port is free.
    pub fn any() -> io::Result<Self> {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Reserves this address; port 0 stands for any free one.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn at(addr: SocketAddr) -> io::Result<Self> {
        let held = bound(addr)?;
        Ok(Self {
            addr: held.local_addr()?,
            _held: held,
        })
    }

    /// The reserved address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The reserved port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Listens there until the listener is dropped.
    ///
    /// # Errors
    /// A listener is already there.
    pub fn listen(&self) -> io::Result<TcpListener> {
        bound(self.addr)?.listen(1024)
    }
}

fn bound(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn a_reserved_port_refuses_until_somebody_listens_and_again_afterwards() {
        let port = ReservedPort::any().unwrap();
        for _ in 0..3 {
            let refused = TcpStream::connect(port.addr()).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let listener = port.listen().unwrap();
            TcpStream::connect(port.addr()).await.unwrap();
            drop(listener);
        }
    }
}
