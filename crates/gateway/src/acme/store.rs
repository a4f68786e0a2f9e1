//! What is kept of an authority in the state directory: the account's key, certificates with their
//! keys, and what was tried.
//!
//! For each authority its own directory, so that certificates of a trial run are not served once
//! the real one is written. Files are for this user alone, written whole and put in place. Prints
//! nothing of what they hold. Blocking, but for [`Store::blocking`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::authority::Failure;
use super::pace::Attempts;
use crate::config::{Acme, Config};

const ACCOUNT: &str = "account.json";
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Where it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Store(PathBuf);

impl Store {
    pub(crate) fn of(config: &Config, acme: &Acme) -> Self {
        let name = hex::encode(&Sha256::digest(acme.directory.as_str())[..8]);
        Self(config.state.directory.join("acme").join(name))
    }

    /// The file of a name's certificate and key, in PEM.
    pub(crate) fn certificate(&self, domain: &str) -> PathBuf {
        self.0.join(format!("{domain}.pem"))
    }

    pub(super) fn keep_certificate(&self, domain: &str, pem: &SecretString) -> io::Result<()> {
        self.write(&format!("{domain}.pem"), pem.expose_secret().as_bytes())
    }

    /// What was tried for a name; nothing, where that cannot be read.
    pub(super) fn attempts(&self, domain: &str) -> Attempts {
        let read = fs::read(self.0.join(format!("{domain}.json")));
        let attempts = read
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        attempts.unwrap_or_default()
    }

    pub(super) fn keep_attempts(&self, domain: &str, attempts: &Attempts) -> io::Result<()> {
        self.write_json(&format!("{domain}.json"), attempts)
    }

    pub(super) fn account(&self) -> io::Result<Option<AccountCredentials>> {
        match fs::read(self.0.join(ACCOUNT)) {
            // What it says may repeat what the file holds.
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
                let file = self.0.join(ACCOUNT);
                io::Error::other(format!(
                    "{} is damaged; remove it, and a new account is made",
                    file.display()
                ))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn keep_account(&self, credentials: &AccountCredentials) -> io::Result<()> {
        self.write_json(ACCOUNT, credentials)
    }

    /// Does something with it off the runtime's threads.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        let done = done.unwrap_or_else(|_| Err(io::Error::other("interrupted")));
        done.map_err(|error| Failure::disk(&self.0, &error))
    }

    fn write_json(&self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let json = SecretString::from(serde_json::to_string(content)?);
        self.write(name, json.expose_secret().as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIRECTORY)
            .create(&self.0)?;
        let new = self.0.join(format!(".{name}.new"));
        let written = write_durably(&new, bytes).and_then(|()| fs::rename(&new, self.0.join(name)));
        if let Err(error) = written {
            // What is half written may be what fills the disk.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        File::open(&self.0)?.sync_all()
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a killed process left may have been made for others to read.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
