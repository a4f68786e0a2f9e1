//! The keys that rows name, as the routes spell them, each once: lines of a file.
//!
//! 16 bytes of memory a key. A row that names nothing of these routes is passed over: of most URLs
//! in the database the objects are elsewhere.

use std::collections::HashSet;
use std::io::{self, Write};

use misskey::{Name, Reference};
use object::ObjectKey;
use url::Url;

use super::prints::Print;
use crate::app::App;
use crate::config;
use crate::routes::is_published;
use crate::targets::{Otherwise, targets};

/// Keys as they come.
pub(crate) struct KeyList<'a, W> {
    app: &'a App,
    routes: Vec<&'a config::Route>,
    /// Also what no route publishes.
    all_keys: bool,
    seen: HashSet<Print>,
    lines: W,
    failed: Option<io::Error>,
}

impl<'a, W: Write> KeyList<'a, W> {
    pub(crate) fn new(app: &'a App, all_keys: bool, lines: W) -> Self {
        Self {
            app,
            routes: app.routes.iter().map(|route| &route.config).collect(),
            all_keys,
            seen: HashSet::new(),
            lines,
            failed: None,
        }
    }

    /// What a row of the database names.
    pub(crate) fn reference(&mut self, reference: &Reference) {
        match &reference.name {
            Name::Key(key) => self.key(key, reference),
            Name::File(file) => self.file(file, reference),
            Name::Url(url) => self.url(url, reference),
        }
    }

    /// The lines, and how many there are.
    ///
    /// # Errors
    /// They could not be written.
    pub(crate) fn done(mut self) -> io::Result<(W, u64)> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok((self.lines, self.seen.len() as u64)),
        }
    }

    /// A key as the bucket of its time spelled it: perhaps not as the route does.
    fn key(&mut self, key: &str, by: &Reference) {
        let Ok(own) = ObjectKey::parse(key) else {
            return;
        };
        let app = self.app;
        let routed = app
            .origins
            .iter()
            .filter_map(|origin| origin.route_key(&own));
        for routed in routed {
            self.add(&routed, by);
        }
        self.add(&own, by);
    }

    /// A file in the application's own directory, wherever a route has that.
    fn file(&mut self, name: &str, by: &Reference) {
        self.key(name, by);
        for route in self.routes.clone() {
            for prefix in route.keys.iter().chain([&route.key_prefix]) {
                if let Ok(key) = ObjectKey::parse(&format!("{prefix}{name}")) {
                    self.add(&key, by);
                }
            }
        }
    }

    /// A URL that a route answers; also where it stands in the query of a media proxy's URL.
    fn url(&mut self, text: &str, by: &Reference) {
        self.answered(text, by);
        if let Ok(url) = Url::parse(text) {
            for (_, value) in url.query_pairs() {
                self.answered(&value, by);
            }
        }
    }

    fn answered(&mut self, text: &str, by: &Reference) {
        if !text.contains("://") {
            return;
        }
        let found = targets(&self.app.table, &self.routes, text, Otherwise::Key);
        for target in found.into_iter().flatten() {
            self.add(&target.key, by);
        }
    }

    fn add(&mut self, key: &ObjectKey, by: &Reference) {
        let is_published = || self.routes.iter().any(|route| is_published(route, key));
        if self.failed.is_some() || !(self.all_keys || is_published()) {
            return;
        }
        if !self.seen.insert(Print::of(key.as_str())) {
            return;
        }
        let Reference {
            table, column, id, ..
        } = by;
        let line = (key.as_str(), format!("{table}.{column} of {id}"));
        let written = serde_json::to_writer(&mut self.lines, &line).map_err(io::Error::from);
        let written = written.and_then(|()| self.lines.write_all(b"\n"));
        self.failed = written.err();
    }
}

/// The key of a line.
///
/// # Errors
/// It is no line of such a list.
pub(crate) fn read_key(line: &str) -> Result<ObjectKey, String> {
    let read = serde_json::from_str::<(String, String)>(line);
    let (key, _) = read.map_err(|error| error.to_string())?;
    ObjectKey::parse(&key).map_err(|error| error.to_string())
}

/// The row that a line is from, in words.
pub(crate) fn read_row(line: &str) -> Box<str> {
    let read = serde_json::from_str::<(String, String)>(line);
    read.map(|(_, row)| row).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const CONFIG: &str = "[origins.new]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
        rewrite = [{ from = \"misskey/\", to = \"m/\" }]\n\
        [[routes]]\nname = \"media\"\nurl = \"https://m.example/\"\norigins = [\"new\"]\n\
        keys = [\"misskey/\", \"null/\"]\n";

    fn listed(names: impl IntoIterator<Item = Name>, all_keys: bool) -> Vec<(String, String)> {
        let config = Config::parse("test.toml", CONFIG, []).unwrap().config;
        let app = App::for_looking(&config).unwrap();
        let mut list = KeyList::new(&app, all_keys, Vec::new());
        for (number, name) in names.into_iter().enumerate() {
            list.reference(&Reference {
                table: "emoji",
                column: "publicUrl".into(),
                id: number.to_string().into(),
                name,
                original: None,
            });
        }
        let (lines, count) = list.done().unwrap();
        let lines = String::from_utf8(lines).unwrap();
        let read = |line| {
            let key = read_key(line).unwrap();
            (key.as_str().to_owned(), read_row(line).into())
        };
        let read: Vec<_> = lines.lines().map(read).collect();
        assert_eq!(read.len() as u64, count);
        read
    }

    #[test]
    fn keys_are_spelled_as_the_routes_do_and_stand_there_once() {
        let key = |text: &str| Name::Key(text.into());
        let url = |text: &str| Name::Url(text.into());
        let lines = listed(
            [
                key("m/a\n1.png"),
                key("misskey/b.png"),
                url("https://m.example/misskey/b.png"),
                url("https://p.example/?url=https%3A%2F%2Fm.example%2Fnull%2Fc"),
                url("https://elsewhere.example/misskey/d.png"),
                url("not a url"),
                key("backups/e"),
                Name::File("f".into()),
            ],
            false,
        );
        let keys: Vec<_> = lines.iter().map(|(key, _)| &**key).collect();
        let expected = [
            "misskey/a\n1.png",
            "misskey/b.png",
            "null/c",
            "misskey/f",
            "null/f",
        ];
        assert_eq!(keys, expected);
        assert_eq!(lines[2].1, "emoji.publicUrl of 3");
        let all = listed([key("backups/e")], true);
        assert_eq!(all[0].0, "backups/e");
    }

    #[test]
    fn a_list_that_cannot_be_written_is_none() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let config = Config::parse("test.toml", CONFIG, []).unwrap().config;
        let app = App::for_looking(&config).unwrap();
        let mut list = KeyList::new(&app, false, Full);
        list.reference(&Reference {
            table: "drive_file",
            column: "accessKey".into(),
            id: "1".into(),
            name: Name::Key("misskey/a".into()),
            original: None,
        });
        assert!(list.done().is_err());
    }
}
