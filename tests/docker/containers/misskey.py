"""`compose.misskey.yaml` laid over a file with the networks and services of Misskey's own.

The database is a real PostgreSQL, with the tables that the tools read; `web` only uploads.
"""

import shutil
from contextlib import contextmanager

from .buckets import bucket, upload
from .engine import REPOSITORY, Project, check, docker, inspect, until
from .viewers import ask

# Misskey's compose.yml, with images of ours, and two buckets on the network where it reaches its own.
MISSKEYS = """
services:
  web:
    image: ${CURL_IMAGE}
    command: [sleep, infinity]
    init: true
    depends_on:
      db: {condition: service_healthy}
      redis: {condition: service_healthy}
    networks: [internal_network, external_network]
  redis:
    image: ${MISSKEYS_IMAGE}
    command: [redis-server, --dir, /tmp]
    networks: [internal_network]
    healthcheck: {test: redis-cli ping, interval: 1s, retries: 60}
  db:
    image: ${MISSKEYS_IMAGE}
    networks: [internal_network]
    healthcheck: {test: pg_isready -U example-misskey-user -d misskey, interval: 1s, retries: 60}
""" + bucket("old", "external_network") + bucket("new", "external_network") + """
networks:
  internal_network: {internal: true}
  external_network:
"""
TABLES = """
CREATE TABLE drive_file (id varchar(32) PRIMARY KEY, size integer NOT NULL, md5 varchar(32),
    "storedInternal" boolean NOT NULL DEFAULT false, "accessKey" varchar(256),
    "thumbnailAccessKey" varchar(256), "webpublicAccessKey" varchar(256), comment text);
CREATE TABLE emoji (id varchar(32) PRIMARY KEY, "publicUrl" varchar(512));
CREATE TABLE "user" (id varchar(32) PRIMARY KEY, "avatarUrl" varchar(512), token text);
INSERT INTO drive_file (id, size, "accessKey")
    SELECT 'f' || n, 20000, 'misskey/' || n || '.webp' FROM generate_series(1, 20) AS n;
"""
SECRET = "only-for-this-run"
URL = ("--misskey-url-file", "/run/secrets/misskey-db")
PSQL = ("psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet", "--dbname", "misskey")


class Instance:
    """Misskey's directory, as its operator has it after reading the head of the compose file."""

    def __init__(self, images, name):
        self.room = images.room / name
        files = self.room / "media-gateway"
        shutil.copytree(REPOSITORY / "docker", files)
        (self.room / "compose.yml").write_text(MISSKEYS)
        (self.room / "demo").mkdir()
        shutil.copy(REPOSITORY / "docker/demo/s3.json", self.room / "demo")
        (files / "config").mkdir()
        shutil.copy(REPOSITORY / "docker/demo/gateway.toml", files / "config")
        (files / "secrets").mkdir()
        secret = files / "secrets/misskey-db"
        secret.write_text(f"postgres://misskey_media_reader:{SECRET}@db:5432/misskey\n")
        secret.chmod(0o400)
        shutil.chown(secret, 991, 991)
        self.project = Project(name, [self.room / "compose.yml",
                                      files / "compose.misskey.yaml"], self.room, {
            **images.services_variables(), "GATEWAY_IMAGE": images.gateway("first"),
            "MISSKEYS_IMAGE": images.misskeys(),
            "GATEWAY_SECRETS": "./media-gateway/secrets"})

    def sql(self, text, *arguments):
        """Misskey's own role, in the database's container."""
        return docker("exec", "--interactive", self.project.container("db"), *PSQL,
                      "--username", "example-misskey-user", *arguments, given=text)

    def reader(self, statement, **more):
        """The tools' role, over the network and with its password."""
        url = f"postgres://misskey_media_reader:{SECRET}@db:5432/misskey"
        return docker("exec", self.project.container("db"), "psql", "--no-psqlrc", "--tuples-only",
                      "--no-align", "--command", statement, url, **more)

    def tools(self, *command, **more):
        return self.project("run", "--rm", "-T", "tools", *command, **more)

    def upload(self, name, numbers):
        return upload(self.project.container("web"), name, numbers, length=20_000)


@contextmanager
def instance(images, name):
    place = Instance(images, name)
    with place.project:
        place.project("up", "--detach", "--no-color")
        place.sql(TABLES)
        place.sql((REPOSITORY / "docker/misskey-reader.sql").read_text(),
                  "--set", f"password={SECRET}")
        for name, numbers in (("old", range(1, 22)), ("new", range(1, 18))):
            until(f"the bucket {name} takes files",
                  lambda name=name, numbers=numbers: place.upload(name, numbers))
        place.project.healthy()
        yield place


def the_gateway_is_where_buckets_are_and_not_where_the_database_is(images, place):
    gateway, database = place.project.container(), place.project.container("db")
    of = {name: inspect(name)["NetworkSettings"]["Networks"] for name in (gateway, database)}
    check(list(of[gateway]) == [f"{place.project.name}_external_network"], f"{list(of[gateway])}")
    check(ask(place.project.address(), "/misskey/18.webp")[0] == 200, "no bucket is reached")
    by_address = next(iter(of[database].values()))["IPAddress"]
    check(by_address, "the database has no address")
    said = docker("exec", gateway, "curl", "--silent", "--show-error", "http://db:5432/", fails=True)
    check("(6)" in said, f"the gateway finds the database's name: {said}")
    said = docker("exec", gateway, "curl", "--silent", "--show-error", "--connect-timeout", "3",
                  f"http://{by_address}:5432/", fails=True)
    check("(28)" in said or "(7)" in said, f"the database answered the gateway: {said}")
    # The same question from Misskey's side is answered, if not in HTTP.
    said = docker("exec", place.project.container("web"), "curl", "--silent", "--show-error",
                  "--connect-timeout", "3", f"http://{by_address}:5432/", fails=True)
    check("(52)" in said or "(56)" in said, f"web does not reach the database: {said}")


def the_tools_role_reads_keys_and_changes_nothing(images, place):
    check(place.reader('SELECT count("accessKey") FROM drive_file').strip() == "20", "no rows")
    update = "UPDATE drive_file SET size = 0"
    said = place.reader(update, fails=True)
    check("read-only transaction" in said or "permission denied" in said, said)
    said = place.reader(f"SET default_transaction_read_only = off; {update}", fails=True)
    said += place.reader("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; BEGIN READ WRITE; "
                         + update, fails=True)
    check("permission denied for table drive_file" in said, said)
    said = place.reader('SELECT token FROM "user"', fails=True)
    check("permission denied" in said, said)
    changed = docker("exec", place.project.container("db"), *PSQL, "--username",
                     "example-misskey-user", "--tuples-only", "--no-align", "--command",
                     "SELECT count(*) FROM drive_file WHERE size = 0").strip()
    check(changed == "0", f"{changed} rows were changed")


def the_tools_are_not_started_with_the_rest(images, place):
    running = place.project("ps", "--services").split()
    found = docker("ps", "--all", "--quiet",
                   "--filter", f"label=com.docker.compose.project={place.project.name}",
                   "--filter", "label=com.docker.compose.service=tools")
    check("gateway" in running and not found, f"tools run: {found}")


def what_no_row_names_is_deleted_by_the_tools_and_gone_at_the_gateway(images, place):
    check(ask(place.project.address(), "/misskey/21.webp")[0] == 200, "it is not there before")
    said = place.tools("deletions", *URL, "--min-age", "0s", "--max", "50%")
    check(ask(place.project.address(), "/misskey/21.webp")[0] == 200, f"a report deletes: {said}")
    place.tools("deletions", *URL, "--min-age", "0s", "--max", "50%", "--apply")
    check(ask(place.project.address(), "/misskey/21.webp")[0] == 410, "it is not gone")
    check(ask(place.project.address(), "/misskey/20.webp")[0] == 200, "a file with a row is gone")


def an_audit_says_no_until_what_rows_name_has_moved(images, place):
    audit = ("audit", "old", "--quiet-for", "1s", *URL)
    said = place.tools(*audit, fails=True)
    check("misskey/18.webp" in said, said)
    place.tools("migrate", "--from", "old", "--to", "new", "--referenced-only", *URL)
    place.tools(*audit)


def the_database_and_misskey_may_die_and_no_viewer_notices(images, place):
    for service in ("db", "redis", "web"):
        docker("kill", place.project.container(service))
    for number in range(1, 21):
        status, _, _ = ask(place.project.address(), f"/misskey/{number}.webp")
        check(status == 200, f"/misskey/{number}.webp: {status} without Misskey")


def a_dead_bucket_makes_no_false_404(images, place):
    place.project.inside("purge", "--all", "--yes")
    docker("kill", place.project.container("new"))
    seen = {}
    for number in range(1, 26):
        status, _, _ = ask(place.project.address(), f"/misskey/{number}.webp")
        seen[number] = status
    check(all(seen[number] == 200 for number in range(1, 21)), f"with the old bucket: {seen}")
    check(seen[21] == 410, f"what was deleted answers {seen[21]}")
    check(all(seen[number] == 503 for number in range(22, 26)), f"what nobody knows: {seen}")


PLACE = instance
TESTS = (
    the_gateway_is_where_buckets_are_and_not_where_the_database_is,
    the_tools_role_reads_keys_and_changes_nothing,
    the_tools_are_not_started_with_the_rest,
    what_no_row_names_is_deleted_by_the_tools_and_gone_at_the_gateway,
    an_audit_says_no_until_what_rows_name_has_moved,
    the_database_and_misskey_may_die_and_no_viewer_notices,
    a_dead_bucket_makes_no_false_404,
)
