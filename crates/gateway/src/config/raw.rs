//! The configuration as it is written: every key optional, nothing judged yet.
//!
//! The comments of these types are what editors show: they become the schema's descriptions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::admin::RawAdmin;
use super::cache::RawCache;
use super::fleet::RawFleet;
use super::log::RawLog;
use super::origin::RawOrigin;
use super::route::RawRoute;
use super::server::RawServer;
use super::state::RawState;
use super::webhook::RawWebhook;

/// Configuration of media-gateway. Every key can also be set from the environment:
/// `MEDIA_GATEWAY_SERVER__LISTEN` is `server.listen`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// Where viewers connect.
    #[serde(default)]
    pub(super) server: RawServer,
    /// Metrics, health, status page and API.
    #[serde(default)]
    pub(super) admin: RawAdmin,
    /// What must survive: tombstones, ledger, journals.
    #[serde(default)]
    pub(super) state: RawState,
    /// Copies of what was served, in memory and on disk.
    pub(super) cache: Option<RawCache>,
    /// Other gateways that are to know the same of what is gone. Default: none.
    pub(super) fleet: Option<RawFleet>,
    /// Where the operator is told that something should be looked at. Default: nowhere.
    pub(super) webhook: Option<RawWebhook>,
    /// What is logged, and how.
    #[serde(default)]
    pub(super) log: RawLog,
    /// The places where objects live, by name (`[a-z0-9_-]`).
    #[serde(default)]
    pub(super) origins: BTreeMap<String, RawOrigin>,
    /// Public URL prefixes and the ordered origins behind them.
    #[serde(default)]
    pub(super) routes: Vec<RawRoute>,
}
