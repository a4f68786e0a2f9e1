//! Which faults befall which requests.
//!
//! A rule is an [`On`] and a [`Fault`]; each rule counts the requests it matches by itself. All
//! rules that apply to a request are put together into one plan, later rules over earlier ones,
//! so faults combine: chunked *and* cut, delayed *and* wrong.

use std::fmt;
use std::sync::Arc;

use super::{Fault, Plan, Request};

/// Which requests a fault befalls.
#[derive(Clone)]
pub struct On {
    matches: Arc<dyn Fn(&Request) -> bool + Send + Sync>,
    from: usize,
    count: usize,
}

impl On {
    /// Every request.
    pub fn any() -> Self {
        Self::when(|_| true)
    }

    /// Requests for this key.
    pub fn key(key: &str) -> Self {
        let key = key.as_bytes().to_vec();
        Self::when(move |request| request.key().as_deref() == Some(&*key))
    }

    /// Requests for keys that begin so.
    pub fn prefix(prefix: &str) -> Self {
        let prefix = prefix.as_bytes().to_vec();
        Self::when(move |request| request.key().is_some_and(|key| key.starts_with(&prefix)))
    }

    /// Requests that name no key: listings.
    pub fn listing() -> Self {
        Self::when(|request| request.key().is_none())
    }

    /// Requests of which this is true.
    pub fn when(matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        Self {
            matches: Arc::new(matches),
            from: 1,
            count: usize::MAX,
        }
    }

    /// Of those, the ones of which this is true as well.
    #[must_use]
    pub fn and(mut self, also: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        let matches = self.matches;
        self.matches = Arc::new(move |request| matches(request) && also(request));
        self
    }

    /// Of those, the ones that carry a signature.
    #[must_use]
    pub fn signed(self) -> Self {
        self.and(Request::is_signed)
    }

    /// Of those, the ones without a signature.
    #[must_use]
    pub fn unsigned(self) -> Self {
        self.and(|request| !request.is_signed())
    }

    /// Of those, only the nth from now on, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        (self.from, self.count) = (n, 1);
        self
    }

    /// Of those, only the next n.
    #[must_use]
    pub fn first(mut self, n: usize) -> Self {
        (self.from, self.count) = (1, n);
        self
    }

    /// Of those, all but the next n.
    #[must_use]
    pub fn after(mut self, n: usize) -> Self {
        (self.from, self.count) = (n + 1, usize::MAX);
        self
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On")
            .field("from", &self.from)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    on: On,
    fault: Fault,
    seen: usize,
}

impl Script {
    pub(super) fn add(&mut self, on: On, fault: Fault) {
        self.rules.push(Rule { on, fault, seen: 0 });
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What happens to this request; counts it.
    pub(super) fn plan(&mut self, request: &Request) -> Plan {
        let mut plan = Plan::default();
        for rule in &mut self.rules {
            if !(rule.on.matches)(request) {
                continue;
            }
            rule.seen += 1;
            if rule.seen >= rule.on.from && rule.seen - rule.on.from < rule.on.count {
                plan.add(&rule.fault);
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(on: On) -> Vec<bool> {
        let mut script = Script::default();
        script.add(on, Fault::Hang);
        let request = Request {
            method: "GET".to_owned(),
            target: "/bucket/a".to_owned(),
            headers: Vec::new(),
            connection: 0,
        };
        (0..4)
            .map(|_| !script.plan(&request).gates.is_empty())
            .collect()
    }

    #[test]
    fn a_rule_applies_to_the_requests_it_counts() {
        assert_eq!(hits(On::any()), [true; 4]);
        assert_eq!(hits(On::key("a").nth(2)), [false, true, false, false]);
        assert_eq!(hits(On::key("a").first(2)), [true, true, false, false]);
        assert_eq!(hits(On::key("a").after(3)), [false, false, false, true]);
        assert_eq!(hits(On::key("b")), [false; 4]);
        assert_eq!(hits(On::prefix("").signed()), [false; 4]);
    }
}
