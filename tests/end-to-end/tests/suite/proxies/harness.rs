//! A gateway to stand before, the document's lines, and proxies as child processes.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use test_servers::ReservedPort;
use test_servers::faulty::Faulty;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant};

use crate::process::harness::{Gateway, PATIENCE, Setup, web};

pub(super) const HOST: &str = "media.example.com";
/// Requests of one client at one time.
pub(super) const MOST: usize = 3;
const DOCUMENT: &str = "../../docs/guides/behind-a-proxy.md";
/// Where the document's gateway is.
const BY_TCP: &str = "127.0.0.1:8080";
const BY_SOCKET: &str = "/run/media-gateway/media.sock";

/// A gateway behind proxies, which answers for one host.
pub(super) struct Scene {
    pub(super) origin: Faulty,
    pub(super) gateway: Gateway,
    socket: PathBuf,
}

impl Scene {
    pub(super) async fn set() -> Self {
        let origin = Faulty::start().await;
        let route =
            format!("[[routes]]\nurl = \"https://{HOST}/\"\nkeys = [\"\"]\norigins = [\"only\"]\n");
        let setup = Setup::new(web("only", &origin.base_url()) + &route);
        let socket = setup.path("media.sock");
        let server = format!(
            "listen = [\"127.0.0.1:0\", \"unix:{}\"]\n\
             trusted_proxies = [\"127.0.0.1\", \"unix:\"]\n",
            socket.display()
        );
        let setup = setup
            .server(&server)
            .limits(&format!("connections_per_client = {MOST}"));
        Self {
            origin,
            gateway: setup.start().await,
            socket,
        }
    }

    /// The document's lines, with the addresses of this gateway.
    pub(super) fn by_tcp(&self, snippet: &str) -> String {
        assert!(snippet.contains(BY_TCP), "{snippet}");
        snippet.replace(BY_TCP, &self.gateway.media().to_string())
    }

    /// The same by a unix socket: what stands for TCP becomes what the document names instead.
    pub(super) fn by_socket(&self, snippet: &str, tcp: &str, instead: &str) -> String {
        assert!(snippet.contains(tcp), "{snippet}");
        assert!(document().contains(instead), "nothing of {instead}");
        let here = instead.replace(BY_SOCKET, &self.socket.display().to_string());
        snippet.replace(tcp, &here)
    }

    /// How many connections the gateway holds.
    pub(super) async fn connections(&self) -> usize {
        let metrics = self.gateway.operators("/metrics").await.text();
        let mut lines = metrics.lines();
        let count = lines.find_map(|line| line.strip_prefix("media_gateway_connections "));
        count.unwrap().parse().unwrap()
    }
}

pub(super) fn document() -> String {
    fs::read_to_string(DOCUMENT).unwrap()
}

/// The blocks of code in this language.
pub(super) fn snippets(language: &str) -> Vec<String> {
    let text = document();
    let fence = format!("```{language}\n");
    let begun = text.split(&fence).skip(1);
    let blocks = begun.map(|rest| rest.split("\n```").next().unwrap().to_owned());
    blocks.collect()
}

/// A proxy that listens; killed when dropped.
pub(super) struct Proxy {
    child: Child,
    port: ReservedPort,
    _directory: TempDir,
}

impl Proxy {
    /// Writes the configuration for an address and a directory, and starts the program with it.
    pub(super) async fn start(
        configuration: impl FnOnce(SocketAddr, &Path) -> String,
        command: impl FnOnce(&Path, &Path) -> Command,
    ) -> Self {
        let port = ReservedPort::any().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("configuration");
        fs::write(&file, configuration(port.addr(), directory.path())).unwrap();
        let mut command = command(&file, directory.path());
        let said = directory.path().join("said");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).unwrap())
            .spawn()
            .unwrap_or_else(|error| {
                let program = command.get_program().display();
                panic!("{program}: {error}; it is installed by tests/lib/packages.sh")
            });
        let mut proxy = Self {
            child,
            port,
            _directory: directory,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(proxy.address()).await.is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            if let Some(ended) = proxy.child.try_wait().unwrap() {
                panic!("{ended}: {}", fs::read_to_string(&said).unwrap());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.port.addr()
    }

    /// A viewer at this address of the loopback's network.
    pub(super) fn viewer(&self, last: u8) -> Viewer {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(HOST, self.address())
            .local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
            .build();
        Viewer {
            client: client.unwrap(),
            port: self.address().port(),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who asks a proxy.
pub(super) struct Viewer {
    client: reqwest::Client,
    port: u16,
}

impl Viewer {
    pub(super) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .get(format!("http://{HOST}:{}{path}", self.port))
    }

    /// The status of the answer, and its body where that came whole.
    pub(super) async fn whole(&self, path: &str) -> (u16, Option<Vec<u8>>) {
        let response = self.get(path).send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            response.bytes().await.ok().map(|body| body.to_vec()),
        )
    }
}
