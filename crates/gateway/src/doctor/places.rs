//! The gateway's own directories: whether this process can use them, and the line that makes it so.
//!
//! Looks and changes nothing: a directory made by a check that ran as root would be root's.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use super::finding::{Check, Finding, Findings, Level};

/// What stands at a directory's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Usable,
    /// Somebody else's, or on a file system that is read-only.
    Unusable(String),
    NotADirectory,
    /// Not there; whether this process could make it.
    Absent {
        can_be_made: bool,
    },
}

/// Who looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// The user that this process runs as.
    pub(super) fn of_this_process() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }
}

/// Looks at a path; blocks, and hangs if the disk does.
pub(super) fn look(path: &Path) -> Standing {
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => Standing::NotADirectory,
        Ok(_) => match can_be_used(path) {
            Ok(()) => Standing::Usable,
            Err(errno) => Standing::Unusable(errno.to_string()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let above = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let above = above.ancestors().find(|above| above.is_dir());
            Standing::Absent {
                can_be_made: above.is_some_and(|above| can_be_used(above).is_ok()),
            }
        }
        Err(error) => Standing::Unusable(error.to_string()),
    }
}

/// Whether this process may look into a directory and change it. Blocks.
pub(super) fn can_be_used(path: &Path) -> rustix::io::Result<()> {
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(CWD, path, all, AtFlags::EACCESS)
}

/// Which directory is looked at, and what it means if it cannot be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The configuration's key.
    pub(super) key: &'static str,
    pub(super) path: &'a Path,
    /// How bad it is if it cannot be used.
    pub(super) worst: Level,
}

/// What that means for one of the gateway's directories.
pub(super) fn judge(place: Place<'_>, standing: Option<&Standing>, user: User) -> Vec<Finding> {
    let Place { key, path, worst } = place;
    let mut findings = Findings::about(key);
    let shown = path.display();
    let quoted = quoted(path);
    let User { uid, gid } = user;
    let mut say = |level, what: String, remedy: String| {
        findings.add(level, Check::Directory, what, remedy);
    };
    let made = format!("sudo install -d -o {uid} -g {gid} -m 0700 {quoted}");
    match standing {
        Some(Standing::Usable) => say(
            Level::Ok,
            format!("{shown} can be written by uid {uid}"),
            String::new(),
        ),
        Some(Standing::Unusable(error)) => say(
            worst,
            format!("{shown} cannot be used by uid {uid}: {error}"),
            format!("sudo chown -R {uid}:{gid} {quoted} && sudo chmod u+rwx {quoted}"),
        ),
        Some(Standing::NotADirectory) => say(
            worst,
            format!("{shown} is not a directory"),
            format!("name a directory in {key}"),
        ),
        Some(Standing::Absent { can_be_made: true }) => say(
            Level::Warning,
            format!("{shown} is not there yet; uid {uid} may make it"),
            format!("mkdir -p -m 0700 {quoted}"),
        ),
        Some(Standing::Absent { can_be_made: false }) => say(
            worst,
            format!("{shown} is not there, and uid {uid} may not make it"),
            made,
        ),
        None => say(
            worst,
            format!("{shown} did not answer in time"),
            "look whether its disk hangs".to_owned(),
        ),
    }
    findings.into_list()
}

/// A path that can be pasted into a shell.
pub(super) fn quoted(path: &Path) -> String {
    let path: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: User = User { uid: 991, gid: 990 };

    #[test]
    fn the_remedy_is_a_line_to_paste() {
        let path = Path::new("/var/lib/media gateway");
        let place = Place {
            key: "state.directory",
            path,
            worst: Level::Problem,
        };
        let remedy = |standing| judge(place, Some(&standing), USER).remove(0).remedy;
        assert_eq!(
            remedy(Standing::Absent { can_be_made: false }),
            "sudo install -d -o 991 -g 990 -m 0700 '/var/lib/media gateway'"
        );
        let denied = Standing::Unusable("permission denied".to_owned());
        assert!(remedy(denied).starts_with("sudo chown -R 991:990 '/var/lib/media gateway'"));
    }

    #[test]
    fn a_directory_is_seen_as_it_is() {
        let here = tempfile::tempdir().unwrap();
        assert_eq!(look(here.path()), Standing::Usable);
        let can_be_made = true;
        assert_eq!(
            look(&here.path().join("a/b")),
            Standing::Absent { can_be_made }
        );
        let file = here.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(look(&file), Standing::NotADirectory);
        let below_a_file = look(&file.join("x"));
        assert!(
            matches!(below_a_file, Standing::Unusable(_)),
            "{below_a_file:?}"
        );
    }
}
