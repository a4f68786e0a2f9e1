//! One end of a journey: a bucket of a SeaweedFS of its own behind a gate that counts, or a
//! directory.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use test_servers::seaweed::{PRIVATE, Seaweed};
use test_servers::toll::{Mood, Toll};
use test_servers::{BucketClient, Keys};

use super::truth::content;

const MARKER: &str = ".media-gateway";
/// An end of the journey.
#[derive(Debug)]
pub(super) struct Place {
    name: &'static str,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Bucket { server: Seaweed, toll: Toll },
    Directory { room: TempDir },
    Erased,
}

/// How an origin fails.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outage {
    /// It refuses connections and breaks those there are; a directory is not mounted.
    Gone,
    Silent,
    Busy,
}

impl Place {
    /// An empty bucket.
    pub(super) async fn bucket(name: &'static str) -> Self {
        let server = Seaweed::start().await.unwrap();
        let address = server.endpoint().replace("http://", "");
        let toll = Toll::before(address.parse().unwrap()).unwrap();
        let kind = Kind::Bucket { server, toll };
        Self { name, kind }
    }

    /// An empty directory that is the one that is meant.
    pub(super) fn directory(name: &'static str) -> Self {
        let room = tempfile::tempdir().unwrap();
        let kind = Kind::Directory { room };
        let this = Self { name, kind };
        fs::create_dir(this.root()).unwrap();
        fs::write(this.root().join(MARKER), b"").unwrap();
        this
    }

    /// The directory's root while it is mounted.
    pub(super) fn root(&self) -> PathBuf {
        match &self.kind {
            Kind::Directory { room } => room.path().join("media"),
            _ => panic!("{} is no directory", self.name),
        }
    }

    /// The gate before the bucket.
    pub(super) fn toll(&self) -> Option<&Toll> {
        match &self.kind {
            Kind::Bucket { toll, .. } => Some(toll),
            _ => None,
        }
    }

    /// It as an origin, with these lines too.
    pub(super) fn origin(&self, lines: &str) -> String {
        let name = self.name;
        match &self.kind {
            Kind::Bucket { server, toll } => format!(
                "[origins.{name}]\nkind = \"s3\"\nprovider = \"seaweedfs\"\nendpoint = \"{}\"\n\
                 bucket = \"{PRIVATE}\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n{lines}",
                toll.endpoint(),
                server.keys().access_key_id,
                server.keys().secret_access_key,
            ),
            Kind::Directory { .. } => format!(
                "[origins.{name}]\nkind = \"filesystem\"\nroot = \"{}\"\nwritable = true\n\
                 min_free = \"1 MB\"\n{lines}",
                self.root().display()
            ),
            Kind::Erased => panic!("{name} is no more"),
        }
    }

    /// A client that no outage keeps away: the application's.
    fn client(&self) -> Option<BucketClient> {
        match &self.kind {
            Kind::Bucket { server, .. } => Some(server.client(PRIVATE).unwrap()),
            _ => None,
        }
    }

    /// Stores a file as the application does.
    pub(super) async fn put(&self, key: &str) {
        let bytes = content(key);
        if let Some(client) = self.client() {
            client.put(key, "image/webp", bytes).await.unwrap();
        } else {
            let path = self.root().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Deletes a file as the application does.
    pub(super) async fn delete(&self, key: &str) {
        if let Some(client) = self.client() {
            client.delete(key).await.unwrap();
        } else if let Err(error) = fs::remove_file(self.root().join(key)) {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{key}: {error}");
        }
    }

    /// It fails from now on.
    pub(super) async fn fails(&self, outage: Outage) {
        match (&self.kind, outage) {
            (Kind::Bucket { toll, .. }, Outage::Gone) => toll.shut().await,
            (Kind::Bucket { toll, .. }, Outage::Silent) => toll.be(Mood::Silent),
            (Kind::Bucket { toll, .. }, Outage::Busy) => toll.be(Mood::Busy),
            (Kind::Directory { room }, _) => {
                fs::rename(self.root(), room.path().join("elsewhere")).unwrap();
            }
            (Kind::Erased, _) => {}
        }
    }

    /// It is as it was.
    pub(super) fn recovers(&self) {
        match &self.kind {
            Kind::Bucket { toll, .. } => {
                toll.be(Mood::Fair);
                toll.open().unwrap();
            }
            Kind::Directory { room } => {
                fs::rename(room.path().join("elsewhere"), self.root()).unwrap();
            }
            Kind::Erased => {}
        }
    }

    /// Everything goes, and nobody answers there any more.
    pub(super) fn erase(&mut self) {
        self.kind = Kind::Erased;
    }

    /// What independent tools need to get there: endpoint and keys, or the directory.
    pub(super) fn reached(&self) -> Reached<'_> {
        match &self.kind {
            Kind::Bucket { server, .. } => Reached::Bucket(server.endpoint(), server.keys()),
            Kind::Directory { .. } => Reached::Directory(self.root()),
            Kind::Erased => panic!("{} is no more", self.name),
        }
    }
}

/// How others get to it.
pub(super) enum Reached<'p> {
    Bucket(String, &'p Keys),
    Directory(PathBuf),
}

/// Whether a name is the gateway's own and no file of the application's.
pub(super) fn is_ours(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.starts_with(MARKER)
    })
}
