//! Under a supervisor such as systemd: what it is told and when, and the sockets that it hands over.
//!
//! The supervisor is a real socket, and the sockets are real ones: they come in as standard input
//! and output, and a shell puts them where `sd_listen_fds(3)` says.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram as Bound};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use test_servers::ReservedPort;
use test_servers::faulty::{Fault, Faulty, Gate, On};
use tokio::net::{TcpStream, UnixDatagram};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::harness::{Gateway, NAKED, PATIENCE, Setup, route, web};
use super::raw::Reader;

/// Who starts a gateway and hears how it is doing.
struct Supervisor {
    socket: UnixDatagram,
    at: OsString,
}

impl Supervisor {
    fn of(setup: &Setup) -> Self {
        let path = setup.path("notify");
        Self {
            socket: UnixDatagram::bind(&path).unwrap(),
            at: path.into(),
        }
    }

    /// The next thing that it is told.
    async fn next(&self) -> String {
        let mut message = vec![0; 8192];
        let told = timeout(PATIENCE, self.socket.recv(&mut message)).await;
        message.truncate(told.expect("it is told something").unwrap());
        String::from_utf8(message).unwrap()
    }

    /// The next thing with this state.
    async fn told(&self, state: &str) -> String {
        loop {
            let message = self.next().await;
            if message.lines().any(|line| line.starts_with(state)) {
                return message;
            }
        }
    }

    /// How it starts a gateway: without waiting.
    fn launch(&self, setup: &Setup, variables: &[(&str, &str)]) -> Gateway {
        setup.launch_with(NAKED, |command| {
            command.env("NOTIFY_SOCKET", &self.at);
            command.envs(variables.iter().copied());
        })
    }
}

/// The value of a state.
fn value<'a>(message: &'a str, state: &str) -> &'a str {
    let mut lines = message.lines();
    let found = lines.find_map(|line| line.strip_prefix(state)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {state} in {message}"))
}

/// Any port.
fn any() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

async fn picture() -> Faulty {
    let origin = Faulty::start().await;
    origin.put("a.webp", "picture");
    origin
}

/// A gateway that listens there.
fn on(address: SocketAddr, origin: &Faulty) -> Setup {
    Setup::new(web("only", &origin.base_url()) + &route(&["only"]))
        .server(&format!("listen = \"{address}\"\ndrain = \"60s\""))
}

async fn ask(address: SocketAddr) -> String {
    let mut reader = Reader::connect(address).await;
    reader
        .send("GET /a.webp HTTP/1.1\r\nHost: media.example\r\nConnection: close\r\n\r\n")
        .await;
    reader.read_until(b"picture").await
}

#[tokio::test]
async fn it_is_ready_when_the_port_answers_and_says_in_a_line_how_it_is_doing() {
    let origin = picture().await;
    let port = ReservedPort::any().unwrap();
    let address = port.addr();
    let setup = on(address, &origin);
    let supervisor = Supervisor::of(&setup);
    let gateway = supervisor.launch(&setup, &[]);
    let first = supervisor.next().await;
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    assert!(ask(address).await.starts_with("HTTP/1.1 200"));
    let status = value(&first, "STATUS");
    for word in [
        format!("Serving media on {address}"),
        format!("operators on {}", setup.admin_port().addr()),
        "connections: 0".to_owned(),
    ] {
        assert!(status.contains(&word), "nothing of {word} in {status}");
    }
    gateway.stopped().await;
}

#[tokio::test]
async fn a_reload_is_told_from_its_beginning_to_its_end_and_whether_it_held() {
    let origin = picture().await;
    let setup = on(any(), &origin);
    let supervisor = Supervisor::of(&setup);
    let mut gateway = supervisor.launch(&setup, &[]);
    supervisor.told("READY=1").await;

    gateway.signal(Signal::HUP);
    let begun = supervisor.told("RELOADING=1").await;
    let at: u64 = value(&begun, "MONOTONIC_USEC").parse().unwrap();
    assert!(at > 0, "{begun}");
    let ended = supervisor.told("READY=1").await;
    assert!(value(&ended, "STATUS").contains("read anew"), "{ended}");

    let file = setup.written();
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.clone() + "\n[nonsense]\n").unwrap();
    gateway.signal(Signal::HUP);
    supervisor.told("RELOADING=1").await;
    let ended = supervisor.told("READY=1").await;
    assert!(value(&ended, "STATUS").contains("refused"), "{ended}");
    gateway.logged("the one before holds").await;
    fs::write(&file, good).unwrap();
    gateway.stopped().await;
}

#[tokio::test]
async fn signs_of_life_come_at_half_the_interval_and_stop_when_it_does() {
    let origin = picture().await;
    let setup = on(any(), &origin);
    let supervisor = Supervisor::of(&setup);
    let gateway = supervisor.launch(&setup, &[("WATCHDOG_USEC", "2000000")]);
    supervisor.told("READY=1").await;
    let began = Instant::now();
    for _ in 0..3 {
        supervisor.told("WATCHDOG=1").await;
    }
    let took = began.elapsed();
    assert!(
        Duration::from_millis(2900) < took && took < Duration::from_millis(3900),
        "three in {took:?}"
    );
    gateway.signal(Signal::STOP);
    // One may have been sent already.
    let _ = timeout(Duration::from_millis(100), supervisor.told("WATCHDOG=1")).await;
    let silence = timeout(Duration::from_secs(2), supervisor.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    gateway.signal(Signal::CONT);
    supervisor.told("WATCHDOG=1").await;
    gateway.stopped().await;
}

#[tokio::test]
async fn signs_of_life_that_another_process_owes_are_not_sent() {
    let origin = picture().await;
    let setup = on(any(), &origin);
    let supervisor = Supervisor::of(&setup);
    let owed = [("WATCHDOG_USEC", "200000"), ("WATCHDOG_PID", "1")];
    let gateway = supervisor.launch(&setup, &owed);
    supervisor.told("READY=1").await;
    let silence = timeout(Duration::from_secs(1), supervisor.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    gateway.stopped().await;
}

#[tokio::test]
async fn the_end_is_told_with_the_time_it_may_take_and_signs_of_life_go_on() {
    let origin = picture().await;
    let gate = Gate::new();
    origin.put("long.bin", vec![7; 300_000]);
    origin.fault(On::key("long.bin"), Fault::HoldAfter(100_000, gate.clone()));
    let setup = on(any(), &origin);
    let supervisor = Supervisor::of(&setup);
    let mut gateway = setup
        .start_with(NAKED, |command| {
            command.env("NOTIFY_SOCKET", &supervisor.at);
            command.env("WATCHDOG_USEC", "1000000");
        })
        .await;
    let download = gateway.ask("/long.bin").await.unwrap();
    gateway.signal(Signal::TERM);
    let told = supervisor.told("STOPPING=1").await;
    assert_eq!(value(&told, "EXTEND_TIMEOUT_USEC"), "75000000");
    let alive = supervisor.told("WATCHDOG=1").await;
    assert!(
        value(&alive, "STATUS").contains("connections left: 1"),
        "{alive}"
    );
    gate.open();
    assert_eq!(download.bytes().await.unwrap().len(), 300_000);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_supervisor_may_have_an_abstract_name() {
    let origin = picture().await;
    let setup = on(any(), &origin);
    let name = format!("media-gateway-test-{}", std::process::id());
    let bound = Bound::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
    bound.set_nonblocking(true).unwrap();
    let supervisor = Supervisor {
        socket: UnixDatagram::from_std(bound).unwrap(),
        at: format!("@{name}").into(),
    };
    let gateway = supervisor.launch(&setup, &[]);
    supervisor.told("READY=1").await;
    gateway.stopped().await;
}

#[tokio::test]
async fn without_a_supervisor_that_hears_it_serves_and_says_so_once() {
    let origin = picture().await;
    for (value, word) in [
        ("run/notify", "neither an absolute path"),
        ("vsock:2:9999", "neither an absolute path"),
        ("/nonexistent/notify", "cannot be told"),
    ] {
        let setup = on(any(), &origin);
        let gateway = setup
            .start_with(NAKED, |command| {
                command.env("NOTIFY_SOCKET", value);
                command.env("WATCHDOG_USEC", "200000");
            })
            .await;
        assert_eq!(gateway.get("/a.webp").await.status, 200);
        let log = gateway.stopped().await;
        assert_eq!(log.matches("NOTIFY_SOCKET").count(), 1, "{value}: {log}");
        assert!(log.contains(word), "{value}: {log}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_and_not_tried_again() {
    let setup = Setup::new("[nonsense]\n");
    let supervisor = Supervisor::of(&setup);
    let mut gateway = supervisor.launch(&setup, &[]);
    let told = supervisor.told("STATUS=").await;
    for word in ["configuration", "check --offline", "gateway.toml"] {
        assert!(told.contains(word), "nothing of {word} in {told}");
    }
    assert_eq!(gateway.ended().await.code(), Some(78));
    // Without one it ends as every command does.
    setup.refused().await;
}

#[tokio::test]
async fn what_may_pass_is_told_and_may_be_tried_again() {
    let origin = picture().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = on(address, &origin);
    let supervisor = Supervisor::of(&setup);
    let mut gateway = supervisor.launch(&setup, &[]);
    let told = supervisor.told("STATUS=Cannot start").await;
    assert!(told.contains(&address.to_string()), "{told}");
    assert_eq!(gateway.ended().await.code(), Some(1));
}

/// Hands over one socket, or two, by these variables. A shell knows the number of the process.
fn handing(
    first: impl Into<OwnedFd>,
    second: Option<OwnedFd>,
    variables: &str,
) -> (Vec<String>, impl FnOnce(&mut Command)) {
    let also = if second.is_some() { "4<&1" } else { "" };
    let script =
        format!("exec 3<&0 {also} 0</dev/null 1>/dev/null; {variables} exec \"$0\" \"$@\"");
    let wrapper = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let first = first.into();
    let change = move |command: &mut Command| {
        command.stdin(first);
        if let Some(second) = second {
            command.stdout(Stdio::from(second));
        }
    };
    (wrapper, change)
}

/// As a supervisor does it.
const ONE: &str = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=media";

async fn started(setup: &Setup, socket: &TcpListener) -> Gateway {
    let (wrapper, change) = handing(socket.try_clone().unwrap(), None, ONE);
    setup.start_with(&wrapper, change).await
}

/// Does not start, and says this.
async fn refuses(
    setup: &Setup,
    socket: impl Into<OwnedFd>,
    second: Option<OwnedFd>,
    variables: &str,
    words: &[&str],
) {
    let (wrapper, change) = handing(socket, second, variables);
    let mut gateway = setup.launch_with(&wrapper, change);
    assert_eq!(gateway.ended().await.code(), Some(1), "{variables}");
    let said = gateway.log();
    for word in words {
        assert!(
            said.contains(word),
            "{variables}: nothing of {word} in: {said}"
        );
    }
}

#[tokio::test]
async fn sockets_that_are_handed_over_take_the_place_of_their_addresses() {
    let origin = picture().await;
    let media = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = media.local_addr().unwrap();
    let setup = on(address, &origin);
    let admin = setup.admin_port().listen().unwrap().into_std().unwrap();
    let two = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=media:admin";
    let (wrapper, change) = handing(media.try_clone().unwrap(), Some(admin.into()), two);
    let gateway = setup.start_with(&wrapper, change).await;
    assert!(ask(address).await.starts_with("HTTP/1.1 200"));
    assert_eq!(gateway.operators("/readyz").await.status, 200);
    let log = gateway.stopped().await;
    assert!(log.contains("\"sockets\":2"), "{log}");
    // It is the supervisor's: nobody is refused, though nobody answers.
    TcpStream::connect(address).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_while_one_gateway_follows_another_on_the_same_socket() {
    let origin = picture().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let setup = on(address, &origin);
    let mut gateway = started(&setup, &socket).await;

    let (over, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let tasks = TaskTracker::new();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            tasks.spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    // Panics where it is refused, reset or closed early.
                    assert!(ask(address).await.starts_with("HTTP/1.1 200"));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let more = async |than: usize| {
        let until = answered.load(Ordering::SeqCst) + than;
        let seen = timeout(PATIENCE, async {
            while answered.load(Ordering::SeqCst) < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        seen.await.expect("clients are answered");
    };
    for _ in 0..5 {
        more(100).await;
        gateway.stopped().await;
        gateway = started(&setup, &socket).await;
    }
    more(100).await;
    over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    println!(
        "{} connections over five restarts, none lost",
        answered.load(Ordering::SeqCst)
    );
    gateway.stopped().await;
}

#[tokio::test]
async fn a_socket_that_cannot_be_used_is_refused_with_what_to_do() {
    let origin = picture().await;
    let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
    let handed = socket();
    let address = handed.local_addr().unwrap();
    let here = on(address, &origin);

    let other = socket();
    let elsewhere = other.local_addr().unwrap().to_string();
    let words = [&*elsewhere, "server.listen is", "ListenStream="];
    refuses(&here, other, None, ONE, &words).await;

    let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
    let words = ["descriptor 3 (media)", "another type than stream", "TCP"];
    refuses(&here, datagram, None, ONE, &words).await;

    let file = fs::File::open("/dev/null").unwrap();
    refuses(&here, file, None, ONE, &["descriptor 3", "no socket"]).await;

    let admin = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=admin";
    let words = ["by the name admin", "admin.listen", "server.listen"];
    refuses(&here, handed.try_clone().unwrap(), None, admin, &words).await;

    let twice = "LISTEN_PID=$$ LISTEN_FDS=2";
    let second = handed.try_clone().unwrap().into();
    let words = ["two sockets", &address.to_string()];
    refuses(
        &here,
        handed.try_clone().unwrap(),
        Some(second),
        twice,
        &words,
    )
    .await;

    for variables in [
        "LISTEN_PID=$$ LISTEN_FDS=999",
        "LISTEN_PID=$$ LISTEN_FDS=-1",
        "LISTEN_PID=$$ LISTEN_FDS=4294967295",
        "LISTEN_PID=$$ LISTEN_FDS=many",
        "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=media:admin",
    ] {
        let words = ["LISTEN_FDS=", "LISTEN_FDNAMES=", "unset both"];
        refuses(&here, handed.try_clone().unwrap(), None, variables, &words).await;
    }
}

#[tokio::test]
async fn sockets_of_another_process_are_left_alone_and_it_is_said() {
    let origin = picture().await;
    let handed = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = on(any(), &origin);
    for pid in ["1", "", "-1", "mine"] {
        let variables = format!("LISTEN_PID={pid} LISTEN_FDS=1");
        let (wrapper, change) = handing(handed.try_clone().unwrap(), None, &variables);
        let gateway = setup.start_with(&wrapper, change).await;
        assert_eq!(gateway.get("/a.webp").await.status, 200);
        let log = gateway.stopped().await;
        assert!(log.contains("LISTEN_PID"), "{pid}: {log}");
    }
}
