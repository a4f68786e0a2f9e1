//! The control socket: how commands reach the gateway that runs beside them.
//!
//! A unix socket in the state directory with mode 0600. Who may open the file may do what the
//! admin API does; there is no other authentication.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use state::control_socket;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// A gateway that is restarted is waited for so often, and so long each time.
const PATIENCE: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// A bound control socket.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds it in a state directory that this process holds; one that an earlier process left
    /// behind is replaced.
    pub(crate) fn bind(directory: &Path) -> io::Result<Self> {
        let path = control_socket(directory);
        let named = |error: io::Error| {
            let what = format!("the control socket {}: {error}", path.display());
            io::Error::new(error.kind(), what)
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error)),
            _ => {}
        }
        // The directory is for this user alone, so nobody comes between these two.
        let listener = UnixListener::bind(&path).map_err(named)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(named)?;
        Ok(Self { listener, path })
    }

    /// Answers commands until `stop`.
    pub(crate) async fn run(self, router: Router, stop: CancellationToken) {
        let served = axum::serve(self.listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::warn!(%error, "the control socket has closed");
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Why a command was not carried out by a running gateway.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody answers there.
    #[error(
        "no running gateway at {}; use \"docker compose exec\", not \"run\"",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// It answered, and refused.
    #[error("{0}")]
    Refused(String),
    /// It broke off.
    #[error("the gateway at {} did not answer: {what}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        what: String,
    },
}

/// Asks the running gateway of a state directory.
///
/// # Errors
/// It does not run, refuses, or breaks off.
pub(crate) async fn call(
    directory: &Path,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<Vec<u8>, CallError> {
    let mut answer = Vec::new();
    let take = |chunk: Bytes| {
        answer.extend_from_slice(&chunk);
        Ok(())
    };
    stream(directory, method, path, body, take).await?;
    Ok(answer)
}

/// The same, and waits for a gateway that is being restarted. What is asked must do no harm when
/// it is asked twice.
///
/// # Errors
/// It does not come back, refuses, or breaks off again and again.
pub(crate) async fn call_patiently(
    directory: &Path,
    path: &str,
    body: &impl Serialize,
) -> Result<Vec<u8>, CallError> {
    let mut tries = 1;
    loop {
        match call(directory, Method::POST, path, Some(body)).await {
            Err(CallError::NotRunning(_) | CallError::Broken { .. }) if tries < PATIENCE => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            answered => return answered,
        }
    }
}

/// The same as [`call`] for an answer that need not fit into memory.
///
/// # Errors
/// Also what `take` says.
pub(crate) async fn stream(
    directory: &Path,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
    take: impl FnMut(Bytes) -> io::Result<()>,
) -> Result<(), CallError> {
    let body = body.map(|body| serde_json::to_vec(body).expect("a request is always JSON"));
    let body = Full::new(Bytes::from(body.unwrap_or_default()));
    exchange(directory, request(method, path, body), take).await
}

/// Sends what need not fit into memory. What the chunks fail with breaks it off, and then nothing
/// has come whole.
///
/// # Errors
/// The gateway does not run, refuses, or breaks off.
pub(crate) async fn upload(
    directory: &Path,
    path: &str,
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<Vec<u8>, CallError> {
    let body = StreamBody::new(chunks.map_ok(Frame::data));
    let mut answer = Vec::new();
    let take = |chunk: Bytes| {
        answer.extend_from_slice(&chunk);
        Ok(())
    };
    exchange(directory, request(Method::POST, path, body), take).await?;
    Ok(answer)
}

fn request<B>(method: Method, path: &str, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "control")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .expect("its parts are constants")
}

async fn exchange<B>(
    directory: &Path,
    request: Request<B>,
    mut take: impl FnMut(Bytes) -> io::Result<()>,
) -> Result<(), CallError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let socket = control_socket(directory);
    let broken = |what: String| CallError::Broken {
        path: socket.clone(),
        what,
    };
    let stream = UnixStream::connect(&socket)
        .await
        .map_err(|_| CallError::NotRunning(socket.clone()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(error.to_string()))?;
    let asked = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| broken(error.to_string()))?;
        let status = response.status();
        let mut body = response.into_body();
        let mut refusal = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(error.to_string()))?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            if status == StatusCode::OK {
                take(chunk).map_err(|error| CallError::Refused(error.to_string()))?;
            } else {
                refusal.extend_from_slice(&chunk);
            }
        }
        if status == StatusCode::OK {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&refusal).trim().to_owned();
        // A gateway of another version may not know what it was asked.
        let text = if text.is_empty() {
            format!("the running gateway answers {status}")
        } else {
            text
        };
        Err(CallError::Refused(text))
    };
    let mut asked = std::pin::pin!(asked);
    // The connection moves only while it is polled, and may end in the very moment in which it
    // has brought the answer.
    tokio::select! {
        answered = &mut asked => answered,
        _ = connection => asked.await,
    }
}
