//! A real PostgreSQL of Debian's, in a child process, on a free port of 127.0.0.1.
//!
//! One database with the name of its owner; passwords are asked for. The data lies in a temporary
//! directory and goes with the process when this is dropped, or when this process ends.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::ReservedPort;

/// Where Debian keeps versions side by side.
const INSTALLED: &str = "/usr/lib/postgresql";
/// It refuses to run as root, and then runs as this user.
const USER: &str = "postgres";
/// The owner of everything, and the name of the database.
pub const OWNER: &str = "misskey";
/// The owner's password; hard to write into a URL on purpose.
pub const PASSWORD: &str = "of a test: #1/%@";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs what follows it until standard input ends, which is when we are gone, however that
/// happened. Then it clears away what is left.
const KEEPER: &str = r#"
exec 3<&0
"$@" 3<&- &
server=$!
(read -r _ <&3; kill -QUIT $server; wait $server; rm -rf -- "$0") 2>/dev/null &
wait $server
"#;

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    // After the child, so that they go when it is gone.
    port: ReservedPort,
    directory: TempDir,
    binaries: PathBuf,
}

impl Postgres {
    /// Makes an empty database and returns once it answers.
    ///
    /// # Errors
    /// It is not installed (Debian: `postgresql`) or does not start; the error holds its log.
    pub async fn start() -> anyhow::Result<Self> {
        let mut this = tokio::task::spawn_blocking(Self::launch).await??;
        let deadline = Instant::now() + PATIENCE;
        // Another process gives no event to wait for.
        while let Err(problem) = this.run("SELECT 1") {
            if this.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("postgres did not start: {problem:#}\n{}", this.log());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(this)
    }

    fn launch() -> anyhow::Result<Self> {
        let binaries = newest()?;
        let directory = tempfile::tempdir()?;
        let at = directory.path();
        fs::set_permissions(at, fs::Permissions::from_mode(0o755))?;
        let (data, password) = (at.join("data"), at.join("password"));
        fs::create_dir(&data)?;
        fs::write(&password, PASSWORD)?;
        if rustix::process::geteuid().is_root() {
            done(
                &Command::new("chown")
                    .arg(USER)
                    .args([at, &data, &password])
                    .output()?,
            )?;
        }
        let mut initdb = as_user(&binaries.join("initdb"));
        initdb
            .args(["--username", OWNER, "--auth=scram-sha-256", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(&data)
            .current_dir(at);
        done(&initdb.output().context("initdb does not run")?)?;

        let port = ReservedPort::any()?;
        let log = File::create(at.join("log"))?;
        let server = as_user(&binaries.join("postgres"));
        let child = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(at)
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(at)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "shared_buffers=16MB"])
            .args(["-p", &port.port().to_string()])
            .current_dir(at)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let this = Self {
            child,
            port,
            directory,
            binaries,
        };
        Ok(this)
    }

    /// Runs statements as the owner and returns what they print.
    ///
    /// # Errors
    /// One of them fails.
    pub fn run(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.binaries.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-"])
            .args(["--host=127.0.0.1", &format!("--port={}", self.port.port())])
            .args([&format!("--username={OWNER}"), "--dbname=postgres"])
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("psql does not run")?;
        let stdin: Option<ChildStdin> = psql.stdin.take();
        stdin
            .context("psql has no standard input")?
            .write_all(sql.as_bytes())?;
        let output = psql.wait_with_output()?;
        done(&output)?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// The name of its database.
    pub fn database(&self) -> &'static str {
        "postgres"
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Closes its standard input first.
        let _ = self.child.wait();
    }
}

fn newest() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir(INSTALLED)
        .with_context(|| format!("{INSTALLED}: install Debian's package postgresql"))?;
    let newest = versions
        .filter_map(|version| version.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let newest = newest.with_context(|| format!("{INSTALLED} is empty"))?;
    Ok(Path::new(INSTALLED).join(newest.to_string()).join("bin"))
}

fn as_user(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"])
        .arg(program);
    command
}

fn done(output: &Output) -> anyhow::Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(())
}
