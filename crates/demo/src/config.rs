//! The gateway's configuration for the demonstration; also an example of a small one.

use std::fs;
use std::net::SocketAddr;

use anyhow::Context;

use crate::media::PREFIX;
use crate::origins::{Origins, Place};

/// Copies are kept of all but the current bucket's files, so that both can be seen: a file that is
/// kept stays available when its bucket is off, and one that is not is 503, never 404.
fn uncached(place: Place) -> &'static str {
    if place == Place::Current {
        "cache = \"none\"\n"
    } else {
        ""
    }
}

/// TOML; makes the directories it names.
pub(crate) fn text(
    origins: &Origins,
    listen: SocketAddr,
    admin: SocketAddr,
) -> anyhow::Result<String> {
    let room = origins.room();
    for name in ["state", "cache"] {
        fs::create_dir_all(room.join(name)).with_context(|| format!("cannot make {name}"))?;
    }
    let mut parts = vec![format!(
        r#"[server]
listen = "{listen}"

[admin]
listen = "{admin}"

[state]
directory = "{state}"

[cache]
directory = "{cache}"
min_free = "0 B"
missing = "0s"                     # so that a switch shows at once
"#,
        state = room.join("state").display(),
        cache = room.join("cache").display(),
    )];
    for place in Place::ALL {
        let name = place.name();
        parts.push(match origins.bucket(place) {
            Some(server) => {
                format!(
                    r#"[origins.{name}]
kind = "s3"
endpoint = "{}"
bucket = "{name}"
access_key_id = "{}"
secret_access_key = "{}"
"#,
                    server.endpoint(),
                    server.keys().access_key_id,
                    server.keys().secret_access_key,
                ) + uncached(place)
            }
            None => format!(
                r#"[origins.{name}]
kind = "filesystem"
root = "{}"
marker = ".media-gateway"
"#,
                origins.disk().display()
            ),
        });
    }
    parts.push(format!(
        r#"[[routes]]
url = "/"
keys = ["{PREFIX}"]
origins = ["current", "old", "disk"]
"#
    ));
    Ok(parts.join("\n"))
}
