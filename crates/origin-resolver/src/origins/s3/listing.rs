//! The first level of a bucket, for the doctor: who can list it, and what else lies in it.
//!
//! It informs and decides nothing, so it reads whatever resembles a listing.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use rusty_s3::S3Action as _;

use super::S3;
use crate::origins::xml;
use crate::{Access, Failure, Reason};

const MOST: usize = 100;
const VALID: Duration = Duration::from_mins(1);

/// The first path segments, at most 100.
///
/// [`Access::AsConfigured`] lists as a stranger whether or not reads are signed: that is what
/// the doctor wants to know.
pub(super) async fn top_prefixes(s3: &S3, access: Access) -> Result<Vec<String>, Failure> {
    let signer = match access {
        Access::Signed => s3.signer(access)?,
        Access::AsConfigured => None,
    };
    let mut action = s3.bucket.list_objects_v2(signer);
    action.with_delimiter("/");
    action.with_max_keys(MOST);
    let second = s3.target_at(action.sign(VALID), &[], signer.is_some());
    let failure = match s3.wire.document(&second).await {
        Ok(xml) => match read(&xml) {
            Some(prefixes) => return Ok(prefixes),
            None => s3.wire.named(Failure::new(
                Reason::Protocol,
                "answered a listing with something else",
            )),
        },
        Err(failure) => failure,
    };
    if !matches!(failure.reason, Reason::Protocol | Reason::ServerError) {
        return Err(failure);
    }
    // Older Ceph and SeaweedFS know only the first version of listings, or encode badly.
    action.query_mut().remove("list-type");
    action.query_mut().remove("encoding-type");
    let first = s3.target_at(action.sign(VALID), &[], signer.is_some());
    let xml = s3.wire.document(&first).await?;
    read(&xml).ok_or(failure)
}

fn read(listing: &str) -> Option<Vec<String>> {
    let listing = xml::elements(listing, "ListBucketResult").next()?;
    let encoded = xml::texts(listing, "EncodingType").any(|kind| kind.eq_ignore_ascii_case("url"));
    let prefixes =
        xml::elements(listing, "CommonPrefixes").flat_map(|inside| xml::texts(inside, "Prefix"));
    let keys = xml::elements(listing, "Contents").flat_map(|inside| xml::texts(inside, "Key"));
    Some(
        prefixes
            .chain(keys)
            .map(|name| if encoded { decode(&name) } else { name })
            .filter(|name| !name.is_empty())
            .take(MOST)
            .collect(),
    )
}

/// AWS and MinIO write a space as a plus here.
fn decode(name: &str) -> String {
    percent_decode_str(&name.replace('+', "%20"))
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn prefixes_and_lonely_keys_are_read() {
        let xml = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Prefix></Prefix>\
            <Contents><Key>dump+1.sql</Key><Size>1</Size></Contents>\
            <CommonPrefixes><Prefix>misskey%2F</Prefix></CommonPrefixes>\
            <CommonPrefixes><Prefix>null/</Prefix></CommonPrefixes>\
            <EncodingType>url</EncodingType></ListBucketResult>";
        assert_eq!(read(xml).unwrap(), ["misskey/", "null/", "dump 1.sql"]);
        let plain = xml.replace("<EncodingType>url</EncodingType>", "");
        assert_eq!(read(&plain).unwrap(), ["misskey%2F", "null/", "dump+1.sql"]);
        assert_eq!(read("<html></html>"), None);
    }
}
