//! What the process may take at most, as a sum of terms that the configuration gives.
//!
//! Pure, and only arithmetic: nothing here measures anything.

use serde::Serialize;

use super::finding::{Check, Finding, Findings, Level};
use crate::app::HINTS;
use crate::config::Config;
use crate::promotion::PROMOTION_BYTES;
use crate::withdrawals::GLANCES;

const CHUNK_BYTES: u64 = 64 * 1024;
const CHUNKS_OF_A_BODY: u64 = 2;
/// The HTTP client's read buffer grows to this (hyper's `DEFAULT_MAX_BUFFER_SIZE`); each viewer's body
/// may have a connection to its origin.
const READ_AHEAD_BYTES: u64 = 8 * 1024 + 100 * 4096;
const LEAST_CONNECTION_BYTES: u64 = 16 * 1024;
const HINT_BYTES: u64 = 40;
/// That an upload origin was asked beside a walk.
const GLANCE_BYTES: u64 = 40;
/// What the cache's index and the ledger hold in memory, whatever lies on the disk: their page
/// caches, and changes that wait to be written.
const INDEX_BYTES: u64 = 40 * 1024 * 1024;
/// What TLS keeps for a connection: its keys and buffers, and what waits encrypted for a reader that
/// does not read.
const TLS_BYTES: u64 = 64 * 1024;
/// What a key that must stay gone takes.
const TOMBSTONE_BYTES: u64 = 16;

/// Tombstones of a fleet that are taken over at once, each as large as it may be: key, reason, cache
/// space and what holds them together.
const TAKEN_OVER: u64 = crate::fleet::AT_ONCE as u64;
const TAKEN_OVER_BYTES: u64 =
    1024 + state::MAX_REASON_BYTES as u64 + state::MAX_SCOPE_BYTES as u64 + 80;
/// What is known of each tombstone while those of a fleet are compared with it.
const COMPARED_BYTES: u64 = 32;

/// The sum and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Each term.
    pub terms: Vec<Term>,
    /// All terms.
    pub total_bytes: u64,
}

/// One term of the sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Term {
    /// What it is for, and how it is reckoned.
    pub what: String,
    /// How much.
    pub bytes: u64,
}

impl Memory {
    /// The sum for a configuration, and a number of keys that must stay gone.
    pub fn of(config: &Config, tombstones: u64) -> Self {
        let limits = &config.server.limits;
        let header_bytes = wide(limits.header_bytes).max(LEAST_CONNECTION_BYTES);
        let term = |what: String, factors: &[u64]| Term {
            what,
            bytes: factors
                .iter()
                .fold(1, |product: u64, next| product.saturating_mul(*next)),
        };
        let terms = vec![
            term(
                "objects (cache.memory)".to_owned(),
                &[config.cache.memory_bytes],
            ),
            term(
                "downloads from origins (cache.fill_memory)".to_owned(),
                &[config.cache.fill_memory_bytes],
            ),
            term("index of the cache and ledger".to_owned(), &[INDEX_BYTES]),
            term(
                "objects known to lie on the disk".to_owned(),
                &[cache::known_bytes(config.cache.memory_bytes)],
            ),
            term(
                "rows of the index that were read or written lately".to_owned(),
                &[cache::rows_bytes(config.cache.memory_bytes)],
            ),
            term(
                format!("tombstones: {tombstones} × {TOMBSTONE_BYTES} B"),
                &[tombstones, TOMBSTONE_BYTES],
            ),
            term(
                format!("{} bodies × 2 chunks × 64 KiB", limits.bodies),
                &[wide(limits.bodies), CHUNKS_OF_A_BODY, CHUNK_BYTES],
            ),
            term(
                format!("{} bodies × 408 KiB read ahead from origins", limits.bodies),
                &[wide(limits.bodies), READ_AHEAD_BYTES],
            ),
            term(
                format!(
                    "{} connections × {} KiB",
                    limits.connections,
                    header_bytes.div_ceil(1024)
                ),
                &[wide(limits.connections), header_bytes],
            ),
            term(
                format!(
                    "hints: {} route(s) × {HINTS} × {HINT_BYTES} B",
                    config.routes.len()
                ),
                &[wide(config.routes.len()), wide(HINTS), HINT_BYTES],
            ),
            term(
                format!(
                    "looked for deletions: {} route(s) × {GLANCES} × {GLANCE_BYTES} B",
                    config.routes.len()
                ),
                &[wide(config.routes.len()), wide(GLANCES), GLANCE_BYTES],
            ),
        ];
        let promotes = config.routes.iter().any(|route| route.promote_to.is_some());
        let promotions = term(
            "promotions that wait, and were tried".to_owned(),
            &[PROMOTION_BYTES],
        );
        let tls = term(
            format!(
                "TLS: {} connections × {} KiB",
                limits.connections,
                TLS_BYTES / 1024
            ),
            &[wide(limits.connections), TLS_BYTES],
        );
        let fleet = Term {
            what: format!(
                "fleet: {TAKEN_OVER} tombstones × {TAKEN_OVER_BYTES} B taken over at once, {tombstones} × {COMPARED_BYTES} B compared"
            ),
            bytes: (TAKEN_OVER * TAKEN_OVER_BYTES)
                .saturating_add(tombstones.saturating_mul(COMPARED_BYTES)),
        };
        let terms: Vec<_> = terms
            .into_iter()
            .chain(config.fleet.is_some().then_some(fleet))
            .chain(promotes.then_some(promotions))
            .chain(config.server.tls.is_some().then_some(tls))
            .collect();
        let total_bytes = terms
            .iter()
            .fold(0, |sum: u64, term| sum.saturating_add(term.bytes));
        Self { terms, total_bytes }
    }
}

/// What the sum means beside what the machine or the container has.
pub(super) fn judge(memory: &Memory, available_bytes: Option<u64>) -> Vec<Finding> {
    let mut findings = Findings::about("memory");
    let si = |bytes| bytesize::ByteSize(bytes).display().si();
    let what = format!("at most {} for buffers and caches", si(memory.total_bytes));
    match available_bytes {
        Some(available) if memory.total_bytes > available => findings.add(
            Level::Warning,
            Check::Memory,
            format!("{what}; this machine or container has {}", si(available)),
            "lower server.limits.bodies, server.limits.connections or cache.memory",
        ),
        _ => findings.ok(Check::Memory, what),
    }
    findings.into_list()
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// What this machine has, or this container may have; blocks for a moment.
pub(super) fn available_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kibibytes: u64 = line?.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes.saturating_mul(1024))
    });
    let container = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(container).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(limits: &str) -> Config {
        let text = format!(
            "{limits}\n[origins.disk]\nkind = \"filesystem\"\nroot = \"/srv/media\"\n\
             [[routes]]\nurl = \"/\"\norigins = [\"disk\"]\n"
        );
        let loaded = Config::parse("gateway.toml", &text, []).unwrap();
        loaded.config
    }

    #[test]
    fn the_sum_is_that_of_its_terms() {
        let memory = Memory::of(
            &config(
                "[server.limits]\nbodies = 10\nconnections = 100\n\
             [cache]\nmemory = \"1 MB\"\nfill_memory = \"5 MB\"",
            ),
            3,
        );
        let bytes: Vec<u64> = memory.terms.iter().map(|term| term.bytes).collect();
        assert_eq!(
            bytes,
            [
                1_000_000, 5_000_000, 41_943_040, 16_777_216, 16_777_216, 48, 1_310_720, 4_177_920,
                1_638_400, 4_000_000, 4_000_000
            ]
        );
        assert_eq!(memory.total_bytes, 96_624_560);
    }

    #[test]
    fn a_fleet_needs_room_to_compare() {
        let alone = Memory::of(&config(""), 100);
        let fleet = Memory::of(&config("[fleet]\nredis = \"redis://redis/0\""), 100);
        let more = fleet.total_bytes - alone.total_bytes;
        assert_eq!(more, 10_000 * (1024 + 1024 + 255 + 80) + 100 * 32);
    }

    #[test]
    fn absurd_limits_do_not_overflow() {
        let memory = Memory::of(&config("[server.limits]\nbodies = 9000000000000000000"), 0);
        assert_eq!(memory.total_bytes, u64::MAX);
    }

    #[test]
    fn more_than_there_is_is_warned_of() {
        let memory = Memory::of(&config(""), 0);
        let level = |available| judge(&memory, available)[0].level;
        assert_eq!(level(None), Level::Ok);
        assert_eq!(level(Some(memory.total_bytes)), Level::Ok);
        assert_eq!(level(Some(memory.total_bytes - 1)), Level::Warning);
    }
}
