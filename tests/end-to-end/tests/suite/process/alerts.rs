//! The rules for Prometheus, loaded by a real one that scrapes a real gateway.
//!
//! Only their times are shortened: the expressions are those that operators load.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use test_servers::ReservedPort;
use test_servers::faulty::Faulty;
use tokio::time::timeout;

use super::harness::{Gateway, PATIENCE, Setup, route, web};

/// A running `prometheus`; killed when dropped.
struct Prometheus {
    child: Child,
    port: ReservedPort,
    client: reqwest::Client,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    fn of(gateway: &Gateway) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let room = directory.path();
        fs::write(room.join("alerts.yaml"), hurried_rules()).unwrap();
        let text = format!(
            "global: {{ scrape_interval: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: [alerts.yaml]\n\
             scrape_configs:\n  - job_name: media-gateway\n    static_configs: [{{ targets: [\"{}\"] }}]\n",
            gateway.admin()
        );
        fs::write(room.join("prometheus.yaml"), text).unwrap();
        let port = ReservedPort::any().unwrap();
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                room.join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                room.join("data").display()
            ))
            .arg(format!("--web.listen-address={}", port.addr()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is installed");
        Self {
            child,
            port,
            client: gateway.client().clone(),
            _directory: directory,
        }
    }

    /// What it answers; nothing while it does not.
    async fn ask(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}/api/v1/{path}", self.port.addr());
        let answer = self.client.get(url).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// Each alert that fires, with its labels.
    async fn firing(&self) -> Option<Vec<Value>> {
        let answer = self.ask("alerts").await?;
        let alerts = answer["data"]["alerts"].as_array()?.iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        Some(firing.map(|alert| alert["labels"].clone()).collect())
    }

    /// Whether the gateway was scraped and the rules were evaluated at least so often since.
    async fn has_scraped(&self) -> bool {
        let answer = self.ask("query?query=up").await;
        answer.is_some_and(|answer| answer["data"]["result"][0]["value"][1] == "1")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rules of the repository, each firing as soon as it holds.
fn hurried_rules() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/monitoring/alerts.yaml");
    let text = fs::read_to_string(file).unwrap();
    let hurried = text.lines().map(|line| match line.trim_start() {
        rest if rest.starts_with("for: ") => "        for: 1s",
        _ => line,
    });
    hurried.collect::<Vec<_>>().join("\n")
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    let came = timeout(PATIENCE * 2, async {
        while !is_so().await {
            looks.tick().await;
        }
    });
    came.await.unwrap_or_else(|_| panic!("never so: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_fires_for_an_origin_that_is_down_and_stops_when_it_is_back() {
    let bucket = Faulty::start().await;
    bucket.put("a", vec![1; 100]);
    let setup = Setup::new(web("current", &bucket.base_url()) + &route(&["current"]));
    let gateway = setup.start().await;
    assert_eq!(gateway.get("/a").await.status, 200);
    assert_eq!(gateway.get("/absent").await.status, 404);
    let prometheus = Prometheus::of(&gateway);
    until("it scrapes", async || prometheus.has_scraped().await).await;
    let quiet = prometheus.firing().await;
    assert_eq!(quiet, Some(Vec::new()));

    bucket.stop().await;
    let fires = async |alert: &str, label: &str, name: &str, severity: &str| {
        // Viewers go on asking.
        gateway.get("/absent").await;
        let firing = prometheus.firing().await.unwrap_or_default();
        firing.iter().any(|labels| {
            labels["alertname"] == alert && labels[label] == name && labels["severity"] == severity
        })
    };
    for (alert, label, name, severity) in [
        ("OriginLeftAlone", "origin", "current", "warning"),
        ("OriginUnknown", "origin", "current", "warning"),
        ("ViewersGetErrors", "route", "media", "critical"),
    ] {
        until(alert, async || fires(alert, label, name, severity).await).await;
    }

    bucket.restart();
    assert_eq!(gateway.get("/a").await.status, 200);
    until("it is over", async || {
        let firing = prometheus.firing().await;
        let of = |labels: &Value| labels["alertname"] == "OriginLeftAlone";
        firing.is_some_and(|firing| !firing.iter().any(of))
    })
    .await;
}
