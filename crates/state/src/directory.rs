//! The state directory, held by one process at a time.
//!
//! It is refused at start when it cannot be written, or when tombstones are there that cannot be
//! read: a gateway that forgets what it promised to remember must not serve. A ledger that
//! cannot be read is no reason to refuse.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::ObjectKey;

use crate::ledger::{self, Ledger, Pace};
use crate::tombstones::{self, TombstoneError, Tombstones};
use crate::{
    Egress, FleetNotes, ToldAlert, alerts, canaries, egress, exchange, files, fleet, places,
};

const LOCK: &str = "lock";
const PROBE: &str = "writable";

/// The state directory, held by this process.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    tombstones: Arc<Tombstones>,
    ledger: Arc<Ledger>,
    _held: Held,
}

/// The directory's lock. It ends with the process however that ends; whatever writes in the
/// directory has one, so that nothing outlives it.
#[derive(Debug, Clone)]
pub(crate) struct Held(#[expect(dead_code, reason = "kept for its lock")] Arc<Lock>);

#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough while a child that this process has just forked has it too.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Why the state directory cannot be used; the message carries the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made or written.
    #[error("state.directory {}: {what}; {remedy}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What failed.
        what: String,
        /// The command that mends it.
        remedy: String,
    },
    /// Another process holds it.
    #[error(
        "state.directory {} is in use by another process; stop that one first, or give this one a state.directory of its own",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There are tombstones that cannot be read.
    #[error(transparent)]
    Tombstones(#[from] TombstoneError),
}

/// Where the running gateway listens for commands.
pub fn control_socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

impl StateDirectory {
    /// Makes the directory if it is absent, takes it for this process and opens what is in it.
    /// `scopes` are the cache spaces of the configured routes: tombstones of any other apply to
    /// every route.
    ///
    /// # Errors
    /// It cannot be written, another process has it, or its tombstones cannot be read.
    pub fn open<S: AsRef<str>>(
        path: &Path,
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, StateError> {
        let held = hold(path)?;
        warn_of_lost_tombstones(path);
        let tombstones = Tombstones::open(path, held.clone(), scopes)?;
        let ledger = Ledger::open(path, held.clone(), Pace::default());
        Ok(Self {
            path: path.to_owned(),
            tombstones: Arc::new(tombstones),
            ledger: Arc::new(ledger),
            _held: held,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys that must stay gone.
    pub fn tombstones(&self) -> &Arc<Tombstones> {
        &self.tombstones
    }

    /// The keys that were verified at origins, and what rehearsing origins saved.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The canaries that each origin had learned. Damage is no reason not to serve: they are
    /// learned again.
    pub fn canaries(&self) -> BTreeMap<String, Vec<ObjectKey>> {
        canaries::read_canaries(&self.path)
    }

    /// What this gateway remembers of its fleet; `None` where it has never been in one.
    pub fn fleet(&self) -> Option<FleetNotes> {
        fleet::read(&self.path)
    }

    /// Keeps what this gateway remembers of its fleet.
    ///
    /// # Errors
    /// It could not be written; the old file is still there.
    pub fn keep_fleet(&self, notes: &FleetNotes) -> io::Result<()> {
        fleet::keep(&self.path, notes)
    }

    /// Which alerts the operator was told of, and has not been told the end of.
    pub fn alerts(&self) -> Vec<ToldAlert> {
        alerts::read(&self.path)
    }

    /// Keeps which alerts the operator was told of.
    ///
    /// # Errors
    /// The old file is still there.
    pub fn keep_alerts(&self, told: &[ToldAlert]) -> io::Result<()> {
        alerts::keep(&self.path, told)
    }

    /// Keeps the canaries.
    ///
    /// # Errors
    /// The file cannot be written; the old one is then still there.
    pub fn keep_canaries(&self, canaries: &BTreeMap<String, Vec<ObjectKey>>) -> io::Result<()> {
        canaries::keep(&self.path, canaries)
    }

    /// Which place each origin's name meant when that was last kept.
    pub fn places(&self) -> BTreeMap<String, String> {
        places::read(&self.path)
    }

    /// Keeps which place each origin's name means.
    ///
    /// # Errors
    /// The file cannot be written; the old one is then still there.
    pub fn keep_places(&self, places: &BTreeMap<String, String>) -> io::Result<()> {
        places::keep(&self.path, places)
    }

    /// What was read from each origin in a period of its budget.
    pub fn egress(&self) -> BTreeMap<String, Egress> {
        egress::read(&self.path)
    }

    /// Keeps what was read from each origin.
    ///
    /// # Errors
    /// The file cannot be written; the old one is then still there.
    pub fn keep_egress(&self, read: &BTreeMap<String, Egress>) -> io::Result<()> {
        egress::keep(&self.path, read)
    }
}

/// Makes, locks and checks the directory.
pub(crate) fn hold(path: &Path) -> Result<Held, StateError> {
    let unusable = |what: &str, error: &io::Error, remedy: String| StateError::Unusable {
        path: path.to_owned(),
        what: format!("{what}: {error}"),
        remedy,
    };
    make(path)
        .map_err(|error| unusable("it cannot be made", &error, files::install_remedy(path)))?;
    let unwritable =
        |error: io::Error| unusable("it cannot be written", &error, write_remedy(path, &error));
    let lock = files::private()
        .create(true)
        .truncate(false)
        .open(path.join(LOCK))
        .map_err(unwritable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StateError::InUse {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => {
            let remedy = "put it on a file system that knows flock".to_owned();
            return Err(unusable("its lock cannot be taken", &error, remedy));
        }
    }
    // What an earlier process had not finished to write.
    let kept = [
        tombstones::FILE,
        alerts::FILE,
        canaries::FILE,
        egress::FILE,
        fleet::FILE,
        places::FILE,
    ];
    for name in kept.into_iter().chain([exchange::SPOOL, PROBE]) {
        let _ = fs::remove_file(files::successor(path, name));
    }
    // A directory may allow opening and still be full or read-only.
    files::replace(path, PROBE, |_| Ok(()))
        .and_then(|_| fs::remove_file(path.join(PROBE)))
        .map_err(unwritable)?;
    warn_of_strangers(path);
    Ok(Held(Arc::new(Lock(lock))))
}

/// Makes a directory and those above it, so that a power cut takes none of them away again.
fn make(path: &Path) -> io::Result<()> {
    let absent: Vec<_> = path.ancestors().take_while(|one| !one.exists()).collect();
    // As in the remedy: what is kept here is nobody else's business.
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in absent {
        let above = match made.parent() {
            Some(above) if above.as_os_str().is_empty() => Path::new("."),
            Some(above) => above,
            None => continue,
        };
        files::sync_directory(above)?;
    }
    Ok(())
}

fn write_remedy(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on its file system".to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount its file system writable".to_owned(),
        // The directory may be right while its files came from a copy made by root.
        io::ErrorKind::PermissionDenied if path.join(LOCK).exists() => files::chown_remedy(path),
        _ => files::install_remedy(path),
    }
}

/// The ledger is made after the log of tombstones, and is never there without it.
fn warn_of_lost_tombstones(path: &Path) {
    if path.join(ledger::FILE).exists() && !path.join(tombstones::FILE).exists() {
        tracing::warn!(
            directory = %path.display(),
            "the log of tombstones is gone, and a new one begins: put it back from a backup, unless it was taken away on purpose, or whatever was deleted is served again"
        );
    }
}

/// Its mode is not changed here: a mistyped path would lock others out of their own directory.
fn warn_of_strangers(path: &Path) {
    let Ok(about) = fs::metadata(path) else {
        return;
    };
    let mode = about.permissions().mode() & 0o777;
    if mode & files::OTHERS != 0 {
        tracing::warn!(
            directory = %path.display(),
            mode = format!("{mode:04o}"),
            "others can look into the state directory; run: sudo chmod 0700 '{}'",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<StateDirectory, StateError> {
        StateDirectory::open(path, ["media"])
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_here_is_for_this_user_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/state");
        let state = open(&path).unwrap();
        state.keep_canaries(&BTreeMap::new()).unwrap();
        state
            .tombstones()
            .add(&[("media", b"a")], "a test")
            .unwrap();
        assert_eq!(mode(&path), 0o700);
        let mut names: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["canaries.json", "ledger.redb", "lock", "tombstones"]
        );
        for name in names {
            assert_eq!(mode(&path.join(&name)), 0o600, "{name}");
        }
    }

    #[test]
    fn a_directory_of_the_version_that_knew_canaries_only_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("lock"), b"").unwrap();
        fs::write(
            directory.path().join("canaries.json"),
            br#"{"current":["a"]}"#,
        )
        .unwrap();
        let state = open(directory.path()).unwrap();
        assert_eq!(state.canaries()["current"].len(), 1);
        assert!(state.tombstones().is_empty());
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let names = [".tombstones.new", ".canaries.json.new", ".import.new"];
        for name in names {
            fs::write(directory.path().join(name), [1; 5000]).unwrap();
        }
        let _state = open(directory.path()).unwrap();
        for name in names {
            assert!(!directory.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn a_second_process_is_refused_and_told_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let _first = open(directory.path()).unwrap();
        let error = open(directory.path()).unwrap_err();
        assert!(
            error.to_string().contains("in use by another process"),
            "{error}"
        );
    }

    #[test]
    fn the_directory_is_held_for_as_long_as_anything_of_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path()).unwrap();
        let tombstones = Arc::clone(state.tombstones());
        drop(state);
        assert!(matches!(
            open(directory.path()),
            Err(StateError::InUse { .. })
        ));
        drop(tombstones);
        open(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused_with_the_command_that_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = open(&file.join("state")).unwrap_err();
        assert!(error.to_string().contains("sudo install -d -o"), "{error}");
    }
}
