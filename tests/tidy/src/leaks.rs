//! Traces of the machine that something was written on, in any text but the lock file.

use crate::Finding;

// Written in two halves, so that this file does not find itself.
const HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("deb.", "debian.org"),
];
const DIRECTORY: &str = concat!("/wo", "rk/");

/// Absolute paths and the host names of package registries.
pub fn leaks(path: &str, text: &str) -> Vec<Finding> {
    if path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for host in HOSTS.iter().filter(|host| line.contains(**host)) {
            let problem = format!("the registry host {host} is named");
            let remedy = "name the package; which registry serves it is configured outside";
            findings.push(Finding::new(path, number, problem, remedy));
        }
        if has_absolute(line, DIRECTORY) {
            let problem = format!("a path below {DIRECTORY} is named");
            let remedy = "paths are relative to the repository";
            findings.push(Finding::new(path, number, problem, remedy));
        }
    }
    findings
}

/// Whether the directory is named from the root on, not below another one.
fn has_absolute(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.>}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_hosts_and_absolute_paths_are_found() {
        for host in HOSTS {
            assert_eq!(leaks("a.sh", &format!("curl https://{host}/x")).len(), 1);
        }
        assert_eq!(leaks("a.md", &format!("see\n`{DIRECTORY}x`"))[0].line, 2);
    }

    #[test]
    fn the_lock_file_and_other_directories_are_left_alone() {
        assert_eq!(leaks("Cargo.lock", HOSTS[0]), []);
        assert_eq!(
            leaks("a.md", &format!("some{DIRECTORY}x and crates.io")),
            []
        );
    }
}
