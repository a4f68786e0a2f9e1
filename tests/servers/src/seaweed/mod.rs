//! A real SeaweedFS, all of it in one child process, on free ports of 127.0.0.1.
//!
//! Two buckets: [`PRIVATE`] needs the keys, [`PUBLIC`] may be read by strangers object by object,
//! and so may every bucket made later whose name begins so. The data lives in a temporary
//! directory and goes with the process when this is dropped, or when this process ends.

mod install;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::ReservedPort;
use crate::client::{BucketClient, Keys};

/// The bucket that only the keys may read.
pub const PRIVATE: &str = "private";

/// The bucket that everybody may read.
pub const PUBLIC: &str = "public";

/// How long a start may take; a busy machine needs a few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Everything that listens: the flag and what follows it. Two can run side by side.
const PORTS: [&str; 10] = [
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "admin.port",
    "admin.port.grpc",
];

/// Runs what follows it until it ends or standard input does, which is when we are gone, however
/// that happened: a server in a `static` is never dropped. Then it clears away what is left.
const KEEPER: &str = r#"
exec 3<&0
"$@" 3<&- &
weed=$!
(read -r _ <&3; kill -9 $weed; rm -rf -- "$0" $SOCKETS) 2>/dev/null &
wait $weed
"#;

/// A running SeaweedFS; killed when dropped, or when this process ends.
#[derive(Debug)]
pub struct Seaweed {
    child: Child,
    // After the child, so that they go when it is gone.
    ports: Vec<ReservedPort>,
    directory: TempDir,
    keys: Keys,
}

impl Seaweed {
    /// Starts one, after having installed it where that was not done yet, and returns once both
    /// buckets take an object.
    ///
    /// # Errors
    /// It cannot be installed or does not start within a minute; the error holds its log.
    pub async fn start() -> anyhow::Result<Self> {
        let binary = tokio::task::spawn_blocking(install::binary)
            .await
            .context("the installation was broken off")??;
        let mut this = Self::launch(&binary)?;
        let deadline = Instant::now() + PATIENCE;
        // Another process gives no event to wait for.
        while let Err(problem) = this.ready().await {
            let gone = this.child.try_wait()?;
            if gone.is_some() || Instant::now() > deadline {
                bail!("seaweedfs did not start: {problem:#}\n{}", this.log());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(this)
    }

    fn launch(binary: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("no temporary directory")?;
        let at = directory.path();
        let keys = Keys::default();
        fs::write(at.join("s3.json"), identities(&keys))?;
        let data = at.join("data");
        fs::create_dir(&data)?;
        let log = File::create(at.join("log"))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", KEEPER])
            .args([at, binary])
            .current_dir(at)
            // Keys from outside would be added to ours.
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .arg("mini")
            .arg(format!("-dir={}", data.display()))
            .arg(format!("-s3.config={}", at.join("s3.json").display()))
            .arg(format!("-bucket={PRIVATE},{PUBLIC}"))
            .arg(format!("-filer.localSocket={}", at.join("filer").display()))
            .arg(format!("-s3.localSocket={}", at.join("s3").display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false"])
            .args(["-admin.ui=false", "-master.telemetry=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let mut ports = Vec::new();
        // No flag says where these go, and it leaves them behind.
        let mut sockets = Vec::new();
        for flag in PORTS {
            let port = ReservedPort::any()?;
            let number = port.port();
            command.arg(format!("-{flag}={number}"));
            for part in ["admin", "filer", "master", "s3", "volume"] {
                sockets.push(format!("/tmp/seaweedfs-{part}-grpc-{number}.sock"));
            }
            ports.push(port);
        }
        command.env("SOCKETS", sockets.join(" "));
        let child = command
            .spawn()
            .with_context(|| format!("{} does not run", binary.display()))?;
        Ok(Self {
            child,
            ports,
            directory,
            keys,
        })
    }

    async fn ready(&self) -> anyhow::Result<()> {
        for bucket in [PRIVATE, PUBLIC] {
            let client = self.client(bucket)?;
            client.create().await?;
            client.put(".ready", "text/plain", "").await?;
            client.delete(".ready").await?;
        }
        Ok(())
    }

    /// `http://127.0.0.1:port`, for path addressing.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.ports[0].addr())
    }

    /// The key pair that may do everything.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A client with the keys.
    ///
    /// # Errors
    /// The bucket's name is not one.
    pub fn client(&self, bucket: &str) -> anyhow::Result<BucketClient> {
        BucketClient::new(&self.endpoint(), bucket, &self.keys)
    }

    /// Stores an object over the wire.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        bytes: impl Into<Bytes>,
    ) -> anyhow::Result<()> {
        self.client(bucket)?.put(key, content_type, bytes).await
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        // Closes its standard input first.
        let _ = self.child.wait();
    }
}

fn identities(keys: &Keys) -> String {
    let owner = json!({
        "name": "owner",
        "credentials": [{
            "accessKey": keys.access_key_id,
            "secretKey": keys.secret_access_key,
        }],
        "actions": ["Admin", "Read", "List", "Write", "Tagging"],
    });
    let stranger = json!({ "name": "anonymous", "actions": [format!("Read:{PUBLIC}*")] });
    json!({ "identities": [owner, stranger] }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test for everything, because each start takes seconds.
    #[tokio::test]
    async fn two_run_side_by_side_and_each_guards_its_private_bucket() {
        let (one, two) = tokio::join!(Seaweed::start(), Seaweed::start());
        let (one, two) = (one.unwrap(), two.unwrap());
        for key in ["misskey/a.webp", "写真 1.webp", "null/a+b"] {
            one.put(PUBLIC, key, "image/webp", "hello").await.unwrap();
            one.put(PRIVATE, key, "image/webp", "hello").await.unwrap();
        }
        let get = async |server: &Seaweed, path: &str| {
            let url = format!("{}/{path}", server.endpoint());
            reqwest::get(url).await.unwrap()
        };
        let found = get(&one, "public/%E5%86%99%E7%9C%9F%201.webp").await;
        assert_eq!(found.headers()["content-type"], "image/webp");
        assert_eq!(found.text().await.unwrap(), "hello");
        assert_eq!(get(&one, "private/misskey/a.webp").await.status(), 403);
        assert_eq!(get(&one, "public?list-type=2").await.status(), 403);
        let absent = get(&two, "public/misskey/a.webp").await;
        assert_eq!(absent.status(), 404);
        assert!(absent.text().await.unwrap().contains("NoSuchKey"));
        let address = one.ports[0].addr();
        drop(one);
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}
