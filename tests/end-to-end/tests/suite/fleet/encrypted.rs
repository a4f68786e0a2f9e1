//! A Redis that speaks only TLS.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use test_servers::ReservedPort;
use test_servers::faulty::{Faulty, Object};
use test_servers::tls::Identity;

use super::harness::{PASSWORD, configuration, metric, said, status, until};
use crate::process::harness::{Gateway, Setup};

/// Killed when dropped.
struct Redis {
    directory: TempDir,
    port: ReservedPort,
    child: Child,
}

impl Redis {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = ReservedPort::any().unwrap();
        let identity = Identity::localhost();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let certificate = file("certificate.pem", identity.pem());
        let key = file("key.pem", identity.key_pem());
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", "0", "--tls-port", &port.port().to_string()])
            .args(["--requirepass", PASSWORD, "--tls-auth-clients", "no"])
            .args([Path::new("--tls-cert-file"), &certificate])
            .args([Path::new("--tls-ca-cert-file"), &certificate])
            .args([Path::new("--tls-key-file"), &key])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        Self {
            directory,
            port,
            child,
        }
    }

    /// A gateway of its fleet, which trusts its certificate or only those of the system.
    async fn gateway(&self, setup: &Setup, trusting: bool) -> Gateway {
        let certificate = self.directory.path().join("certificate.pem");
        let change = |command: &mut Command| {
            if trusting {
                command.env("SSL_CERT_FILE", certificate);
            }
        };
        setup.start_with(&[""; 0], change).await
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_redis_with_tls_is_believed_by_its_certificate_only() {
    let origin = Faulty::start().await;
    origin.put("a.mp4", Object::new(b"a".to_vec()));
    let redis = Redis::start();
    let url = format!("rediss://:{PASSWORD}@localhost:{}/0", redis.port.port());
    let [one, two, stranger] = ["one", "two", "stranger"]
        .map(|name| Setup::new(configuration(&origin, &url, name)).tracing());
    let mut gateways = Vec::new();
    for setup in [&one, &two] {
        let mut gateway = redis.gateway(setup, true).await;
        gateway.logged("its fleet know the same").await;
        gateways.push(gateway);
    }
    until("both are known", async || {
        metric(&gateways[0], "media_gateway_fleet_members").await == Some(1.0)
    })
    .await;
    let apart = redis.gateway(&stranger, false).await;
    said(&one.run(&["tombstone", "add", "a.mp4"]).await, 0);
    assert_eq!(status(&gateways[1], "a.mp4").await, 410);
    assert_eq!(metric(&apart, "media_gateway_fleet_up").await, Some(0.0));
    let answered = apart.operators("/api/status").await.text();
    assert!(answered.contains("certificate"), "{answered}");
    assert_eq!(status(&apart, "a.mp4").await, 200);
    for gateway in gateways {
        assert!(!gateway.stopped().await.contains(PASSWORD));
    }
    assert!(!apart.stopped().await.contains(PASSWORD));
}
