//! The machine's own settings, read again when they change.
//!
//! Files are compared by content: container engines rewrite them in place.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::ResolveHosts;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use tokio::time::Instant;

use super::{Found, NoAddress};
use crate::IpVersions;

/// How long a reading is believed to be current.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// One try with one server; a lookup as a whole has two seconds.
const TRY: Duration = Duration::from_millis(900);

/// Two files and what they said when last read.
pub(super) struct System {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    port: u16,
    latest: Mutex<Option<(Instant, Arc<Reading>)>>,
}

/// What the files say.
pub(super) struct Reading {
    resolv_conf: Option<Vec<u8>>,
    hosts_file: Option<Vec<u8>>,
    hosts: Hosts,
    /// The name servers, or why there are none.
    pub(super) servers: Result<Servers, Box<str>>,
}

impl System {
    /// Reads nothing yet.
    pub(super) fn new(resolv_conf: PathBuf, hosts: PathBuf, port: u16) -> Self {
        Self {
            resolv_conf,
            hosts,
            port,
            latest: Mutex::default(),
        }
    }

    /// What the files say now, give or take two seconds.
    pub(super) async fn current(&self) -> Arc<Reading> {
        let latest = self
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, reading)) = &latest
            && at.elapsed() < READ_AGAIN
        {
            return Arc::clone(reading);
        }
        let resolv_conf = tokio::fs::read(&self.resolv_conf).await.ok();
        let hosts_file = tokio::fs::read(&self.hosts).await.ok();
        let reading = match latest {
            Some((_, same)) if same.resolv_conf == resolv_conf && same.hosts_file == hosts_file => {
                same
            }
            _ => Arc::new(self.interpret(resolv_conf, hosts_file)),
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&reading)));
        reading
    }

    fn interpret(&self, resolv_conf: Option<Vec<u8>>, hosts_file: Option<Vec<u8>>) -> Reading {
        let mut hosts = Hosts::default();
        // A line that is no UTF-8 ends the reading; what stood before it counts.
        let _ = hosts.read_hosts_conf(hosts_file.as_deref().unwrap_or_default());
        let path = self.resolv_conf.display();
        let servers = match &resolv_conf {
            None => Err(format!("{path} cannot be read").into()),
            Some(text) => Servers::of(text, self.port)
                .map_err(|problem| format!("{path} cannot be used: {problem}").into()),
        };
        Reading {
            resolv_conf,
            hosts_file,
            hosts,
            servers,
        }
    }
}

impl Reading {
    /// What `/etc/hosts` says of a host. A host that it names is asked nowhere else, not even for
    /// its other family: the name servers may know another machine by that name.
    pub(super) fn pinned(&self, host: &str, versions: IpVersions) -> Vec<IpAddr> {
        let Ok(name) = Name::from_utf8(host.to_lowercase()) else {
            return Vec::new();
        };
        let families: &[RecordType] = match versions {
            IpVersions::V4 => &[RecordType::A],
            IpVersions::Any => &[RecordType::A, RecordType::AAAA],
        };
        families
            .iter()
            .filter_map(|family| {
                self.hosts
                    .lookup_static_host(&Query::query(name.clone(), *family))
            })
            .flat_map(|lookup| lookup.answers().to_vec())
            .filter_map(|record| record.data.ip_addr())
            .collect()
    }
}

/// The machine's name servers.
pub(super) struct Servers {
    resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

impl Servers {
    fn of(resolv_conf: &[u8], port: u16) -> Result<Self, String> {
        let (mut config, options) =
            parse_resolv_conf(resolv_conf).map_err(|error| error.to_string())?;
        let ndots = options.ndots;
        let search = match (config.search(), config.domain()) {
            ([], domain) => domain.cloned().into_iter().collect(),
            (search, _) => search.to_vec(),
        };
        for server in &mut config.name_servers {
            for connection in &mut server.connections {
                connection.port = port;
            }
        }
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options_mut = builder.options_mut();
        *options_mut = options;
        options_mut.timeout = options_mut.timeout.min(TRY);
        options_mut.attempts = 1;
        // Read here, so that a changed file counts and one family does not hide the other.
        options_mut.use_hosts_file = ResolveHosts::Never;
        // Answers are remembered by `Remembered`, which knows what to do in an outage.
        options_mut.cache_size = 0;
        Ok(Self {
            resolver: builder.build().map_err(|error| error.to_string())?,
            search,
            ndots,
        })
    }

    /// What a host's name may stand for, in the order to ask (resolv.conf(5): `search`, `ndots`).
    pub(super) fn spellings(&self, host: &str) -> Vec<Name> {
        let Ok(mut name) = Name::from_utf8(host) else {
            return Vec::new();
        };
        if name.is_fqdn() {
            return vec![name];
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let searched = self
            .search
            .iter()
            .filter_map(|domain| name.clone().append_domain(domain).ok());
        let mut spellings: Vec<Name> = searched.collect();
        name.set_fqdn(true);
        let place = if dots >= self.ndots {
            0
        } else {
            spellings.len()
        };
        spellings.insert(place, name);
        for spelling in &mut spellings {
            spelling.set_fqdn(true);
        }
        spellings
    }

    /// The addresses of one family.
    pub(super) async fn lookup(&self, name: &Name, family: RecordType) -> Result<Found, NoAddress> {
        let denied = || NoAddress::denied(&name.to_utf8());
        let lookup = self.resolver.lookup(name.clone(), family).await;
        let lookup = lookup.map_err(|error| {
            if error.is_no_records_found() {
                denied()
            } else {
                NoAddress::down(format!("the name servers failed: {error}"))
            }
        })?;
        let addresses: Vec<IpAddr> = lookup
            .answers()
            .iter()
            .filter_map(|record| record.data.ip_addr())
            .collect();
        if addresses.is_empty() {
            return Err(denied());
        }
        let good_for = lookup
            .valid_until()
            .saturating_duration_since(std::time::Instant::now());
        Ok(Found {
            addresses,
            good_for,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(resolv_conf: &str, host: &str) -> Vec<String> {
        let servers = Servers::of(resolv_conf.as_bytes(), 53).unwrap();
        let spellings = servers.spellings(host);
        spellings.iter().map(Name::to_ascii).collect()
    }

    #[tokio::test]
    async fn search_domains_are_tried_in_the_order_of_resolv_conf() {
        let docker = "nameserver 127.0.0.11\nsearch lan home.arpa\noptions ndots:0\n";
        assert_eq!(
            spelled(docker, "minio"),
            ["minio.", "minio.lan.", "minio.home.arpa."]
        );
        let plain = "nameserver 127.0.0.1\nsearch lan\n";
        assert_eq!(spelled(plain, "minio"), ["minio.lan.", "minio."]);
        assert_eq!(
            spelled(plain, "s3.example.com"),
            ["s3.example.com.", "s3.example.com.lan."]
        );
        assert_eq!(spelled(plain, "s3.example.com."), ["s3.example.com."]);
        let cluster = "nameserver 10.0.0.1\nsearch a.svc b.svc\noptions ndots:5\n";
        assert_eq!(
            spelled(cluster, "minio.b"),
            ["minio.b.a.svc.", "minio.b.b.svc.", "minio.b."]
        );
    }

    #[test]
    fn without_name_servers_there_is_no_public_fallback() {
        let system = System::new("/etc/resolv.conf".into(), "/etc/hosts".into(), 53);
        for resolv_conf in [None, Some(b"".to_vec()), Some(b"search lan\n".to_vec())] {
            assert!(system.interpret(resolv_conf, None).servers.is_err());
        }
    }

    #[test]
    fn a_pinned_host_is_read_in_both_families() {
        let system = System::new("/etc/resolv.conf".into(), "/etc/hosts".into(), 53);
        let hosts = b"192.0.2.1 Bucket.example.com bucket # comment\n2001:db8::1 bucket\n";
        let reading = system.interpret(None, Some(hosts.to_vec()));
        assert_eq!(reading.pinned("bucket", IpVersions::Any).len(), 2);
        assert_eq!(
            reading.pinned("bucket", IpVersions::V4),
            [IpAddr::from([192, 0, 2, 1])]
        );
        assert_eq!(
            reading.pinned("BUCKET.example.com", IpVersions::Any).len(),
            1
        );
        assert!(reading.pinned("other", IpVersions::Any).is_empty());
    }
}
