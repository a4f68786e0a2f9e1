//! A supervisor that is a real socket, and a runtime that has stopped working.

use std::sync::mpsc;

use tokio::net::UnixDatagram as Listening;
use tokio::runtime::Builder;

use super::*;

const WATCHDOG: Duration = Duration::from_millis(200);
/// Far more than a busy machine needs.
const LONG: Duration = Duration::from_secs(30);

struct Heard {
    socket: Listening,
    supervisor: Supervisor,
    _directory: tempfile::TempDir,
}

impl Heard {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = Listening::bind(&path).unwrap();
        let supervisor = Supervisor {
            at: Some(address(path.as_os_str()).unwrap()),
            watchdog: Some(WATCHDOG),
            ..Supervisor::default()
        };
        Self {
            socket,
            supervisor,
            _directory: directory,
        }
    }

    async fn next(&self) -> String {
        let mut message = vec![0; 4096];
        let length = self.socket.recv(&mut message).await.unwrap();
        message.truncate(length);
        String::from_utf8(message).unwrap()
    }
}

#[test]
fn no_sign_of_life_is_sent_while_no_worker_works() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // Outside of the runtime, for nothing moves inside when it is stuck.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let next = |within| {
        socket.set_read_timeout(Some(within)).unwrap();
        let mut message = vec![0; 4096];
        let length = socket.recv(&mut message).ok()?;
        message.truncate(length);
        String::from_utf8(message).ok()
    };
    let supervisor = Supervisor {
        at: Some(address(path.as_os_str()).unwrap()),
        watchdog: Some(WATCHDOG),
        ..Supervisor::default()
    };
    let over = CancellationToken::new();
    let (release, held) = mpsc::channel::<()>();
    std::thread::scope(|threads| {
        // However this ends, nothing is left stuck.
        let (_over, release) = (over.clone().drop_guard(), release);
        threads.spawn(|| {
            runtime.block_on(supervisor.accompany(|| "Serving".to_owned(), &over));
        });
        let alive = Some("STATUS=Serving\nWATCHDOG=1".to_owned());
        assert_eq!(next(LONG), Some("READY=1\nSTATUS=Serving".to_owned()));
        assert_eq!(next(LONG), alive);
        let (holds, is_held) = mpsc::channel();
        let stuck = async move {
            holds.send(()).unwrap();
            let _ = held.recv();
        };
        TaskTracker::new().spawn_on(stuck, runtime.handle());
        is_held.recv_timeout(LONG).unwrap();
        // One may have been on its way.
        next(WATCHDOG);
        assert_eq!(next(WATCHDOG * 3), None);
        release.send(()).unwrap();
        assert_eq!(next(LONG), alive);
    });
}

#[tokio::test]
async fn what_was_refused_is_said_until_something_is_taken() {
    let heard = Heard::new();
    let line = || heard.supervisor.line("Serving".to_owned());
    assert_eq!(line(), "Serving");
    heard.supervisor.reloaded(false).await;
    assert!(line().starts_with("Serving; the configuration was refused"));
    heard.supervisor.reloaded(true).await;
    assert_eq!(line(), "Serving");
    for told in ["was refused", "was read anew"] {
        let message = heard.next().await;
        assert!(message.starts_with("READY=1\nSTATUS="), "{message}");
        assert!(message.contains(told), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_does_not_read_holds_nobody_up() {
    let heard = Heard::new();
    let began = Instant::now();
    // The kernel keeps a few for it; then the clock goes on by itself, for nothing else happens.
    while !heard.supervisor.unheard.load(Ordering::Relaxed) {
        heard.supervisor.cannot_start("nobody listens").await;
    }
    assert!(began.elapsed() <= PATIENCE + Duration::from_millis(1));
}

#[tokio::test]
async fn nothing_that_is_told_begins_another_state() {
    let heard = Heard::new();
    heard
        .supervisor
        .cannot_start("one\nWATCHDOG=trigger\0")
        .await;
    assert_eq!(heard.next().await, "STATUS=one WATCHDOG=trigger ");
}

#[test]
fn a_socket_is_a_path_or_an_abstract_name() {
    let path = address("/run/systemd/notify".as_ref()).unwrap();
    assert_eq!(path.as_pathname(), Some("/run/systemd/notify".as_ref()));
    let name = address("@/org/example".as_ref()).unwrap();
    assert_eq!(name.as_abstract_name(), Some(&b"/org/example"[..]));
    for wrong in ["run/notify", "vsock:2:1234", " "] {
        assert!(address(wrong.as_ref()).is_err(), "{wrong}");
    }
    let long = format!("/{}", "x".repeat(200));
    assert!(address(long.as_ref()).is_err());
}

#[test]
fn a_drain_of_hours_is_not_cut_by_the_supervisor() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let heard = Heard::new();
        heard.supervisor.stopping(Duration::from_hours(2)).await;
        let told = heard.next().await;
        assert!(
            told.contains("\nEXTEND_TIMEOUT_USEC=7215000000\n"),
            "{told}"
        );
    });
}
