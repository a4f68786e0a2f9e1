//! Which part may name which library. Cargo-deny holds the walls between crates; these run
//! inside them, and hold where a manifest has let a library in for a test.

use crate::rust::{lines_naming, lines_with, tokens};
use crate::{Finding, Tree};

struct Wall {
    libraries: &'static [&'static str],
    /// Whether a file stands outside, where the libraries may not be named.
    outside: fn(&str) -> bool,
    remedy: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        libraries: &["figment"],
        outside: |path| !path.starts_with("crates/gateway/src/config/"),
        remedy: "take checked settings from the gateway's configuration",
    },
    Wall {
        libraries: &["reqwest"],
        outside: |path| {
            path.starts_with("crates/")
                && !path.starts_with("crates/origin-resolver/src/origins/")
                && path != "crates/gateway/src/posting.rs"
                && path != "crates/gateway/src/acme/authority.rs"
                && !path.starts_with("crates/demo/")
        },
        remedy: "ask an `Origin`; requests are made in crates/origin-resolver/src/origins; what is told to others, in crates/gateway/src/posting.rs; what an authority of certificates is asked, in crates/gateway/src/acme/authority.rs",
    },
    Wall {
        libraries: &["axum", "clap"],
        outside: |path| !path.starts_with("crates/gateway/") && !path.starts_with("crates/demo/"),
        remedy: "serving and command lines belong to crates/gateway",
    },
    Wall {
        libraries: &["tokio", "http", "reqwest", "hyper"],
        outside: |path| path.starts_with("crates/object/"),
        remedy: "crates/object is vocabulary; what runs or talks belongs to the crate that does",
    },
    Wall {
        libraries: &["origin_resolver"],
        outside: |path| path.starts_with("crates/cache/"),
        remedy: "the cache knows objects only; the gateway brings the two together",
    },
];

/// Libraries named where they may not be.
pub fn walls(path: &str, text: &str) -> Vec<Finding> {
    let tokens = match tokens(path, text) {
        Ok(tokens) => tokens,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    for wall in WALLS.iter().filter(|wall| (wall.outside)(path)) {
        for library in wall.libraries {
            for line in lines_naming(&tokens, library) {
                let problem = format!("`{library}` is named here");
                findings.push(Finding::new(path, line, problem, wall.remedy));
            }
        }
    }
    findings
}

/// Tasks that nobody owns.
pub fn spawned_tasks(path: &str, text: &str) -> Vec<Finding> {
    let Ok(tokens) = tokens(path, text) else {
        return Vec::new(); // `walls` says it
    };
    let direct = lines_with(&tokens, &["tokio", ":", ":", "spawn"]);
    let nested = lines_with(&tokens, &["tokio", ":", ":", "task", ":", ":", "spawn"]);
    direct
        .into_iter()
        .chain(nested)
        .map(|line| {
            let remedy = "a task has an owner: take a `TaskTracker`";
            Finding::new(path, line, "a task is spawned that nobody owns", remedy)
        })
        .collect()
}

/// The library that keeps files for the cache, named in more than one file.
pub fn cacache_in_one_file(tree: &Tree) -> Vec<Finding> {
    let mut named = Vec::new();
    for (path, text) in tree.texts_ending(".rs") {
        let lines = tokens(path, text).map(|tokens| lines_naming(&tokens, "cacache"));
        if let Some(line) = lines.ok().and_then(|lines| lines.first().copied()) {
            named.push((path, line));
        }
    }
    if named.len() < 2 {
        return Vec::new();
    }
    named
        .into_iter()
        .map(|(path, line)| {
            let remedy = "keep it behind one file of crates/cache, so that it can be exchanged";
            Finding::new(path, line, "`cacache` is named in several files", remedy)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &str, text: &str) {
        let found = walls(path, text);
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
        assert_eq!(found[0].line, 1);
    }

    #[track_caller]
    fn allowed(path: &str, text: &str) {
        assert_eq!(walls(path, text), [], "{path}: {text}");
    }

    #[test]
    fn configuration_is_read_in_one_directory() {
        allowed("crates/gateway/src/config/load.rs", "use figment::Figment;");
        refused("crates/gateway/src/app.rs", "use figment::Figment;");
        refused("tests/end-to-end/tests/a.rs", "use figment::Figment;");
    }

    #[test]
    fn only_origins_and_tests_make_requests() {
        allowed(
            "crates/origin-resolver/src/origins/http.rs",
            "use reqwest::Client;",
        );
        allowed("crates/gateway/src/posting.rs", "use reqwest::Client;");
        allowed(
            "crates/gateway/src/acme/authority.rs",
            "use reqwest::Client;",
        );
        refused("crates/gateway/src/media.rs", "use reqwest::Client;");
        allowed("crates/demo/src/main.rs", "use reqwest::Client;");
        allowed("tests/end-to-end/tests/a.rs", "use reqwest::Client;");
        refused("crates/origin-resolver/src/walk.rs", "use reqwest::Client;");
        refused("crates/gateway/tests/a.rs", "use reqwest::Client;");
    }

    #[test]
    fn only_programs_serve_and_read_command_lines() {
        allowed("crates/gateway/src/routes.rs", "use axum::Router;");
        allowed("crates/demo/src/main.rs", "use clap::Parser;");
        refused("crates/origin-resolver/src/lib.rs", "use axum::Router;");
        refused("tests/servers/src/lib.rs", "use clap::Parser;");
    }

    #[test]
    fn the_vocabulary_neither_runs_nor_talks() {
        for library in ["tokio", "http", "hyper"] {
            refused("crates/object/src/key.rs", &format!("use {library}::X;"));
        }
        allowed("crates/object/src/key.rs", "use httpdate::HttpDate;");
    }

    #[test]
    fn the_cache_knows_no_origins() {
        refused("crates/cache/src/lib.rs", "use origin_resolver::Origin;");
        allowed("crates/gateway/src/app.rs", "use origin_resolver::Origin;");
    }

    #[test]
    fn a_task_without_an_owner_is_found() {
        let found = |text| spawned_tasks("a.rs", text).len();
        assert_eq!(found("fn f() { tokio::spawn(g()); }"), 1);
        assert_eq!(found("use tokio::task::spawn;"), 1);
        assert_eq!(found("fn f(t: TaskTracker) { t.spawn(g()); }"), 0);
        assert_eq!(found("fn f() { tokio::task::spawn_blocking(g); }"), 0);
    }

    #[test]
    fn the_store_behind_the_cache_is_named_once() {
        let one = [("a.rs", "use cacache::A;"), ("b.rs", "// cacache::A")];
        assert_eq!(cacache_in_one_file(&Tree::from(one)), []);
        let two = [("a.rs", "use cacache::A;"), ("b.rs", "use cacache::B;")];
        assert_eq!(cacache_in_one_file(&Tree::from(two)).len(), 2);
    }
}
