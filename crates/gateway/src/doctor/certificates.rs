//! The certificates that clients are shown where TLS ends here, and whether they are made for the
//! hosts of the routes.
//!
//! Orders nothing. Reads the files as they are now, which may be newer than what a running gateway shows. Files
//! that cannot be used are problems of the configuration, and reported there.

use super::finding::{Check, Finding, Findings, Level};
use crate::config::{Challenge, Config, Problem};
use crate::tls::{Certificate, Certificates};

const DAY_SECONDS: i64 = 86_400;
/// A certificate that ends sooner than this should have been renewed.
const NEAR_DAYS: i64 = 14;

/// Why the certificates of a configuration cannot be used; empty where they can, or where TLS does
/// not end here. Blocks.
pub fn unusable_certificates(config: &Config) -> Vec<Problem> {
    Certificates::of(config).err().unwrap_or_default()
}

/// Examines them at this time in seconds since 1970. Blocks.
pub(super) fn examine(config: &Config, now: i64) -> Vec<Finding> {
    match Certificates::of(config) {
        Ok(Some(certificates)) => judge(config, &certificates, now),
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn judge(config: &Config, certificates: &Certificates, now: i64) -> Vec<Finding> {
    let mut findings = Findings::about("server.tls");
    if let Some(acme) = config.acme() {
        for domain in &acme.domains {
            if certificates.span_of(domain).is_none() {
                let way = match acme.challenge {
                    Challenge::Http01 => "over plain HTTP, by port 80",
                    Challenge::TlsAlpn01 => "in the TLS handshake, by port 443",
                    Challenge::Auto => "by port 80, or by port 443 after a failure",
                };
                findings.add(
                    Level::Warning,
                    Check::Certificate,
                    format!(
                        "{domain} has no certificate yet; `serve` orders it from {}, which must reach the gateway by that name {way}",
                        acme.directory
                    ),
                    "let its DNS lead here and these ports be published; nothing was ordered now",
                );
            }
        }
    }
    for certificate in certificates.iter() {
        let renew = if config.acme().is_some() {
            "the gateway renews it; its log says what keeps it from that"
        } else {
            "renew it; the files are read again when they change"
        };
        let (level, remedy) = standing(certificate, now, renew);
        let days = (certificate.not_after - now).div_euclid(DAY_SECONDS);
        let names = match &*certificate.hosts {
            [] => "no host".to_owned(),
            hosts => hosts.join(", "),
        };
        let what = format!("{names}: {days} day(s) left, until {}", certificate.end());
        findings.add(level, Check::Certificate, what, remedy);
    }
    let urls = config.routes.iter().flat_map(|route| &route.urls);
    let mut hosts: Vec<&str> = urls.filter_map(|url| url.host.as_deref()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts {
        if certificates.cover(host) {
            findings.ok(Check::Certificate, format!("{host} has a certificate"));
        } else {
            findings.add(
                Level::Warning,
                Check::Certificate,
                format!("no certificate is made for {host}, so clients refuse the connection"),
                if config.acme().is_some() {
                    "add it to server.tls.acme.domains"
                } else {
                    "have one made for it and add it to certificate and private_key"
                },
            );
        }
    }
    findings.into_list()
}

fn standing(certificate: &Certificate, now: i64, renew: &'static str) -> (Level, &'static str) {
    if now < certificate.not_before {
        let remedy = "it is not valid yet: look at this machine's clock";
        (Level::Problem, remedy)
    } else if now >= certificate.not_after {
        (Level::Problem, renew)
    } else if now + NEAR_DAYS * DAY_SECONDS > certificate.not_after {
        (Level::Warning, renew)
    } else if certificate.hosts.is_empty() {
        let remedy = "it names no host, so clients refuse it: have one made with subjectAltName";
        (Level::Problem, remedy)
    } else {
        (Level::Ok, "")
    }
}

#[cfg(test)]
mod tests {
    use test_servers::tls::Identity;

    use super::*;
    use crate::tls::certificates;

    fn config(url: &str) -> Config {
        let text = format!(
            "[origins.a]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
             [[routes]]\nurl = {url}\norigins = [\"a\"]\n"
        );
        Config::parse("test.toml", &text, []).unwrap().config
    }

    #[test]
    fn names_and_days_and_hosts_without_a_certificate_are_told() {
        let shown = certificates(&[&Identity::named(&["media.example", "*.cdn.example"])]);
        let end = shown.iter().next().unwrap().not_after;
        let config = config(
            "[\"https://media.example/\", \"https://a.cdn.example/\", \"https://b.example/\"]",
        );
        let findings = judge(&config, &shown, end - 30 * DAY_SECONDS);
        let told: Vec<_> = findings
            .iter()
            .map(|finding| (finding.level, &*finding.what))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Level::Ok,
                    "media.example, *.cdn.example: 30 day(s) left, until 2125-01-01T00:00:00Z"
                ),
                (Level::Ok, "a.cdn.example has a certificate"),
                (
                    Level::Warning,
                    "no certificate is made for b.example, so clients refuse the connection"
                ),
                (Level::Ok, "media.example has a certificate"),
            ]
        );
    }

    #[test]
    fn what_ends_soon_is_a_warning_and_what_has_ended_a_problem() {
        let shown = certificates(&[&Identity::named(&["media.example"])]);
        let end = shown.iter().next().unwrap().not_after;
        let level = |now| judge(&config("\"/\""), &shown, now)[0].level;
        assert_eq!(level(end - 15 * DAY_SECONDS), Level::Ok);
        assert_eq!(level(end - DAY_SECONDS), Level::Warning);
        assert_eq!(level(end), Level::Problem);
        assert_eq!(level(0), Level::Problem);
    }
}
