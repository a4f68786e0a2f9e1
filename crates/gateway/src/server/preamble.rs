//! Who connects, as a balancer says it before the first byte of its client: the PROXY protocol,
//! version 2 (haproxy's `proxy-protocol.txt`, section 2.2).
//!
//! Only a trusted proxy is asked for it, and all of its connections must then begin with it: what
//! may be left out may be made up. Version 1, which is text, is refused, and so is whatever else
//! is no address of TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Addresses, and what balancers add to them.
const LONGEST_BYTES: usize = 2048;
const VERSION_2_LOCAL: u8 = 0x20;
const VERSION_2_PROXY: u8 = 0x21;
const TCP_V4: u8 = 0x11;
const TCP_V6: u8 = 0x21;

/// Reads it, and no byte beyond. `None` where the proxy speaks for itself, as in a health check.
///
/// # Errors
/// It is absent, malformed, or of another version.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut head = [0; 16];
    from.read_exact(&mut head).await?;
    let [signature @ .., command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if signature != SIGNATURE || length > LONGEST_BYTES {
        return Err(malformed());
    }
    let mut rest = vec![0; length];
    from.read_exact(&mut rest).await?;
    match command {
        VERSION_2_LOCAL => Ok(None),
        VERSION_2_PROXY => source(family, &rest).map(Some).ok_or_else(malformed),
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    let what = "no PROXY protocol of version 2 with an address of TCP";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The client's address; the one that it connected to, and what follows, are not looked at.
fn source(family: u8, addresses: &[u8]) -> Option<SocketAddr> {
    let (ip, ports): (IpAddr, &[u8]) = match family {
        TCP_V4 => {
            let (source, rest) = addresses.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*source).into(), rest.get(4..8)?)
        }
        TCP_V6 => {
            let (source, rest) = addresses.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*source).to_canonical(), rest.get(16..20)?)
        }
        _ => return None,
    };
    let port = u16::from_be_bytes([ports[0], ports[1]]);
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preamble(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, addresses].concat()
    }

    const V4: [u8; 12] = [203, 0, 113, 1, 192, 0, 2, 1, 0x12, 0x67, 1, 187];

    #[tokio::test]
    async fn the_client_is_read_and_nothing_that_follows() {
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[15] = 1;
        v6[33] = 80;
        let with_more = [&V4[..], &[4, 0, 1, 0]].concat();
        for (addresses, family, expected) in [
            (&V4[..], TCP_V4, "203.0.113.1:4711"),
            (&with_more, TCP_V4, "203.0.113.1:4711"),
            (&v6, TCP_V6, "[2001::1]:80"),
        ] {
            let bytes = [&preamble(VERSION_2_PROXY, family, addresses)[..], b"GET"].concat();
            let mut bytes = &bytes[..];
            let read = read(&mut bytes).await.unwrap();
            assert_eq!(read, Some(expected.parse().unwrap()));
            assert_eq!(bytes, b"GET");
        }
        let local = preamble(VERSION_2_LOCAL, 0, &[]);
        assert_eq!(read(&mut &local[..]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn whatever_else_is_refused() {
        let mut long = preamble(VERSION_2_PROXY, TCP_V4, &[0; 3000]);
        for bytes in [
            &b"PROXY TCP4 203.0.113.1 192.0.2.1 4711 443\r\nGET / HTTP/1.1\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: media.example\r\n\r\n",
            b"",
            &SIGNATURE,
            &preamble(0x11, TCP_V4, &V4),
            &preamble(0x22, TCP_V4, &V4),
            &preamble(VERSION_2_PROXY, TCP_V4, &V4[..11]),
            &preamble(VERSION_2_PROXY, TCP_V6, &V4),
            // A datagram's, a socket's of the machine, and nobody's.
            &preamble(VERSION_2_PROXY, 0x12, &V4),
            &preamble(VERSION_2_PROXY, 0x31, &[0; 216]),
            &preamble(VERSION_2_PROXY, 0, &[]),
            &preamble(VERSION_2_PROXY, TCP_V4, &V4)[..20],
            &std::mem::take(&mut long),
        ] {
            assert!(read(&mut &*bytes).await.is_err(), "{bytes:?}");
        }
    }
}
