//! A scriptable origin: S3 and plain HTTP over real sockets, right by default, wrong on demand.
//!
//! The bucket is named [`BUCKET`]; objects live in memory under byte-exact keys. HTTP is written
//! by hand, because a library would not let it be wrong. Signatures are looked for, never
//! verified. Nothing can be uploaded over the wire unless a test says [`Faulty::writable`].
//!
//! ```no_run
//! # async fn example() {
//! use test_servers::faulty::{Fault, Faulty, On};
//!
//! let old = Faulty::start().await;
//! old.put("misskey/a.webp", vec![0; 1000]);
//! old.fault(On::key("misskey/a.webp").nth(1), Fault::CutAfter(500));
//! old.wait_for_requests(1).await;
//! # }
//! ```

mod connection;
mod fault;
mod journal;
mod listing;
mod object;
mod plan;
mod reply;
mod request;
mod script;
mod store;
#[cfg(test)]
mod tests;
mod uploads;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use fault::{Fault, Gate};
pub use journal::Counts;
pub use object::Object;
pub use reply::Reply;
pub use request::Request;
pub use script::On;
pub use store::Missing;

use crate::door::Door;
use crate::tls::Identity;
use journal::Journal;
use plan::Plan;
use script::Script;
use store::Store;

/// The bucket's name, and the first segment of every path.
pub const BUCKET: &str = "bucket";

/// A running origin; clones are the same one. The last to go stops it.
#[derive(Debug, Clone)]
pub struct Faulty {
    bucket: Arc<Bucket>,
    door: Arc<Door>,
    tls: Option<TlsAcceptorDebug>,
}

/// The bucket and its script, as the connections share them.
#[derive(Debug)]
struct Bucket {
    store: Mutex<Store>,
    script: Mutex<Script>,
    journal: Journal,
    silent: watch::Sender<bool>,
}

#[derive(Clone)]
struct TlsAcceptorDebug(TlsAcceptor);

impl std::fmt::Debug for TlsAcceptorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

impl Faulty {
    /// An empty, public, unlistable bucket at a free port of 127.0.0.1.
    #[allow(clippy::unused_async, reason = "it must be called inside a runtime")]
    pub async fn start() -> Self {
        Self::launch(None)
    }

    /// The same behind TLS with this certificate.
    #[allow(clippy::unused_async, reason = "it must be called inside a runtime")]
    pub async fn start_tls(identity: &Identity) -> Self {
        Self::launch(Some(TlsAcceptorDebug(identity.acceptor())))
    }

    fn launch(tls: Option<TlsAcceptorDebug>) -> Self {
        let door = Door::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let this = Self {
            bucket: Arc::new(Bucket {
                store: Mutex::default(),
                script: Mutex::default(),
                journal: Journal::default(),
                silent: watch::Sender::new(false),
            }),
            door: Arc::new(door.expect("a loopback port is free")),
            tls,
        };
        this.restart();
        this
    }

    // Where it is.

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// `http://127.0.0.1:port` (or `https://localhost:port`): an S3 endpoint with path
    /// addressing. The bucket is [`BUCKET`].
    pub fn endpoint(&self) -> String {
        match self.tls {
            Some(_) => format!("https://localhost:{}", self.addr().port()),
            None => format!("http://{}", self.addr()),
        }
    }

    /// The bucket's URL with a slash at its end: the `url` of an `http` origin.
    pub fn base_url(&self) -> String {
        format!("{}/{BUCKET}/", self.endpoint())
    }

    // What it holds.

    /// Stores an object, or replaces it.
    pub fn put(&self, key: &str, object: impl Into<Object>) {
        self.bucket.replace(key.as_bytes().to_vec(), object.into());
    }

    /// Removes an object; absent ones are fine.
    pub fn remove(&self, key: &str) {
        self.bucket.store().objects.remove(key.as_bytes());
    }

    /// Removes all objects.
    pub fn empty(&self) {
        self.bucket.store().objects.clear();
    }

    /// Whether requests without a signature get 403 `AccessDenied`.
    pub fn private(&self, private: bool) {
        self.bucket.store().private = private;
    }

    /// Whether strangers may list it; signed requests always may.
    pub fn listable(&self, listable: bool) {
        self.bucket.store().listable = listable;
    }

    /// What absent keys get.
    pub fn missing(&self, missing: Missing) {
        self.bucket.store().missing = missing;
    }

    // What can be written.

    /// Whether signed requests may write and delete; conditions are heeded.
    pub fn writable(&self, writable: bool) {
        let mut store = self.bucket.store();
        (store.writable, store.uploads.heeds_conditions) = (writable, writable);
    }

    /// Whether `If-None-Match: *` keeps an object from being replaced, or is ignored.
    pub fn heeds_conditions(&self, heeds: bool) {
        self.bucket.store().uploads.heeds_conditions = heeds;
    }

    /// Keeps a version of each object that is uploaded from now on, and tells of them.
    pub fn versioned(&self) {
        self.bucket.store().uploads.versioned = true;
    }

    /// The object of this key, if there is one.
    pub fn object(&self, key: &str) -> Option<Object> {
        self.bucket.store().objects.get(key.as_bytes()).cloned()
    }

    /// Versions and marks of deletions that are kept of this key.
    pub fn versions(&self, key: &str) -> usize {
        self.bucket.store().uploads.versions_of(key.as_bytes())
    }

    /// Uploads in parts that were neither completed nor aborted.
    pub fn unfinished_uploads(&self) -> usize {
        self.bucket.store().uploads.unfinished()
    }

    // What goes wrong.

    /// Adds a fault; it counts requests from now on.
    pub fn fault(&self, on: On, fault: Fault) {
        self.bucket.script().add(on, fault);
    }

    /// Forgets all faults. Answers already under way keep theirs.
    pub fn heal(&self) {
        self.bucket.script().clear();
    }

    /// Stops listening and breaks every connection; connects are refused from then on.
    pub async fn stop(&self) {
        self.door.close().await;
    }

    /// Listens again at the same address; nothing where it already does.
    pub fn restart(&self) {
        let (bucket, tls) = (Arc::clone(&self.bucket), self.tls.clone());
        let serve = move |stream| welcome(stream, Arc::clone(&bucket), tls.clone());
        self.door
            .open(serve)
            .expect("the reserved port is free to listen on");
    }

    /// Whether it listens.
    pub fn is_running(&self) -> bool {
        self.door.is_open()
    }

    /// While true, accepts connections, reads requests and says nothing. Afterwards those
    /// connections are closed without an answer.
    pub fn blackhole(&self, silent: bool) {
        self.bucket.silent.send_replace(silent);
    }

    // What it saw.

    /// Every request, in the order in which their heads were read.
    pub fn requests(&self) -> Vec<Request> {
        self.bucket.journal.requests()
    }

    /// The requests for one key.
    pub fn requests_for(&self, key: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.key().as_deref() == Some(key.as_bytes()));
        requests
    }

    /// Totals since the start.
    pub fn counts(&self) -> Counts {
        self.bucket.journal.counts()
    }

    /// Bytes of bodies handed to the kernel since the start.
    pub fn body_bytes_sent(&self) -> u64 {
        self.counts().body_bytes
    }

    /// Returns once this many requests were read since the start; panics after 20 s.
    pub async fn wait_for_requests(&self, n: usize) {
        let what = format!("{n} requests");
        self.wait_until(&what, |counts| counts.requests >= n).await;
    }

    /// Returns once this many requests for a key were read since the start; panics after 20 s.
    pub async fn wait_for_requests_for(&self, key: &str, n: usize) {
        let what = format!("{n} requests for {key}");
        self.wait_until(&what, |_| self.requests_for(key).len() >= n)
            .await;
    }

    /// Returns once the totals satisfy `enough`; panics after 20 s, naming `what`.
    pub async fn wait_until(&self, what: &str, enough: impl FnMut(&Counts) -> bool) -> Counts {
        self.bucket.journal.wait(what, enough).await
    }
}

impl Bucket {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, key: Vec<u8>, object: Object) {
        self.store().objects.insert(key, object);
    }

    fn plan(&self, request: &Request) -> Plan {
        self.script().plan(request)
    }

    fn answer(&self, request: &Request, body: &Bytes, plan: &Plan) -> Reply {
        self.store().answer(request, body, plan)
    }

    /// True at once where it may speak; false when a silence that was met has ended.
    async fn spoken(&self) -> bool {
        let mut silent = self.silent.subscribe();
        if !*silent.borrow_and_update() {
            return true;
        }
        // An error means that the server is gone, and the connection with it.
        let _ = silent.wait_for(|silent| !silent).await;
        false
    }
}

async fn welcome(stream: TcpStream, bucket: Arc<Bucket>, tls: Option<TlsAcceptorDebug>) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => connection::serve(stream, bucket).await,
        Some(TlsAcceptorDebug(acceptor)) => {
            if bucket.spoken().await
                && let Ok(stream) = acceptor.accept(stream).await
            {
                connection::serve(stream, bucket).await;
            }
        }
    }
}
