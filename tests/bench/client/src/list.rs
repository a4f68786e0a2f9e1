//! Objects that are asked for one after the other, on several connections.
//!
//! Each once, for what is measured only the first time; or in the order of chance that Zipf's law
//! gives, which is the same for every server.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::arguments::Arguments;
use crate::connection::{Connection, Expected};
use crate::spread::Spread;

/// Which objects, and which bytes of them.
struct List {
    path: String,
    from: u64,
    count: u64,
    length: u64,
    /// So many bytes, so far from the range before.
    range: Option<(u64, u64)>,
    order: Option<Vec<u32>>,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<Value> {
    let at: SocketAddr = arguments.need("at")?;
    let connections: usize = arguments.need("connections")?;
    let list = Rc::new(List::read(arguments)?);
    let next = Rc::new(Cell::new(0));
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(at).await?);
    }
    let began = Instant::now();
    let tasks = LocalSet::new();
    let askers: Vec<_> = opened
        .into_iter()
        .map(|connection| {
            let asking = ask(connection, Rc::clone(&list), Rc::clone(&next));
            tasks.spawn_local(asking)
        })
        .collect();
    let times = tasks
        .run_until(async {
            let mut times = Vec::new();
            for asker in askers {
                times.extend(asker.await??);
            }
            anyhow::Ok(times)
        })
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let requests = times.len() as u64;
    Ok(json!({
        "requests": requests,
        "bytes": requests * list.length,
        "seconds": seconds,
        "latency": Spread::of(times).json(),
    }))
}

async fn ask(
    mut connection: Connection,
    list: Rc<List>,
    next: Rc<Cell<u64>>,
) -> anyhow::Result<Vec<Duration>> {
    let expected = Expected {
        status: if list.range.is_some() { 206 } else { 200 },
        length: list.length,
    };
    let mut times = Vec::new();
    loop {
        let n = next.get();
        if n == list.count {
            return Ok(times);
        }
        next.set(n + 1);
        let (path, range) = list.request(n);
        let began = Instant::now();
        connection.ask(&path, range.as_deref()).await?;
        times.push(connection.answer(expected).await?.last - began);
    }
}

impl List {
    fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let count = arguments.need("count")?;
        let length = arguments.need("length")?;
        let range: Option<u64> = arguments.get("range")?;
        let step: Option<u64> = arguments.get("step")?;
        let exponent: Option<f64> = arguments.get("zipf")?;
        let order = match exponent {
            Some(exponent) => Some(zipf(exponent, arguments.need("of")?, count)),
            None => None,
        };
        Ok(Self {
            path: arguments.need("path")?,
            from: arguments.get("from")?.unwrap_or(0),
            count,
            length,
            range: range.map(|range| (range, step.unwrap_or(0))),
            order,
        })
    }

    fn request(&self, n: u64) -> (String, Option<String>) {
        let object = match &self.order {
            Some(order) => usize::try_from(n)
                .ok()
                .and_then(|n| order.get(n))
                .map_or(0, |object| u64::from(*object)),
            None => n,
        };
        // Equally long, so that objects whose bytes begin with their name are so too.
        let number = format!("{:08}", self.from + object);
        let range = self.range.map(|(length, step)| {
            let start = step * (n + 1);
            format!("bytes={start}-{}", start + length - 1)
        });
        (self.path.replace("{n}", &number), range)
    }
}

/// `count` objects of `of`, where the k-th in popularity comes up like 1/k^exponent.
fn zipf(exponent: f64, of: u32, count: u64) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=of)
        .map(|k| {
            sum += f64::from(k).powf(-exponent);
            sum
        })
        .collect();
    let mut state = 1;
    (0..count)
        .map(|_| {
            let wanted = unit(&mut state) * sum;
            let rank = cumulated.partition_point(|&below| below < wanted);
            u32::try_from(rank).unwrap_or(of).min(of - 1)
        })
        .collect()
}

/// A number from 0 to 1 (Steele, Lea and Flood's SplitMix64).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_follows_the_law() {
        let order = zipf(1.0, 1000, 100_000);
        let times = |object| order.iter().filter(|&&asked| asked == object).count();
        // The first has a share of 1/H(1000) = 13.4 %, the tenth a tenth of that.
        assert!((12_900..13_900).contains(&times(0)), "{}", times(0));
        assert!((1_200..1_480).contains(&times(9)), "{}", times(9));
        assert!(order.iter().all(|&object| object < 1000));
        assert_eq!(order, zipf(1.0, 1000, 100_000), "the same every time");
    }

    #[test]
    fn requests_name_each_object_and_each_range_once() {
        let words = [
            "path=/a/{n}",
            "count=2",
            "length=5",
            "from=7",
            "range=5",
            "step=10",
        ];
        let arguments = Arguments::parse(words.map(str::to_owned).into_iter()).unwrap();
        let list = List::read(&arguments).unwrap();
        let asked = |n| list.request(n);
        assert_eq!(asked(0), ("/a/00000007".into(), Some("bytes=10-14".into())));
        assert_eq!(asked(1), ("/a/00000008".into(), Some("bytes=20-24".into())));
    }
}
