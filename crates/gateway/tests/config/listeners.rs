//! Where viewers connect and who stands in front: what is refused, and what is questionable.

use super::bad_input::{refused, warned};
use super::{FINE, fine, paths, problems};

#[test]
fn listeners_that_cannot_be_are_refused() {
    for (listen, words) in [
        ("\":8080\"", "[::]:8080"),
        ("\"localhost:80\"", "127.0.0.1:80"),
        ("\"[::]\"", "such as"),
        ("[]", "nowhere"),
    ] {
        refused(
            &format!("{FINE}[server]\nlisten = {listen}\n"),
            "server.listen",
            words,
        );
    }
    for listen in [
        "[\"0.0.0.0:8080\", \"[::]:8080\"]",
        "[\"[::]:8080\", \"127.0.0.1:8080\"]",
    ] {
        let text = format!("{FINE}[server]\nlisten = {listen}\n");
        refused(&text, "server.listen[1]", "takes IPv4 as well");
    }
    for admin in ["127.0.0.1:8080", "[::]:8080"] {
        let problems = problems(&format!("{FINE}[admin]\nlisten = \"{admin}\"\n"));
        assert_eq!(paths(&problems), ["admin.listen"]);
    }
}

#[test]
fn unix_sockets_that_cannot_be_are_refused() {
    let long = format!("unix:/{}", "x".repeat(107));
    for (socket, words) in [
        ("unix:", "the whole path"),
        ("unix:media.sock", "the whole path"),
        ("unix:@media", "the whole path"),
        ("unix:/run/", "a directory"),
        ("unix:/a\\u0000b", "NUL"),
        (&*long, "107 bytes"),
    ] {
        let text = format!("{FINE}[server]\nlisten = \"{socket}\"\n");
        refused(&text, "server.listen", words);
    }
    let twice = "[\"unix:/a\", \"[::]:8080\", \"unix:/a\"]";
    let text = format!("{FINE}[server]\nlisten = {twice}\n");
    refused(&text, "server.listen[2]", "listed twice");
    let text = format!("{FINE}[admin]\nlisten = \"unix:/a\"\n");
    refused(&text, "admin.listen", "only server.listen");
    for mode in ["", "66", "0990", "0440", "1660", "-660", "rw-rw----"] {
        let text = format!("{FINE}[server]\nsocket_mode = \"{mode}\"\n");
        refused(&text, "server.socket_mode", "0660");
    }
    let text = format!("{FINE}[server]\ntrusted_proxies = [\"unix:/a\"]\n");
    refused(&text, "server.trusted_proxies[0]", "without a path");
}

#[test]
fn what_is_questionable_about_a_unix_socket_is_told() {
    let with = |lines: &str| format!("{FINE}[server]\n{lines}\n");
    let socket = "listen = \"unix:/run/m.sock\"\n";
    let trusted = "trusted_proxies = [\"unix:\"]\n";
    warned(&with(socket), "server.listen", "clients are not told apart");
    warned(&with(trusted), "server.trusted_proxies", "no unix socket");
    let everybody = format!("{socket}{trusted}socket_mode = \"666\"");
    warned(&with(&everybody), "server.socket_mode", "every user");
    let config = fine(&with(&format!("{socket}{trusted}"))).config;
    assert!(config.server.listen.addresses.is_empty());
    assert_eq!(config.server.socket_mode, 0o660);
}

#[test]
fn nobody_announces_clients_whom_nobody_trusts() {
    let text = format!("[server]\nproxy_protocol = true\n{FINE}");
    refused(&text, "server.proxy_protocol", "no proxy is trusted");
}
