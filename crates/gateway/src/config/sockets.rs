//! Unix sockets for a proxy on the same machine: where they are, and who may connect.
//!
//! Looks at what is written only; what stands at a path is seen when it is bound. Refuses abstract
//! sockets: they have no mode, so anybody on the machine could connect.

use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::problem::Problem;
use super::proxies::TrustedProxies;

/// What stands before a path.
pub(super) const SCHEME: &str = "unix:";
/// What `sockaddr_un` holds, without the NUL at its end (unix(7)).
const LONGEST_BYTES: usize = 107;
/// The user and the group.
const DEFAULT_MODE: u32 = 0o660;
const EVERYBODY_MAY_CONNECT: u32 = 0o002;
const EXAMPLE: &str = "unix:/run/media-gateway/media.sock";

/// One socket, written as `text` at this key.
pub(super) fn check(
    key: String,
    text: &str,
    path: &str,
    found: &mut Vec<PathBuf>,
    findings: &mut Findings,
) {
    let (socket, write) = (Path::new(path), format!("write it as \"{EXAMPLE}\""));
    let (reason, remedy) = if !socket.is_absolute() {
        ("not the whole path of a socket", write)
    } else if path.ends_with('/') || socket.file_name().is_none() {
        ("a directory is no socket", write)
    } else if path.contains('\0') {
        ("no path holds a NUL", write)
    } else if path.len() > LONGEST_BYTES {
        let length = path.len();
        let remedy = format!(
            "this one has {length} bytes; choose a directory with a short path, such as /run"
        );
        ("the path of a unix socket has at most 107 bytes", remedy)
    } else if found.iter().any(|other| other == socket) {
        ("listed twice", "remove one of the two".to_owned())
    } else {
        found.push(socket.to_owned());
        return;
    };
    findings.refuse(Problem::new(key, reason, remedy).with_value(text));
}

/// The mode, as it is written: three or four octal digits.
pub(super) fn check_mode(written: Option<&str>, findings: &mut Findings) -> u32 {
    let Some(text) = written else {
        return DEFAULT_MODE;
    };
    let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal);
    match mode {
        Some(mode) if mode <= 0o777 && mode & 0o600 == 0o600 => mode,
        _ => {
            findings.refuse(
                Problem::new(
                    "server.socket_mode",
                    "not a mode of a socket that its owner may use",
                    "write \"0660\" for the user and the group, or \"0600\", or \"0666\" for everybody",
                )
                .with_value(text),
            );
            DEFAULT_MODE
        }
    }
}

/// What is questionable about them together.
pub(super) fn check_use(
    sockets: &[PathBuf],
    mode: u32,
    trusted: &TrustedProxies,
    findings: &mut Findings,
) {
    if trusted.by_socket && sockets.is_empty() {
        findings.warn(
            Problem::new(
                "server.trusted_proxies",
                "no unix socket is listened on",
                format!("add \"{EXAMPLE}\" to server.listen, or remove it"),
            )
            .with_value(SCHEME),
        );
    } else if trusted.by_socket && mode & EVERYBODY_MAY_CONNECT != 0 {
        findings.warn(
            Problem::new(
                "server.socket_mode",
                "every user of this machine may connect, and claim any address for a client",
                "write \"0660\" and put the proxy's user into the socket's group",
            )
            .with_value(format!("{mode:04o}")),
        );
    } else if !trusted.by_socket && !sockets.is_empty() {
        findings.warn(
            Problem::new(
                "server.listen",
                "who connects by a unix socket has no address, and X-Forwarded-For is not believed there: clients are not told apart",
                "add \"unix:\" to server.trusted_proxies if only your proxy may connect",
            )
            .with_value(format!("{SCHEME}{}", sockets[0].display())),
        );
    }
}
