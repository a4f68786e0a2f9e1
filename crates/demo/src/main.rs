//! Two buckets and a directory behind one gateway, to watch nothing turn 404.
//!
//! Everything runs in this process and in a temporary directory that goes with it: two S3
//! servers, a directory, and the gateway in front of them. Not a way to serve anything real.

#![allow(
    clippy::print_stdout,
    reason = "what it prints is all this program is for"
)]

mod config;
mod gateway;
mod keys;
mod media;
mod origins;
mod script;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use test_servers::ReservedPort;

use crate::gateway::Gateway;
use crate::keys::Keys;
use crate::media::FILES;
use crate::origins::{Origins, Place};

/// Serves a few pictures and a clip from two buckets and a directory through one gateway; switch
/// each of them off and see that no URL turns 404.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the gateway listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where its metrics and health are; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// Switches the origins off and on by itself, fetches every URL each time, prints what came,
    /// and ends with 0 where nothing turned 404, else with 1.
    #[arg(long)]
    script: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (listen, _listen) = settled(arguments.listen)?;
    let (admin, _admin) = settled(arguments.admin)?;

    let origins = Origins::start().await?;
    let gateway = Gateway::start(&config::text(&origins, listen, admin)?)?;
    let base = format!("http://{listen}");
    let code = if arguments.script {
        script::run(&origins, &base).await?
    } else {
        play(&origins, &base, admin).await?;
        ExitCode::SUCCESS
    };
    gateway.stop().await?;
    Ok(code)
}

/// Makes port 0 a free port that stays free until the gateway listens there.
fn settled(addr: SocketAddr) -> anyhow::Result<(SocketAddr, Option<ReservedPort>)> {
    if addr.port() != 0 {
        return Ok((addr, None));
    }
    let port = ReservedPort::at(addr).with_context(|| format!("no free port at {addr}"))?;
    Ok((port.addr(), Some(port)))
}

async fn play(origins: &Origins, base: &str, admin: SocketAddr) -> anyhow::Result<()> {
    println!(
        "One gateway in front of two buckets and a directory. Try, in a browser or with curl:\n"
    );
    for file in FILES {
        let homes: Vec<_> = file.homes.iter().map(|home| home.name()).collect();
        println!("  {base}/{:<18} from {}", file.key(), homes.join(", then "));
    }
    println!("\n  http://{admin}/ shows how everything is, http://{admin}/metrics in figures\n");
    println!("c, o, d switch current, old and disk off and on; q quits.\n");
    let mut keys = Keys::listen()?;
    print_state(origins);
    while let Some(key) = keys.next().await {
        let place = match key {
            'q' => break,
            'c' => Place::Current,
            'o' => Place::Old,
            'd' => Place::Disk,
            _ => continue,
        };
        origins.switch(place, !origins.is_on(place)).await?;
        print_state(origins);
    }
    Ok(())
}

fn print_state(origins: &Origins) {
    let states = Place::ALL.map(|place| {
        let state = if origins.is_on(place) { "on" } else { "OFF" };
        format!("{} {state}", place.name())
    });
    println!("  {}", states.join("   "));
}
