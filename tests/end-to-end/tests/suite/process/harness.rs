//! The program as a child process: its configuration, its log, its signals, its memory.
//!
//! Every gateway has a temporary directory of its own, takes free ports of 127.0.0.1, sees no
//! variable of the test's environment but `PATH`, and is killed when dropped.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use test_servers::ReservedPort;
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use super::lines::{directory, route, web};
pub(crate) use super::wrappers::{NAKED, with_own_etc};

/// How long a test waits for what never comes; far more than a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program, built once a run: it belongs to another package, so cargo does not do it.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // Where one is already built, such as a release, that is what is tested.
        if let Some(built) = env::var_os("MEDIA_GATEWAY_PROGRAM") {
            return built.into();
        }
        let test = env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let name = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            // All of it, so that features are those of `cargo test --workspace` and what that has
            // built is used again.
            .args([
                "build",
                "--quiet",
                "--locked",
                "--workspace",
                "--all-targets",
            ])
            .arg("--profile")
            .arg(name)
            .arg("--target-dir")
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "media-gateway cannot be built: {status}");
        profile.join("media-gateway")
    })
}

/// What a gateway is started with. Its directory outlives the process, so the same one can be
/// started again.
pub(crate) struct Setup {
    directory: Arc<TempDir>,
    admin: ReservedPort,
    server: String,
    limits: String,
    operators: String,
    state: Option<PathBuf>,
    cache: Option<PathBuf>,
    cache_lines: String,
    level: &'static str,
    rest: String,
}

impl Setup {
    /// With these origins and routes, in TOML.
    pub(crate) fn new(origins_and_routes: impl Into<String>) -> Self {
        Self {
            directory: Arc::new(tempfile::tempdir().unwrap()),
            admin: ReservedPort::any().unwrap(),
            server: "listen = \"127.0.0.1:0\"".to_owned(),
            limits: String::new(),
            operators: String::new(),
            state: None,
            cache: None,
            cache_lines: String::new(),
            level: "info",
            rest: origins_and_routes.into(),
        }
    }

    /// With these lines in `[server]`; without any that says where it listens, a free port.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        if lines.contains("listen") {
            lines.clone_into(&mut self.server);
        } else {
            let _ = write!(self.server, "\n{lines}");
        }
        self
    }

    /// With these lines in `[server.limits]`.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.limits);
        self
    }

    /// With these lines in `[admin]`.
    pub(crate) fn admin(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.operators);
        self
    }

    /// With this state directory instead of its own.
    pub(crate) fn state(mut self, directory: PathBuf) -> Self {
        self.state = Some(directory);
        self
    }

    /// With these lines in `[cache]`, besides those it has.
    pub(crate) fn cache(mut self, lines: &str) -> Self {
        let _ = writeln!(self.cache_lines, "{lines}");
        self
    }

    /// With other origins and routes from the next start on.
    pub(crate) fn with_others(mut self, origins_and_routes: impl Into<String>) -> Self {
        self.rest = origins_and_routes.into();
        self
    }

    /// With this cache directory instead of its own.
    pub(crate) fn cache_in(mut self, directory: PathBuf) -> Self {
        self.cache = Some(directory);
        self
    }

    /// With everything logged.
    pub(crate) fn tracing(mut self) -> Self {
        self.level = "trace";
        self
    }

    /// A path in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where operators will connect.
    pub(crate) fn admin_port(&self) -> &ReservedPort {
        &self.admin
    }

    /// Where it keeps its state.
    pub(crate) fn state_directory(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| self.path("state"))
    }

    /// Where it keeps copies.
    pub(crate) fn cache_directory(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| self.path("cache"))
    }

    /// Writes its configuration, and returns where.
    pub(crate) fn written(&self) -> PathBuf {
        let file = self.path("gateway.toml");
        let text = format!(
            "[server]\n{server}\n[server.limits]\n{limits}\n[admin]\nlisten = \"{admin}\"\n{operators}\n\
             [state]\ndirectory = \"{state}\"\n[cache]\ndirectory = \"{cache}\"\n{cache_lines}\n\
             [log]\nformat = \"json\"\nlevel = \"{level}\"\n{rest}",
            server = self.server,
            limits = self.limits,
            operators = self.operators,
            admin = self.admin.addr(),
            state = self.state_directory().display(),
            cache = self.cache_directory().display(),
            cache_lines = self.cache_lines,
            level = self.level,
            rest = self.rest,
        );
        // Another command may be reading it at this moment.
        if !fs::read_to_string(&file).is_ok_and(|written| written == text) {
            fs::write(&file, text).unwrap();
        }
        file
    }

    /// Any command with this configuration, which is written now.
    fn command(&self, wrapper: &[impl AsRef<OsStr>], arguments: &[&str]) -> Command {
        let file = self.written();
        let mut command = match wrapper {
            [] => Command::new(program()),
            [first, others @ ..] => {
                let mut command = Command::new(first);
                command.args(others).arg(program());
                command
            }
        };
        command
            .args(arguments)
            .arg("--config")
            .arg(file)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        ended(self.command(NAKED, arguments)).await
    }

    /// Runs a command to its end that finds this file on its standard input.
    pub(crate) async fn run_reading(&self, file: &Path, arguments: &[&str]) -> Output {
        let mut command = self.command(NAKED, arguments);
        command.stdin(fs::File::open(file).unwrap());
        ended(command).await
    }

    /// Begins a command that is to be killed.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Begun {
        let mut command = self.command(NAKED, arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Begun(command.spawn().unwrap())
    }

    /// Runs a command that prints JSON and ends well.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts it and returns once it listens.
    pub(crate) async fn start(&self) -> Gateway {
        self.start_under(NAKED).await
    }

    /// Starts it, or returns its log where it ends before it listens.
    pub(crate) async fn try_start(&self) -> Result<Gateway, String> {
        let mut gateway = self.launch_with(NAKED, |_| {});
        let listens = |log: &String| log.contains("serving operators");
        let seen = timeout(PATIENCE, gateway.log.wait_for(listens)).await;
        if !seen.is_ok_and(|seen| seen.is_ok()) {
            return Err(gateway.log());
        }
        gateway.media = gateway.address("serving media");
        Ok(gateway)
    }

    /// The same behind a command that executes what follows it, such as `prlimit`.
    pub(crate) async fn start_under(&self, wrapper: &[impl AsRef<OsStr>]) -> Gateway {
        self.start_with(wrapper, |_| {}).await
    }

    /// The same, with something else about the command.
    pub(crate) async fn start_with(
        &self,
        wrapper: &[impl AsRef<OsStr>],
        change: impl FnOnce(&mut Command),
    ) -> Gateway {
        let mut gateway = self.launch_with(wrapper, change);
        gateway.logged("serving operators").await;
        gateway.media = gateway.address("serving media");
        gateway
    }

    /// Starts it and waits for nothing.
    pub(crate) fn launch_with(
        &self,
        wrapper: &[impl AsRef<OsStr>],
        change: impl FnOnce(&mut Command),
    ) -> Gateway {
        let mut command = self.command(wrapper, &["serve"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let (sender, log) = watch::channel(String::new());
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sender.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        Gateway {
            child,
            log,
            media: self.admin.addr(),
            admin: self.admin.addr(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            _directory: Arc::clone(&self.directory),
        }
    }

    /// Tries to start it, and returns what it says when it refuses.
    pub(crate) async fn refused(&self) -> String {
        let output = self.run(&["serve"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }
}

/// A command that runs; killed when dropped.
pub(crate) struct Begun(Child);

impl Begun {
    /// Kills it with SIGKILL once this is so, which is looked at every few milliseconds.
    pub(crate) async fn kill_when(self, is_so: impl Fn() -> bool) {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        let came = timeout(PATIENCE, async {
            while !is_so() {
                looks.tick().await;
            }
        });
        came.await.expect("it gets there");
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    child: Child,
    log: watch::Receiver<String>,
    media: SocketAddr,
    admin: SocketAddr,
    client: reqwest::Client,
    _directory: Arc<TempDir>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Gateway {
    /// Where viewers connect.
    pub(crate) fn media(&self) -> SocketAddr {
        self.media
    }

    /// Where viewers connect by TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.address("serving media by TLS")
    }

    /// A viewer's URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.media)
    }

    /// A viewer's request; the head of the answer has come.
    pub(crate) async fn ask(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(self.url(path)).send().await
    }

    /// Who asks; keeps connections open.
    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Where operators connect.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A viewer's request.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        whole(self.ask(path).await.unwrap()).await
    }

    /// An operator's request.
    pub(crate) async fn operators(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.admin);
        whole(self.client.get(url).send().await.unwrap()).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Returns when it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        // Its standard error closes with it.
        let closed = timeout(PATIENCE, self.log.wait_for(|_| false))
            .await
            .is_ok();
        assert!(closed, "it does not end: {}", self.log());
        self.child.wait().unwrap()
    }

    /// SIGTERM, and a good end.
    pub(crate) async fn stopped(mut self) -> String {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await.code(), Some(0), "{}", self.log());
        self.log()
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Returns once the log has this.
    pub(crate) async fn logged(&mut self, what: &str) {
        self.logged_times(what, 1).await;
    }

    /// The same, so many times.
    pub(crate) async fn logged_times(&mut self, what: &str, times: usize) {
        let enough = |log: &String| log.matches(what).count() >= times;
        let seen = timeout(PATIENCE, self.log.wait_for(enough)).await;
        let seen = seen.is_ok_and(|seen| seen.is_ok());
        assert!(seen, "{what:?} was not logged {times}×: {}", self.log());
    }

    /// The resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        kilobytes.unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn address(&self, message: &str) -> SocketAddr {
        let log = self.log();
        let line = log.lines().find(|line| line.contains(message)).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn whole(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap(),
    }
}

async fn ended(mut command: Command) -> Output {
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    timeout(PATIENCE, run).await.expect("it ends").unwrap()
}
