//! Which of an origin's own prefixes the routes publish. Pure.

use origin_resolver::RewriteRule;

use crate::config::Config;

/// The prefixes of this origin's own keys that some route publishes.
pub(super) fn own_prefixes(config: &Config, origin: &str, rewrite: &[RewriteRule]) -> Vec<String> {
    let mut own: Vec<String> = config
        .routes
        .iter()
        .filter(|route| route.origins.iter().any(|listed| **listed == *origin))
        .flat_map(|route| {
            route
                .keys
                .iter()
                .map(|key| narrowed(key, &route.key_prefix))
        })
        .flat_map(|prefix| rewritten(prefix, rewrite))
        .collect();
    own.sort_unstable();
    own.dedup();
    own
}

/// A published prefix in the route's spelling, for a key to ask for; `""` where no route has it.
pub(super) fn a_published_prefix(config: &Config, origin: &str) -> String {
    let route = config
        .routes
        .iter()
        .find(|route| route.origins.iter().any(|listed| **listed == *origin));
    route.map_or_else(String::new, |route| {
        let first = route.keys.first().map_or("", String::as_str);
        narrowed(first, &route.key_prefix).to_owned()
    })
}

/// Of two prefixes of which one begins the other, the longer.
fn narrowed<'a>(key: &'a str, key_prefix: &'a str) -> &'a str {
    if key_prefix.len() > key.len() {
        key_prefix
    } else {
        key
    }
}

/// Where the keys with this prefix begin in the origin's own layout: the first rule that matches
/// a key decides, so a short prefix can be spread over several places.
fn rewritten(prefix: &str, rules: &[RewriteRule]) -> Vec<String> {
    let mut own = Vec::new();
    for rule in rules {
        if let Some(rest) = prefix.strip_prefix(&*rule.from) {
            own.push(format!("{}{rest}", rule.to));
            return own;
        }
        if rule.from.starts_with(prefix) {
            own.push(rule.to.to_string());
        }
    }
    own.push(prefix.to_owned());
    own
}

/// The names at the first level of which nothing is published.
pub(super) fn unpublished(listed: &[String], published: &[String]) -> Vec<String> {
    let mut names = listed.to_vec();
    names.retain(|name| !published.iter().any(|prefix| touch(name, prefix)));
    names
}

/// The published prefixes below which nothing was listed.
pub(super) fn not_held(listed: &[String], published: &[String]) -> Vec<String> {
    let mut prefixes = published.to_vec();
    prefixes.retain(|prefix| !prefix.is_empty());
    prefixes.retain(|prefix| !listed.iter().any(|name| touch(name, prefix)));
    prefixes
}

fn touch(name: &str, prefix: &str) -> bool {
    name.starts_with(prefix) || prefix.starts_with(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, to: &str) -> RewriteRule {
        RewriteRule {
            from: from.into(),
            to: to.into(),
        }
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_prefix_goes_where_its_keys_go() {
        let rules = [rule("misskey/thumbs/", "t/"), rule("misskey/", "m/")];
        assert_eq!(rewritten("misskey/thumbs/a", &rules), ["t/a"]);
        assert_eq!(rewritten("misskey/", &rules), ["t/", "m/"]);
        assert_eq!(rewritten("", &rules), ["t/", "m/", ""]);
        assert_eq!(rewritten("null/", &rules), ["null/"]);
    }

    #[test]
    fn what_no_published_prefix_touches_is_unpublished() {
        let listed = texts(&["backup/", "dump.sql", "misskey/", "null/"]);
        assert_eq!(
            unpublished(&listed, &texts(&["misskey/", "null/deep/"])),
            ["backup/", "dump.sql"]
        );
        assert!(unpublished(&listed, &texts(&[""])).is_empty());
    }

    #[test]
    fn a_published_prefix_that_is_not_there_is_noticed() {
        let listed = texts(&["misskey/"]);
        let published = texts(&["", "misskey/", "misskye/"]);
        assert_eq!(not_held(&listed, &published), ["misskye/"]);
    }
}
