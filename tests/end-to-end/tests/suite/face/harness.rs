//! A gateway in this process, on free ports, in front of origins that fail on demand.
//!
//! Its timeouts are short, so that a hanging origin costs a test half a second and not five.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use gateway::config::Config;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;
use test_servers::faulty::{BUCKET, Faulty};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::answer::{Answer, exchange, parse};

const QUICK: &str = "connect_timeout = \"300ms\"\nfirst_byte_timeout = \"500ms\"\n\
                     idle_timeout = \"500ms\"\nhedge_after = \"100ms\"\n";
const KEYS: &str = "access_key_id = \"AKIDEXAMPLE\"\nsecret_access_key = \"wJalrXUtnFEMI\"\n";

/// Nothing is kept unless a test says so: what is tested here is what origins are asked.
fn uncached(more: &str) -> &'static str {
    let says_so = more.lines().any(|line| line.starts_with("cache ="));
    if says_so { "" } else { "cache = \"none\"\n" }
}

/// A configuration being written. Keeps the origins it names running.
pub(super) struct Toml {
    text: String,
    origins: Vec<Faulty>,
}

impl Toml {
    /// A public bucket.
    pub(super) fn s3(&mut self, name: &str, at: &Faulty) -> &mut Self {
        self.s3_with(name, at, "")
    }

    /// A public bucket with more settings.
    pub(super) fn s3_with(&mut self, name: &str, at: &Faulty, more: &str) -> &mut Self {
        let (endpoint, cache) = (at.endpoint(), uncached(more));
        self.origins.push(at.clone());
        self.add(&format!(
            "[origins.{name}]\nkind = \"s3\"\nendpoint = \"{endpoint}\"\n\
             bucket = \"{BUCKET}\"\n{QUICK}{cache}{more}\n"
        ))
    }

    /// A bucket with keys, by which everything is signed unless `more` says otherwise.
    pub(super) fn signed(&mut self, name: &str, at: &Faulty, more: &str) -> &mut Self {
        self.s3_with(name, at, &format!("{KEYS}{more}"))
    }

    /// A web server.
    pub(super) fn http(&mut self, name: &str, at: &Faulty, more: &str) -> &mut Self {
        let (url, cache) = (at.base_url(), uncached(more));
        self.origins.push(at.clone());
        self.add(&format!(
            "[origins.{name}]\nkind = \"http\"\nurl = \"{url}\"\n{QUICK}{cache}{more}\n"
        ))
    }

    /// A directory.
    pub(super) fn directory(&mut self, name: &str, root: &Path) -> &mut Self {
        let (root, cache) = (root.display(), uncached(""));
        self.add(&format!(
            "[origins.{name}]\nkind = \"filesystem\"\nroot = \"{root}\"\n{cache}"
        ))
    }

    /// The only route: any host, every key.
    pub(super) fn route(&mut self, origins: &[&str]) -> &mut Self {
        self.route_with(origins, "url = \"/\"\nkeys = [\"\"]")
    }

    /// A route; `more` holds everything but its origins.
    pub(super) fn route_with(&mut self, origins: &[&str], more: &str) -> &mut Self {
        self.add(&format!("[[routes]]\norigins = {origins:?}\n{more}\n"))
    }

    /// A line in `[server]`.
    pub(super) fn server(&mut self, line: &str) -> &mut Self {
        let with_it = format!("[server]\n{line}\n");
        self.text = self.text.replacen("[server]\n", &with_it, 1);
        self
    }

    /// Any other lines.
    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.text, "{text}");
        self
    }
}

/// A running gateway; dropping it stops it.
pub(super) struct Gateway {
    pub(super) addr: SocketAddr,
    pub(super) admin: SocketAddr,
    _stop: DropGuard,
    _state: TempDir,
    _origins: Vec<Faulty>,
}

impl Gateway {
    /// Starts with this configuration.
    pub(super) async fn with<R>(configure: impl FnOnce(&mut Toml) -> R) -> Self {
        let state = tempfile::tempdir().unwrap();
        let (kept, cache) = (state.path().join("state"), state.path().join("cache"));
        std::fs::create_dir_all(&kept).unwrap();
        let (kept, cache) = (kept.display(), cache.display());
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [state]\ndirectory = \"{kept}\"\n[cache]\ndirectory = \"{cache}\"\n"
        );
        let mut toml = Toml {
            text,
            origins: Vec::new(),
        };
        configure(&mut toml);
        let loaded = match Config::parse("test.toml", &toml.text, []) {
            Ok(loaded) => loaded,
            Err(rejected) => panic!("{:?}\n{}", rejected.problems, toml.text),
        };
        let bound = gateway::gateway::Gateway::bind(&loaded.config).expect("it can start");
        let (addr, admin) = (bound.addresses()[0], bound.admin_addresses()[0]);
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(bound.run(stop.clone()));
        tokio::task::yield_now().await;
        Self {
            addr,
            admin,
            _stop: stop.drop_guard(),
            _state: state,
            _origins: toml.origins,
        }
    }

    /// One public bucket behind one route.
    pub(super) async fn before(bucket: &Faulty) -> Self {
        Self::with(|toml| {
            toml.s3("current", bucket).route(&["current"]);
        })
        .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    pub(super) async fn head(&self, path: &str) -> Answer {
        self.ask("HEAD", path, &[]).await
    }

    pub(super) async fn range(&self, path: &str, range: &str) -> Answer {
        self.ask("GET", path, &[("Range", range)]).await
    }

    /// One request on a connection of its own, to the host `media.test` unless a header says
    /// otherwise.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str("Host: media.test\r\n");
        }
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        request.push_str("\r\n");
        self.raw(request.as_bytes()).await
    }

    /// What is answered to exactly these bytes.
    pub(super) async fn raw(&self, request: &[u8]) -> Answer {
        let said = exchange(self.addr, request).await;
        parse(&said, request.starts_with(b"HEAD ")).unwrap_or_else(|| {
            panic!(
                "{:?}\nwas answered\n{:?}",
                String::from_utf8_lossy(request),
                String::from_utf8_lossy(&said)
            )
        })
    }

    /// The metrics page.
    pub(super) async fn metrics(&self) -> String {
        self.ask_admin("/metrics").await.text()
    }

    /// One sample, by its name and labels without our prefix; 0 where it is not there.
    pub(super) async fn metric(&self, sample: &str) -> u64 {
        let sample = format!("media_gateway_{sample} ");
        let text = self.metrics().await;
        let value = text.lines().find_map(|line| line.strip_prefix(&sample));
        value.map_or(0, |value| value.parse().expect("a whole number"))
    }

    /// What `/api/explain` says of a path at a host.
    pub(super) async fn explain(&self, host: &str, path: &str) -> Value {
        let url = format!("http://{host}{path}");
        let url = utf8_percent_encode(&url, NON_ALPHANUMERIC);
        let answer = self.ask_admin(&format!("/api/explain?url={url}")).await;
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    pub(super) async fn ask_admin(&self, path: &str) -> Answer {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        parse(&exchange(self.admin, request.as_bytes()).await, false).expect("an answer")
    }
}

/// A directory origin's root: a marker, and these files.
pub(super) fn marked_root(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(".media-gateway"), "").unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    root
}

/// An origin that holds nothing.
pub(super) async fn empty() -> Faulty {
    Faulty::start().await
}

/// An origin that holds one PNG under this key.
pub(super) async fn holding(key: &str) -> Faulty {
    let origin = Faulty::start().await;
    origin.put(key, png());
    origin
}

/// A small picture, typed as one.
pub(super) fn png() -> test_servers::faulty::Object {
    test_servers::faulty::Object::new(picture()).content_type("image/png")
}

/// Its bytes: a signature, then noise that repeats nowhere near a chunk's size.
pub(super) fn picture() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(noise(2000));
    bytes
}

/// Bytes of which no two places look alike.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(next).collect()
}
