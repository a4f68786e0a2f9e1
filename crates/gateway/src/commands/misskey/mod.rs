//! Misskey's configuration beside ours, and what belongs into its form for object storage.
//!
//! Pure: texts and configurations in, words out. Secrets of either side are never repeated.
//!
//! v10 and meisskey keep object storage in `.config/default.yml` (`drive:`, `remoteDrive:`).
//! Since v11 it is in the database, where nothing is looked at: then only the form is derived.

mod comparison;
mod form;

use anyhow::Context;
use serde::Deserialize;

pub use comparison::{Comparison, compare};
pub use form::{Form, FormValue, form};

/// The part of Misskey's file that concerns media.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MisskeyConfig {
    /// Where the instance itself answers.
    url: Option<String>,
    /// Where uploads go.
    pub(super) drive: Option<Drive>,
    /// Where copies of remote files go, if elsewhere (meisskey).
    pub(super) remote_drive: Option<Drive>,
}

/// Where one kind of file is stored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Drive {
    pub(super) storage: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) config: Option<Minio>,
}

/// Its keys are left out on purpose: what is not read cannot be shown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Minio {
    pub(super) end_point: Option<String>,
    pub(super) port: Option<u16>,
    #[serde(rename = "useSSL")]
    pub(super) use_ssl: Option<bool>,
}

impl MisskeyConfig {
    /// Reads `.config/default.yml`.
    ///
    /// # Errors
    /// Where it is not YAML or not Misskey's. The error does not repeat the text, which holds
    /// passwords.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let misskey: Self = serde_saphyr::from_str(text)
            .ok()
            .context("it is not the YAML of a Misskey configuration")?;
        if misskey.url.is_none() && misskey.drive.is_none() {
            anyhow::bail!("it has neither url nor drive, so it is no Misskey configuration");
        }
        Ok(misskey)
    }
}
