"""`compose.yaml`: a directory of pictures, the gateway before it, and what happens to the container."""

import hashlib
import os
import re
import secrets
import signal
import socket
import subprocess
from contextlib import contextmanager

from .engine import REPOSITORY, Project, check, docker, inspect, until
from .viewers import Viewers, ask

CONFIG = """
[origins.disk]
kind = "filesystem"
root = "/srv/media"
cache = "disk"

[[routes]]
name = "media"
url = "https://media.example.com/"
keys = ["misskey/"]
origins = ["disk"]
"""
# What an operator adds for a directory, in a file of one's own.
PICTURES = """
services:
  gateway:
    volumes:
      - ./media:/srv/media:z
"""
SMALL = 200_000


class Alone:
    """A server's directory with configuration and pictures, and the compose file started there."""

    def __init__(self, images, name):
        self.images = images
        self.room = images.room / name
        (self.room / "config").mkdir(parents=True)
        (self.room / "config/gateway.toml").write_text(CONFIG)
        (self.room / "pictures.yaml").write_text(PICTURES)
        media = self.room / "media/misskey"
        media.mkdir(parents=True)
        self.objects = {}
        for number in range(12):
            self.objects[f"/misskey/{number}.webp"] = self.put(f"{number}.webp", SMALL)
        subprocess.run(["chown", "-R", "991:991", self.room / "media"], check=True)
        self.project = Project(name, [REPOSITORY / "docker/compose.yaml",
                                      self.room / "pictures.yaml"], self.room,
                               {"GATEWAY_IMAGE": images.gateway("first")})

    def put(self, name, length):
        content = secrets.token_bytes(length)
        (self.room / "media/misskey" / name).write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def up(self):
        self.project("up", "--detach", "--no-color")
        self.project.healthy()


@contextmanager
def alone(images, name):
    place = Alone(images, name)
    with place.project:
        place.project("run", "--rm", "-T", "gateway", "origin", "init", "disk")
        place.up()
        yield place


def it_runs_as_991_on_a_root_that_it_cannot_write(images, place):
    container = place.project.container()
    host = inspect(container)["HostConfig"]
    check(host["ReadonlyRootfs"], "the root may be written")
    check(host["CapDrop"] == ["ALL"], f"capabilities dropped: {host['CapDrop']}")
    check("no-new-privileges:true" in host["SecurityOpt"], f"{host['SecurityOpt']}")
    users = docker("exec", container, "grep", "-E", "^(Uid|Gid):", "/proc/1/status").split()
    check(users == ["Uid:", *["991"] * 4, "Gid:", *["991"] * 4], f"it runs as {users}")
    said = docker("exec", container, "sh", "-c", "touch /etc/x", fails=True)
    check("Read-only" in said, said)
    status, headers, _ = ask(place.project.address(), "/misskey/1.webp")
    check(status == 200, f"status {status}")
    status, headers, _ = ask(place.project.address(), "/misskey/1.webp")
    check(headers["x-cache"] == "HIT", f"X-Cache: {headers['x-cache']}: nothing is kept")
    # Where the directory of pictures is mounted, the engine makes the place for it.
    changed = [line for line in docker("diff", container).splitlines() if " /srv" not in line]
    check(not changed, f"it wrote beside its volumes: {changed}")
    status, _, page = ask(("127.0.0.1", place.project.admin_port), "/metrics")
    check(b"media_gateway_cache_up 1" in page, "the cache's volume is not used")


def health_is_that_of_the_gateway_and_not_of_the_container(images, place):
    container = place.project.container()
    place.project.inside("health")
    said = docker("exec", "--env", "MEDIA_GATEWAY_ADMIN__LISTEN=127.0.0.1:1", container,
                  "media-gateway", "health", fails=True)
    check("nobody listens" in said, said)


def operators_are_heard_on_the_loopback_only(images, place):
    ports = inspect(place.project.container())["NetworkSettings"]["Ports"]
    for inner, published in ports.items():
        for one in published or ():
            check(one["HostIp"] == "127.0.0.1", f"{inner} is published on {one['HostIp']}")
    # Another address of this machine: its end of the containers' network.
    networks = inspect(place.project.container())["NetworkSettings"]["Networks"]
    elsewhere = next(iter(networks.values()))["Gateway"]
    try:
        socket.create_connection((elsewhere, place.project.admin_port), timeout=5).close()
    except ConnectionRefusedError:
        return
    check(False, f"the admin port can be reached at {elsewhere}")


def logs_are_rotated(images, place):
    log = inspect(place.project.container())["HostConfig"]["LogConfig"]
    check(log == {"Type": "json-file", "Config": {"max-file": "5", "max-size": "10m"}}, f"{log}")


def an_edited_configuration_is_seen_without_a_new_container(images, place):
    config = place.room / "config/gateway.toml"
    replaced = config.with_suffix(".new")
    replaced.write_text(CONFIG.replace('["misskey/"]', '["misskey/", "null/"]'))
    os.replace(replaced, config)
    said = place.project.inside("explain", "https://media.example.com/null/x.webp")
    inside = docker("exec", place.project.container(), "cat", "/etc/media-gateway/gateway.toml")
    check('"null/"' in inside, f"the container still sees the old file\n{said}")
    config.write_text(CONFIG)


def killed_it_comes_back_by_itself(images, place):
    process = inspect(place.project.container())["State"]["Pid"]
    os.kill(process, signal.SIGKILL)
    until("another process answers", lambda: inspect(place.project.container())["State"]["Pid"]
          not in (0, process) and ask(place.project.address(), "/misskey/2.webp")[0] == 200)


def an_upgrade_under_load_loses_no_request(images, place):
    old = place.project.container()
    address = place.project.address()
    place.project.environment["GATEWAY_IMAGE"] = images.gateway("second")
    log = subprocess.Popen(["docker", "logs", "--follow", old], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    with Viewers(address, place.objects) as viewers:
        until("the load runs", lambda: viewers.answered > 200)
        place.project("up", "--detach", "--no-color")
        before = viewers.answered
        until("the new one is asked", lambda: viewers.answered > before + 200)
    new = place.project.container()
    check(new != old, "it is the same container")
    revision = inspect(new)["Config"]["Labels"]["org.opencontainers.image.revision"]
    check(revision == "second", f"the new container is of revision {revision}")
    said = log.communicate()[0]
    ended = re.search(r"stopped.* finished=(\d+).* aborted=0", plain(said))
    check(ended, f"the old one did not drain:\n{said[-1000:]}")
    check(not viewers.lost, f"lost: {viewers.lost}"[:2000])
    print(f"    {viewers.answered} requests answered, {viewers.again} tried again, none lost")


def what_is_gone_stays_gone_on_a_bare_machine(images, place):
    url = "https://media.example.com/misskey/3.webp"
    place.project.inside("tombstone", "add", url, "--reason", "a test")
    check(ask(place.project.address(), "/misskey/3.webp")[0] == 410, "not gone here")
    saved = place.room / "config/state.jsonl"
    saved.write_text(place.project.inside("state", "export", "-"))
    place.project.down()
    check(not docker("volume", "ls", "--quiet", "--filter", f"name={place.project.name}").split(),
          "the machine is not bare")
    place.project("run", "--rm", "-T", "gateway", "state", "import",
                  "/etc/media-gateway/state.jsonl")
    place.up()
    check(ask(place.project.address(), "/misskey/3.webp")[0] == 410, "it is back")
    check(ask(place.project.address(), "/misskey/4.webp")[0] == 200, "nothing else is there")


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


PLACE = alone
TESTS = (
    it_runs_as_991_on_a_root_that_it_cannot_write,
    health_is_that_of_the_gateway_and_not_of_the_container,
    operators_are_heard_on_the_loopback_only,
    logs_are_rotated,
    an_edited_configuration_is_seen_without_a_new_container,
    killed_it_comes_back_by_itself,
    an_upgrade_under_load_loses_no_request,
    what_is_gone_stays_gone_on_a_bare_machine,
)
