//! The files below a root as a listing: every object once, always in the same order, a page at a
//! time.
//!
//! A directory's names are read in slices of the smallest ones, so that one with a million files
//! takes no more memory than one with a few thousand. A page begins where the one before ended,
//! also after a restart. Links to files are objects, as they are to readers; links to directories
//! are named and not walked, because they may lead in a circle.

use std::collections::BinaryHeap;
use std::fs::Metadata as Stat;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use object::{ObjectKey, Validator};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::beneath::Directory;
use super::layout::{self, Named};
use super::root::Root;
use super::{look, metadata};
use crate::{Cursor, Failure, Listed, Misfit, Page, Reason, Unfit};

/// Each page reads its directories anew, so pages are larger than a bucket's.
const PAGE: usize = 10_000;
/// Names of one directory that are held at one time.
const SLICE: usize = 4096;

/// One page of the objects whose keys begin with `prefix`.
pub(super) fn page(root: &Root, prefix: &str, after: Option<&Cursor>) -> Result<Page, Failure> {
    page_of(root, prefix, after, PAGE, SLICE)
}

fn page_of(
    root: &Root,
    prefix: &str,
    after: Option<&Cursor>,
    most: usize,
    slice: usize,
) -> Result<Page, Failure> {
    let after = match after.map(|cursor| cursor.as_str().strip_prefix('p')) {
        Some(Some(path)) => Some(path),
        Some(None) => {
            return Err(Failure::new(
                Reason::Protocol,
                "not a cursor of a directory",
            ));
        }
        None => None,
    };
    let directory = root.open()?;
    // An empty mount point would list as an empty origin.
    root.confirms_a_miss_in(&directory)?;
    let mut walk = Walk {
        root: &directory,
        marker: root.marker(),
        prefix,
        most,
        slice,
        page: Page::default(),
    };
    let full = walk.directory("", after).map_err(|(path, errno)| {
        let reason = match errno {
            Errno::ACCESS | Errno::PERM => Reason::Denied,
            _ => Reason::Disk,
        };
        let what = format!("{}: {path:?}: {errno}", root.path().display());
        Failure::new(reason, what)
    })?;
    let mut page = walk.page;
    page.next = full.map(|path| Cursor::new(format!("p{path}")));
    Ok(page)
}

struct Walk<'a> {
    root: &'a Directory,
    marker: &'a str,
    prefix: &'a str,
    most: usize,
    slice: usize,
    page: Page,
}

type Stopped = (String, Errno);

impl Walk<'_> {
    /// Walks what is behind `after` in the directory at `path`; the last path that was looked at,
    /// if the page is full.
    fn directory(&mut self, path: &str, after: Option<&str>) -> Result<Option<String>, Stopped> {
        let (mut after, mut deeper) = match after.map(|after| after.split_once('/')) {
            Some(Some((name, below))) => (Some((name.to_owned(), true)), Some(below.to_owned())),
            Some(None) => (after.map(|name| (name.to_owned(), false)), None),
            None => (None, None),
        };
        loop {
            let names = match self.names(path, after.as_ref()) {
                // It went away meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR) if !path.is_empty() => return Ok(None),
                names => names.map_err(|errno| (path.to_owned(), errno))?,
            };
            let is_last = names.len() < self.slice;
            let Some((last, _)) = names.last() else {
                return Ok(None);
            };
            let next = (last.clone(), false);
            for (name, kind) in names {
                let child = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                };
                let below = deeper
                    .take()
                    .filter(|_| after.as_ref().is_some_and(|(at, _)| *at == name));
                if let Some(full) = self.entry(&child, kind, below.as_deref())? {
                    return Ok(Some(full));
                }
            }
            if is_last {
                return Ok(None);
            }
            after = Some(next);
        }
    }

    /// The smallest names behind `after` (or from it on, where the flag says so), sorted.
    fn names(
        &mut self,
        path: &str,
        after: Option<&(String, bool)>,
    ) -> Result<Vec<(String, FileType)>, Errno> {
        let listing = if path.is_empty() {
            self.root.listing()?
        } else {
            self.root.below(path)?.listing()?
        };
        let mut smallest: BinaryHeap<(String, Kind)> = BinaryHeap::new();
        for entry in listing {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(name) = name.to_str() else {
                // Named on the page that begins in this directory.
                if after.is_none() {
                    self.unfit(
                        &format!("{path}/{}", name.to_string_lossy()),
                        None,
                        object::InvalidKey::NotUtf8.into(),
                    );
                }
                continue;
            };
            let is_behind =
                after.is_none_or(|(at, too)| name > at.as_str() || (*too && name == at));
            if !is_behind || self.is_none_of_ours_to_list(path, name) {
                continue;
            }
            if smallest.len() == self.slice {
                if smallest
                    .peek()
                    .is_some_and(|(most, _)| name >= most.as_str())
                {
                    continue;
                }
                smallest.pop();
            }
            smallest.push((name.to_owned(), Kind(entry.file_type())));
        }
        let sorted = smallest.into_sorted_vec();
        Ok(sorted
            .into_iter()
            .map(|(name, kind)| (name, kind.0))
            .collect())
    }

    fn is_none_of_ours_to_list(&self, path: &str, name: &str) -> bool {
        if path.is_empty() && (name == "lost+found" || name == self.marker) {
            return true;
        }
        // Escapes are objects; whatever else begins so is not.
        name.starts_with(object::RESERVED_NAME)
            && layout::key_at(&joined(path, name)) == Named::Ours
    }

    fn entry(
        &mut self,
        path: &str,
        kind: FileType,
        below: Option<&str>,
    ) -> Result<Option<String>, Stopped> {
        match kind {
            FileType::Directory => {
                if !self.leads_to_wanted(path) {
                    return Ok(None);
                }
                self.directory(path, below)
            }
            FileType::RegularFile => self.file(path),
            FileType::Symlink => match self.root.look_at(path) {
                Ok(stat) if stat.is_file() => self.file(path),
                _ => Ok(self.misfit(path, Misfit::Link)),
            },
            FileType::Unknown => {
                let kind = match self.root.look_at_itself(path) {
                    Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                    Err(errno) => return Err((path.to_owned(), errno)),
                    Ok(stat) => FileType::from_raw_mode(stat.mode()),
                };
                if kind == FileType::Unknown {
                    return Ok(self.misfit(path, Misfit::Irregular));
                }
                self.entry(path, kind, below)
            }
            _ => Ok(self.misfit(path, Misfit::Irregular)),
        }
    }

    /// Whether keys below this directory can begin with the prefix.
    fn leads_to_wanted(&self, path: &str) -> bool {
        match layout::key_at(path) {
            Named::Key(key) => {
                let key = format!("{key}/");
                key.starts_with(self.prefix) || self.prefix.starts_with(&key)
            }
            Named::Shortened => true,
            Named::Ours => false,
        }
    }

    fn file(&mut self, path: &str) -> Result<Option<String>, Stopped> {
        let named = layout::key_at(path);
        if let Named::Key(key) = &named
            && !key.starts_with(self.prefix)
        {
            return Ok(None);
        }
        let stat = match self.root.look_at(path) {
            // It went away meanwhile.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err((path.to_owned(), errno)),
            Ok(stat) => stat,
        };
        let key = match named {
            Named::Ours => return Ok(None),
            Named::Shortened => self.written_key(path).ok_or(Misfit::Nameless),
            Named::Key(key) => ObjectKey::parse(&key).map_err(Into::into),
        };
        match key {
            Ok(key) if !key.as_str().starts_with(self.prefix) => return Ok(None),
            Ok(key) => self.page.entries.push(listed(key, &stat)),
            Err(why) => self.unfit(path, Some(stat.len()), why),
        }
        Ok(self.full(path))
    }

    /// The key that is written about a file whose name is shortened.
    fn written_key(&self, path: &str) -> Option<ObjectKey> {
        let (file, stat) = self.root.regular_file(path).ok()?;
        let key = metadata::read(self.root, path, &file, &stat).key?;
        let plain = layout::file(&key);
        (path == plain || path == layout::file_inside(&plain)).then_some(key)
    }

    fn misfit(&mut self, path: &str, why: Misfit) -> Option<String> {
        let wanted = match layout::key_at(path) {
            Named::Key(key) => key.starts_with(self.prefix),
            Named::Shortened => true,
            Named::Ours => false,
        };
        if !wanted {
            return None;
        }
        self.unfit(path, None, why);
        self.full(path)
    }

    fn unfit(&mut self, path: &str, size_bytes: Option<u64>, why: Misfit) {
        self.page.unfit.push(Unfit {
            name: path.into(),
            size_bytes,
            why,
        });
    }

    fn full(&self, path: &str) -> Option<String> {
        let count = self.page.entries.len() + self.page.unfit.len();
        (count >= self.most).then(|| path.to_owned())
    }
}

fn listed(key: ObjectKey, stat: &Stat) -> Listed {
    let settled = look::validator(stat, SystemTime::now());
    Listed {
        key,
        size_bytes: stat.len(),
        etag: match settled {
            Some(Validator::Strong(tag)) => Some(tag),
            _ => None,
        },
        modified: stat.modified().ok(),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}/{name}")
    }
}

/// Rides along in a heap that is ordered by names.
#[derive(PartialEq, Eq)]
struct Kind(FileType);

impl Ord for Kind {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
