//! Where the application's rows are, and how commands read them.
//!
//! Nothing may be concluded from a part of them, nor from a database that has none.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use migration::Referenced;
use misskey::{Connection, Database, Name, Reference, export_references};

use super::digest::digest;
use crate::app::App;
use crate::config::Config;
use crate::rows::{Names, Print};

/// Where the rows are.
#[derive(Debug, Args)]
#[group(id = "rows", multiple = false)]
pub struct Rows {
    /// Misskey's own configuration (.config/default.yml), which says where its database is.
    #[arg(long, value_name = "FILE")]
    pub(super) misskey_config: Option<PathBuf>,
    /// A file with the URL of Misskey's database: postgres://reader:password@host:5432/misskey.
    #[arg(long, value_name = "FILE")]
    pub(super) misskey_url_file: Option<PathBuf>,
    /// What mongoexport wrote of meisskey's collection driveFiles.files; may be repeated, for
    /// other collections too.
    #[arg(long, value_name = "FILE")]
    pub(super) meisskey_export: Vec<PathBuf>,
}

/// Where the rows are, once that is known to make sense.
pub(super) enum Source {
    Database(Box<Connection>),
    Export(Vec<PathBuf>),
    /// A file with keys and URLs, one on each line.
    Keys(PathBuf),
}

impl Source {
    /// What the command line says; nothing where it says nothing of rows.
    pub(super) fn of(rows: &Rows) -> anyhow::Result<Option<Self>> {
        let read = |file: &Path| {
            let text = fs::read_to_string(file);
            text.with_context(|| format!("{}: cannot be read", file.display()))
        };
        if let Some(file) = &rows.misskey_config {
            let connection = Connection::of_misskey_config(&read(file)?);
            let connection = connection.with_context(|| file.display().to_string())?;
            return Ok(Some(Self::Database(Box::new(connection))));
        }
        if let Some(file) = &rows.misskey_url_file {
            let connection = Connection::of_url(&read(file)?);
            let connection = connection.with_context(|| file.display().to_string())?;
            return Ok(Some(Self::Database(Box::new(connection))));
        }
        let export = &rows.meisskey_export;
        Ok((!export.is_empty()).then(|| Self::Export(export.clone())))
    }

    /// What tells it from another one. A database that has changed is the same one.
    pub(super) fn identity(&self) -> anyhow::Result<String> {
        let of_file = |file: &PathBuf| {
            let digest = digest(file);
            let digest = digest.with_context(|| format!("{}: cannot be read", file.display()))?;
            Ok(hex::encode(digest))
        };
        match self {
            Self::Database(connection) => Ok(connection.place()),
            Self::Export(files) => {
                let sums: anyhow::Result<Vec<_>> = files.iter().map(of_file).collect();
                Ok(format!("exports {}", sums?.join(" ")))
            }
            Self::Keys(file) => Ok(format!("keys {}", of_file(file)?)),
        }
    }

    /// Finds out whether it can be read, before anything long is begun.
    pub(super) async fn reach(&self) -> anyhow::Result<()> {
        let files = match self {
            Self::Database(connection) => {
                Database::connect(connection).await?.close().await;
                return Ok(());
            }
            Self::Export(files) => files.as_slice(),
            Self::Keys(file) => std::slice::from_ref(file),
        };
        for file in files {
            let opened = File::open(file);
            opened.with_context(|| format!("{}: cannot be read", file.display()))?;
        }
        Ok(())
    }

    /// Hands out everything that is named, and returns how many uploads or lines there are; never
    /// none.
    pub(super) async fn read(&self, mut take: impl FnMut(&Reference)) -> anyhow::Result<u64> {
        match self {
            Self::Database(connection) => {
                let mut database = Database::connect(connection).await?;
                let rows = database.references(|reference| take(&reference)).await?;
                database.close().await;
                ensure!(
                    rows > 0,
                    "the database has no uploads at all: is it the right one?"
                );
                Ok(rows)
            }
            Self::Export(files) => {
                let mut rows = 0;
                for file in files {
                    let read = export_references(file, |reference| take(&reference));
                    rows += read.with_context(|| file.display().to_string())?;
                }
                if rows == 0 {
                    bail!(
                        "{}: there is no upload that is not deleted: is it an export of \
                         driveFiles.files?",
                        files[0].display()
                    );
                }
                Ok(rows)
            }
            Self::Keys(file) => {
                let lines = read_keys(file, &mut take);
                let lines = lines.with_context(|| format!("{}: cannot be read", file.display()))?;
                ensure!(lines > 0, "{}: there is no key in it", file.display());
                Ok(lines)
            }
        }
    }
}

/// What the rows name, for a migration that copies nothing else.
pub(super) async fn referenced(config: &Config, source: &Source) -> anyhow::Result<Referenced> {
    let app = App::for_looking(config)?;
    let mut names = Names::new(&app);
    let by = source.identity()?;
    source.read(|reference| names.reference(reference)).await?;
    let names = names.done();
    Ok(Referenced {
        by: by.into(),
        names: Arc::new(move |key| names.contains(Print::of(key.as_str()))),
    })
}

/// Lines are keys byte for byte, and perhaps URLs.
fn read_keys(file: &Path, take: &mut impl FnMut(&Reference)) -> std::io::Result<u64> {
    let mut count = 0;
    for line in BufReader::new(File::open(file)?).lines() {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        count += 1;
        let mut named = |name| {
            take(&Reference {
                table: "line",
                column: "key".into(),
                id: count.to_string().into(),
                name,
                original: None,
            });
        };
        named(Name::Key(line.as_str().into()));
        if line.contains("://") {
            named(Name::Url(line.into()));
        }
    }
    Ok(count)
}
