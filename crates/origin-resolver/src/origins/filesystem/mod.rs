//! A directory, as an origin.
//!
//! | file | what it knows |
//! |---|---|
//! | `layout` | which path a key has |
//! | `beneath` | how a path is opened without leaving the root |
//! | `errno`, `root` | which absence counts |
//! | `metadata`, `types` | what a file's headers are |
//! | `look` | one question, answered in one blocking go |
//! | `reader`, `body` | the bytes |
//! | `listing` | every object once, a page at a time |
//! | `writing`, `changes` | how a file comes and goes; the steps that a crash leaves done or undone |
//! | `store` | the directory as a [`crate::Store`] |
//! | `hands` | where blocking work happens, and how much of it |
//! | `inspect` | what the operator's commands show and make |
//!
//! Nothing here writes unless the origin is writable, but for the marker. A directory has no strangers: access is whatever the
//! process's user may do, and a permission that is lacking is unknown, never missing.

mod beneath;
mod body;
mod changes;
mod errno;
mod hands;
mod inspect;
mod layout;
mod listing;
mod look;
mod metadata;
mod reader;
mod root;
mod store;
mod types;
mod writing;

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::hands::Hands;
pub use self::inspect::RootReport;
use self::look::{Looked, look};
use self::root::Root;
use self::writing::Writing;
use crate::{Access, Answer, Failure, FilesystemSettings, Origin, Question, Reason, Reply, Store};

/// How many first path segments are shown.
const TOP_PREFIXES: usize = 100;

/// A directory whose files are objects.
pub struct Filesystem {
    name: Arc<str>,
    root: Arc<Root>,
    writing: Arc<Writing>,
    hands: Hands,
}

impl Filesystem {
    /// An origin of this name. Does not touch the disk: the directory may come later, and is
    /// looked up anew for each question.
    pub fn open(name: &str, settings: &FilesystemSettings) -> Self {
        let root = Arc::new(Root::new(settings));
        Self {
            name: name.into(),
            writing: Arc::new(Writing::new(root.clone(), settings.min_free_bytes)),
            root,
            hands: Hands::new(),
        }
    }

    /// Looks at the root as it is now. Blocks, and hangs if the disk does.
    ///
    /// # Errors
    /// The root cannot be opened or listed.
    pub fn inspect_root(&self) -> io::Result<RootReport> {
        inspect::inspect(&self.root)
    }

    /// Marks the root as the right directory, durably. Blocks.
    ///
    /// # Errors
    /// `AlreadyExists` where the marker is there; `InvalidInput` where it is turned off; or the
    /// root cannot be written.
    pub fn create_marker(&self) -> io::Result<()> {
        inspect::create_marker(&self.root)
    }

    async fn answer(&self, question: Question) -> Answer {
        if question.key.is_reserved() {
            return Answer::Unknown(Failure::new(
                Reason::Denied,
                "names that begin with .media-gateway are the gateway's own",
            ));
        }
        let (name, root) = (self.name.clone(), self.root.clone());
        let looked = self
            .hands
            .in_time(move || look(&root, &name, &question))
            .await;
        match looked {
            Ok(Looked::Found(found)) => Answer::Found(Reply {
                head: found.head,
                aside: found.aside,
                extent: found.extent,
                body: body::body(found.first, found.rest, &self.hands),
            }),
            Ok(Looked::Missing) => Answer::Missing,
            Ok(Looked::Changed) => Answer::Changed,
            Ok(Looked::Unknown(failure)) | Err(failure) => Answer::Unknown(failure),
        }
    }
}

impl Origin for Filesystem {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(self.answer(question.clone()))
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn top_prefixes(&self, _access: Access) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        let root = self.root.clone();
        Box::pin(async move {
            let path = root.path().to_owned();
            let listed = self
                .hands
                .in_time(move || inspect::top_prefixes(&path, TOP_PREFIXES))
                .await?;
            listed.map_err(|error| {
                let reason = match error.kind() {
                    io::ErrorKind::PermissionDenied => Reason::Denied,
                    _ => Reason::Disk,
                };
                Failure::new(reason, format!("{}: {error}", root.path().display()))
            })
        })
    }
}
