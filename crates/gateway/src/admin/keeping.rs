//! The cache as a whole, for the commands beside the gateway.
//!
//! Answered on the control socket only.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Admin;

/// What the cache holds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CacheReport {
    /// Whether the disk can be used.
    pub(crate) up: bool,
    /// Objects on the disk.
    pub(crate) objects: u64,
    /// Files on the disk.
    pub(crate) files: u64,
    /// Bytes on the disk, as allocated, with the index.
    pub(crate) disk_bytes: u64,
    /// Bytes in memory; none where no gateway runs.
    pub(crate) memory_bytes: u64,
    /// Objects that no origin of their route has any more.
    pub(crate) orphans: u64,
}

/// What a verification has found.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct VerifyReport {
    /// Slices whose files were read.
    pub(crate) slices: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Slices and rows that were damaged, and are removed; and files that could not be read.
    pub(crate) damaged: u64,
    /// The first of them, one a line.
    pub(crate) list: Vec<String>,
}

pub(super) async fn stat(State(admin): State<Admin>) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let usage = keeping.cache.usage();
    Json(CacheReport {
        up: keeping.cache.is_up(),
        objects: usage.entries,
        files: usage.files,
        disk_bytes: usage.bytes,
        memory_bytes: keeping.cache.memory_bytes(),
        orphans: usage.orphans,
    })
    .into_response()
}

pub(super) async fn verify(State(admin): State<Admin>) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    match keeping.cache.verify().await {
        Ok(verified) => Json(VerifyReport::from(verified)).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

impl From<cache::Verified> for VerifyReport {
    fn from(verified: cache::Verified) -> Self {
        Self {
            slices: verified.slices,
            bytes: verified.bytes,
            damaged: verified.damaged + verified.missing + verified.bad_rows + verified.unreadable,
            list: verified.list,
        }
    }
}
