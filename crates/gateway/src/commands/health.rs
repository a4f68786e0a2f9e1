//! `health`: asks the running gateway whether it is alive.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use super::cli::Global;
use super::report::{self, print_json, say};

/// In all: connection, question and answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Health {
    ok: bool,
    address: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let loaded = match report::load_or_report(global) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let address = reachable(loaded.config.admin.listen[0]);
    let asked = match tokio::time::timeout(PATIENCE, ask(address)).await {
        Ok(asked) => asked,
        Err(_) => Err(anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs())),
    };
    let health = Health {
        ok: asked.is_ok(),
        address,
        reason: asked.err().map(|error| format!("{error:#}")),
    };
    if global.json {
        print_json(&health);
    } else if let Some(reason) = &health.reason {
        say(&format!("{address}: {reason}"));
    } else {
        say(&format!("{address}: alive"));
    }
    Ok(if health.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A listener on every address is reached over the loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        // Also for `[::]`, which takes IPv4; a container often has no IPv6 loopback.
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port())
    } else {
        listen
    }
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address)
        .await
        .context("nobody listens on the admin address")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .context("no HTTP on the admin address")?;
    let request = Request::get("/healthz")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .expect("its parts are constants and an address");
    let mut response = pin!(sender.send_request(request));
    // The connection moves only while it is polled. It may end in the very moment in which it
    // has brought the answer, so the answer is asked for once more.
    let response = tokio::select! {
        response = &mut response => response,
        _ = connection => response.await,
    };
    match response.context("the gateway did not answer")?.status() {
        StatusCode::OK => Ok(()),
        status => bail!("the gateway answered {status}"),
    }
}
