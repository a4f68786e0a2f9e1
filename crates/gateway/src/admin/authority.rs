//! Who may change something through the admin API.
//!
//! Over the control socket whoever may open the file; over the network whoever has the token. A
//! page of another site may not, whatever its visitor's browser knows.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a listener asks of those who want to change something.
#[derive(Clone)]
pub(crate) enum Authority {
    /// The permission of the socket's file is enough.
    Socket,
    /// This token, which may change; none at all: nobody may.
    Token(Token),
}

/// The token of those who may change something.
pub(crate) type Token = Arc<ArcSwap<Option<SecretString>>>;

/// Refuses changing calls of those who may not.
pub(super) async fn authorise(
    State(authority): State<Authority>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && let Err(refusal) = authority.admits(request.headers(), bearer(request.headers())) {
        return (refusal.status(), format!("{refusal}\n")).into_response();
    }
    next.run(request).await
}

/// Why somebody may not change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    #[error("a page of another site may not change anything here")]
    Elsewhere,
    #[error(
        "changing calls are off: set admin.token or admin.token_file, or use the commands beside the gateway"
    )]
    Off,
    #[error("the token is not admin.token")]
    WrongToken,
    #[error("this needs a header Authorization: Bearer TOKEN with admin.token")]
    WithoutToken,
}

impl NotAdmitted {
    /// What it is answered with.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Elsewhere | Self::Off => StatusCode::FORBIDDEN,
            Self::WrongToken | Self::WithoutToken => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Authority {
    /// Lets a request change something that comes with these headers and this token.
    ///
    /// # Errors
    /// It may not; nothing of the token is told.
    pub(crate) fn admits(
        &self,
        headers: &HeaderMap,
        given: Option<&str>,
    ) -> Result<(), NotAdmitted> {
        let Self::Token(token) = self else {
            return Ok(());
        };
        if is_from_elsewhere(headers) {
            return Err(NotAdmitted::Elsewhere);
        }
        let token = token.load();
        let Some(token) = &**token else {
            return Err(NotAdmitted::Off);
        };
        match given {
            Some(given) if is_equal(given, token.expose_secret()) => Ok(()),
            Some(_) => Err(NotAdmitted::WrongToken),
            None => Err(NotAdmitted::WithoutToken),
        }
    }
}

/// The token of a call of the API.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, given) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(given.trim())
}

/// In a time that tells neither content nor length.
fn is_equal(a: &str, b: &str) -> bool {
    let hash = |text: &str| Sha256::digest(text.as_bytes());
    hash(a).ct_eq(&hash(b)).into()
}

/// Browsers say where a request comes from (Fetch Metadata; RFC 6454 section 7).
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://"));
    !matches!((origin, text(header::HOST)), (Some((_, origin)), Some(host)) if origin == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn status(token: Option<&str>, pairs: &[(&'static str, &'static str)]) -> u16 {
        let token = token.map(SecretString::from);
        let authority = Authority::Token(Arc::new(ArcSwap::from_pointee(token)));
        let headers = headers(pairs);
        authority
            .admits(&headers, bearer(&headers))
            .map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_the_token_opens_and_none_opens_nothing() {
        let bearer = ("authorization", "Bearer secret");
        assert_eq!(status(Some("secret"), &[bearer]), 200);
        assert_eq!(
            status(Some("secret"), &[("authorization", "bearer  secret")]),
            200
        );
        assert_eq!(status(Some("secrets"), &[bearer]), 401);
        assert_eq!(
            status(Some("secret"), &[("authorization", "Basic secret")]),
            401
        );
        assert_eq!(status(Some("secret"), &[]), 401);
        assert_eq!(status(None, &[bearer]), 403);
        assert!(Authority::Socket.admits(&headers(&[]), None).is_ok());
    }

    #[test]
    fn a_page_of_another_site_is_refused_even_with_the_token() {
        let bearer = ("authorization", "Bearer secret");
        let host = ("host", "127.0.0.1:9090");
        for (more, expected) in [
            (("origin", "http://127.0.0.1:9090"), 200),
            (("origin", "https://evil.example"), 403),
            (("origin", "null"), 403),
            (("sec-fetch-site", "same-origin"), 200),
            (("sec-fetch-site", "none"), 200),
            (("sec-fetch-site", "cross-site"), 403),
            (("sec-fetch-site", "same-site"), 403),
        ] {
            assert_eq!(
                status(Some("secret"), &[bearer, host, more]),
                expected,
                "{more:?}"
            );
        }
    }
}
