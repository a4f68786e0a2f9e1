//! What a hit from memory allocates: as much for a film as for a thumbnail.
//!
//! A binary of its own, because the allocator of a whole process is counted: the gateway's, from
//! its socket to the body's frames. The client is in the same process and allocates nothing. How
//! long anything takes is not looked at.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "measured figures, for --nocapture")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway::config::Config;
use gateway::gateway::Gateway;
use tempfile::TempDir;
use test_servers::faulty::{Faulty, Object};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What is sent from one slice whole, by a reader from one slice, and by a reader from many.
const SIZES: [usize; 4] = [8 * KIB, 200 * KIB, 5 * MIB, 100 * MIB];
/// So many hits at least, so that the least of them is what a hit takes.
const HITS: usize = 9;
/// What an answer takes that has no size in it: its request, its head, its event.
const MOST_BYTES: u64 = 8 * KIB as u64;
const MOST_ALLOCATIONS: u64 = 24;
/// A client that reads nothing for so long is not being answered.
const PATIENCE: Duration = Duration::from_mins(1);

/// The system's allocator, which counts what it is asked for.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe to write; each call goes to the system's as it came"
)]
// SAFETY: what is returned is the system allocator's own, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What was asked of the allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    bytes: u64,
    allocations: u64,
}

impl Cost {
    fn now() -> Self {
        Self {
            bytes: BYTES.load(Ordering::SeqCst),
            allocations: ALLOCATIONS.load(Ordering::SeqCst),
        }
    }

    fn within(self, bound: Self) -> bool {
        self.bytes <= bound.bytes && self.allocations <= bound.allocations
    }

    fn since(self) -> Self {
        let now = Self::now();
        Self {
            bytes: now.bytes - self.bytes,
            allocations: now.allocations - self.allocations,
        }
    }
}

#[test]
fn a_hit_from_memory_allocates_nothing_that_grows_with_the_object() {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::set());
    let mut client = Client::connect(stage.media);
    let mut bound = Cost {
        bytes: MOST_BYTES,
        allocations: MOST_ALLOCATIONS,
    };
    for size in SIZES {
        let request = request(size);
        client.get(&request, size);
        let asked = stage.origin.counts().requests;
        let cost = least_of_hits(&mut client, &request, size, bound);
        println!("{size:>9} bytes: {cost:?}");
        assert!(cost.allocations > 0, "the gateway's allocator counts");
        assert!(cost.within(bound), "{size} bytes: {cost:?}, not {bound:?}");
        assert_eq!(stage.origin.counts().requests, asked, "{size} bytes: hits");
        // The smallest goes a way of its own; all others must cost the same.
        if size > SIZES[0] {
            bound = cost;
        }
    }
    drop(client);
    runtime.block_on(stage.clear());
}

/// What a hit takes by itself: the least of several, because the gateway does something else
/// during some of them. It writes what it has just brought to its disk, for as long as that takes,
/// so hits go on until one is within the bound, or patience ends.
fn least_of_hits(client: &mut Client, request: &[u8], size: usize, bound: Cost) -> Cost {
    let began = Instant::now();
    let mut least: Option<Cost> = None;
    for n in 0.. {
        let before = Cost::now();
        client.get(request, size);
        let cost = before.since();
        least = Some(least.map_or(cost, |least| least.min(cost)));
        let enough = n >= HITS && least.is_some_and(|least| least.within(bound));
        if enough || began.elapsed() > PATIENCE {
            break;
        }
    }
    least.unwrap()
}

/// A gateway in this process that keeps in memory what one origin has, and the origin.
struct Stage {
    origin: Faulty,
    media: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _directory: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let origin = Faulty::start().await;
        for size in SIZES {
            let object = Object::new(vec![b'x'; size]);
            origin.put(&key(size), object.content_type("video/mp4"));
        }
        let directory = tempfile::tempdir().unwrap();
        let text = config(directory.path(), &origin.base_url());
        let loaded = Config::parse("the test's configuration", &text, []).unwrap();
        let gateway = Gateway::bind(&loaded.config).unwrap();
        let media = gateway.addresses()[0];
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = TaskTracker::new().spawn(async move {
            gateway.run(stopped).await;
        });
        Self {
            origin,
            media,
            stop,
            running,
            _directory: directory,
        }
    }

    async fn clear(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// Memory for all of it. A hit that was read from the disk would take a buffer for each chunk.
fn config(directory: &Path, url: &str) -> String {
    let directory = directory.display();
    format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [admin]
        listen = "127.0.0.1:0"
        [state]
        directory = "{directory}/state"
        [cache]
        directory = "{directory}/cache"
        memory = "512 MiB"
        min_free = "0 B"
        [origins.only]
        kind = "http"
        url = "{url}"
        [[routes]]
        url = "/"
        keys = [""]
        origins = ["only"]
        "#
    )
}

fn key(size: usize) -> String {
    format!("{size:09}.mp4")
}

/// Equally long for every size.
fn request(size: usize) -> Vec<u8> {
    format!("GET /{} HTTP/1.1\r\nHost: media\r\n\r\n", key(size)).into_bytes()
}

/// A client on one connection, which has its memory before it asks.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![0; 256 * KIB],
        }
    }

    /// Reads one answer to its end, and allocates nothing unless it is a wrong one.
    fn get(&mut self, request: &[u8], size: usize) {
        const END: &[u8] = b"\r\n\r\n";
        self.stream.write_all(request).unwrap();
        let mut read = 0;
        let head = loop {
            read += self.some_into(read);
            let so_far = &self.buffer[..read];
            if let Some(at) = so_far.windows(END.len()).position(|end| end == END) {
                break at + END.len();
            }
        };
        let said = &self.buffer[..head];
        assert!(
            said.starts_with(b"HTTP/1.1 200 "),
            "{:?}",
            said.utf8_chunks()
        );
        let mut body = read - head;
        while body < size {
            body += self.some_into(0);
        }
        assert_eq!(body, size);
    }

    fn some_into(&mut self, at: usize) -> usize {
        let read = self.stream.read(&mut self.buffer[at..]).unwrap();
        assert!(read > 0, "the gateway has closed the connection");
        read
    }
}
