//! Secrets from the configuration itself or from a file that it names.
//!
//! The only files that checking a configuration opens.

use secrecy::{ExposeSecret, SecretString};

use super::findings::Findings;
use super::problem::Problem;
use super::values::Secret;

/// A secret is a line, not a document; a path to something else is a mistake.
const MAX_BYTES: u64 = 16 * 1024;

/// The secret of `key` or of the file in `key_file`, without surrounding white space.
pub(super) fn read(
    key: &str,
    written: Option<Secret>,
    file: Option<String>,
    findings: &mut Findings,
) -> Option<SecretString> {
    let file_key = format!("{key}_file");
    let (path, secret) = match (written, file) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            findings.refuse(Problem::new(
                file_key,
                format!("{key} is given as well"),
                "keep one of the two",
            ));
            return None;
        }
        (Some(secret), None) => (key.to_owned(), secret.0),
        (None, Some(file)) => match from_file(&file, findings) {
            Ok(secret) => (file_key, secret),
            Err(reason) => {
                findings.refuse(
                    Problem::new(
                        file_key,
                        format!("the file cannot be read: {reason}"),
                        "name a readable file that holds the secret and nothing else, by a path that begins with / or ./",
                    )
                    .with_value(shown(&file)),
                );
                return None;
            }
        },
    };
    let trimmed = secret.expose_secret().trim();
    if trimmed.is_empty() {
        findings.refuse(Problem::new(
            path,
            "the secret is empty",
            "set it, or remove the key",
        ));
        return None;
    }
    if trimmed.chars().any(|c| c.is_control() || c == ' ') {
        findings.refuse(Problem::new(
            path,
            "the secret holds spaces or line breaks",
            "give the secret alone, on one line",
        ));
        return None;
    }
    Some(SecretString::from(trimmed))
}

/// A path, but not what may be the secret itself, written where its file's name belongs.
fn shown(file: &str) -> &str {
    if is_path(file) { file } else { "[hidden]" }
}

fn is_path(file: &str) -> bool {
    ["/", "./", "../"]
        .iter()
        .any(|start| file.starts_with(start))
}

fn from_file(path: &str, findings: &mut Findings) -> Result<SecretString, String> {
    let found = std::fs::metadata(path);
    // The files are named where they are watched; what may be the secret itself is not.
    if found.is_ok() || is_path(path) {
        findings.depends_on(path);
    }
    let length = found.map_err(|error| error.to_string())?.len();
    if length > MAX_BYTES {
        return Err(format!("{length} bytes are too many for a secret"));
    }
    std::fs::read_to_string(path)
        .map(SecretString::from)
        .map_err(|error| error.to_string())
}
