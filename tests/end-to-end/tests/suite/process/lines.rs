//! Lines of a configuration that many tests write. No defaults of the gateway: what is written here is
//! what a test means.

use std::path::Path;

/// An `http` origin of this name at this URL, of which nothing is kept.
pub(crate) fn web(name: &str, url: &str) -> String {
    format!("[origins.{name}]\nkind = \"http\"\nurl = \"{url}\"\ncache = \"none\"\n")
}

/// A directory of this name, without a marker, of which nothing is kept.
pub(crate) fn directory(name: &str, root: &Path) -> String {
    let root = root.display();
    format!(
        "[origins.{name}]\nkind = \"filesystem\"\nroot = \"{root}\"\ncache = \"none\"\nmarker = \"\"\n"
    )
}

/// One route for every host, which publishes everything.
pub(crate) fn route(origins: &[&str]) -> String {
    format!("[[routes]]\nurl = \"/\"\nkeys = [\"\"]\norigins = {origins:?}\n")
}
