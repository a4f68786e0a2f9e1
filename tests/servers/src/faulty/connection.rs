//! One connection: requests in, answers out, faults where the plan puts them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::plan::{End, Framing, Mark};
use super::{Bucket, Gate, Plan, Reply, request};

/// Bytes written at once where nothing else is asked.
const PIECE_BYTES: usize = 64 * 1024;

/// A byte stream whose socket can still be reset.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&self) -> &TcpStream;
}

impl Pipe for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Pipe for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What becomes of the connection after an answer.
#[derive(PartialEq, Eq)]
enum After {
    Keep,
    End(End),
}

/// Serves until the peer goes or the plan ends the connection. Errors are the peer's going.
pub(super) async fn serve<P: Pipe>(pipe: P, bucket: Arc<Bucket>) {
    let (number, _open) = bucket.journal.connection();
    let mut wire = BufReader::new(pipe);
    while let Ok(Some((request, body))) = request::read(&mut wire, number).await {
        let plan = bucket.plan(&request);
        let head_only = request.method == "HEAD";
        bucket.journal.record(request.clone());
        let answered = async {
            if !bucket.spoken().await {
                return Ok(After::End(End::Close));
            }
            tokio::time::sleep(plan.delay).await;
            for gate in &plan.gates {
                gate.passed().await;
            }
            Ok::<_, io::Error>(After::Keep)
        };
        let ready = or_gone(&mut wire, answered).await;
        let after = match (ready, plan.before) {
            (Ok(After::Keep), Some(end)) => Ok(After::End(end)),
            (Ok(After::Keep), None) => {
                let reply = bucket.answer(&request, &body, &plan);
                let writing = Writing {
                    bucket: &bucket,
                    plan: &plan,
                    key: request.key(),
                };
                writing.answer(&mut wire, reply, head_only).await
            }
            (other, _) => other,
        };
        match after {
            Ok(After::Keep) if request.header("connection") != Some("close") => {}
            Ok(After::End(End::Reset)) => {
                let _ = wire.get_ref().socket().set_zero_linger();
                return;
            }
            _ => break,
        }
    }
    let _ = wire.shutdown().await;
}

/// Runs `work` unless the peer closes first: a stalled answer must notice that.
async fn or_gone<P, T, W>(wire: &mut BufReader<P>, work: W) -> io::Result<T>
where
    P: Pipe,
    W: Future<Output = io::Result<T>>,
{
    tokio::select! {
        biased;
        done = work => done,
        gone = gone(wire) => Err(gone),
    }
}

async fn passed(gate: &Gate) -> io::Result<()> {
    gate.passed().await;
    Ok(())
}

async fn gone<R: AsyncBufRead + Unpin>(wire: &mut R) -> io::Error {
    match wire.fill_buf().await {
        Ok([]) => io::ErrorKind::UnexpectedEof.into(),
        // The next request came early; it waits its turn, and so does the news of a closing.
        Ok(_) => std::future::pending().await,
        Err(error) => error,
    }
}

struct Writing<'a> {
    bucket: &'a Bucket,
    plan: &'a Plan,
    key: Option<Vec<u8>>,
}

impl Writing<'_> {
    async fn answer<P: Pipe>(
        &self,
        wire: &mut BufReader<P>,
        reply: Reply,
        head_only: bool,
    ) -> io::Result<After> {
        if let Some(garbage) = &self.plan.garbage {
            wire.write_all(garbage).await?;
            wire.flush().await?;
            return Ok(After::End(End::Close));
        }
        let framing = self.plan.framing;
        let bodiless = head_only || matches!(reply.status, 204 | 304);
        wire.write_all(self.head(&reply).as_bytes()).await?;
        wire.flush().await?;
        if !bodiless && let After::End(end) = self.body(wire, &reply.body).await? {
            return Ok(After::End(end));
        }
        let lied = self.plan.length_error != 0 && !bodiless;
        if framing == Framing::UntilClose || lied || self.plan.close_idle {
            return Ok(After::End(End::Close));
        }
        Ok(After::Keep)
    }

    fn head(&self, reply: &Reply) -> String {
        let mut headers = vec![
            (
                "Date".to_owned(),
                httpdate::fmt_http_date(SystemTime::now()),
            ),
            ("Server".to_owned(), "faulty".to_owned()),
            ("x-amz-request-id".to_owned(), "1".to_owned()),
        ];
        headers.extend_from_slice(&reply.headers);
        let length = i64::try_from(reply.body.len()).unwrap_or(i64::MAX);
        match self.plan.framing {
            _ if reply.status == 304 => {}
            Framing::Length => headers.push((
                "Content-Length".to_owned(),
                (length + self.plan.length_error).max(0).to_string(),
            )),
            Framing::Chunked => {
                headers.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
            }
            Framing::UntilClose => headers.push(("Connection".to_owned(), "close".to_owned())),
        }
        headers.extend_from_slice(&self.plan.headers);
        headers.retain(|(name, _)| {
            !self
                .plan
                .without
                .iter()
                .any(|unwanted| unwanted.eq_ignore_ascii_case(name))
        });
        let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reply.reason());
        for (name, value) in headers {
            head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
        head + "\r\n"
    }

    async fn body<P: Pipe>(&self, wire: &mut BufReader<P>, body: &[u8]) -> io::Result<After> {
        let mut sent = 0;
        for (at, mark) in &self.plan.marks {
            let upto = (*at).clamp(sent, body.len());
            self.pieces(wire, &body[sent..upto]).await?;
            sent = upto;
            match mark {
                // Behind the end of this body nothing happens.
                _ if *at > body.len() => break,
                Mark::Hold(gate) => or_gone(wire, passed(gate)).await?,
                Mark::End(end) => return Ok(After::End(*end)),
                Mark::Replace(object) => {
                    if let Some(key) = &self.key {
                        self.bucket.replace(key.clone(), (**object).clone());
                    }
                }
            }
        }
        self.pieces(wire, &body[sent..]).await?;
        if self.plan.framing == Framing::Chunked {
            wire.write_all(b"0\r\n\r\n").await?;
        }
        wire.flush().await?;
        Ok(After::Keep)
    }

    async fn pieces<P: Pipe>(&self, wire: &mut BufReader<P>, bytes: &[u8]) -> io::Result<()> {
        let (size, pause) = self.plan.drip.unwrap_or((PIECE_BYTES, Duration::ZERO));
        for piece in bytes.chunks(size) {
            if self.plan.framing == Framing::Chunked {
                wire.write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                    .await?;
                wire.write_all(piece).await?;
                wire.write_all(b"\r\n").await?;
            } else {
                wire.write_all(piece).await?;
            }
            wire.flush().await?;
            self.bucket.journal.sent(piece.len());
            if !pause.is_zero() {
                or_gone(wire, async {
                    tokio::time::sleep(pause).await;
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }
}
