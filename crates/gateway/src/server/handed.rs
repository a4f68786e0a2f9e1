//! Listening sockets that a supervisor has bound and hands over, by `sd_listen_fds(3)`.
//!
//! They take the place of binding the same address, and outlive the process: who connects while
//! one gateway ends and the next begins waits in the socket and is not refused. The configuration
//! goes on saying where the gateway listens. Refuses a socket that it does not know what to do
//! with: who connects there would wait for ever.
//!
//! The one file with unsafe code: a descriptor that is only named by a number has no owner that the
//! compiler knows. Proof where it is taken.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{SockRef, Type};

/// A part of the gateway that listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// What a socket for it is called in `LISTEN_FDNAMES`, where it has a name of ours.
    pub(crate) name: &'static str,
    /// The configuration's key.
    pub(crate) key: &'static str,
    /// What that says.
    pub(crate) addresses: &'a [SocketAddr],
}

/// Sockets that were handed over and nobody has taken yet.
#[derive(Debug, Default)]
pub struct Handed {
    sockets: Vec<Socket>,
    /// Why sockets that the environment speaks of are none of ours.
    ignored: Option<String>,
}

#[derive(Debug)]
struct Socket {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
}

/// What was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandedError {
    /// The environment does not say what it is.
    #[error(
        "LISTEN_FDS={count:?} with LISTEN_FDNAMES={names:?} cannot be used: {source}; the supervisor sets both, with one name for each descriptor from 3 on, all of them open: have it hand them over, or unset both to have the addresses bound here"
    )]
    Environment {
        /// How many there should be.
        count: String,
        /// What they should be called.
        names: String,
        /// Why not.
        source: io::Error,
    },
    /// It is no socket that connections come from.
    #[error(
        "descriptor {descriptor} ({name}) was handed over and is {what}; hand over sockets of TCP that listen, as ListenStream= makes them of a port or of an address with a port"
    )]
    Unsuitable {
        /// Its number.
        descriptor: RawFd,
        /// Its name.
        name: String,
        /// What it is instead.
        what: String,
    },
    /// The configuration does not listen there.
    #[error(
        "the socket {name} was handed over and listens on {address}, and the configuration does not: {listens}; write {address} there, or what stands there into ListenStream= of the socket unit"
    )]
    Elsewhere {
        /// Its name.
        name: String,
        /// Where it listens.
        address: SocketAddr,
        /// Where the configuration listens.
        listens: String,
    },
    /// Its name is that of another part.
    #[error(
        "the socket on {address} was handed over by the name {name}, which is for {named}, and the configuration has {address} as {found}; mend FileDescriptorName= of the socket unit or the configuration"
    )]
    OtherPart {
        /// Its name.
        name: String,
        /// Where it listens.
        address: SocketAddr,
        /// The key that its name stands for.
        named: &'static str,
        /// The key that has its address.
        found: &'static str,
    },
    /// One address has two sockets, and one of them would keep its clients waiting.
    #[error(
        "two sockets on {address} were handed over; hand over one: who connects to the other would wait for ever"
    )]
    Twice {
        /// Where both listen.
        address: SocketAddr,
    },
}

impl Handed {
    /// Nothing was handed over.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Takes what the environment says was handed over to this process; a second call finds
    /// nothing.
    ///
    /// Call it before anything else opens descriptors, so before the runtime is there.
    #[expect(
        unsafe_code,
        reason = "only the environment says that these numbers are open and belong to nobody"
    )]
    pub(crate) fn of_environment() -> Result<Self, HandedError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let variable = |name| env::var(name).unwrap_or_default();
        let count = variable("LISTEN_FDS");
        if count.is_empty() || TAKEN.swap(true, Ordering::SeqCst) {
            return Ok(Self::nothing());
        }
        let pid = variable("LISTEN_PID");
        if pid.parse() != Ok(std::process::id()) {
            return Ok(Self {
                ignored: Some(format!(
                    "LISTEN_FDS={count:?} is meant for process {pid:?} (LISTEN_PID) and this is process {}, so all addresses are bound here; have the supervisor start this program itself, without another one in between, or unset it",
                    std::process::id()
                )),
                ..Self::nothing()
            });
        }
        // Also keeps them from programs that this one might start.
        let found = sd_notify::listen_fds_with_names();
        let found = found.map_err(|source| HandedError::Environment {
            names: variable("LISTEN_FDNAMES"),
            count,
            source,
        })?;
        let owned = found.map(|(descriptor, name)| {
            // SAFETY: it is open, for the library has just set a flag on it. Nobody owns it: by
            // `sd_listen_fds(3)` it was passed to this process (LISTEN_PID) to be taken, nothing
            // else here takes descriptors by number, and TAKEN lets this line be reached once for
            // each.
            (descriptor, name, unsafe {
                OwnedFd::from_raw_fd(descriptor)
            })
        });
        let sockets = owned.collect::<Vec<_>>().into_iter();
        let sockets = sockets.map(|(descriptor, name, socket)| {
            Socket::parse(&name, socket).map_err(|what| HandedError::Unsuitable {
                descriptor,
                name,
                what,
            })
        });
        Ok(Self {
            sockets: sockets.collect::<Result<_, _>>()?,
            ignored: None,
        })
    }

    /// Why sockets that the environment speaks of are none of ours.
    pub(crate) fn ignored(&self) -> Option<&str> {
        self.ignored.as_deref()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.sockets.len()
    }

    /// Each of them belongs to one of these, and none has two.
    pub(crate) fn check(&self, places: &[Place<'_>]) -> Result<(), HandedError> {
        for (nth, socket) in self.sockets.iter().enumerate() {
            let (address, name) = (socket.address, &socket.name);
            let before = self.sockets[..nth].iter();
            if before.into_iter().any(|other| other.address == address) {
                return Err(HandedError::Twice { address });
            }
            let has = |place: &&Place<'_>| place.addresses.contains(&address);
            let Some(found) = places.iter().find(has) else {
                return Err(HandedError::Elsewhere {
                    name: name.clone(),
                    address,
                    listens: listed(places),
                });
            };
            let named = places.iter().find(|place| place.name == name);
            if let Some(named) = named.filter(|named| named.key != found.key) {
                return Err(HandedError::OtherPart {
                    name: name.clone(),
                    address,
                    named: named.key,
                    found: found.key,
                });
            }
        }
        Ok(())
    }

    /// The socket that listens there, if it was handed over.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.sockets.iter().position(|it| it.address == address)?;
        Some(self.sockets.swap_remove(at).listener)
    }
}

impl Socket {
    /// What was handed over by this name; or what it is instead of a listener.
    fn parse(name: &str, descriptor: OwnedFd) -> Result<Self, String> {
        let socket = SockRef::from(&descriptor);
        let kind = socket.r#type().map_err(|_| "no socket".to_owned())?;
        if kind != Type::STREAM {
            return Err("a socket of another type than stream".to_owned());
        }
        let local = socket.local_addr().map_err(|error| error.to_string())?;
        let Some(address) = local.as_socket() else {
            return Err("a socket of another family than IPv4 and IPv6".to_owned());
        };
        if !socket.is_listener().map_err(|error| error.to_string())? {
            return Err(format!("a socket on {address} that does not listen"));
        }
        socket
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            name: name.to_owned(),
            address,
            listener: descriptor.into(),
        })
    }
}

/// Every key with its addresses.
fn listed(places: &[Place<'_>]) -> String {
    let lines = places.iter().map(|place| {
        let addresses: Vec<_> = place.addresses.iter().map(SocketAddr::to_string).collect();
        format!("{} is {}", place.key, addresses.join(" and "))
    });
    lines.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn listening() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    fn handed(sockets: impl IntoIterator<Item = (&'static str, TcpListener)>) -> Handed {
        let sockets = sockets.into_iter();
        Handed {
            sockets: sockets
                .map(|(name, listener)| Socket::parse(name, listener.into()).unwrap())
                .collect(),
            ignored: None,
        }
    }

    fn place<'a>(name: &'static str, key: &'static str, addresses: &'a [SocketAddr]) -> Place<'a> {
        Place {
            name,
            key,
            addresses,
        }
    }

    #[test]
    fn a_socket_is_taken_once_by_its_address() {
        let listener = listening();
        let address = listener.local_addr().unwrap();
        let mut handed = handed([("anything", listener)]);
        handed
            .check(&[place("media", "server.listen", &[address])])
            .unwrap();
        let elsewhere = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(handed.take(elsewhere).is_none());
        assert_eq!(handed.take(address).unwrap().local_addr().unwrap(), address);
        assert!(handed.take(address).is_none());
    }

    #[test]
    fn an_address_that_nothing_listens_on_is_named_with_those_that_there_are() {
        let listener = listening();
        let address = listener.local_addr().unwrap();
        let said = handed([("media", listener)])
            .check(&[
                place("media", "server.listen", &[([0; 4], 80).into()]),
                place("admin", "admin.listen", &[([127, 0, 0, 1], 9090).into()]),
            ])
            .unwrap_err()
            .to_string();
        for word in [
            &address.to_string(),
            "server.listen is 0.0.0.0:80, admin.listen is 127.0.0.1:9090",
            "ListenStream=",
        ] {
            assert!(said.contains(word), "nothing of {word} in: {said}");
        }
    }

    #[test]
    fn operators_are_not_heard_where_viewers_should_be() {
        let listener = listening();
        let address = listener.local_addr().unwrap();
        let said = handed([("media", listener)])
            .check(&[
                place("media", "server.listen", &[([0; 4], 80).into()]),
                place("admin", "admin.listen", &[address]),
            ])
            .unwrap_err();
        assert!(
            matches!(
                said,
                HandedError::OtherPart {
                    named: "server.listen",
                    found: "admin.listen",
                    ..
                }
            ),
            "{said}"
        );
    }

    #[test]
    fn an_address_has_one_socket() {
        let first = listening();
        let address = first.local_addr().unwrap();
        let second = first.try_clone().unwrap();
        let said = handed([("media", first), ("media", second)])
            .check(&[place("media", "server.listen", &[address])])
            .unwrap_err();
        assert!(matches!(said, HandedError::Twice { .. }), "{said}");
    }

    #[test]
    fn what_is_no_listener_of_tcp_is_called_what_it_is() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let local = UnixListener::bind(directory.path().join("socket")).unwrap();
        let server = listening();
        let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        for (descriptor, what) in [
            (OwnedFd::from(file), "no socket"),
            (datagram.into(), "another type than stream"),
            (local.into(), "another family"),
            (client.into(), "does not listen"),
        ] {
            let said = Socket::parse("media", descriptor).unwrap_err();
            assert!(said.contains(what), "{said}");
        }
    }
}
