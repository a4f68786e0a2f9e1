//! `origin init NAME`: marks a directory as the one that is meant.
//!
//! Never makes the directory itself: a root that is absent is most likely a disk that is not
//! mounted, and a marker on the mount point would hide exactly that.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use origin_resolver::Kind;
use serde::Serialize;

use super::cli::Global;
use super::report::{self, print_json, say};
use crate::config::{Config, Origin};

const MARKER_TEXT: &str = "\
This file tells media-gateway that the directory around it is the one that is meant, and not the
mount point of a disk that is not there. While it is absent, nothing here is believed to be
missing. Leave it in place.
";

#[derive(Debug, Serialize)]
struct Marked {
    origin: String,
    root: String,
    marker: String,
    device: String,
    filesystem_bytes: u64,
    free_bytes: u64,
    was_marked_before: bool,
}

pub(super) fn init(global: &Global, name: &str) -> anyhow::Result<ExitCode> {
    let loaded = match report::load_or_report(global) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let (root, marker) = directory(&loaded.config, name)?;
    let mut report = look(name, root, marker)?;
    // Before it is marked: who sees the wrong disk here can still interrupt.
    if !global.json {
        print_disk(&report);
    }
    report.was_marked_before = mark(&root.join(marker))?;
    if global.json {
        print_json(&report);
    } else {
        print_marker(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn directory<'c>(config: &'c Config, name: &str) -> anyhow::Result<(&'c Path, &'c str)> {
    let Some(origin) = config.origin(name) else {
        if config.retired.iter().any(|retired| **retired == *name) {
            bail!("the origin \"{name}\" is retired and is left alone");
        }
        let known: Vec<&str> = config.origins.iter().map(Origin::name).collect();
        bail!(
            "there is no origin \"{name}\" in the configuration; there are: {}",
            known.join(", ")
        );
    };
    let Kind::Filesystem(settings) = &origin.settings.kind else {
        bail!("the origin \"{name}\" is not a directory, only those have a marker");
    };
    if settings.marker.is_empty() {
        bail!("the origin \"{name}\" has marker = \"\", so there is nothing to make");
    }
    Ok((&settings.root, &settings.marker))
}

fn look(name: &str, root: &Path, marker: &str) -> anyhow::Result<Marked> {
    let shown = root.display();
    let metadata = std::fs::metadata(root)
        .with_context(|| format!("the root {shown} cannot be seen; is its disk mounted?"))?;
    if !metadata.is_dir() {
        bail!("the root {shown} is not a directory");
    }
    let filesystem = rustix::fs::statvfs(root)
        .map_err(io::Error::from)
        .with_context(|| format!("the file system of {shown} cannot be asked"))?;
    let device = metadata.dev();
    Ok(Marked {
        origin: name.to_owned(),
        root: shown.to_string(),
        marker: root.join(marker).display().to_string(),
        device: format!(
            "{}:{}",
            rustix::fs::major(device),
            rustix::fs::minor(device)
        ),
        filesystem_bytes: filesystem.f_blocks.saturating_mul(filesystem.f_frsize),
        free_bytes: filesystem.f_bavail.saturating_mul(filesystem.f_frsize),
        was_marked_before: false,
    })
}

/// Makes the marker; whether it was there already.
fn mark(path: &Path) -> anyhow::Result<bool> {
    // Exclusively: an existing marker, or whatever else has its name, is never overwritten.
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(MARKER_TEXT.as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let existing = std::fs::symlink_metadata(path)
                .with_context(|| format!("cannot look at {}", path.display()))?;
            if !existing.is_file() {
                bail!("{} exists and is not a file", path.display());
            }
            Ok(true)
        }
        Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
}

fn print_disk(marked: &Marked) {
    let bytes = |count| ByteSize(count).display().si();
    say(&format!(
        "origin:  {}\nroot:    {}\ndevice:  {}\nsize:    {}\nfree:    {}",
        marked.origin,
        marked.root,
        marked.device,
        bytes(marked.filesystem_bytes),
        bytes(marked.free_bytes),
    ));
}

fn print_marker(marked: &Marked) {
    let was = if marked.was_marked_before {
        "was there already"
    } else {
        "made"
    };
    say(&format!(
        "marker:  {} {was}\n\
         Is that the disk that holds the media? If not, remove the marker.",
        marked.marker
    ));
}
