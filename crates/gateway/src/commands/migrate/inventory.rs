//! The keys that rows name, as the inventory of a migration: a file beside its journal.
//!
//! It is written once for each run and stays until the next one, so that a run that was killed goes
//! on in the same list, whatever the database says meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use migration::{Journal, Named};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::commands::rows::Source;
use crate::config::Config;
use crate::rows::{KeyList, read_key};

const NAME: &str = "rows-";
const UNFINISHED: &str = ".rows.new";

/// What the journal knows it by, before there is one.
pub(super) fn to_be_listed(source: &Source) -> anyhow::Result<Named> {
    let identity = source.identity()?;
    Ok(Named {
        name: "what the rows name".into(),
        file: Arc::new(File::open("/dev/null")?),
        digest: Sha256::digest(format!("rows of {identity}")).into(),
        read: Arc::new(read_key),
        // Most are at the target only: uploaded since, or copied.
        may_be_absent: true,
    })
}

/// The keys of this run, written down now unless an earlier process has done it.
pub(super) async fn take(
    config: &Config,
    source: &Source,
    all_keys: bool,
    directory: &Path,
    journal: &Journal,
) -> anyhow::Result<File> {
    let name = format!("{NAME}{}", journal.run());
    let path = directory.join(&name);
    let cannot = |path: &Path| format!("{}: cannot be used", path.display());
    match File::open(&path) {
        Ok(file) => return Ok(file),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| cannot(&path)),
    }
    if journal.has_planned() {
        bail!(
            "{}: the keys that this run goes through are gone; delete {}, and the next run begins anew and copies only what the target lacks",
            path.display(),
            directory.display()
        );
    }
    forget(directory, &name).with_context(|| cannot(directory))?;
    let new = directory.join(UNFINISHED);
    let file = create(&new).with_context(|| cannot(&new))?;
    let app = App::for_looking(config)?;
    let mut list = KeyList::new(&app, all_keys, BufWriter::new(file));
    source.read(|reference| list.reference(reference)).await?;
    let (lines, count) = list.done().with_context(|| cannot(&new))?;
    if count == 0 {
        bail!(
            "no row names a key that a route publishes: is it the right database? --all-keys takes the others too"
        );
    }
    let kept = move || keep(lines, &new, &path);
    let kept = tokio::task::spawn_blocking(kept).await?;
    kept.with_context(|| cannot(directory))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(true);
    options.mode(0o600).open(path)
}

/// Makes it durable, and only then gives it its name.
fn keep(lines: BufWriter<File>, new: &Path, path: &PathBuf) -> io::Result<File> {
    let file = lines.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

/// Removes the lists of earlier runs.
fn forget(directory: &Path, but: &str) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_list = name.to_str().is_some_and(|name| name.starts_with(NAME));
        if is_list && name != *but {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
