//! Connections that are only there: readers that do not read, and clients that do not ask.
//!
//! Says `ready` once all are in place, and keeps them until its standard input ends, so that
//! somebody can look at the server meanwhile.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::connection::{Connection, Expected};
use crate::say;

/// What the kernel of a reader that does not read takes, in bytes; it doubles it.
const NARROW_BYTES: u32 = 8 * 1024;

pub(crate) async fn stall(arguments: &Arguments) -> anyhow::Result<Value> {
    let place = Place::read(arguments)?;
    let mut readers = Vec::with_capacity(place.count);
    for _ in 0..place.count {
        let mut reader = Connection::open_narrow(place.at, NARROW_BYTES).await?;
        reader.ask(&place.path, None).await?;
        reader.head(place.expected).await?;
        readers.push(reader);
    }
    wait(&readers)
}

pub(crate) async fn idle(arguments: &Arguments) -> anyhow::Result<Value> {
    let place = Place::read(arguments)?;
    let mut idlers = Vec::with_capacity(place.count);
    for _ in 0..place.count {
        let mut idler = Connection::open_narrow(place.at, NARROW_BYTES).await?;
        idler.ask(&place.path, None).await?;
        idler.answer(place.expected).await?;
        idlers.push(idler);
    }
    wait(&idlers)
}

struct Place {
    at: SocketAddr,
    path: String,
    count: usize,
    expected: Expected,
}

impl Place {
    fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let count = arguments.need("count")?;
        Ok(Self {
            at: arguments.need("at")?,
            path: arguments.need("path")?,
            count,
            expected: Expected {
                status: 200,
                length: arguments.need("length")?,
            },
        })
    }
}

fn wait(connections: &[Connection]) -> anyhow::Result<Value> {
    say("ready");
    // Nothing here has anything to do meanwhile.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(json!({ "connections": connections.len() }))
}
