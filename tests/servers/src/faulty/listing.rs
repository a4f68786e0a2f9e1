//! ListObjects, versions 1 and 2: prefix, delimiter, pages, both encodings.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Object, Reply, Request};

const URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

pub(super) fn answer(objects: &BTreeMap<Vec<u8>, Object>, request: &Request) -> Reply {
    let parameter = |name| request.parameter(name).unwrap_or_default();
    let second = parameter("list-type") == "2";
    let (prefix, delimiter) = (parameter("prefix"), parameter("delimiter"));
    let after = [
        parameter("continuation-token"),
        parameter("start-after"),
        parameter("marker"),
    ];
    let after = after.iter().max().cloned().unwrap_or_default();
    let most = parameter("max-keys")
        .parse()
        .unwrap_or(1000_usize)
        .min(1000);
    let in_url = parameter("encoding-type") == "url";
    let spelled = |text: &str| {
        if in_url {
            utf8_percent_encode(text, URL).to_string()
        } else {
            escaped(text)
        }
    };

    let (mut count, mut last, mut cut) = (0, String::new(), false);
    let (mut contents, mut prefixes) = (String::new(), String::new());
    for (key, object) in objects {
        let key = String::from_utf8_lossy(key);
        let Some(rest) = key.strip_prefix(&prefix) else {
            continue;
        };
        let common = (!delimiter.is_empty())
            .then(|| rest.split_once(&delimiter))
            .flatten()
            .map(|(head, _)| format!("{prefix}{head}{delimiter}"));
        let entry = common.as_deref().unwrap_or(&key);
        if entry <= after.as_str() || entry == last {
            continue;
        }
        if count == most {
            cut = true;
            break;
        }
        count += 1;
        entry.clone_into(&mut last);
        if common.is_some() {
            let name = spelled(entry);
            let _ = write!(
                prefixes,
                "<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
            );
        } else {
            let etag = escaped(object.etag.as_deref().unwrap_or_default());
            let _ = write!(
                contents,
                "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>{etag}</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                spelled(entry),
                object.bytes.len()
            );
        }
    }
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>",
    );
    let _ = write!(
        xml,
        "<Prefix>{}</Prefix><Delimiter>{}</Delimiter><MaxKeys>{most}</MaxKeys>\
         <IsTruncated>{cut}</IsTruncated>",
        spelled(&prefix),
        spelled(&delimiter)
    );
    if in_url {
        xml.push_str("<EncodingType>url</EncodingType>");
    }
    if second {
        let _ = write!(xml, "<KeyCount>{count}</KeyCount>");
    }
    if cut {
        let tag = if second {
            "NextContinuationToken"
        } else {
            "NextMarker"
        };
        let _ = write!(xml, "<{tag}>{}</{tag}>", escaped(&last));
    }
    let _ = write!(xml, "{contents}{prefixes}</ListBucketResult>");
    Reply::new(200).body("application/xml", xml)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> String {
        let keys = ["misskey/a", "misskey/b&c", "null/d", "top", "写真/e"];
        let objects = keys.map(|key| (key.as_bytes().to_vec(), Object::new("x")));
        let request = Request {
            method: "GET".to_owned(),
            target: format!("/bucket?{query}"),
            headers: Vec::new(),
            connection: 0,
        };
        let reply = answer(&BTreeMap::from(objects), &request);
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn a_delimiter_folds_keys_into_prefixes() {
        let xml = list("list-type=2&delimiter=%2F");
        assert!(xml.contains("<KeyCount>4</KeyCount>"), "{xml}");
        assert_eq!(xml.matches("<CommonPrefixes>").count(), 3, "{xml}");
        assert!(xml.contains("<Prefix>写真/</Prefix>"), "{xml}");
        assert!(list("list-type=2&delimiter=/&encoding-type=url").contains("%E5%86%99"));
    }

    #[test]
    fn a_page_that_is_cut_says_where_the_next_begins() {
        let first = list("list-type=2&max-keys=2");
        assert!(first.contains("<IsTruncated>true</IsTruncated>"), "{first}");
        assert!(
            first.contains("<NextContinuationToken>misskey/b&amp;c<"),
            "{first}"
        );
        let second = list("prefix=&marker=misskey%2Fb%26c");
        assert!(
            !second.contains("misskey/a") && second.contains("null/d"),
            "{second}"
        );
    }
}
