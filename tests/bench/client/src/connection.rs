//! One HTTP/1.1 connection, as much of it as answers with a length need.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// More head than any server here sends.
const BUFFER_BYTES: usize = 64 * 1024;

/// What an answer must be, to be believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) length: u64,
}

/// When an answer came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    /// The first byte of its body.
    pub(crate) first: Instant,
    /// The last.
    pub(crate) last: Instant,
}

/// A connection that is used again.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await;
        Self::over(stream.with_context(|| format!("cannot connect to {to}"))?)
    }

    /// One whose kernel takes little for a reader that does not read, and whose buffer is small.
    pub(crate) async fn open_narrow(to: SocketAddr, bytes: u32) -> anyhow::Result<Self> {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_recv_buffer_size(bytes)?;
        let stream = socket.connect(to).await;
        let mut narrow = Self::over(stream.with_context(|| format!("cannot connect to {to}"))?)?;
        narrow.buffer = vec![0; 4096];
        Ok(narrow)
    }

    fn over(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Sends a request; `range` is what its header says.
    pub(crate) async fn ask(&mut self, path: &str, range: Option<&str>) -> anyhow::Result<()> {
        let range = range.map_or_else(String::new, |range| format!("Range: {range}\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{range}\r\n");
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// Reads an answer to its end.
    pub(crate) async fn answer(&mut self, expected: Expected) -> anyhow::Result<Came> {
        let mut body = self.head(expected).await? as u64;
        let mut first = (body > 0).then(Instant::now);
        while body < expected.length {
            let read = self.some_into(0).await?;
            first.get_or_insert_with(Instant::now);
            body += read as u64;
        }
        ensure!(body == expected.length, "more bytes than announced");
        let last = Instant::now();
        Ok(Came {
            first: first.unwrap_or(last),
            last,
        })
    }

    /// Reads the head of an answer, and returns how much of the body came with it.
    pub(crate) async fn head(&mut self, expected: Expected) -> anyhow::Result<usize> {
        let mut read = 0;
        let end = loop {
            read += self.some_into(read).await?;
            if let Some(at) = end_of_head(&self.buffer[..read]) {
                break at;
            }
            ensure!(read < self.buffer.len(), "a head without an end");
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]);
        let (status, length) = understand(&head).with_context(|| format!("an answer: {head}"))?;
        ensure!(
            (status, length) == (expected.status, expected.length),
            "{status} with {length} bytes instead of {} with {}: {head}",
            expected.status,
            expected.length
        );
        Ok(read - end)
    }

    async fn some_into(&mut self, at: usize) -> anyhow::Result<usize> {
        match self.stream.read(&mut self.buffer[at..]).await? {
            0 => bail!("the server has closed the connection"),
            read => Ok(read),
        }
    }
}

/// Where the body begins, if the head has ended.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let at = bytes.windows(END.len()).position(|end| end == END)?;
    Some(at + END.len())
}

/// The status and the length of an answer's head.
fn understand(head: &str) -> Option<(u16, u64)> {
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    })?;
    Some((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_understood_however_its_names_are_written() {
        let head = "HTTP/1.1 206 Partial Content\r\nX: 1\r\ncontent-LENGTH:  7 \r\n\r\n";
        assert_eq!(understand(head), Some((206, 7)));
        assert_eq!(understand("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(understand("HTTP/1.1 \r\ncontent-length: 7\r\n\r\n"), None);
    }
}
