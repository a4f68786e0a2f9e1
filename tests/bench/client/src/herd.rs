//! Many clients that ask for one object at the same moment.
//!
//! The leader is whoever sees the first byte of the body first; how much later the others see
//! theirs tells whether they wait for it or share it.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::arguments::Arguments;
use crate::connection::{Came, Connection, Expected};
use crate::spread::Spread;

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<Value> {
    let at: SocketAddr = arguments.need("at")?;
    let path: String = arguments.need("path")?;
    let count: usize = arguments.need("count")?;
    let length = arguments.need("length")?;
    let expected = Expected {
        status: 200,
        length,
    };
    let mut opened = Vec::with_capacity(count);
    for _ in 0..count {
        opened.push(Connection::open(at).await?);
    }
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for mut connection in opened {
        let path = path.clone();
        clients.spawn(async move {
            connection.ask(&path, None).await?;
            connection.answer(expected).await
        });
    }
    let mut came: Vec<Came> = Vec::with_capacity(count);
    while let Some(answer) = clients.join_next().await {
        came.push(answer??);
    }
    let leader = came.iter().map(|came| came.first).min();
    let leader = leader.context("count=0 is no herd")?;
    let behind = came.iter().map(|came| came.first - leader).collect();
    let whole = came.iter().map(|came| came.last - began).collect();
    Ok(json!({
        "requests": count,
        "bytes": count as u64 * length,
        "seconds": began.elapsed().as_secs_f64(),
        "leader": (leader - began).as_secs_f64(),
        "behind": Spread::of(behind).json(),
        "latency": Spread::of(whole).json(),
    }))
}
