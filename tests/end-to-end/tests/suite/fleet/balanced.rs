//! Three gateways behind a real HAProxy and a real nginx, with the balancing that docs/fleet.md gives.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::future::join_all;
use test_servers::ReservedPort;

use super::harness::{KEYS, Three, until};
use crate::process::harness::Gateway;

/// A running balancer; killed when dropped.
struct Balancer {
    child: Child,
    port: ReservedPort,
    _directory: tempfile::TempDir,
}

impl Balancer {
    async fn haproxy(gateways: &[Gateway]) -> Self {
        let port = ReservedPort::any().unwrap();
        let mut text = format!(
            "defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n\
             frontend media\n  bind {}\n  default_backend gateways\n\
             backend gateways\n  balance uri\n  hash-type consistent\n",
            port.addr()
        );
        for (n, gateway) in gateways.iter().enumerate() {
            let _ = writeln!(text, "  server g{n} {} check inter 2s", gateway.media());
        }
        Self::running(port, &text, |file| {
            let mut haproxy = Command::new("haproxy");
            haproxy.arg("-db").arg("-f").arg(file);
            haproxy
        })
        .await
    }

    async fn nginx(gateways: &[Gateway]) -> Self {
        let port = ReservedPort::any().unwrap();
        let mut servers = String::new();
        for gateway in gateways {
            let _ = write!(servers, "server {}; ", gateway.media());
        }
        let text = format!(
            "daemon off; master_process off; error_log stderr; pid nginx.pid;\n\
             events {{}}\nhttp {{\n  access_log off;\n\
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n\
             uwsgi_temp_path t4; scgi_temp_path t5;\n\
             upstream gateways {{ hash $uri consistent; {servers} }}\n\
             server {{ listen {}; location / {{ proxy_pass http://gateways; }} }}\n}}\n",
            port.addr()
        );
        Self::running(port, &text, |file| {
            let mut nginx = Command::new("nginx");
            let room = file.parent().expect("it lies in a directory");
            nginx.arg("-p").arg(room).arg("-c").arg(file);
            nginx
        })
        .await
    }

    async fn running(
        port: ReservedPort,
        text: &str,
        program: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("balancer.conf");
        fs::write(&file, text).unwrap();
        let child = program(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is installed");
        let balancer = Self {
            child,
            port,
            _directory: directory,
        };
        until("the balancer listens", async || {
            tokio::net::TcpStream::connect(balancer.port.addr())
                .await
                .is_ok()
        })
        .await;
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn behind_haproxy_a_cold_key_costs_one_origin_request_however_many_ask() {
    let three = Three::new().await;
    let gateways = three.start().await;
    costs_one_request(&three, &gateways, Balancer::haproxy(&gateways).await).await;
}

#[tokio::test]
async fn behind_nginx_a_cold_key_costs_one_origin_request_however_many_ask() {
    let three = Three::new().await;
    let gateways = three.start().await;
    costs_one_request(&three, &gateways, Balancer::nginx(&gateways).await).await;
}

async fn costs_one_request(three: &Three, gateways: &[Gateway], balancer: Balancer) {
    let client = gateways[0].client();
    for key in KEYS {
        let url = format!("http://{}/{key}", balancer.port.addr());
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
