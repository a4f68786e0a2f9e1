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
use serde::de::DeserializeOwned;
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

    /// What was tried for a name. Where that cannot be read it may have been as much as may be.
    pub(super) fn attempts(&self, domain: &str) -> io::Result<Attempts> {
        let read = self.read_json(
            &format!("{domain}.json"),
            "remove it, if no order of the last hour was refused",
        );
        Ok(read?.unwrap_or_default())
    }

    pub(super) fn keep_attempts(&self, domain: &str, attempts: &Attempts) -> io::Result<()> {
        self.write_json(&format!("{domain}.json"), attempts)
    }

    pub(super) fn account(&self) -> io::Result<Option<AccountCredentials>> {
        self.read_json(ACCOUNT, "remove it, and a new account is made")
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
        done.map_err(|error| Failure::disk(&error))
    }

    /// What a file holds, if there is one; `remedy` is for one that is damaged.
    fn read_json<T: DeserializeOwned>(&self, name: &str, remedy: &str) -> io::Result<Option<T>> {
        let file = self.0.join(name);
        match fs::read(&file) {
            // What it says may repeat what the file holds.
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| io::Error::other(format!("{} is damaged; {remedy}", file.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(naming(&file, &error)),
        }
    }

    fn write_json(&self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let json = SecretString::from(serde_json::to_string(content)?);
        self.write(name, json.expose_secret().as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIRECTORY)
            .create(&self.0)
            .map_err(|error| naming(&self.0, &error))?;
        let (file, new) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        let written = write_durably(&new, bytes).and_then(|()| fs::rename(&new, &file));
        if let Err(error) = written {
            // What is half written may be what fills the disk.
            let _ = fs::remove_file(&new);
            return Err(naming(&file, &error));
        }
        let synced = File::open(&self.0).and_then(|directory| directory.sync_all());
        synced.map_err(|error| naming(&self.0, &error))
    }
}

/// The same error, with the file that it is about.
pub(super) fn naming(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_that_cannot_be_read_are_not_taken_for_none() {
        let here = tempfile::tempdir().unwrap();
        let store = Store(here.path().to_owned());
        assert_eq!(store.attempts("media.test").unwrap(), Attempts::default());
        let file = here.path().join("media.test.json");
        for damaged in ["", "{", "[]", "{\"begun\":7}"] {
            fs::write(&file, damaged).unwrap();
            let told = store.attempts("media.test").unwrap_err().to_string();
            for word in ["media.test.json", "damaged", "remove it"] {
                assert!(told.contains(word), "{damaged}: {told}");
            }
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let told = store.attempts("media.test").unwrap_err().to_string();
        assert!(told.contains("media.test.json: "), "{told}");
    }

    #[test]
    fn what_cannot_be_written_is_named_and_nothing_half_written_is_left() {
        let here = tempfile::tempdir().unwrap();
        let store = Store(here.path().join("acme"));
        let attempts = Attempts::default();
        store.keep_attempts("media.test", &attempts).unwrap();
        fs::create_dir(here.path().join("acme/other.test.json")).unwrap();
        let told = store.keep_attempts("other.test", &attempts).unwrap_err();
        assert!(told.to_string().contains("other.test.json"), "{told}");
        let names = fs::read_dir(here.path().join("acme")).unwrap();
        assert_eq!(names.count(), 2);
        let file = Store(here.path().join("acme/media.test.json"));
        let told = file.keep_attempts("a.test", &attempts).unwrap_err();
        assert!(told.to_string().contains("media.test.json"), "{told}");
    }
}
