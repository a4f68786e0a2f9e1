"""`compose.monitoring.yaml` with a real Prometheus and Alertmanager, beside a gateway that is in use.

Every expression of the dashboard is put to that Prometheus. Grafana is left out:
nobody can package it for Debian, so its dashboard is only read for its expressions.
"""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager

from .buckets import bucket, upload
from .engine import REPOSITORY, Project, check, docker, free_port, until
from .viewers import ask

# One route on the way to a disk, whose old bucket rehearses being gone; and one whose only other
# origin is dead. TLS, because a certificate's end is watched too.
CONFIG = """
[server]
redirect = "never"
[server.tls]
listen = "0.0.0.0:8443"
certificate = "/etc/media-gateway/certificate.pem"
private_key = "/etc/media-gateway/key.pem"

[origins.new]
kind = "filesystem"
root = "/srv/new"
writable = true
min_free = "1 MB"
[origins.old]
kind = "s3"
provider = "seaweedfs"
endpoint = "http://old:8333"
bucket = "media"
access_key_id = "demo"
secret_access_key = "not-a-secret"
state = "rehearsal"
max_egress = "1 GB/month"
[origins.dead]
kind = "http"
url = "http://dead.invalid:9/"

[[routes]]
name = "media"
url = "https://media.example.com/"
keys = ["misskey/"]
origins = ["new", "old"]
promote_to = "new"
[[routes]]
name = "trouble"
url = "https://trouble.example.com/"
keys = ["misskey/"]
origins = ["new", "dead"]
"""
ORIGINS = """
services:
  gateway:
    volumes: ["./new:/srv/new:z"]
""" + bucket("old", "front")
# What Grafana puts in.
VARIABLES = {"$__rate_interval": "1m", "$route": ".*"}
DASHBOARD = REPOSITORY / "docker/monitoring/grafana/dashboards/media-gateway.json"
CASES = REPOSITORY / "tests/docker/containers/alerts.test.yaml"
# What somebody comes to the dashboard for, and a word of the panel that says it.
QUESTIONS = {
    "is anybody getting errors": "anybody getting errors", "who serves what share": "what share",
    "may the old bucket go": "old bucket go", "what do copies save": "Bytes saved",
    "how often is it a copy": "Hit ratio", "how long does it take": "First byte",
    "how far is the move": "Moving",
}


class Watched:
    """A directory as the head of the compose file has it made, with pictures on a disk."""

    def __init__(self, images, name):
        self.room = images.room / name
        shutil.copytree(REPOSITORY / "docker", self.room)
        (self.room / "config").mkdir()
        (self.room / "config/gateway.toml").write_text(CONFIG)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                        "-subj", "/CN=media.example.com", "-addext",
                        "subjectAltName=DNS:media.example.com", "-keyout", "config/key.pem", "-out",
                        "config/certificate.pem"], cwd=self.room, check=True, capture_output=True)
        (self.room / "origins.yaml").write_text(ORIGINS)
        media = self.room / "new/misskey"
        media.mkdir(parents=True)
        for number in range(1, 6):
            (media / f"{number}.webp").write_bytes(bytes([number]) * 30_000)
        subprocess.run(["chown", "-R", "991:991", "new", "config"], cwd=self.room, check=True)
        # A minute of it is enough, if it is looked at every second.
        scrapes = self.room / "monitoring/prometheus.yaml"
        scrapes.write_text(scrapes.read_text().replace("interval: 15s", "interval: 1s"))
        self.prometheus, watchers = free_port(), images.watchers()
        self.project = Project(name, [self.room / file for file in (
            "compose.yaml", "compose.monitoring.yaml", "origins.yaml")], self.room, {
                **images.services_variables(),
                "GATEWAY_IMAGE": images.gateway("first"), "PROMETHEUS_IMAGE": watchers,
                "ALERTMANAGER_IMAGE": watchers, "PROMETHEUS_PORT": str(self.prometheus)})

    def api(self, path, **question):
        asked = f"http://127.0.0.1:{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(question)}"
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)["data"]

    def upload(self, number):
        return upload(self.project.container("old"), "old", [number], length=30_000)

    def query(self, expression):
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        return self.api("query", query=expression)["result"]

    def look(self, numbers, host="media.example.com"):
        return [ask(self.project.address(), f"/misskey/{number}.webp", host=host)[0]
                for number in numbers]


@contextmanager
def watched(images, name):
    place = Watched(images, name)
    with place.project:
        place.project("run", "--rm", "-T", "gateway", "origin", "init", "new")
        place.project("up", "--detach", "--no-color", "gateway", "prometheus", "alertmanager", "old")
        for number in range(6, 11):
            until("the old bucket takes files", lambda number=number: place.upload(number))
        place.project.healthy()
        until("Prometheus sees the gateway",
              lambda: place.query('up{job="media-gateway"} == 1'))
        use(place)
        yield place


def use(place):
    """Misses, hits, saves, promotions, a missing object, a dead origin, and the rest of a move."""
    place.look(range(1, 9))
    place.look(range(1, 9))
    place.look([99])
    check(place.look([1, 99], "trouble.example.com") == [200, 503], "trouble is none")
    place.project.inside("migrate", "--from", "old", "--to", "new")
    # A rate needs two looks at what has changed, with a change between them.
    until("the move is seen", lambda: again(place) and place.query(
        'media_gateway_origin_bytes_total{use="background",origin="old"} > 0'))
    for _ in range(3):
        again(place)
        before = place.query("max(timestamp(up))")[0]["value"][1]
        until("another look", lambda before=before: float(
            place.query("max(timestamp(up))")[0]["value"][1]) > float(before))


def again(place):
    place.look(range(1, 9))
    return place.look([99, 1], "trouble.example.com")


def expressions_of_the_dashboard():
    def panels(of):
        for panel in of:
            yield panel
            yield from panels(panel.get("panels", ()))
    for panel in panels(json.loads(DASHBOARD.read_text())["panels"]):
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def every_expression_of_the_dashboard_finds_data(images, place):
    empty, count = [], 0
    for title, expression in expressions_of_the_dashboard():
        count += 1
        if not place.query(expression):
            empty.append(f"{title}: {expression}")
    check(count > 25 and not empty, "no data:\n" + "\n".join(empty))
    print(f"    {count} expressions")


def what_the_dashboard_shows_is_what_happened(images, place):
    shown = {title: expression for title, expression in expressions_of_the_dashboard()}
    for title, least in (("Is anybody getting errors?", 0.01), ("Hit ratio", 0.5)):
        value = float(place.query(shown[title])[0]["value"][1])
        check(value >= least, f"{title} {value}")


def every_question_has_a_panel(images, place):
    titles = {title for title, _ in expressions_of_the_dashboard()}
    for question, words in QUESTIONS.items():
        check(any(words in title for title in titles), f"{question}? No panel says it: {titles}")


def every_alert_fires_when_it_should_and_not_before(images, place):
    rules = place.room / "monitoring"
    shutil.copy(CASES, rules / CASES.name)
    cases = CASES.read_text()
    for line in (rules / "alerts.yaml").read_text().splitlines():
        name = line.strip().removeprefix("- alert: ")
        check(name == line.strip() or f'alertname="{name}"' in cases, f"{name} is not tried")
    docker("run", "--rm", "--network", "none", "--entrypoint", "promtool", "--volume",
           f"{rules}:/rules:ro", images.watchers(), "test", "rules", f"/rules/{CASES.name}")


PLACE = watched
TESTS = (
    every_expression_of_the_dashboard_finds_data,
    what_the_dashboard_shows_is_what_happened,
    every_question_has_a_panel,
    every_alert_fires_when_it_should_and_not_before,
)
