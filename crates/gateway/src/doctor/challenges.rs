//! Whether an authority finds what it looks for: answers that another program lays, and the way to
//! the names that certificates are ordered for.
//!
//! Only from where this runs. An authority looks from elsewhere, so nothing about the way is more
//! than a warning: a machine behind NAT often cannot reach its own public address.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::aside::aside;
use super::finding::{Check, Finding, Findings, Level};
use super::hosts::{Lookup, is_private, list, look_up};
use crate::config::{Challenge, Config};
use crate::webroot;

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Examines the directory and the names at once.
pub(super) async fn examine(config: &Config, patience: Duration) -> Vec<Finding> {
    let (directory, names) = tokio::join!(laid(config, patience), names(config, patience));
    directory.into_iter().chain(names).collect()
}

async fn laid(config: &Config, patience: Duration) -> Vec<Finding> {
    let Some(directory) = config.server.acme_webroot.clone() else {
        return Vec::new();
    };
    let root = directory.clone();
    let seen = aside(patience, move || webroot::look(&root)).await;
    judge_directory(&directory, seen)
}

fn judge_directory(root: &Path, seen: Option<Result<(), (PathBuf, Errno)>>) -> Vec<Finding> {
    let mut findings = Findings::about("server.acme_webroot");
    let mut say = |level, what, remedy| findings.add(level, Check::Directory, what, remedy);
    match seen {
        None => say(
            Level::Problem,
            format!("{} did not answer in time", root.display()),
            "look whether its disk hangs",
        ),
        Some(Ok(())) => say(
            Level::Ok,
            format!("answers laid in {} are found", root.display()),
            "",
        ),
        Some(Err((at, Errno::NOENT))) => say(
            Level::Warning,
            format!(
                "{} is not there, so every challenge is answered 404",
                at.display()
            ),
            "make it, and give the program that fetches certificates the same path",
        ),
        Some(Err((at, Errno::NOTDIR | Errno::LOOP))) => say(
            Level::Problem,
            format!(
                "{} is a link or no directory, and is not entered",
                at.display()
            ),
            "write where it leads to as server.acme_webroot: below that no link is followed",
        ),
        Some(Err((at, errno))) => say(
            Level::Problem,
            format!("{} cannot be entered: {errno}", at.display()),
            "let the gateway's user enter it and read the files in it",
        ),
    }
    findings.into_list()
}

async fn names(config: &Config, patience: Duration) -> Vec<Finding> {
    let Some(acme) = config.acme() else {
        return Vec::new();
    };
    let ports: &[u16] = match acme.challenge {
        Challenge::Http01 => &[HTTP],
        Challenge::TlsAlpn01 => &[HTTPS],
        Challenge::Auto => &[HTTP, HTTPS],
    };
    let looked = acme.domains.iter().map(|domain| async move {
        let lookup = look_up(domain, patience / 2).await;
        let silent = match &lookup {
            Lookup::Resolved(addresses) => silent(addresses, ports, patience / 2).await,
            Lookup::Failed | Lookup::NoAnswer => Vec::new(),
        };
        judge_name(domain, ports, &lookup, &silent)
    });
    join_all(looked).await.into_iter().flatten().collect()
}

/// The addresses at which nothing answers by any of the ports.
async fn silent(addresses: &[IpAddr], ports: &[u16], patience: Duration) -> Vec<IpAddr> {
    let asked = addresses.iter().map(|address| async move {
        let tried = ports
            .iter()
            .map(|port| TcpStream::connect((*address, *port)));
        let answers = timeout(patience, join_all(tried)).await;
        let answers = answers.is_ok_and(|all| all.iter().any(Result::is_ok));
        (!answers).then_some(*address)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn judge_name(domain: &str, ports: &[u16], lookup: &Lookup, silent: &[IpAddr]) -> Vec<Finding> {
    let mut findings = Findings::about("server.tls.acme");
    let mut say = |level, what, remedy| findings.add(level, Check::Dns, what, remedy);
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    let ports = ports.join(" or ");
    match lookup {
        Lookup::Failed => say(
            Level::Warning,
            format!("{domain} does not resolve here, so no authority finds it"),
            "add A and AAAA records that lead to this machine",
        ),
        Lookup::NoAnswer => say(
            Level::Warning,
            format!("{domain}: the resolver did not answer in time"),
            "look at /etc/resolv.conf",
        ),
        Lookup::Resolved(_) if !silent.is_empty() => say(
            Level::Warning,
            format!(
                "{domain}: from here nothing answers at {} by port {ports}",
                list(silent)
            ),
            "start the gateway and publish the port; an authority tries each address, IPv6 too. Behind NAT this may be seen from elsewhere only",
        ),
        Lookup::Resolved(addresses) if addresses.iter().any(is_private) => say(
            Level::Notice,
            format!(
                "{domain} resolves here to {}, a private address",
                list(addresses)
            ),
            "an authority in the internet must find a public one",
        ),
        Lookup::Resolved(addresses) => say(
            Level::Ok,
            format!(
                "{domain}: something answers at {} by port {ports}",
                list(addresses)
            ),
            "",
        ),
    }
    findings.into_list()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_of_challenges_is_seen_as_it_is() {
        let here = tempfile::tempdir().unwrap();
        let at = |name: &str| here.path().join(name);
        fs::create_dir_all(at("whole/.well-known/acme-challenge")).unwrap();
        fs::create_dir(at("empty")).unwrap();
        fs::create_dir_all(at("linked/.well-known")).unwrap();
        symlink(at("empty"), at("linked/.well-known/acme-challenge")).unwrap();
        symlink(at("whole"), at("link")).unwrap();
        fs::write(at("file"), "").unwrap();
        for (name, level) in [
            ("whole", Level::Ok),
            ("empty", Level::Ok),
            ("link", Level::Ok),
            ("absent", Level::Warning),
            ("linked", Level::Problem),
            ("file", Level::Problem),
        ] {
            let found = judge_directory(&at(name), Some(webroot::look(&at(name))));
            assert_eq!(found[0].level, level, "{name}: {found:?}");
        }
        assert_eq!(judge_directory(here.path(), None)[0].level, Level::Problem);
    }

    #[test]
    fn nothing_about_the_way_of_an_authority_is_more_than_a_warning() {
        let addresses: Vec<IpAddr> = ["203.0.113.1", "2001:db8::1"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let private = Lookup::Resolved(vec!["192.168.0.2".parse().unwrap()]);
        let resolved = Lookup::Resolved(addresses.clone());
        for (lookup, silent, level, words) in [
            (&Lookup::Failed, &[][..], Level::Warning, "does not resolve"),
            (&Lookup::NoAnswer, &[], Level::Warning, "resolver"),
            (
                &resolved,
                &addresses[1..],
                Level::Warning,
                "at 2001:db8::1 by port 80 or 443",
            ),
            (&private, &[], Level::Notice, "private"),
            (&resolved, &[], Level::Ok, "something answers"),
        ] {
            let found = judge_name("media.test", &[HTTP, HTTPS], lookup, silent);
            assert_eq!(found[0].level, level, "{lookup:?}");
            assert!(found[0].what.contains(words), "{}", found[0].what);
        }
    }

    #[tokio::test]
    async fn an_address_is_silent_where_no_port_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let here: [IpAddr; 2] = [[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
        let patience = Duration::from_secs(5);
        assert_eq!(silent(&here, &[open, closed], patience).await, here[1..]);
        assert_eq!(silent(&here[1..], &[closed], patience).await, here[1..]);
    }
}
