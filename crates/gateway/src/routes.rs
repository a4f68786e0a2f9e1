//! Which route answers a URL, and which key the URL means there.
//!
//! Pure. A host before any host, the longest prefix first; the configuration has already refused
//! two routes with the same URL. Nothing is normalised but the one decoding of the path.

use object::{InvalidKey, ObjectKey};

use crate::config;

/// Every route's URLs, in the order they are tried.
#[derive(Debug)]
pub(crate) struct Routes {
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    host: Option<String>,
    path: String,
    /// The index in the configuration.
    route: usize,
}

/// A URL's place among the routes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// The route's index in the configuration.
    pub(crate) route: usize,
    /// What follows the route's own prefix.
    pub(crate) rest: &'a str,
}

impl Routes {
    pub(crate) fn new(routes: &[config::Route]) -> Self {
        let mut places: Vec<_> = routes
            .iter()
            .enumerate()
            .flat_map(|(route, configured)| {
                configured.urls.iter().map(move |url| Place {
                    host: url.host.clone(),
                    path: url.path.clone(),
                    route,
                })
            })
            .collect();
        places.sort_by_key(|place| (place.host.is_none(), std::cmp::Reverse(place.path.len())));
        Self { places }
    }

    /// The route for a host (lower case, without port) and a decoded path.
    pub(crate) fn find<'a>(&self, host: Option<&str>, path: &'a str) -> Option<Found<'a>> {
        self.places.iter().find_map(|place| {
            let host_fits = place.host.is_none() || place.host.as_deref() == host;
            let rest = path.strip_prefix(place.path.as_str())?;
            host_fits.then_some(Found {
                route: place.route,
                rest,
            })
        })
    }
}

/// The key that a URL means on a route.
pub(crate) fn key_of(route: &config::Route, rest: &str) -> Result<ObjectKey, InvalidKey> {
    if rest.is_empty() {
        return Err(InvalidKey::Empty);
    }
    if route.key_prefix.is_empty() {
        ObjectKey::parse(rest)
    } else {
        ObjectKey::parse(&format!("{}{rest}", route.key_prefix))
    }
}

/// Whether a route publishes a key: only listed prefixes, never the gateway's own files.
pub(crate) fn is_published(route: &config::Route, key: &ObjectKey) -> bool {
    let listed = |prefix: &String| key.as_str().starts_with(prefix.as_str());
    !key.is_reserved() && route.keys.iter().any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn routes(urls: &[&str]) -> Routes {
        let origin = "[origins.a]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n".to_owned();
        let routes = urls.iter().enumerate().map(|(index, url)| {
            format!("[[routes]]\nname = \"r{index}\"\nurl = \"{url}\"\norigins = [\"a\"]\n")
        });
        let text = std::iter::once(origin).chain(routes).collect::<String>();
        let loaded = Config::parse("test.toml", &text, []).unwrap();
        Routes::new(&loaded.config.routes)
    }

    #[test]
    fn a_host_comes_before_any_host_and_the_longest_prefix_first() {
        let routes = routes(&["/", "https://m.example/", "https://m.example/a/", "/a/b/"]);
        let find = |host, path| {
            routes
                .find(Some(host), path)
                .map(|found| (found.route, found.rest))
        };
        assert_eq!(find("m.example", "/a/b/c"), Some((2, "b/c")));
        assert_eq!(find("m.example", "/x"), Some((1, "x")));
        assert_eq!(find("other.example", "/a/b/c"), Some((3, "c")));
        assert_eq!(find("other.example", "//x"), Some((0, "/x")));
    }

    #[test]
    fn an_unknown_host_or_path_has_no_route() {
        let routes = routes(&["https://m.example/storage/"]);
        for (host, path) in [
            (Some("other.example"), "/storage/x"),
            (None, "/storage/x"),
            (Some("m.example"), "/storage"),
            (Some("m.example"), "/storagex/y"),
        ] {
            assert_eq!(routes.find(host, path), None, "{host:?} {path}");
        }
    }
}
