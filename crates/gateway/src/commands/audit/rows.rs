//! The rows of the application, read for an audit: which keys they mean, and a list of them.
//!
//! The list lies in a file without a name; in memory a name takes 16 bytes.

use std::io::{BufWriter, IntoInnerError};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use migration::audit::Rows;
use migration::{Named, Share};

use crate::app::App;
use crate::commands::rows::Source;
use crate::config::Config;
use crate::rows::{KeyList, Names, Print, read_key, read_row};
use crate::unnamed;

/// Reads them all.
pub(super) async fn read(
    config: &Config,
    source: &Source,
    max_unreferenced: Share,
) -> anyhow::Result<Rows> {
    let cannot = "what the rows name cannot be kept";
    let app = App::for_looking(config)?;
    let file = unnamed::file().context(cannot)?;
    let mut names = Names::new(&app);
    let mut list = KeyList::new(&app, false, BufWriter::new(file));
    let read = SystemTime::now();
    let take = |reference: &_| {
        names.reference(reference);
        list.reference(reference);
    };
    source.read(take).await?;
    let names = names.done();
    let (lines, _) = list.done().context(cannot)?;
    let file = lines.into_inner().map_err(IntoInnerError::into_error);
    Ok(Rows {
        keys: Named {
            name: "what the rows name".into(),
            file: Arc::new(file.context(cannot)?),
            digest: [0; 32],
            read: Arc::new(read_key),
            may_be_absent: true,
        },
        row: Arc::new(read_row),
        names: Arc::new(move |key| names.contains(Print::of(key.as_str()))),
        read,
        max_unreferenced,
    })
}
