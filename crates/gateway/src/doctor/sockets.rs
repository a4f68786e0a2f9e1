//! The unix sockets that are to be listened on: whether they can be.
//!
//! Connects where one is, and says nothing there: that is how a running gateway is told from what
//! a dead one has left.

use std::io;
use std::path::{Path, PathBuf};

use super::finding::{Check, Finding, Findings, Level};
use super::places::{self, User, can_be_used};
use crate::server::{self, Standing};

/// What stands at a socket's path.
pub(super) type Seen = io::Result<Standing>;

/// Looks at each; blocks. A path where nothing can be made is an error too.
pub(super) fn look(paths: &[PathBuf]) -> Vec<Seen> {
    let look = |path: &PathBuf| {
        can_be_used(path.parent().unwrap_or(path))?;
        server::look(path)
    };
    paths.iter().map(look).collect()
}

/// What that means; `None` where nothing was seen in time.
pub(super) fn judge(paths: &[PathBuf], seen: Option<Vec<Seen>>, user: User) -> Vec<Finding> {
    let mut findings = Findings::about("server.listen");
    let Some(seen) = seen else {
        if !paths.is_empty() {
            let remedy = "look whether the disk hangs that they are on";
            findings.add(
                Level::Problem,
                Check::Socket,
                "the unix sockets were not seen in time",
                remedy,
            );
        }
        return findings.into_list();
    };
    for (path, seen) in paths.iter().zip(seen) {
        let shown = path.display();
        match seen {
            Ok(Standing::Free) => findings.ok(Check::Socket, format!("{shown} can be made")),
            Ok(Standing::Stale) => findings.ok(
                Check::Socket,
                format!("{shown} is what a dead gateway has left, and is replaced"),
            ),
            Ok(Standing::Answers) => findings.add(
                Level::Notice,
                Check::Socket,
                format!("somebody listens on {shown}"),
                "fine if that is the running gateway; else stop it or choose another path",
            ),
            Ok(Standing::NoSocket) => findings.add(
                Level::Problem,
                Check::Socket,
                format!("a file that is no socket is at {shown}"),
                "remove it or choose another path",
            ),
            Err(error) => findings.add(
                Level::Problem,
                Check::Socket,
                format!("{shown} cannot be used by uid {}: {error}", user.uid),
                remedy(path, user),
            ),
        }
    }
    findings.into_list()
}

fn remedy(path: &Path, user: User) -> String {
    let directory = places::quoted(path.parent().unwrap_or(path));
    let User { uid, gid } = user;
    format!("sudo install -d -o {uid} -g {gid} -m 0750 {directory}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn each_socket_is_seen_as_it_is() {
        let here = tempfile::tempdir().unwrap();
        let at = |name: &str| here.path().join(name);
        let _listening = UnixListener::bind(at("running")).unwrap();
        drop(UnixListener::bind(at("stale")).unwrap());
        fs::write(at("file"), "").unwrap();
        let names = ["free", "stale", "running", "file", "absent/x"];
        let paths = names.map(at);
        let user = User { uid: 991, gid: 990 };
        let findings = judge(&paths, Some(look(&paths)), user);
        let levels: Vec<_> = findings.iter().map(|finding| finding.level).collect();
        let expected = [
            Level::Ok,
            Level::Ok,
            Level::Notice,
            Level::Problem,
            Level::Problem,
        ];
        assert_eq!(levels, expected);
        let made = format!(
            "sudo install -d -o 991 -g 990 -m 0750 {}",
            at("absent").display()
        );
        assert_eq!(findings[4].remedy, made);
        assert_eq!(judge(&paths, None, user)[0].level, Level::Problem);
        assert!(judge(&[], None, user).is_empty());
    }
}
