//! What differs between two configurations: what a running gateway takes over, and what only a
//! restart can change.
//!
//! Says it by the names of keys, and never says a secret.

use origin_resolver::{Kind, OriginState};

use super::findings::Findings;
use super::problem::Rejected;
use super::{Config, Origin};

/// Keeps a value as it is in the running configuration, and notes its key if that is a change.
macro_rules! keep {
    ($now:ident, $running:ident, $kept:ident; $($($key:ident).+ => $name:literal,)+) => {
        $(if $now.$($key).+ != $running.$($key).+ {
            $now.$($key).+.clone_from(&$running.$($key).+);
            $kept.push($name);
        })+
    };
}

impl Config {
    /// Leaves as it is in `running` what only a restart can change, and names its keys.
    ///
    /// # Errors
    /// The rest does not fit to that.
    pub(crate) fn taken_over(&mut self, running: &Self) -> Result<Vec<&'static str>, Rejected> {
        let mut kept = Vec::new();
        keep!(self, running, kept;
            server.listen => "server.listen",
            server.socket_mode => "server.socket_mode",
            admin.listen => "admin.listen",
            state.directory => "state.directory",
            cache.directory => "cache.directory",
            cache.max_size_bytes => "cache.max_size",
            cache.min_free_bytes => "cache.min_free",
            cache.inactive => "cache.inactive",
            cache.memory_bytes => "cache.memory",
            cache.fill_memory_bytes => "cache.fill_memory",
            cache.found => "cache.found",
            cache.missing => "cache.missing",
            cache.required => "cache.required",
            log.format => "log.format",
            fleet => "fleet",
        );
        self.keep_tls(running, &mut kept);
        let mut findings = Findings::default();
        self.check_directories(&mut findings);
        if findings.problem_count() > 0 {
            return Err(findings.into());
        }
        Ok(kept)
    }

    /// Whether TLS ends here and where is settled at start; which certificates are shown is not.
    fn keep_tls(&mut self, running: &Self, kept: &mut Vec<&'static str>) {
        match (&mut self.server.tls, &running.server.tls) {
            (Some(now), Some(then)) if now.listen != then.listen => {
                now.listen.clone_from(&then.listen);
                kept.push("server.tls.listen");
            }
            (Some(_), Some(_)) | (None, None) => {}
            (now, then) => {
                now.clone_from(then);
                kept.push("server.tls");
            }
        }
    }

    /// What has changed since `before`, a line for each.
    pub(crate) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let mut note = |is_other: bool, what: &str| {
            if is_other {
                changes.push(what.to_owned());
            }
        };
        let (now, then) = (&self.server, &before.server);
        note(now.redirect != then.redirect, "server.redirect");
        note(now.acme_webroot != then.acme_webroot, "server.acme_webroot");
        note(now.tls != then.tls, "server.tls");
        note(
            now.trusted_proxies != then.trusted_proxies,
            "server.trusted_proxies",
        );
        note(
            now.proxy_protocol != then.proxy_protocol,
            "server.proxy_protocol",
        );
        note(now.drain != then.drain, "server.drain");
        note(
            now.origin_header != then.origin_header,
            "server.origin_header",
        );
        note(now.limits != then.limits, "server.limits");
        note(!self.admin.has_token_of(&before.admin), "admin.token");
        note(
            self.admin.egress_price != before.admin.egress_price,
            "admin.egress_price",
        );
        note(self.webhook != before.webhook, "webhook");
        note(self.log.level != before.log.level, "log.level");
        note(
            self.log.client_addresses != before.log.client_addresses,
            "log.client_addresses",
        );
        note(self.log.access != before.log.access, "log.access");
        for origin in &self.origins {
            let name = origin.name();
            match before.origin(name) {
                Some(was) => changes.extend(change_of(was, origin)),
                None if before.is_retired(name) => {
                    changes.push(format!("origins.{name}: no longer retired"));
                }
                None => changes.push(format!("origins.{name}: added")),
            }
        }
        for name in before.origins.iter().map(Origin::name) {
            if self.is_retired(name) {
                changes.push(format!("origins.{name}: retired"));
            } else if self.origin(name).is_none() {
                changes.push(format!("origins.{name}: removed"));
            }
        }
        changes.extend(self.routes_changed_since(before));
        changes
    }

    fn routes_changed_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for route in &self.routes {
            let name = &route.name;
            match before.routes.iter().find(|was| was.name == *name) {
                None => changes.push(format!("route {name}: added")),
                Some(was) if was.origins != route.origins => changes.push(format!(
                    "route {name}: origins {} instead of {}",
                    route.origins.join(", "),
                    was.origins.join(", ")
                )),
                Some(was) if was != route => changes.push(format!("route {name}: changed")),
                Some(_) => {}
            }
        }
        let gone = |was: &&super::Route| !self.routes.iter().any(|now| now.name == was.name);
        for was in before.routes.iter().filter(gone) {
            changes.push(format!("route {}: removed", was.name));
        }
        let order = |config: &Self| -> Vec<Box<str>> {
            config
                .routes
                .iter()
                .map(|route| route.name.clone())
                .collect()
        };
        if changes.is_empty() && order(self) != order(before) {
            changes.push("routes: their order".to_owned());
        }
        changes
    }

    fn is_retired(&self, name: &str) -> bool {
        self.retired.iter().any(|retired| **retired == *name)
    }
}

fn change_of(was: &Origin, now: &Origin) -> Option<String> {
    let name = now.name();
    let state = |origin: &Origin| match origin.settings.state {
        OriginState::Active => "active",
        OriginState::Rehearsal => "rehearsal",
    };
    if was == now {
        return None;
    }
    if state(was) != state(now) {
        let (was, now) = (state(was), state(now));
        return Some(format!("origins.{name}: {now} instead of {was}"));
    }
    let secrets = |origin: &Origin| match &origin.settings.kind {
        Kind::S3(bucket) => bucket.credentials.clone(),
        Kind::Http(_) | Kind::Filesystem(_) => None,
    };
    let what = if secrets(was) == secrets(now) {
        "changed"
    } else {
        "other credentials"
    };
    Some(format!("origins.{name}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse("test.toml", text, []).unwrap().config
    }

    const BEFORE: &str = "[origins.a]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
        [origins.b]\nkind = \"http\"\nurl = \"http://127.0.0.1:2/\"\n\
        [[routes]]\nurl = \"/\"\norigins = [\"a\", \"b\"]\n";

    #[test]
    fn what_has_changed_is_named_by_its_key() {
        let before = config(BEFORE);
        assert!(before.changes_since(&before).is_empty());
        let rehearsing = BEFORE.replace(
            "[origins.b]\nkind",
            "[origins.b]\nstate = \"rehearsal\"\nkind",
        );
        let rehearsing = config(&rehearsing);
        assert_eq!(
            rehearsing.changes_since(&before),
            ["origins.b: rehearsal instead of active"]
        );
        let retired = BEFORE.replace(
            "[origins.b]\nkind",
            "[origins.b]\nstate = \"retired\"\nkind",
        );
        assert_eq!(
            config(&retired).changes_since(&rehearsing),
            [
                "origins.b: retired",
                "route media: origins a instead of a, b"
            ]
        );
        let others =
            format!("[admin]\ntoken = \"t0ken-of-mine\"\n[log]\nlevel = \"debug\"\n{BEFORE}");
        let changes = config(&others).changes_since(&before);
        assert_eq!(changes, ["admin.token", "log.level"]);
    }

    #[test]
    fn what_only_a_restart_can_change_is_named_and_stays() {
        let running = config(BEFORE);
        let mut next = config(&format!(
            "[server]\nlisten = \"127.0.0.1:1\"\ndrain = \"1s\"\n\
             [cache]\nmemory = \"64 MB\"\n{BEFORE}"
        ));
        let kept = next.taken_over(&running).unwrap();
        assert_eq!(kept, ["server.listen", "cache.memory"]);
        assert_eq!(next.server.listen, running.server.listen);
        assert_eq!(next.changes_since(&running), ["server.drain"]);
    }

    #[test]
    fn where_tls_ends_is_settled_at_start_and_by_which_certificates_is_not() {
        let with = |lines: &str| config(&format!("[server.tls]\n{lines}\n{BEFORE}"));
        let files = "certificate = \"a\"\nprivate_key = \"b\"";
        let running = with(files);
        let mut moved = with(&format!("listen = \"127.0.0.1:1\"\n{files}"));
        assert_eq!(moved.taken_over(&running).unwrap(), ["server.tls.listen"]);
        assert_eq!(moved.server.tls, running.server.tls);
        let mut others = with("certificate = \"c\"\nprivate_key = \"d\"\nhsts = \"1d\"");
        assert!(others.taken_over(&running).unwrap().is_empty());
        assert_eq!(others.changes_since(&running), ["server.tls"]);
        for (mut next, running) in [(config(BEFORE), with(files)), (with(files), config(BEFORE))] {
            assert_eq!(next.taken_over(&running).unwrap(), ["server.tls"]);
            assert_eq!(next.server.tls, running.server.tls);
        }
    }

    #[test]
    fn an_origin_in_the_directory_that_is_still_the_state_is_refused() {
        let running = config(&format!("[state]\ndirectory = \"/srv/a\"\n{BEFORE}"));
        let mut next = config(
            "[state]\ndirectory = \"/srv/b\"\n\
             [origins.a]\nkind = \"filesystem\"\nroot = \"/srv/a/files\"\n\
             [[routes]]\nurl = \"/\"\norigins = [\"a\"]\n",
        );
        assert!(next.taken_over(&running).is_err());
    }
}
