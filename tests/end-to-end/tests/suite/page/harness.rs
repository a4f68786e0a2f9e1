//! A gateway between two origins, with viewers, so that its page has something to show.

use std::time::Duration;

use test_servers::faulty::{BUCKET, Faulty, Object};
use tokio::time::{Instant, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::process::harness::{Gateway, Setup, route};

pub(super) const TOKEN: &str = "correct-horse-battery-staple";
/// What somebody might upload.
pub(super) const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>.mp4";

/// A current bucket, an old one that rehearses its retirement, and a gateway before them.
pub(super) struct Stage {
    pub(super) current: Faulty,
    _old: Faulty,
    pub(super) setup: Setup,
    pub(super) gateway: Gateway,
}

impl Stage {
    /// With a hundred objects, of which the last thirty are only in the old one.
    pub(super) async fn new() -> Self {
        let (current, old) = (Faulty::start().await, Faulty::start().await);
        for bucket in [&current, &old] {
            bucket.listable(true);
        }
        for n in 0..100_usize {
            let film = Object::new(vec![7; 20_000 + n * 700]).content_type("video/mp4");
            if n < 70 {
                current.put(&format!("{n}.mp4"), film.clone());
            }
            old.put(&format!("{n}.mp4"), film);
        }
        old.put(
            HOSTILE,
            Object::new(b"a film".to_vec()).content_type("video/mp4"),
        );
        let origins = bucket("current", &current)
            + &bucket("old", &old)
            + "state = \"rehearsal\"\n"
            + &route(&["current", "old"]);
        let setup = Setup::new(origins)
            .cache("min_free = \"0 B\"\nmax_size = \"100 MB\"\nmemory = \"64 MB\"")
            .admin(&format!(
                "token = \"{TOKEN}\"\negress_price = \"0.09 USD/GB\""
            ));
        let gateway = setup.start().await;
        Self {
            current,
            _old: old,
            setup,
            gateway,
        }
    }

    /// Where something of the page is.
    pub(super) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.admin())
    }

    /// Asks for a key, spelled as URLs spell it.
    pub(super) async fn view(&self, key: &str) -> (u16, String) {
        let answer = self.gateway.get(&format!("/{}", escaped(key))).await;
        let label = answer.headers.get("x-cache");
        let label = label.map_or("", |label| label.to_str().unwrap());
        (answer.status.as_u16(), label.to_owned())
    }

    /// Tells it of a migration that goes on, as the command does.
    pub(super) async fn tell_of_a_migration(&self) {
        let told = serde_json::json!({
            "from": "old", "to": "current", "phase": "copying", "target_objects": 70,
            "source_objects": 101, "planned_objects": 200, "planned_bytes": 1_000_000,
            "done_objects": 50, "failed": 1, "bytes": 250_000, "copying_seconds": 10,
            "failures": [{"key": HOSTILE, "why": "it breaks"}],
        });
        let request = self.gateway.client().post(self.page("/api/migrations"));
        let request = request.bearer_auth(TOKEN).body(told.to_string());
        let request = request.header("content-type", "application/json");
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    /// Audits the old bucket, of which some objects are nowhere else.
    pub(super) async fn audit(&self) {
        let arguments = ["audit", "old", "--quiet-for", "0s"];
        let audited = self.setup.run(&arguments).await;
        assert_eq!(audited.status.code(), Some(1), "{audited:?}");
    }

    /// Viewers that come again and again, for what is kept and for what is not; one in so many
    /// asks for what nobody has.
    pub(super) fn viewers(&self, one_in: usize) -> Viewers {
        let (client, base) = (self.gateway.client().clone(), self.gateway.url("/"));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            let mut ticks = interval(Duration::from_millis(10));
            let began = Instant::now();
            for n in 0_usize.. {
                // They come in waves of some minutes: 20 to 100 in a second.
                let wave = began.elapsed().as_secs() / 20 % 16;
                for _ in 0..=wave.abs_diff(8) / 2 {
                    ticks.tick().await;
                }
                // Many of a few, some of many.
                let key = match n % one_in {
                    0 => format!("none-{n}.mp4"),
                    1 | 2 => format!("{}.mp4", n / 25 % 100),
                    few => format!("{few}.mp4"),
                };
                let answer = client.get(format!("{base}{key}")).send().await;
                if let Ok(answer) = answer {
                    let _ = answer.bytes().await;
                }
            }
        }));
        Viewers(stop.drop_guard())
    }
}

/// Viewers, until this is dropped.
pub(super) struct Viewers(#[expect(dead_code, reason = "held to be dropped")] DropGuard);

/// A key as it stands in a path.
pub(super) fn escaped(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn bucket(name: &str, at: &Faulty) -> String {
    let endpoint = at.endpoint();
    format!("[origins.{name}]\nkind = \"s3\"\nendpoint = \"{endpoint}\"\nbucket = \"{BUCKET}\"\n")
}
