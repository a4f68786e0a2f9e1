//! A Redis of a test's own, and gateways that share it.
//!
//! Redis keeps nothing on the disk, so one that is started again is empty.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use test_servers::ReservedPort;
use test_servers::faulty::{Faulty, Object};
use tokio::time::timeout;

use crate::process::harness::{Gateway, PATIENCE, Setup, route};

pub(super) const PASSWORD: &str = "redis-password-of-this-test";
pub(super) const KEYS: [&str; 6] = ["a.mp4", "b.mp4", "c.mp4", "x/1.mp4", "x/2.mp4", "y.mp4"];
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A running `redis-server`; killed when dropped.
pub(super) struct Redis {
    port: ReservedPort,
    child: Option<Child>,
}

impl Redis {
    pub(super) async fn start() -> Self {
        let mut redis = Self {
            port: ReservedPort::any().unwrap(),
            child: None,
        };
        redis.start_again().await;
        redis
    }

    /// Starts it at the same port, empty.
    pub(super) async fn start_again(&mut self) {
        self.kill();
        let port = self.port.port().to_string();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", ""])
            .args(["--appendonly", "no", "--requirepass", PASSWORD])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.child = Some(child);
        until("Redis answers", async || self.cli(&["PING"]) == "PONG").await;
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// What it says to a command.
    pub(super) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.port().to_string(), "--no-auth-warning"])
            .args(["-a", PASSWORD])
            .args(arguments)
            .output()
            .expect("redis-cli is installed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(super) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@{}/0", self.port.addr())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three gateways of one origin, and their Redis.
pub(super) struct Three {
    pub(super) origin: Faulty,
    pub(super) redis: Redis,
    pub(super) setups: Vec<Setup>,
}

impl Three {
    pub(super) async fn new() -> Self {
        let origin = Faulty::start().await;
        for key in KEYS {
            origin.put(key, Object::new(key.as_bytes().to_vec()));
        }
        let redis = Redis::start().await;
        let setup = |name: &&str| Setup::new(configuration(&origin, &redis.url(), name)).tracing();
        let setups = NAMES.iter().map(setup).collect();
        Self {
            origin,
            redis,
            setups,
        }
    }

    /// Starts all, and waits until each has met the others.
    pub(super) async fn start(&self) -> Vec<Gateway> {
        let mut gateways = Vec::new();
        for setup in &self.setups {
            let mut gateway = setup.start().await;
            gateway.logged("its fleet know the same").await;
            gateways.push(gateway);
        }
        for gateway in &gateways {
            until("all are known", async || {
                metric(gateway, "media_gateway_fleet_members").await == Some(2.0)
            })
            .await;
        }
        gateways
    }
}

pub(super) fn configuration(origin: &Faulty, redis: &str, name: &str) -> String {
    format!(
        "[fleet]\nredis = \"{redis}\"\nname = \"{name}\"\n\
         [origins.current]\nkind = \"http\"\nurl = \"{}\"\n{}",
        origin.base_url(),
        route(&["current"])
    )
}

/// Returns once this is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let came = timeout(PATIENCE, async {
        while !is_so().await {
            looks.tick().await;
        }
    });
    came.await.unwrap_or_else(|_| panic!("never so: {what}"));
}

pub(super) async fn status(gateway: &Gateway, key: &str) -> u16 {
    gateway.get(&format!("/{key}")).await.status.as_u16()
}

pub(super) async fn metric(gateway: &Gateway, name: &str) -> Option<f64> {
    let text = gateway.operators("/metrics").await.text();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// A command's standard output, if it ended so.
pub(super) fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}
