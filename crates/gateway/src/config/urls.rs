//! URLs as the configuration may hold them: http or https, and nothing that could be a secret.

use url::Url;

use super::problem::HIDDEN;

/// Why a text is not a URL that the configuration takes, and what to write.
pub(super) struct Unfit {
    pub(super) reason: String,
    pub(super) remedy: String,
}

impl Unfit {
    fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

/// Parses an absolute http(s) URL without userinfo, query and fragment.
pub(super) fn parse(text: &str) -> Result<Url, Unfit> {
    if text.is_empty() {
        return Err(Unfit::new(
            "it is empty",
            "write a URL such as https://s3.example.com",
        ));
    }
    if text.trim() != text
        || text
            .chars()
            .any(|c| c.is_control() || c == ' ' || c == '\\')
    {
        return Err(Unfit::new(
            "a URL cannot hold spaces, backslashes or control characters",
            "write a URL such as https://s3.example.com/",
        ));
    }
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err(match text.split_once("://") {
            Some((scheme, _)) => Unfit::new(
                format!("the scheme \"{}\" is not served", without_secrets(scheme)),
                "begin the URL with https:// or http://",
            ),
            None => Unfit::new(
                "a URL needs https:// or http:// in front",
                "write https://… in front of the host",
            ),
        });
    }
    let url = Url::parse(text).map_err(|error| {
        Unfit::new(
            format!("not a URL: {error}"),
            "write a URL such as https://s3.example.com/",
        )
    })?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Unfit::new(
            "it names no host",
            "write a URL such as https://s3.example.com/",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Unfit::new(
            "it holds a user name or password",
            "leave that out; credentials are access_key_id and secret_access_key",
        ));
    }
    if url.query().is_some() {
        return Err(Unfit::new(
            "it has a query",
            "end the URL before the question mark",
        ));
    }
    if url.fragment().is_some() {
        return Err(Unfit::new("it has a fragment", "end the URL before the #"));
    }
    Ok(url)
}

/// The text with userinfo and query hidden, which in a URL may be credentials.
pub(super) fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, format!("?{HIDDEN}")),
        None => (rest, String::new()),
    };
    // The last one: a password may hold slashes and at signs that nobody escaped.
    let rest = match rest.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => rest.to_owned(),
    };
    format!("{scheme}://{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_urls_are_taken() {
        for good in [
            "https://s3.example.com",
            "http://[::1]:9000/",
            "HTTPS://Ex.com/a/",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "s3.example.com",
            "ftp://s3.example.com",
            "https://",
            "https://user@ex.com/",
            "https://ex.com/?a",
            "https://ex.com/#a",
            "https://ex.com/a b",
            "https://ex.com:99999/",
            " https://ex.com/",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_may_be_a_secret_in_a_url_is_hidden() {
        assert_eq!(
            without_secrets("https://me:hunter2@ex.com/a?X-Amz-Signature=1"),
            "https://[hidden]@ex.com/a?[hidden]"
        );
        assert_eq!(
            without_secrets("https://me:p@ss/word@ex.com/"),
            "https://[hidden]@ex.com/"
        );
        assert_eq!(without_secrets("plain"), "plain");
    }
}
