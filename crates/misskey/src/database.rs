//! The rows, one after the other.

use std::collections::BTreeMap;
use std::error::Error as _;

use futures_util::{TryStreamExt, pin_mut};
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, NoTls, Row, Transaction};

use crate::columns::{BY_URL, DRIVE, KEYS, names_media, query};
use crate::{Connection, Name, Original, Reference};

/// A connection to Misskey's database.
pub struct Database {
    client: Client,
    /// Moves the connection; ends when the client is dropped.
    driver: JoinSet<()>,
    place: String,
}

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached, or does not let this role in.
    #[error("{place}: {what}; is it running, and may this role connect from here?")]
    Connect {
        /// Which.
        place: String,
        /// What it said.
        what: String,
    },
    /// It is some other database.
    #[error("{place}: it has no table \"drive_file\", so it is not Misskey's; look at its name")]
    Foreign {
        /// Which.
        place: String,
    },
    /// The role may not read.
    #[error(
        "{place}: {what}; as the database's owner: GRANT SELECT ON drive_file, emoji, \"user\", \
         avatar_decoration, announcement, ad, meta TO the role"
    )]
    Denied {
        /// Which.
        place: String,
        /// What it said.
        what: String,
    },
    /// It broke off. What was taken until then is not all.
    #[error("{place}: {what}")]
    Broken {
        /// Which.
        place: String,
        /// What it said.
        what: String,
    },
}

impl Database {
    /// Connects.
    ///
    /// # Errors
    /// [`DatabaseError::Connect`].
    pub async fn connect(to: &Connection) -> Result<Self, DatabaseError> {
        let place = to.place();
        let connected = to.config.connect(NoTls).await;
        let (client, connection) = connected.map_err(|error| DatabaseError::Connect {
            place: place.clone(),
            what: said(&error),
        })?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // What goes wrong is told to whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self {
            client,
            driver,
            place,
        })
    }

    /// Hands out everything that the rows name, at one moment of the database, in no order.
    /// Holds one row at a time. Returns how many rows of uploads there are.
    ///
    /// # Errors
    /// What was handed out until then is not all, and nothing must be concluded from it.
    pub async fn references(
        &mut self,
        mut take: impl FnMut(Reference),
    ) -> Result<u64, DatabaseError> {
        let place = self.place.clone();
        let failed = |error: tokio_postgres::Error| sorted(&place, &error);
        let snapshot = self
            .client
            .build_transaction()
            .read_only(true)
            .isolation_level(IsolationLevel::RepeatableRead)
            .start()
            .await
            .map_err(failed)?;
        let mut tables = columns(&snapshot).await.map_err(failed)?;
        let Some(drive) = tables.remove(DRIVE) else {
            return Err(DatabaseError::Foreign { place });
        };
        let uploads = uploads(&snapshot, &drive, &mut take).await;
        let uploads = uploads.map_err(failed)?;
        for table in BY_URL {
            let columns = tables.remove(*table).unwrap_or_default();
            let media: Vec<_> = columns
                .into_iter()
                .filter(|name| names_media(name))
                .collect();
            let named = urls(&snapshot, table, &media, &mut take).await;
            named.map_err(failed)?;
        }
        snapshot.commit().await.map_err(failed)?;
        Ok(uploads)
    }

    /// Ends the connection.
    pub async fn close(mut self) {
        drop(self.client);
        self.driver.join_next().await;
    }
}

/// The columns of the tables that are there, where this role finds them.
async fn columns(
    snapshot: &Transaction<'_>,
) -> Result<BTreeMap<String, Vec<String>>, tokio_postgres::Error> {
    let wanted: Vec<_> = BY_URL.iter().copied().chain([DRIVE]).collect();
    // The catalogue itself: the information schema hides tables that the role may not read.
    let rows = snapshot
        .query(
            "SELECT c.relname::text, a.attname::text FROM pg_attribute a \
             JOIN pg_class c ON c.oid = a.attrelid \
             WHERE c.relkind IN ('r', 'p', 'v', 'm') AND pg_table_is_visible(c.oid) \
             AND a.attnum > 0 AND NOT a.attisdropped AND c.relname::text = ANY($1) \
             ORDER BY a.attnum",
            &[&wanted],
        )
        .await?;
    let mut tables = BTreeMap::<String, Vec<String>>::new();
    for row in rows {
        tables
            .entry(row.try_get(0)?)
            .or_default()
            .push(row.try_get(1)?);
    }
    Ok(tables)
}

/// Keys, and what is known of the originals.
async fn uploads(
    snapshot: &Transaction<'_>,
    columns: &[String],
    take: &mut impl FnMut(Reference),
) -> Result<u64, tokio_postgres::Error> {
    let has = |name: &str| columns.iter().any(|column| column == name);
    let keys: Vec<_> = KEYS
        .iter()
        .filter(|name| has(name))
        .map(ToString::to_string)
        .collect();
    let internal = if has("storedInternal") {
        "\"storedInternal\""
    } else {
        "false"
    };
    let asked = query(DRIVE, &keys, &["size::int8", "md5::text", internal]);
    let rows = snapshot.query_raw(&asked, NO_PARAMETERS).await?;
    pin_mut!(rows);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        count += 1;
        let original = original(&row, keys.len() + 1)?;
        let internal: bool = row.try_get(keys.len() + 3)?;
        each(
            &row,
            DRIVE,
            &keys,
            |reference, text| {
                reference.name = if internal {
                    Name::File(text)
                } else {
                    Name::Key(text)
                };
                if &*reference.column == KEYS[0] {
                    reference.original = Some(original);
                }
            },
            take,
        )?;
    }
    Ok(count)
}

const NO_PARAMETERS: [&str; 0] = [];

fn original(row: &Row, at: usize) -> Result<Original, tokio_postgres::Error> {
    let size: Option<i64> = row.try_get(at)?;
    let md5: Option<&str> = row.try_get(at + 1)?;
    Ok(Original {
        size: size.and_then(|size| u64::try_from(size).ok()),
        md5: md5.and_then(|text| {
            let mut md5 = [0; 16];
            hex::decode_to_slice(text, &mut md5).ok().map(|()| md5)
        }),
    })
}

async fn urls(
    snapshot: &Transaction<'_>,
    table: &'static str,
    columns: &[String],
    take: &mut impl FnMut(Reference),
) -> Result<(), tokio_postgres::Error> {
    if columns.is_empty() {
        return Ok(());
    }
    let asked = query(table, columns, &[]);
    let rows = snapshot.query_raw(&asked, NO_PARAMETERS).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        let named = |reference: &mut Reference, text| reference.name = Name::Url(text);
        each(&row, table, columns, named, take)?;
    }
    Ok(())
}

/// Each text of a row that is there.
fn each(
    row: &Row,
    table: &'static str,
    columns: &[String],
    name: impl Fn(&mut Reference, Box<str>),
    take: &mut impl FnMut(Reference),
) -> Result<(), tokio_postgres::Error> {
    let id: &str = row.try_get(0)?;
    for (at, column) in columns.iter().enumerate() {
        let text: Option<&str> = row.try_get(at + 1)?;
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            continue;
        };
        let mut reference = Reference {
            table,
            column: column.as_str().into(),
            id: id.into(),
            name: Name::Url("".into()),
            original: None,
        };
        name(&mut reference, text.into());
        take(reference);
    }
    Ok(())
}

fn sorted(place: &str, error: &tokio_postgres::Error) -> DatabaseError {
    let (place, what) = (place.to_owned(), said(error));
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        DatabaseError::Denied { place, what }
    } else {
        DatabaseError::Broken { place, what }
    }
}

/// An error with its cause, which has the words of the database. No statement is in it.
fn said(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(database), _) => database.message().to_owned(),
        (None, Some(source)) => source.to_string(),
        (None, None) => error.to_string(),
    }
}
