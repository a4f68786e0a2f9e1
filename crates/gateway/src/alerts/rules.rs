//! What the operator is told of: names, how long each must last, and the words.
//!
//! Names, times, severities and descriptions are those of `docker/monitoring/alerts.yaml`; a test
//! compares them, so that both ways of being told say the same. GatewayGone is missing here: a
//! gateway that is gone tells nobody.

use std::time::Duration;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It will come to that.
    Warning,
    /// Viewers get errors, or something is about to be lost.
    Critical,
}

impl Severity {
    /// As it is written.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that somebody should look at.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its name, the same in every place.
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    /// How long it must have been so before it is told.
    pub(crate) hold: Duration,
    /// What that means.
    pub(crate) description: &'static str,
    /// What to do first.
    pub(crate) remedy: &'static str,
}

macro_rules! alerts {
    ($($alert:ident $severity:ident $minutes:literal $description:literal $remedy:literal;)+) => {
        /// Which one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Alert {
            $($alert,)+
        }

        impl Alert {
            /// Every one.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$alert,)+];

            /// What is known of it beforehand.
            pub(crate) fn rule(self) -> &'static Rule {
                match self {
                    $(Self::$alert => const { &Rule {
                        name: stringify!($alert),
                        severity: Severity::$severity,
                        hold: Duration::from_mins($minutes),
                        description: $description,
                        remedy: $remedy,
                    } },)+
                }
            }
        }
    };
}

alerts! {
    ViewersGetErrors Critical 5
        "Some keys cannot be answered. `media-gateway explain URL` says which origin could not say what."
        "Explain a URL that fails. Do not delete URLs, and do not answer 404 from the proxy.";
    OriginUnknown Warning 5
        "The reasons are counted in origin_unknown_total and explained in docs/troubleshooting.md."
        "Look at the provider's status page, and at the reasons on the page of this gateway.";
    OriginRefuses Critical 0
        "This will not pass by itself. Look at the keys, the account and the bucket's name."
        "Run `media-gateway check`.";
    OriginSuspect Critical 0
        "An emptied or another bucket, or another disk. Its \"missing\" is not believed, so what only it could deny is a 503."
        "Run `media-gateway check`: it names the canaries that are missing.";
    OriginLeftAlone Warning 5
        "Others and the cache may hide it from viewers, until they cannot."
        "Look at the provider's status page. The gateway tries the origin again by itself.";
    OriginComesAndGoes Warning 0
        "Its provider throttles or is overloaded. Look at max_requests and first_byte_timeout."
        "Lower max_requests; raise first_byte_timeout if it is only slow.";
    OwnLimitReached Warning 0
        "max_requests or max_concurrency is too low for what viewers ask."
        "Raise max_requests or max_concurrency, as far as the provider allows.";
    RehearsalFoundMissing Warning 0
        "It must not be retired yet. GET /api/rehearsal lists the keys; migrate copies them."
        "Run `media-gateway migrate`, and begin the rehearsal anew.";
    StaleServed Warning 10
        "The origins cannot be asked. Viewers of what is held notice nothing yet."
        "Find out which origin is down: the page of this gateway says it.";
    CacheDown Warning 5
        "Misses go to the origins, and cost. The log says every minute what to do."
        "Look at the log: usually the directory belongs to somebody else.";
    CacheFails Warning 0
        "No viewer notices. `media-gateway cache verify` says what is damaged; test the disk."
        "Run `media-gateway cache verify`, and look at dmesg.";
    CacheIsLastHome Warning 60
        "They are lost when the cache is. Put the old origin back, or copy them."
        "Put the origin that has left the route back as \"rehearsal\". Do not delete the cache.";
    PromotionStuck Warning 0
        "The target does not take them, or a budget is used up. promotions_total says what becomes of them."
        "Run `media-gateway check`: it writes to the target and says what that refuses.";
    DeletionsNotFollowed Critical 0
        "Somebody cleans up, or the upload origin has lost files. GET /api/withdrawn lists them; they are still served."
        "If it was you, raise deletes_brake. Else look whether the upload origin has lost files.";
    BudgetNearItsEnd Warning 10
        "At 0 migrate, audit and promotion stop; viewers are served on."
        "Wait for the next period, or raise max_egress and pay.";
    CertificateNearItsEnd Critical 60
        "Whatever renews it has not. Only where TLS ends in the gateway."
        "Run `media-gateway check`, and look at the log for what refuses to renew it.";
    CertificateMissing Critical 15
        "Clients that ask for these names cannot connect by TLS. The log says why the authority gives no certificate."
        "Look at the log for server.tls.acme: it names the reason and what to do.";
    WrongAddresses Warning 15
        "A proxy does not pass Host, or the application's base URL is another one. The body of the 421 says what was asked."
        "Ask for a URL through the proxy with curl -i, and read the body of the 421.";
    GatewayOnItsOwn Warning 5
        "Redis cannot be used. Tombstones and purges of other gateways do not arrive here, and those of this one are told later."
        "Run `media-gateway check`, and look whether Redis runs.";
}

/// Where it is said in full what to do about each.
pub(crate) const RUNBOOK: &str = "https://github.com/media-gateway/media-gateway/blob/main/docs/operations.md#the-alerts-and-what-to-do";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        groups: Vec<Group>,
    }

    #[derive(Deserialize)]
    struct Group {
        rules: Vec<Written>,
    }

    #[derive(Deserialize)]
    struct Written {
        alert: String,
        #[serde(default)]
        r#for: String,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    }

    #[test]
    fn prometheus_is_given_the_same_alerts() {
        let text = include_str!("../../../../docker/monitoring/alerts.yaml");
        let file: File = serde_saphyr::from_str(text).unwrap();
        let mut written: BTreeMap<_, _> = file
            .groups
            .into_iter()
            .flat_map(|group| group.rules)
            .map(|rule| (rule.alert.clone(), rule))
            .collect();
        assert!(written.remove("GatewayGone").is_some());
        for alert in Alert::ALL {
            let rule = alert.rule();
            let there = written.remove(rule.name).expect(rule.name);
            let hold = match &*there.r#for {
                "" => Duration::ZERO,
                time => humantime::parse_duration(time).unwrap(),
            };
            assert_eq!(rule.hold, hold, "{}", rule.name);
            assert_eq!(rule.severity.label(), there.labels["severity"]);
            assert_eq!(rule.description, there.annotations["description"]);
            assert_eq!(RUNBOOK, there.annotations["runbook_url"]);
        }
        assert!(written.is_empty(), "{:?}", written.keys());
    }

    #[test]
    fn the_operators_guide_says_of_each_what_to_do() {
        let guide = include_str!("../../../../docs/operations.md");
        for alert in Alert::ALL {
            let rule = alert.rule();
            let critical = match rule.severity {
                Severity::Critical => " (critical)",
                Severity::Warning => "",
            };
            let row = format!("\n| {}{critical} | ", rule.name);
            assert!(guide.contains(&row), "{row}");
        }
    }
}
