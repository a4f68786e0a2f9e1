//! What a configuration becomes.

use std::path::PathBuf;
use std::time::Duration;

use gateway::config::{CacheTier, Certificates, Challenge, Deletes, Writing};
use origin_resolver::{Addressing, Canary, Kind, OriginState, ReadAs};

use super::{FINE, fine};

/// The contract's own example, but for what excludes each other and for files.
const EVERYTHING: &str = r#"
[server]
listen = ["[::]:8080", "127.0.0.1:8081"]
redirect = "auto"
acme_webroot = "/var/www/acme"
trusted_proxies = ["10.0.0.0/8"]
drain = "60s"
[server.tls]
listen = "[::]:8443"
certificate = "fullchain.pem"
private_key = "privkey.pem"
hsts = "180d"
[admin]
listen = "127.0.0.1:9090"
token = "t"
egress_price = "0.09 USD/GB"
[state]
directory = "/var/lib/media-gateway"
[cache]
directory = "/var/cache/media-gateway"
max_size = "20 GB"
min_free = "2 GB"
inactive = "90d"
memory = "256 MB"
fill_memory = "64 MB"
found = "90d"
missing = "5s"
required = false
[log]
format = "json"
[origins.current]
kind = "s3"
provider = "vultr"
endpoint = "https://sgp1.vultrobjects.com"
region = "us-east-1"
bucket = "misskey-media"
addressing = "virtual-host"
access_key_id = "a"
secret_access_key = "b"
read = "signed"
write_acl = "public-read"
canary = ["misskey/a.webp"]
forbidden_means = "unknown"
rewrite = [{ from = "misskey/", to = "m/" }]
state = "active"
connect_timeout = "2s"
first_byte_timeout = "5s"
idle_timeout = "15s"
hedge_after = "400ms"
max_requests = "200/s"
max_egress = "900 GB/month"
ip = "v4"
cache = "disk"
[origins.cdn]
kind = "http"
url = "https://old.example.com/media"
missing_means = "unknown"
allow_html = false
state = "rehearsal"
[origins.disk]
kind = "filesystem"
root = "/srv/media"
marker = ".media-gateway"
writable = true
min_free = "20 GB"
[origins.gone]
kind = "s3"
state = "retired"
[[routes]]
name = "media"
url = ["https://S3.example.com", "/storage/"]
keys = ["misskey/", "null/"]
origins = ["gone", "current", "cdn", "disk"]
promote_to = "current"
deletes = "follow"
deletes_brake = "100/h"
cache = "shared"
cache_control = "public"
filename_parameter = "name"
inline_types = ["Application/PDF"]
repair_types = true
"#;

#[test]
fn everything_of_the_contract_is_read() {
    let loaded = fine(EVERYTHING);
    let config = loaded.config;
    assert_eq!(loaded.warnings, []);
    assert_eq!(config.server.listen.addresses.len(), 2);
    assert_eq!(config.retired, [Box::<str>::from("gone")]);
    let tls = config.server.tls.as_ref().unwrap();
    assert_eq!(tls.hsts, Some(Duration::from_hours(180 * 24)));
    // A change of these is noticed.
    let files = ["fullchain.pem", "privkey.pem"].map(PathBuf::from);
    assert_eq!(config.files, files);
    assert_eq!(config.admin.egress_price.unwrap().currency(), "USD");

    let current = config.origin("current").unwrap();
    let Kind::S3(s3) = &current.settings.kind else {
        panic!("not a bucket")
    };
    assert_eq!(s3.addressing, Addressing::VirtualHost);
    assert_eq!(s3.read, ReadAs::Signed);
    assert!(matches!(&current.settings.canary, Canary::Keys(keys) if keys.len() == 1));
    assert_eq!(current.settings.hedge_after, Duration::from_millis(400));
    assert_eq!(current.settings.max_requests_per_second, Some(200.0));
    assert_eq!(current.settings.max_concurrency, 128);
    assert_eq!(current.writing, Some(Writing::S3 { public_read: true }));
    assert_eq!(current.max_egress.unwrap().bytes, 900_000_000_000);

    let cdn = config.origin("cdn").unwrap();
    assert_eq!(cdn.settings.state, OriginState::Rehearsal);
    assert!(matches!(&cdn.settings.kind, Kind::Http(http) if http.url.path() == "/media/"));
    assert_eq!(config.origin("disk").unwrap().cache, CacheTier::Memory);

    let route = &config.routes[0];
    assert_eq!(route.urls[0].host.as_deref(), Some("s3.example.com"));
    assert!(route.urls[0].https);
    assert_eq!(route.urls[1].path, "/storage/");
    let names: Vec<&str> = route.origins.iter().map(AsRef::as_ref).collect();
    assert_eq!(names, ["current", "cdn", "disk"]);
    assert_eq!(route.retired, [Box::<str>::from("gone")]);
    assert_eq!(&*route.uploads_to, "current");
    assert_eq!(route.deletes, Deletes::Follow);
    assert_eq!(route.inline_types, ["application/pdf"]);
}

#[test]
fn certificates_may_be_fetched_instead_of_named() {
    let acme = |lines: &str| {
        EVERYTHING.replace(
            "certificate = \"fullchain.pem\"\nprivate_key = \"privkey.pem\"\n\
             hsts = \"180d\"\n",
            &format!("[server.tls.acme]\n{lines}\n"),
        )
    };
    let fetched = |lines: &str| match fine(&acme(lines)).config.server.tls.unwrap().certificates {
        Certificates::Acme(acme) => acme,
        Certificates::Files(_) => panic!("files were not named"),
    };
    let least = fetched("domains = [\"S3.example.com\"]");
    assert_eq!(least.domains, ["s3.example.com"]);
    assert_eq!(
        least.directory.host_str(),
        Some("acme-v02.api.letsencrypt.org")
    );
    assert_eq!(
        (least.challenge, least.directory_root),
        (Challenge::Auto, None)
    );
    let most = fetched(
        "domains = [\"s3.example.com\"]\ncontact = \"mailto:admin@example.com\"\n\
         directory = \"https://ca.internal/acme/directory\"\nchallenge = \"tls-alpn-01\"\n\
         directory_root = \"/etc/ssl/own-root.pem\"",
    );
    assert_eq!(most.challenge, Challenge::TlsAlpn01);
    assert_eq!(
        most.directory_root.unwrap(),
        std::path::Path::new("/etc/ssl/own-root.pem")
    );
}

#[test]
fn the_first_origin_that_is_not_retired_takes_the_uploads() {
    let config = fine(FINE).config;
    assert_eq!(&*config.routes[0].uploads_to, "current");
    assert_eq!(&*config.routes[0].name, "media");
    assert_eq!(config.routes[0].keys, [""]);
}

#[test]
fn a_preset_fills_in_what_is_left_out_and_nothing_else() {
    let with = |lines: &str| {
        let text = FINE.replace("bucket =", &format!("{lines}\nbucket ="));
        let config = fine(&text).config;
        let settings = config.origins[0].settings.clone();
        let Kind::S3(s3) = settings.kind else {
            panic!("not a bucket")
        };
        (s3.region, s3.addressing, settings.max_requests_per_second)
    };
    let vultr = with("provider = \"vultr\"");
    assert_eq!(vultr, ("us-east-1".into(), Addressing::Path, Some(320.0)));
    let aws = with("provider = \"aws\"");
    assert_eq!(aws.1, Addressing::VirtualHost);
    let own =
        with("provider = \"aws\"\naddressing = \"path\"\nregion = \"eu\"\nmax_requests = \"5/s\"");
    assert_eq!(own, ("eu".into(), Addressing::Path, Some(5.0)));
}

#[test]
fn secrets_are_read_from_files_and_trimmed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, " hunter2\n").unwrap();
    let text = format!("{FINE}[admin]\ntoken_file = {:?}\n", file.to_str().unwrap());
    let token = fine(&text).config.admin.token.unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&token), "hunter2");
}

#[test]
fn a_retired_origin_needs_nothing_any_more() {
    let text = format!(
        "{FINE}[origins.old]\nkind = \"s3\"\nstate = \"retired\"\naccess_key_id_file = \"/gone\"\n"
    );
    let config = fine(&text).config;
    assert_eq!(config.origins.len(), 1);
    assert!(config.origin("old").is_none());
}
