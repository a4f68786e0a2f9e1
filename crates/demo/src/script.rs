//! The demonstration without hands: switch, fetch everything, judge.
//!
//! Judged is the gateway's first promise: a file is served while any of its homes is on or a copy
//! of it is kept, and else the answer is 503, never 404. A key that nobody has is 404 only while every
//! origin can be asked.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::media::{FILES, File, PREFIX};
use crate::origins::{Origins, Place};

/// What is off in each step.
const STEPS: &[&[Place]] = &[
    &[],
    &[Place::Current],
    &[Place::Current, Place::Old],
    &[Place::Disk],
    &[],
];

/// A key that no origin has.
const ABSENT: &str = "nobody-has-this.webp";

/// How long an origin that is back may take to be believed in again.
const PATIENCE: Duration = Duration::from_secs(15);

/// 0 where every answer was right, else 1.
pub(crate) async fn run(origins: &Origins, base: &str) -> anyhow::Result<ExitCode> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut wrong = 0;
    for off in STEPS {
        for place in Place::ALL {
            origins.switch(place, !off.contains(&place)).await?;
        }
        let names: Vec<_> = off.iter().map(|place| place.name()).collect();
        match names.as_slice() {
            [] => println!("\neverything is on"),
            names => println!("\noff: {}", names.join(", ")),
        }
        for file in FILES.iter().map(Some).chain([None]) {
            wrong += u32::from(!check(&client, base, file, off).await?);
        }
    }
    if wrong > 0 {
        println!("\n{wrong} answers were wrong");
        return Ok(ExitCode::FAILURE);
    }
    println!("\nnothing turned 404");
    Ok(ExitCode::SUCCESS)
}

/// Fetches one file (or the absent key), prints a line, and says whether it was right.
async fn check(
    client: &reqwest::Client,
    base: &str,
    file: Option<&File>,
    off: &[Place],
) -> anyhow::Result<bool> {
    let key = file.map_or_else(|| format!("{PREFIX}{ABSENT}"), File::key);
    let expected = expected(file.map(|file| file.homes), off);
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        let answer = Answer::get(client, &format!("{base}/{key}")).await?;
        // A failure is remembered for a moment after the origin is back; any other wrong answer
        // stays wrong.
        if answer.status != 503 || expected == 503 || Instant::now() > deadline {
            break answer;
        }
        sleep(Duration::from_millis(200)).await;
    };
    let right = answer.is_right(expected, file.map(|file| file.bytes));
    println!(
        "  {:<28} {} {:<8} {:<6} {:>7} bytes{}",
        key,
        answer.status,
        answer.origin,
        answer.cache,
        answer.body.len(),
        if right { "" } else { "   WRONG" }
    );
    Ok(right)
}

/// The status that the switches leave, nothing being cached.
fn expected(homes: Option<&[Place]>, off: &[Place]) -> u16 {
    match homes {
        Some(homes) if homes.iter().any(|home| !off.contains(home)) => 200,
        None if off.is_empty() => 404,
        _ => 503,
    }
}

struct Answer {
    status: u16,
    origin: String,
    /// `X-Cache`.
    cache: String,
    body: Vec<u8>,
}

impl Answer {
    async fn get(client: &reqwest::Client, url: &str) -> anyhow::Result<Self> {
        let answer = client
            .get(url)
            .send()
            .await
            .context("the gateway is gone")?;
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or("-")
                .to_owned()
        };
        Ok(Self {
            status: answer.status().as_u16(),
            origin: header("x-origin"),
            cache: header("x-cache"),
            body: answer.bytes().await?.to_vec(),
        })
    }

    fn is_cached(&self) -> bool {
        matches!(&*self.cache, "HIT" | "STALE")
    }

    /// Right are the expected status with the file's own bytes, and the same bytes from a cache.
    fn is_right(&self, expected: u16, bytes: Option<&[u8]>) -> bool {
        match self.status {
            200 => (expected == 200 || self.is_cached()) && Some(&*self.body) == bytes,
            status => status == expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, cached: bool) -> Answer {
        Answer {
            status,
            origin: String::new(),
            cache: if cached { "HIT" } else { "MISS" }.to_owned(),
            body: b"x".to_vec(),
        }
    }

    #[test]
    fn a_file_is_expected_while_one_of_its_homes_is_on() {
        let homes = Some(&[Place::Current, Place::Old][..]);
        assert_eq!(expected(homes, &[]), 200);
        assert_eq!(expected(homes, &[Place::Current]), 200);
        assert_eq!(expected(homes, &[Place::Current, Place::Old]), 503);
        assert_eq!(expected(None, &[]), 404);
        assert_eq!(expected(None, &[Place::Disk]), 503);
    }

    #[test]
    fn a_404_for_a_file_that_exists_is_never_right() {
        for expected in [200, 503] {
            assert!(!answer(404, false).is_right(expected, Some(b"x")));
            assert!(answer(200, true).is_right(expected, Some(b"x")));
            assert!(!answer(200, true).is_right(expected, Some(b"y")));
        }
        assert!(!answer(200, false).is_right(503, Some(b"x")));
        assert!(!answer(200, false).is_right(404, None));
    }
}
