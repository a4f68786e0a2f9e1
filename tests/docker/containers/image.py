"""What the Dockerfile makes, and how often it makes it anew."""

import re

from .engine import check, docker, inspect

def the_image_adds_less_than_forty_megabytes(images):
    image, base = inspect(images.gateway("first")), inspect(images.base())
    more = image["Size"] - base["Size"]
    print(f"    {more / 1e6:.1f} MB beyond its base")
    check(more < 40e6, f"the image has {more} bytes beyond its base")


def the_image_says_what_it_is_and_runs_as_misskeys_user(images):
    config = inspect(images.gateway("first"))["Config"]
    check(config["User"] == "991:991", f"it runs as {config['User']}")
    check(config["StopSignal"] == "SIGTERM", f"it is stopped by {config['StopSignal']}")
    check(config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/media-gateway", "health"],
          f"it is examined by {config['Healthcheck']}")
    labels = config["Labels"]
    told = docker("run", "--rm", images.gateway("first"), "--version").split()[1]
    written = labels["org.opencontainers.image.version"]
    check(written == told, f"the label says version {written}, the program {told}")
    check(labels["org.opencontainers.image.revision"] == "first", f"labels: {labels}")
    check(labels["org.opencontainers.image.licenses"] == "Apache-2.0 OR MIT", f"labels: {labels}")


def without_a_configuration_it_says_what_is_missing(images):
    said = docker("run", "--rm", images.gateway("first"), fails=True)
    check("/etc/media-gateway/gateway.toml" in said, said)


def a_change_of_the_code_compiles_no_library_again(images):
    room, tag = images.room / "sources", images.tagged("changed")
    saw = counted(images, images.gateway("first"))
    check(len(saw) == 2 and saw[0] < 30 < 10_000 < saw[1],
          f"cargo ran {len(saw)} times, over {saw} lines")
    code = room / "crates/gateway/src/media.rs"
    code.write_text(code.read_text() + "\n// A change.\n")
    images.from_source(tag)
    saw = counted(images, tag)
    check(len(saw) == 1, f"after a change of the code cargo ran {len(saw)} times")
    manifest = room / "crates/gateway/Cargo.toml"
    manifest.write_text(manifest.read_text() + "\n# A change.\n")
    images.from_source(tag)
    saw = counted(images, tag)
    check(len(saw) == 2, f"after a change of the libraries cargo ran {len(saw)} times")
    docker("run", "--rm", tag, "--version")


def counted(images, tag):
    """How many lines cargo saw, each time that it ran."""
    return [int(lines) for lines in re.findall(r"cargo build .* saw (\d+) lines", images.said[tag])]


TESTS = (
    the_image_adds_less_than_forty_megabytes,
    the_image_says_what_it_is_and_runs_as_misskeys_user,
    without_a_configuration_it_says_what_is_missing,
    a_change_of_the_code_compiles_no_library_again,
)
