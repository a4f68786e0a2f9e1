//! How much of a client's address is written down.
//!
//! Pure. A log is kept, copied and read for other reasons than finding a person.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::ClientAddresses;

const V4_KEPT_BITS: u32 = 24;
const V6_KEPT_BITS: u32 = 48;

/// What of an address is logged.
pub(crate) fn logged(address: IpAddr, how: ClientAddresses) -> Option<IpAddr> {
    match how {
        ClientAddresses::Shortened => Some(shortened(address)),
        ClientAddresses::Full => Some(address),
        ClientAddresses::None => None,
    }
}

/// The network that an address lies in, an IPv4 /24 or an IPv6 /48: its first address.
pub(crate) fn shortened(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX << (Ipv4Addr::BITS - V4_KEPT_BITS);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (Ipv6Addr::BITS - V6_KEPT_BITS);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_what_is_left() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0"),
            ("::ffff:203.0.113.77", "203.0.113.0"),
            ("2001:db8:1:2:3::4", "2001:db8:1::"),
            ("::1", "::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let network: IpAddr = network.parse().unwrap();
            assert_eq!(logged(address, ClientAddresses::Shortened), Some(network));
            assert_eq!(logged(address, ClientAddresses::Full), Some(address));
            assert_eq!(logged(address, ClientAddresses::None), None);
        }
    }
}
