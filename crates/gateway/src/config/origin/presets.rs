//! What is known of each storage provider, in one table.
//!
//! A preset only fills in what the file leaves out. Quirks of the protocol (how to list, which
//! headers to leave out) belong to the origins, which are told the provider's name.

use origin_resolver::Addressing::{self, Path, VirtualHost};
use url::Url;

use super::raw::RawProvider;

/// What one provider fills in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preset {
    /// Where the region for signing comes from.
    pub(super) region: Region,
    /// How the bucket's name stands in the URL.
    pub(super) addressing: Addressing,
    /// The provider's limit less a fifth: the application asks the same bucket.
    pub(super) max_requests_per_second: Option<f64>,
    /// Whether single objects can be made public.
    pub(super) has_object_acls: bool,
}

/// Where the region for signing comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Region {
    /// The provider does not care, or has only this one.
    Always(&'static str),
    /// The endpoint's host has it as the label of this number: `s3.REGION.…` is 1.
    InHost {
        /// Counted from zero.
        label: usize,
        /// How a host with a region in it ends; another has none.
        suffix: &'static str,
        /// For a host without one.
        otherwise: &'static str,
    },
}

/// Providers' documentation, November 2026; limits: Vultr 400/s, DigitalOcean 240/s.
pub(super) fn of(provider: RawProvider) -> Preset {
    use Region::{Always, InHost};
    let (region, addressing, max_requests_per_second, has_object_acls) = match provider {
        RawProvider::Vultr => (Always("us-east-1"), Path, Some(320.0), true),
        RawProvider::R2 => (Always("auto"), Path, None, false),
        RawProvider::B2 => (
            in_host(1, ".backblazeb2.com", "us-west-004"),
            Path,
            None,
            false,
        ),
        RawProvider::Wasabi => (in_host(1, ".wasabisys.com", "us-east-1"), Path, None, true),
        RawProvider::Aws => (
            in_host(1, ".amazonaws.com", "us-east-1"),
            VirtualHost,
            None,
            true,
        ),
        RawProvider::Minio | RawProvider::Seaweedfs => (Always("us-east-1"), Path, None, false),
        RawProvider::Garage => (Always("garage"), Path, None, false),
        RawProvider::Ceph => (Always("us-east-1"), Path, None, true),
        RawProvider::Linode => (
            InHost {
                label: 0,
                suffix: ".linodeobjects.com",
                otherwise: "us-east-1",
            },
            Path,
            None,
            true,
        ),
        RawProvider::Digitalocean => (Always("us-east-1"), Path, Some(192.0), true),
        RawProvider::Scaleway => (in_host(1, ".scw.cloud", "fr-par"), Path, None, true),
    };
    Preset {
        region,
        addressing,
        max_requests_per_second,
        has_object_acls,
    }
}

const fn in_host(label: usize, suffix: &'static str, otherwise: &'static str) -> Region {
    Region::InHost {
        label,
        suffix,
        otherwise,
    }
}

impl Region {
    /// The region for this endpoint.
    pub(super) fn for_endpoint(self, endpoint: &Url) -> Box<str> {
        match self {
            Self::Always(region) => region.into(),
            Self::InHost {
                label,
                suffix,
                otherwise,
            } => endpoint
                .host_str()
                .and_then(|host| host.strip_suffix(suffix))
                .and_then(|rest| rest.split('.').nth(label))
                .unwrap_or(otherwise)
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(provider: RawProvider, endpoint: &str) -> Box<str> {
        of(provider).region.for_endpoint(&endpoint.parse().unwrap())
    }

    #[test]
    fn a_region_is_read_from_the_endpoint_where_the_provider_puts_it_there() {
        for (provider, endpoint, expected) in [
            (
                RawProvider::B2,
                "https://s3.eu-central-003.backblazeb2.com",
                "eu-central-003",
            ),
            (
                RawProvider::Wasabi,
                "https://s3.ap-northeast-1.wasabisys.com",
                "ap-northeast-1",
            ),
            (RawProvider::Wasabi, "https://s3.wasabisys.com", "us-east-1"),
            (
                RawProvider::Aws,
                "https://s3.ap-northeast-1.amazonaws.com",
                "ap-northeast-1",
            ),
            (RawProvider::Aws, "https://s3.amazonaws.com", "us-east-1"),
            (
                RawProvider::Linode,
                "https://jp-osa-1.linodeobjects.com",
                "jp-osa-1",
            ),
            (
                RawProvider::Scaleway,
                "https://s3.nl-ams.scw.cloud",
                "nl-ams",
            ),
            (
                RawProvider::R2,
                "https://id.r2.cloudflarestorage.com",
                "auto",
            ),
            (
                RawProvider::Vultr,
                "https://sgp1.vultrobjects.com",
                "us-east-1",
            ),
        ] {
            assert_eq!(&*region(provider, endpoint), expected, "{endpoint}");
        }
    }
}
