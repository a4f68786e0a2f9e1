//! Both ends of a connection without a library: a reader that can refuse to read, and an origin
//! that streams zeros without holding them.

use std::net::SocketAddr;
use std::path::Path;

use test_servers::ReservedPort;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::harness::PATIENCE;

/// A client that reads when it is told to.
pub(crate) struct Reader<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

impl Reader {
    /// Connects and sends nothing.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::on(TcpStream::connect(to).await.unwrap())
    }

    /// Connects and asks.
    pub(crate) async fn ask(to: SocketAddr, path: &str) -> Self {
        let mut this = Self::connect(to).await;
        this.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: media.example\r\n\r\n"
        ))
        .await;
        this
    }
}

impl Reader<UnixStream> {
    /// Connects to a unix socket and sends nothing.
    pub(crate) async fn connect_to(socket: &Path) -> Self {
        Self::on(UnixStream::connect(socket).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    fn on(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until this has come, and returns all that came.
    pub(crate) async fn read_until(&mut self, end: &[u8]) -> String {
        let reading = async {
            while !self.read.windows(end.len()).any(|window| window == end) {
                let count = self.stream.read_buf(&mut self.read).await.unwrap();
                assert_ne!(count, 0, "closed after {:?}", self.said());
            }
        };
        let came = timeout(PATIENCE, reading).await;
        assert!(came.is_ok(), "only {:?} came", self.said());
        self.said()
    }

    /// Reads until the connection ends, however it does.
    pub(crate) async fn read_to_end(&mut self) {
        let reading =
            async { while matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {} };
        let ended = timeout(PATIENCE, reading).await;
        assert!(ended.is_ok(), "the connection stays open");
    }

    /// All that came so far.
    pub(crate) fn read(&self) -> &[u8] {
        &self.read
    }

    /// The same as text.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// An origin every key of which is that many zeros; gone when dropped.
pub(crate) struct Zeros {
    address: SocketAddr,
    _end: DropGuard,
}

impl Zeros {
    pub(crate) fn of(bytes: u64) -> Self {
        let port = ReservedPort::any().unwrap();
        let listener = port.listen().unwrap();
        let end = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(end.clone().run_until_cancelled_owned(accept(
            listener,
            tasks.clone(),
            end.clone(),
            bytes,
        )));
        Self {
            address: port.addr(),
            _end: end.drop_guard(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn accept(listener: TcpListener, tasks: TaskTracker, end: CancellationToken, bytes: u64) {
    while let Ok((stream, _)) = listener.accept().await {
        tasks.spawn(end.clone().run_until_cancelled_owned(answer(stream, bytes)));
    }
}

/// Answers one request and closes; a reader that is gone ends it too.
async fn answer(mut stream: TcpStream, bytes: u64) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    let says = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nETag: \"zeros\"\r\n\
         Content-Length: {bytes}\r\nConnection: close\r\n\r\n"
    );
    if stream.write_all(says.as_bytes()).await.is_err() {
        return;
    }
    let zeros = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        if stream.write_all(&zeros[..piece]).await.is_err() {
            return;
        }
        left -= piece as u64;
    }
}
