//! The Redis of a fleet: whether it answers, knows what is asked of it, and keeps what it is given.
//!
//! Writes nothing there.

use std::time::Duration;

use super::finding::{Check, Finding, Findings, Level};
use crate::config;
use crate::fleet::link::{Link, Nature, Unlinked};

/// Looks at it for no longer than `patience`.
pub(super) async fn examine(fleet: Option<&config::Fleet>, patience: Duration) -> Vec<Finding> {
    let Some(fleet) = fleet else {
        return Vec::new();
    };
    let asked = async {
        let mut link = Link::open(&fleet.redis, &fleet.prefix).await?;
        link.nature().await
    };
    let nature = tokio::time::timeout(patience, asked).await;
    judge(nature.unwrap_or(Err(Unlinked::Silent)))
}

fn judge(nature: Result<Nature, Unlinked>) -> Vec<Finding> {
    let mut findings = Findings::about("fleet.redis");
    let nature = match nature {
        Ok(nature) => nature,
        Err(why) => {
            findings.add(
                Level::Problem,
                Check::Reachable,
                format!("Redis cannot be used: {why}"),
                "look at the host, the port, the user and the password in fleet.redis; until then each gateway is on its own",
            );
            return findings.into_list();
        }
    };
    if nature.is_new_enough() {
        findings.ok(Check::Reachable, format!("Redis {}", nature.version));
    } else {
        findings.add(
            Level::Problem,
            Check::Reachable,
            format!(
                "Redis {} does not know all that is asked of it",
                nature.version
            ),
            "use Redis 6.2 or later, or Valkey",
        );
    }
    if nature.forgets() {
        // Without a limit nothing is evicted, until somebody sets one.
        let level = if nature.limited {
            Level::Problem
        } else {
            Level::Warning
        };
        findings.add(
            level,
            Check::State,
            format!("maxmemory-policy is {}: a full Redis drops purges and tombstones that others have not heard of yet", nature.eviction),
            "set maxmemory-policy to noeviction or a volatile-… one; Misskey asks for that as well",
        );
    }
    findings.into_list()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nature(version: &str, eviction: &str, limited: bool) -> Nature {
        Nature {
            version: version.to_owned(),
            eviction: eviction.to_owned(),
            limited,
        }
    }

    fn levels(nature: Nature) -> Vec<Level> {
        judge(Ok(nature))
            .iter()
            .map(|finding| finding.level)
            .collect()
    }

    #[test]
    fn a_redis_that_may_forget_or_is_too_old_is_a_problem() {
        assert_eq!(levels(nature("7.0.15", "noeviction", true)), [Level::Ok]);
        assert_eq!(levels(nature("7.0.15", "volatile-lru", true)), [Level::Ok]);
        let forgets = [Level::Ok, Level::Problem];
        assert_eq!(levels(nature("8.2.0", "allkeys-lru", true)), forgets);
        let might = [Level::Ok, Level::Warning];
        assert_eq!(levels(nature("8.2.0", "allkeys-lfu", false)), might);
        assert_eq!(
            levels(nature("6.0.16", "noeviction", true)),
            [Level::Problem]
        );
        let silent = judge(Err(Unlinked::Silent));
        assert_eq!(silent[0].level, Level::Problem);
    }
}
