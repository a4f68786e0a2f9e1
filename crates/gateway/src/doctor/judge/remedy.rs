//! What an operator can do about each reason for *unknown*. Pure.

use origin_resolver::{Kind, Reason};

use crate::config::Origin;

/// What to do.
pub(super) fn of(origin: &Origin, reason: Reason) -> &'static str {
    let kind = &origin.settings.kind;
    match (reason, kind) {
        (Reason::Dns, Kind::S3(_)) => {
            "look for a typing error in endpoint, and at /etc/resolv.conf of this machine or container"
        }
        (Reason::Dns, _) => {
            "look for a typing error in url, and at /etc/resolv.conf of this machine or container"
        }
        (Reason::Connect, _) => {
            "look at host, port and firewalls; where IPv6 is broken, ip = \"v4\" avoids it"
        }
        (Reason::Tls, _) => {
            "look at its certificate and host name; in a container, ca-certificates must be installed"
        }
        (Reason::Timeout, Kind::Filesystem(_)) => "look whether the disk hangs (dmesg, mount)",
        (Reason::Timeout, _) => {
            "look at firewalls and whether it is up; if it is only slow, raise connect_timeout and first_byte_timeout"
        }
        (Reason::Throttled, _) => "wait, and set max_requests to what it allows",
        (Reason::Credentials, Kind::S3(_)) => {
            "look at access_key_id, secret_access_key and region, and at this machine's clock"
        }
        (Reason::Credentials, _) => "it wants a login, which an origin of this kind cannot give",
        (Reason::Denied, Kind::S3(s3)) if s3.credentials.is_some() => {
            "grant the keys s3:GetObject and s3:ListBucket: without the latter a missing file is answered 403, and that proves nothing"
        }
        (Reason::Denied, Kind::S3(_)) => {
            "let the public read objects (s3:GetObject), or give access_key_id and secret_access_key"
        }
        (Reason::Denied, Kind::Filesystem(_)) => {
            "let the gateway's user read the directory: chmod -R g+rX, or run it as the files' owner"
        }
        (Reason::Denied, Kind::Http(_)) => "let this machine read it in the web server's settings",
        (Reason::Bucket, Kind::S3(_)) => {
            "look at bucket, endpoint, region and addressing; nothing is believed to be missing there until it fits"
        }
        (Reason::Bucket, Kind::Http(_)) => {
            "look at url: the bucket behind it does not exist, or is not the one that it was"
        }
        (Reason::Bucket, Kind::Filesystem(_)) => {
            "look at root: it does not hold what it is known to hold"
        }
        (Reason::Suspended, _) => {
            "look at the account at the provider: a bill, a cap, a suspension"
        }
        (Reason::ServerError, _) => "look at the provider's status page or the server's log",
        (Reason::Protocol, Kind::S3(_)) => {
            "look at endpoint and addressing (\"path\" or \"virtual-host\"): what answers is no S3 storage, or not this bucket"
        }
        (Reason::Protocol, _) => "look at url: what answers there is not the files",
        (Reason::Disk, _) => "look whether the right volume is mounted at root (mount, dmesg)",
        (Reason::Breaker | Reason::Budget, _) => "raise max_requests, or try again",
    }
}

/// What to do where nothing can be written.
pub(super) fn of_writing(origin: &Origin) -> &'static str {
    match &origin.settings.kind {
        Kind::S3(_) => "grant the keys s3:PutObject (and s3:PutObjectAcl for write_acl)",
        Kind::Filesystem(_) => {
            "let the gateway's user write there, with writable = true, the marker in place and more than min_free left"
        }
        Kind::Http(_) => "name another origin in promote_to",
    }
}
