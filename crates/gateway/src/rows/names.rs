//! Which keys the application names: as keys, as files, as URLs.
//!
//! A name too many protects an object, a name too few deletes one. So a URL counts also under
//! hosts that are not the gateway's any more, and a key also as an origin's `rewrite` spells it.

use misskey::{Name, Reference};
use object::ObjectKey;
use url::Url;

use super::prints::{Gathering, Print, Prints};
use crate::app::App;
use crate::config;
use crate::explain::raw_path;
use crate::routes::is_published;
use crate::targets::{Otherwise, targets};

/// Names as they come.
pub(crate) struct Names<'a> {
    app: &'a App,
    routes: Vec<&'a config::Route>,
    prints: Gathering,
}

impl<'a> Names<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        Self {
            app,
            routes: app.routes.iter().map(|route| &route.config).collect(),
            prints: Gathering::default(),
        }
    }

    pub(crate) fn done(self) -> Prints {
        self.prints.done()
    }

    /// What a row of the database names.
    pub(crate) fn reference(&mut self, reference: &Reference) {
        match &reference.name {
            Name::Key(key) => self.key(key),
            Name::File(file) => self.file(file),
            Name::Url(url) => self.url(url),
        }
    }

    /// A key as the bucket of its time spelled it: perhaps not as the route does.
    fn key(&mut self, key: &str) {
        self.prints.add(Print::of(key));
        let Ok(own) = ObjectKey::parse(key) else {
            return;
        };
        for origin in &self.app.origins {
            if let Some(routed) = origin.route_key(&own)
                && routed != own
            {
                self.prints.add(Print::of(routed.as_str()));
            }
        }
    }

    /// A file in the application's own directory, wherever a route has that.
    fn file(&mut self, name: &str) {
        self.key(name);
        for route in &self.routes {
            for prefix in route.keys.iter().chain([&route.key_prefix]) {
                let key = format!("{prefix}{name}");
                self.prints.add(Print::of(&key));
            }
        }
    }

    /// A URL of anybody.
    fn url(&mut self, text: &str) {
        self.path_of(text);
        // A media proxy, which has the URL that is meant in its query.
        if let Ok(url) = Url::parse(text) {
            for (_, value) in url.query_pairs().filter(|(_, value)| value.contains("://")) {
                self.path_of(&value);
            }
        }
    }

    fn path_of(&mut self, text: &str) {
        let path = raw_path(text);
        let (table, routes) = (&self.app.table, &self.routes);
        let as_url = targets(table, routes, text, Otherwise::Key);
        let as_path = targets(table, routes, path, Otherwise::PathOrKey);
        for target in [as_url, as_path].into_iter().flatten().flatten() {
            self.prints.add(Print::of(target.key.as_str()));
        }
        // Where it was before: below a bucket's name, or whatever stood there.
        let Ok(decoded) = ObjectKey::decode(path) else {
            return;
        };
        for (at, _) in decoded.match_indices('/') {
            for rest in [&decoded[at..], &decoded[at + 1..]] {
                let Ok(key) = ObjectKey::parse(rest) else {
                    continue;
                };
                if self.routes.iter().any(|route| is_published(route, &key)) {
                    self.prints.add(Print::of(rest));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const CONFIG: &str = "[origins.new]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
        rewrite = [{ from = \"misskey/\", to = \"m/\" }]\n\
        [[routes]]\nname = \"media\"\nurl = \"https://m.example/\"\norigins = [\"new\"]\n\
        keys = [\"misskey/\", \"null/\"]\n\
        [[routes]]\nname = \"storage\"\nurl = \"https://x.example/storage/\"\n\
        key_prefix = \"s/\"\norigins = [\"new\"]\nkeys = [\"s/\"]\n";

    fn protected(name: Name, key: &str) -> bool {
        let config = Config::parse("test.toml", CONFIG, []).unwrap().config;
        let app = App::for_looking(&config).unwrap();
        let mut names = Names::new(&app);
        names.reference(&Reference {
            table: "emoji",
            column: "publicUrl".into(),
            id: "1".into(),
            name,
            original: None,
        });
        names.done().contains(Print::of(key))
    }

    #[test]
    fn whatever_a_row_may_mean_is_protected() {
        let key = |text: &str| Name::Key(text.into());
        let url = |text: &str| Name::Url(text.into());
        for (name, protects) in [
            (key("misskey/a b.png"), "misskey/a b.png"),
            (key("/leading"), "/leading"),
            (key("m/a.png"), "misskey/a.png"),
            (Name::File("c".into()), "c"),
            (Name::File("c".into()), "misskey/c"),
            (
                url("https://m.example/misskey/a%20b.png?v=1"),
                "misskey/a b.png",
            ),
            (url("https://x.example/storage/a.png"), "s/a.png"),
            (url("https://new-name.example/storage/a.png"), "s/a.png"),
            (
                url("https://old.example/bucket/misskey/a.png"),
                "misskey/a.png",
            ),
            (url("https://old.example//null/a.png"), "null/a.png"),
            (
                url(
                    "https://p.example/avatar.webp?url=https%3A%2F%2Fm.example%2Fmisskey%2Fa.png&avatar=1",
                ),
                "misskey/a.png",
            ),
        ] {
            assert!(protected(name.clone(), protects), "{name:?}: {protects}");
        }
        for (name, other) in [
            (key("misskey/a.png"), "misskey/b.png"),
            (url("https://m.example/misskey/a.png"), "a.png"),
            (url("not a url"), "misskey/a.png"),
        ] {
            assert!(!protected(name.clone(), other), "{name:?}: {other}");
        }
    }
}
