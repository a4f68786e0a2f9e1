//! Three gateways behind a real HAProxy, with the balancing that docs/fleet.md gives.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};

use futures_util::future::join_all;
use test_servers::ReservedPort;

use super::harness::{KEYS, Three, until};
use crate::process::harness::Gateway;

/// A running `haproxy`; killed when dropped.
struct Haproxy {
    child: Child,
    port: ReservedPort,
    _directory: tempfile::TempDir,
}

impl Haproxy {
    async fn before(gateways: &[Gateway]) -> Self {
        let port = ReservedPort::any().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut text = format!(
            "defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n\
             frontend media\n  bind {}\n  default_backend gateways\n\
             backend gateways\n  balance uri\n  hash-type consistent\n",
            port.addr()
        );
        for (n, gateway) in gateways.iter().enumerate() {
            let _ = writeln!(text, "  server g{n} {} check inter 2s", gateway.media());
        }
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let child = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy is installed");
        let proxy = Self {
            child,
            port,
            _directory: directory,
        };
        until("HAProxy listens", async || {
            tokio::net::TcpStream::connect(proxy.port.addr())
                .await
                .is_ok()
        })
        .await;
        proxy
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_cold_key_costs_one_origin_request_however_many_ask_and_whichever_gateway_they_meet() {
    let three = Three::new().await;
    let gateways = three.start().await;
    let proxy = Haproxy::before(&gateways).await;
    let client = gateways[0].client();
    for key in KEYS {
        let url = format!("http://{}/{key}", proxy.port.addr());
        let ask = || async {
            let response = client.get(&url).send().await.unwrap();
            (response.status().as_u16(), response.bytes().await.unwrap())
        };
        let answers = join_all((0..60).map(|_| ask())).await;
        for (status, body) in answers {
            assert_eq!((status, &body[..]), (200, key.as_bytes()));
        }
        let asked = three.origin.requests_for(key).len();
        assert_eq!(asked, 1, "{key}");
    }
}
