//! What an operator means by a URL, a path or a key, when something is to be dropped or must stay
//! gone.
//!
//! Pure. A URL means one route; a path, every route that answers it on some host; a key, every
//! route that publishes it. Nothing is normalised but the one decoding of a path.

use object::ObjectKey;
use url::Url;

use crate::config;
use crate::explain::raw_path;
use crate::routes::{Routes, is_published, key_of};

/// A key on a route, by the route's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) route: usize,
    pub(crate) key: ObjectKey,
}

/// Keys on a route that begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrefixTarget {
    pub(crate) route: usize,
    pub(crate) prefix: String,
}

/// Why a text means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {why}")]
pub(crate) struct NoTarget {
    text: String,
    why: String,
}

/// How texts that are not URLs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// As a path if they begin with a slash, else as a key: as a purge is asked for.
    PathOrKey,
    /// As a key, byte for byte: as a tombstone is.
    Key,
}

/// What is meant by `text`; never empty.
///
/// # Errors
/// Nothing of these routes.
pub(crate) fn targets(
    table: &Routes,
    routes: &[&config::Route],
    text: &str,
    otherwise: Otherwise,
) -> Result<Vec<Target>, NoTarget> {
    let none = |why: String| NoTarget {
        text: text.to_owned(),
        why,
    };
    if text.contains("://") {
        let host = host_of(text).map_err(none)?;
        let path = decode(raw_path(text)).map_err(none)?;
        let place = table
            .find(Some(&host), &path)
            .ok_or_else(|| none("no route answers this URL".to_owned()))?;
        let key = key_of(routes[place.route], place.rest).map_err(|why| none(why.to_string()))?;
        return Ok(vec![Target {
            route: place.route,
            key,
        }]);
    }
    let found: Vec<_> = if text.starts_with('/') && otherwise == Otherwise::PathOrKey {
        let path = decode(text).map_err(none)?;
        let keys = places(routes, &path);
        keys.filter_map(|(route, rest)| {
            let key = key_of(routes[route], rest).ok()?;
            Some(Target { route, key })
        })
        .collect()
    } else {
        let key = ObjectKey::parse(text).map_err(|why| none(why.to_string()))?;
        let publishing = routes
            .iter()
            .enumerate()
            .filter(|(_, route)| is_published(route, &key));
        publishing
            .map(|(route, _)| Target {
                route,
                key: key.clone(),
            })
            .collect()
    };
    if found.is_empty() {
        return Err(none("no route answers or publishes it".to_owned()));
    }
    Ok(found)
}

/// What is meant by a prefix: a URL, a path or a beginning of keys.
///
/// # Errors
/// Nothing of these routes.
pub(crate) fn prefixes(
    table: &Routes,
    routes: &[&config::Route],
    text: &str,
) -> Result<Vec<PrefixTarget>, NoTarget> {
    let none = |why: String| NoTarget {
        text: text.to_owned(),
        why,
    };
    let on = |route: usize, rest: &str| PrefixTarget {
        route,
        prefix: format!("{}{rest}", routes[route].key_prefix),
    };
    let found: Vec<_> = if text.contains("://") {
        let host = host_of(text).map_err(none)?;
        let path = decode(raw_path(text)).map_err(none)?;
        let place = table.find(Some(&host), &path);
        place
            .map(|place| on(place.route, place.rest))
            .into_iter()
            .collect()
    } else if text.starts_with('/') {
        let path = decode(text).map_err(none)?;
        places(routes, &path)
            .map(|(route, rest)| on(route, rest))
            .collect()
    } else {
        (0..routes.len())
            .map(|route| PrefixTarget {
                route,
                prefix: text.to_owned(),
            })
            .collect()
    };
    if found.is_empty() {
        return Err(none("no route answers there".to_owned()));
    }
    Ok(found)
}

/// Each route with a URL below which the path lies, and what follows that URL's own path.
fn places<'a>(
    routes: &'a [&config::Route],
    path: &'a str,
) -> impl Iterator<Item = (usize, &'a str)> {
    routes.iter().enumerate().filter_map(move |(index, route)| {
        let rests = route.urls.iter();
        let shortest = rests
            .filter_map(|url| path.strip_prefix(url.path.as_str()))
            .min_by_key(|rest| rest.len())?;
        Some((index, shortest))
    })
}

fn host_of(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let host = url.host_str().ok_or("it has no host")?;
    Ok(host.strip_suffix('.').unwrap_or(host).to_owned())
}

fn decode(path: &str) -> Result<String, String> {
    let decoded = ObjectKey::decode(path).map_err(|error| error.to_string())?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config() -> Config {
        let text = "[origins.a]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
            [[routes]]\nname = \"media\"\nurl = \"https://m.example/\"\norigins = [\"a\"]\n\
            keys = [\"misskey/\"]\n\
            [[routes]]\nname = \"storage\"\nurl = \"https://x.example/storage/\"\n\
            key_prefix = \"s/\"\norigins = [\"a\"]\n";
        Config::parse("test.toml", text, []).unwrap().config
    }

    fn meant(text: &str, otherwise: Otherwise) -> Result<Vec<(usize, String)>, NoTarget> {
        let config = config();
        let routes: Vec<_> = config.routes.iter().collect();
        let found = targets(&Routes::new(&config.routes), &routes, text, otherwise)?;
        let plain = |target: Target| (target.route, target.key.as_str().to_owned());
        Ok(found.into_iter().map(plain).collect())
    }

    #[test]
    fn a_url_means_one_route_and_a_path_each_that_answers_it() {
        use Otherwise::{Key, PathOrKey};
        let one = |route, key: &str| Ok(vec![(route, key.to_owned())]);
        assert_eq!(
            meant("https://m.example/misskey/a%20b?x", PathOrKey),
            one(0, "misskey/a b")
        );
        assert_eq!(meant("https://x.example/storage/b", Key), one(1, "s/b"));
        assert_eq!(
            meant("/storage/b", PathOrKey),
            Ok(vec![(0, "storage/b".into()), (1, "s/b".into())])
        );
        assert_eq!(
            meant("misskey/a", PathOrKey),
            Ok(vec![(0, "misskey/a".into()), (1, "misskey/a".into())])
        );
        assert_eq!(meant("/misskey/a", Key), one(1, "/misskey/a"));
        assert!(meant("https://other.example/a", Key).is_err());
        assert!(meant("misskey/../a", Key).is_err());
    }

    #[test]
    fn a_prefix_means_the_keys_below_it() {
        let config = config();
        let routes: Vec<_> = config.routes.iter().collect();
        let table = Routes::new(&config.routes);
        let found = prefixes(&table, &routes, "https://x.example/storage/2020/").unwrap();
        assert_eq!(
            found,
            [PrefixTarget {
                route: 1,
                prefix: "s/2020/".into()
            }]
        );
        assert_eq!(prefixes(&table, &routes, "misskey/").unwrap().len(), 2);
    }
}
