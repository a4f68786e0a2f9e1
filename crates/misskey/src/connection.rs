//! Where the database is, as Misskey itself is told or as an operator writes it down.
//!
//! Errors never repeat the text: it holds passwords.

use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::Config;

/// A database in the next room answers sooner or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As it is shown in the database's list of sessions.
const APPLICATION: &str = "media-gateway";

/// How to reach Misskey's database.
#[derive(Clone)]
pub struct Connection {
    pub(crate) config: Config,
}

/// Why a text says nothing of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// It is no YAML, or not Misskey's.
    #[error("it is not the YAML of a Misskey configuration with a `db:` section")]
    Foreign,
    /// v10 and meisskey.
    #[error(
        "it is of a Misskey that keeps its rows in MongoDB, which is not read; run mongoexport \
         --collection driveFiles.files --out FILE there and use --meisskey-export FILE"
    )]
    Mongo,
    /// It is no URL of PostgreSQL.
    #[error("it is no URL of the form postgres://user:password@host:5432/database")]
    NotAUrl,
    /// TLS is asked for.
    #[error(
        "it asks for TLS, which is not spoken to a database here; connect over the machine's own \
         network or a socket (host=/var/run/postgresql)"
    )]
    Tls,
}

#[derive(Deserialize)]
struct File {
    db: Option<Section>,
    mongodb: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Section {
    host: String,
    port: Option<u16>,
    db: String,
    user: Option<String>,
    pass: Option<String>,
    extra: Option<Extra>,
}

#[derive(Deserialize)]
struct Extra {
    ssl: Option<serde::de::IgnoredAny>,
}

impl Connection {
    /// Reads Misskey's `.config/default.yml`.
    ///
    /// # Errors
    /// It is another file, of a Misskey on MongoDB, or asks for TLS.
    pub fn of_misskey_config(text: &str) -> Result<Self, ConnectionError> {
        let file: File = serde_saphyr::from_str(text).map_err(|_| ConnectionError::Foreign)?;
        let Some(section) = file.db else {
            return Err(match file.mongodb {
                Some(_) => ConnectionError::Mongo,
                None => ConnectionError::Foreign,
            });
        };
        if section.extra.is_some_and(|extra| extra.ssl.is_some()) {
            return Err(ConnectionError::Tls);
        }
        let mut config = Config::new();
        config.host(&section.host);
        config.port(section.port.unwrap_or(5432));
        config.dbname(&section.db);
        if let Some(user) = &section.user {
            config.user(user);
        }
        if let Some(pass) = &section.pass {
            config.password(pass);
        }
        Ok(Self::with(config))
    }

    /// Reads a URL, `postgres://user:password@host:5432/database`, or `host=… user=…` pairs; of a
    /// role of its own, that may only SELECT. White space around it is no part of it.
    ///
    /// # Errors
    /// It is something else, or asks for TLS.
    pub fn of_url(text: &str) -> Result<Self, ConnectionError> {
        let config: Config = text.trim().parse().map_err(|_| ConnectionError::NotAUrl)?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(ConnectionError::NotAUrl);
        }
        if config.get_ssl_mode() == tokio_postgres::config::SslMode::Require {
            return Err(ConnectionError::Tls);
        }
        Ok(Self::with(config))
    }

    fn with(mut config: Config) -> Self {
        config.connect_timeout(CONNECT_TIMEOUT);
        config.application_name(APPLICATION);
        Self { config }
    }

    /// Where it is, for a message: database, host and user, and no password.
    pub fn place(&self) -> String {
        use tokio_postgres::config::Host;
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let name = self.config.get_dbname().unwrap_or("");
        let user = self.config.get_user().unwrap_or("");
        format!("database \"{name}\" at {host}:{port} as \"{user}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSKEY: &str = "url: https://example.com/\ndb:\n  host: db.local\n  port: 5433\n  \
        db: misskey\n  user: reader\n  pass: 's3cret: #1'\nredis:\n  host: localhost\n";

    #[test]
    fn misskeys_own_file_says_where_it_is() {
        let connection = Connection::of_misskey_config(MISSKEY).unwrap();
        let place = connection.place();
        assert_eq!(place, "database \"misskey\" at db.local:5433 as \"reader\"");
        let password = connection.config.get_password();
        assert_eq!(password, Some(&b"s3cret: #1"[..]));
    }

    #[test]
    fn a_url_and_pairs_say_it_too() {
        for text in [
            "postgres://reader:s3cret%23@db.local:5433/misskey\n",
            "host=db.local port=5433 user=reader password=s3cret# dbname=misskey",
        ] {
            let connection = Connection::of_url(text).unwrap();
            let place = connection.place();
            assert_eq!(place, "database \"misskey\" at db.local:5433 as \"reader\"");
            assert_eq!(connection.config.get_password(), Some(&b"s3cret#"[..]));
        }
    }

    #[test]
    fn what_says_nothing_of_a_database_is_told_apart_and_not_repeated() {
        let of_file = |text: &str| Connection::of_misskey_config(text).err();
        assert_eq!(of_file("url: https://a/\n"), Some(ConnectionError::Foreign));
        assert_eq!(of_file("{"), Some(ConnectionError::Foreign));
        let mongo = "url: https://a/\nmongodb:\n  host: localhost\n  pass: s3cret\n";
        assert_eq!(of_file(mongo), Some(ConnectionError::Mongo));
        let tls = MISSKEY.replace("  host: db", "  extra:\n    ssl: true\n  host: db");
        assert_eq!(of_file(&tls), Some(ConnectionError::Tls));
        let of_url = |text: &str| Connection::of_url(text).err();
        for text in ["", "mysql://a/b", "postgres://db.local", "s3cret"] {
            assert_eq!(of_url(text), Some(ConnectionError::NotAUrl), "{text}");
        }
        let tls = "postgres://a:b@c/d?sslmode=require";
        assert_eq!(of_url(tls), Some(ConnectionError::Tls));
    }
}
