"""The packages that `packaging/build` makes: the .deb on a Debian with a real systemd, from its
installation to its end; of the .rpm what can be seen without a system that takes it.

One machine is used from above to below, as an operator's is.
"""

import hashlib
import json
import re
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from .engine import REPOSITORY, RUN, check, docker, inspect, run, until
from .viewers import Viewers, ask

UNIT, SOCKET = "media-gateway.service", "media-gateway.socket"
CONFIG = """
[server]
listen = ["[::]:8080", "unix:/run/media-gateway/media.sock"]

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
# What systemd wants of an engine to be the first process of a container.
MACHINE = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
           "--security-opt", "apparmor=unconfined", "--cgroupns", "host",
           "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
           "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
           "--env", "container=docker")
# The highest figure of `systemd-analyze security`; 10 is a service that nothing confines.
MOST_EXPOSED = 1.5


class Packages:
    """Both packages, twice, and a machine that has none of them yet."""

    def __init__(self, images, name):
        self.images, self.name = images, f"{RUN}-{name}"
        self.room = images.room / name
        self.room.mkdir()
        self.debs, self.rpms = {}, {}
        for revision in ("1", "2"):
            # Of the program that everything here is tried with.
            said = run(REPOSITORY / "packaging/build", "--compiled", "--revision", revision,
                       quiet_for=1800).split()
            check(len(said) == 2, f"packaging/build said {said}")
            self.debs[revision], self.rpms[revision] = (
                Path(shutil.copy(package, self.room)) for package in said)
        self.objects = {}

    def start(self):
        docker("run", "--detach", "--name", self.name, *MACHINE, "--volume",
               f"{self.room}:/packages:ro", self.images.machine(), "/sbin/init")
        until("systemd is up", lambda: docker("exec", self.name, "systemctl", "is-system-running",
                                              "--wait").strip() == "running")
        self("mkdir", "--parents", "/srv/media/misskey")
        for number in range(6):
            content, path = secrets.token_hex(100_000), f"/misskey/{number}.webp"
            self.write(f"/srv/media{path}", content)
            self.objects[path] = hashlib.sha256(content.encode()).hexdigest()

    def __call__(self, *command, **more):
        return docker("exec", "--interactive", self.name, *command, **more)

    def write(self, file, text):
        self("tee", file, given=text)

    def address(self, port=8080):
        networks = inspect(self.name)["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"], port

    def answers(self):
        status, _, body = ask(self.address(), "/misskey/1.webp")
        return status == 200 and hashlib.sha256(body).hexdigest() == self.objects["/misskey/1.webp"]

    def command(self, *arguments):
        """Run as operators are told to."""
        return self("setpriv", "--reuid", "media-gateway", "--regid", "media-gateway",
                    "--init-groups", "media-gateway", *arguments)

    def configure(self, text):
        self.write("/etc/media-gateway/gateway.toml", text)

    def install(self, revision):
        return self("sh", "-c", f"dpkg --install /packages/{self.debs[revision].name}", both=True)

    def shown(self, key, unit=UNIT):
        return self("systemctl", "show", "--value", "--property", key, unit).strip()

    def lay_over(self, unit, lines):
        """What `systemctl edit` writes."""
        self("mkdir", "--parents", f"/etc/systemd/system/{unit}.d")
        self.write(f"/etc/systemd/system/{unit}.d/override.conf", lines)
        self("systemctl", "daemon-reload")

    def log(self):
        return self("journalctl", "--no-pager", "--output", "cat", "--lines", "60")


@contextmanager
def packages(images, name):
    place = Packages(images, name)
    try:
        place.start()
        yield place
    except Exception:
        said = subprocess.run(["docker", "exec", place.name, "journalctl", "--no-pager", "--lines",
                               "60"], capture_output=True, text=True, check=False)
        print(said.stdout[-8000:], flush=True)
        raise
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", place.name], capture_output=True,
                       check=False)


def debians_own_judge_finds_nothing(images, place):
    said = run("lintian", "--fail-on", "error,warning", place.debs["1"], both=True)
    check(not re.search("^[EW]:", said, re.M), said)


def installed_it_runs_nothing_and_says_what_to_fill_in(images, place):
    said = place.install("1")
    check("/etc/media-gateway/gateway.toml" in said and "enable --now" in said, said)
    for unit in (UNIT, SOCKET):
        states = place.shown("ActiveState", unit), place.shown("UnitFileState", unit)
        check(states == ("inactive", "disabled"), f"{unit} is {states}")
    owner = place("stat", "--format", "%U:%G %a", "/etc/media-gateway/gateway.toml",
                  "/var/lib/media-gateway", "/var/cache/media-gateway").split("\n")
    check(owner[:3] == ["root:media-gateway 640", "media-gateway:media-gateway 700",
                        "media-gateway:media-gateway 700"], f"{owner}")
    for file in ("man/man1/media-gateway.1.gz", "man/man1/media-gateway-serve.1.gz",
                 "bash-completion/completions/media-gateway", "doc/media-gateway/licenses.gz",
                 "doc/media-gateway/examples/retiring-to-a-disk.toml"):
        place("test", "-s", f"/usr/share/{file}")


def started_without_a_configuration_it_is_not_tried_again(images, place):
    place("systemctl", "start", UNIT, fails=True)
    until("it has given up", lambda: place.shown("ActiveState") == "failed")
    seen = place.shown("ExecMainStatus"), place.shown("NRestarts")
    check(seen == ("78", "0"), f"status and restarts: {seen}")
    check("check --offline" in place.shown("StatusText"), place.shown("StatusText"))
    place("systemctl", "reset-failed", UNIT)


def configured_it_serves_and_says_how_it_is_doing(images, place):
    place.configure(CONFIG)
    place("media-gateway", "origin", "init", "disk")
    place("systemctl", "enable", "--now", UNIT)
    # READY=1 has come, so nothing needs to be waited for.
    check(place.answers(), "the file is not answered")
    said = place("systemctl", "status", "--no-pager", UNIT)
    check("active (running)" in said and '"Serving media on [::]:8080, unix:/run/' in said, said)
    body = place("curl", "--silent", "--fail", "--unix-socket", "/run/media-gateway/media.sock",
                 "http://media.example.com/misskey/1.webp")
    check(hashlib.sha256(body.encode()).hexdigest() == place.objects["/misskey/1.webp"],
          "the proxy's socket does not answer")
    main = place.shown("MainPID")
    status = place("cat", f"/proc/{main}/status")
    check(re.search(r"^NoNewPrivs:\s1$", status, re.M), status)
    check(re.search(r"^CapEff:\s0+400$", status, re.M), "it may do more than bind ports below 1024")
    check(re.search(r"^Seccomp:\s2$", status, re.M), "it may make every system call")
    who = place("stat", "--format", "%U", f"/proc/{main}").strip()
    check(who == "media-gateway", f"it runs as {who}")
    page = place("curl", "--silent", "--show-error", "--fail", "http://127.0.0.1:9090/metrics")
    check("media_gateway_cache_up 1" in page, "the cache is not used")


def it_is_confined(images, place):
    told = place("systemd-analyze", "security", "--no-pager", "--json=short", UNIT)
    exposed = [entry["json_field"] for entry in json.loads(told)
               if entry["set"] is False and float(entry["exposure"] or 0) >= 0.2]
    said = place("systemd-analyze", "security", "--no-pager", UNIT)
    figure = float(re.search(r"Overall exposure level.*: ([\d.]+)", said).group(1))
    print(f"    exposure {figure} of 10; not set: {', '.join(exposed)}")
    check(figure <= MOST_EXPOSED, said)
    said = place("journalctl", "--no-pager", "--unit", UNIT, "--output", "cat")
    check("Operation not permitted" not in said, f"something was forbidden that it needs:\n{said}")


def a_reload_holds_or_fails_with_its_reasons(images, place):
    main = place.shown("MainPID")
    place.configure(CONFIG.replace('["misskey/"]', '["misskey/", "null/"]'))
    place("systemctl", "reload", UNIT)
    told = place.command("explain", "https://media.example.com/null/x.webp")
    check("403" not in told, told)
    place.configure(CONFIG + "\n[nonsense]\n")
    said = place("systemctl", "reload", UNIT, fails=True)
    check("failed" in said, said)
    said = place.log()
    check("nonsense" in said, f"nothing of what is wrong in the log:\n{said}")
    check(place.answers(), "the configuration before does not hold")
    until("the status says it", lambda: "refused" in place.shown("StatusText"))
    place.configure(CONFIG)
    place("systemctl", "reload", UNIT)
    check((place.shown("MainPID"), place.shown("NRestarts")) == (main, "0"), "it was started anew")


def one_that_hangs_is_started_anew(images, place):
    place.lay_over(UNIT, "[Service]\nWatchdogSec=2\nRestartSec=100ms\n")
    place("systemctl", "restart", UNIT)
    main = place.shown("MainPID")
    place("systemctl", "kill", "--kill-whom", "main", "--signal", "SIGSTOP", UNIT)
    until("another one runs", lambda: place.shown("MainPID") not in (main, "0")
          and place.shown("ActiveState") == "active")
    check(place.answers(), "it does not answer")
    check("watchdog" in place.log().lower(), place.log())
    place.lay_over(UNIT, "")
    place("systemctl", "restart", UNIT)


def a_socket_elsewhere_is_refused_with_what_to_do(images, place):
    place("systemctl", "stop", UNIT)
    place.lay_over(SOCKET, "[Socket]\nListenStream=\nListenStream=127.0.0.1:8081\n")
    place("systemctl", "start", SOCKET)
    place("systemctl", "start", UNIT, fails=True)
    check("127.0.0.1:8081" in place.shown("StatusText"), place.shown("StatusText"))
    place("systemctl", "stop", SOCKET, UNIT)
    place.lay_over(SOCKET, "")
    place("systemctl", "reset-failed", UNIT)


def an_upgrade_under_load_refuses_and_loses_nobody(images, place):
    place("systemctl", "enable", "--now", SOCKET)
    # Nobody has started it: who connects does.
    check(place.answers(), "the first who connects is not answered")
    main = place.shown("MainPID")
    with Viewers(place.address(), place.objects) as viewers:
        until("the load runs", lambda: viewers.answered > 200)
        said = place.install("2")
        before = viewers.answered
        until("the new one is asked", lambda: viewers.answered > before + 200)
    check(place.shown("MainPID") != main, f"the same one runs:\n{said}")
    installed = place("dpkg-query", "--show", "--showformat", "${Version}", "media-gateway")
    check(installed.endswith("-2"), f"{installed} is installed")
    check(not viewers.lost and not viewers.again, f"{viewers.again} were refused or cut; lost: "
          f"{viewers.lost}"[:2000])
    print(f"    {viewers.answered} requests answered, none refused, none lost")


def an_upgrade_that_refuses_the_configuration_leaves_what_runs(images, place):
    main = place.shown("MainPID")
    place.configure(CONFIG + "\n[nonsense]\n")
    said = place.install("1")
    check("not started anew" in said and "nonsense" in said, said)
    check(place.shown("MainPID") == main and place.answers(), "the version before is gone")
    place.configure(CONFIG)


def removed_its_state_stays_and_purged_it_is_gone(images, place):
    place("systemctl", "restart", UNIT)
    url = "https://media.example.com/misskey/3.webp"
    place.command("tombstone", "add", url, "--reason", "a test")
    place("dpkg", "--remove", "media-gateway")
    for unit in (UNIT, SOCKET):
        check(place.shown("ActiveState", unit) != "active", f"{unit} goes on")
    place("test", "-s", "/etc/media-gateway/gateway.toml")
    place.install("2")
    place("systemctl", "enable", "--now", SOCKET, UNIT)
    check(ask(place.address(), "/misskey/3.webp")[0] == 410, "what was gone is back")
    check(place.answers(), "nothing else is there")
    place("dpkg", "--purge", "media-gateway")
    left = place("sh", "-c", "ls -d /var/lib/media-gateway /var/cache/media-gateway "
                 "/etc/media-gateway/gateway.toml /usr/bin/media-gateway /etc/systemd/system/"
                 "*.wants/media-gateway* /etc/systemd/system/media-gateway.service 2>/dev/null; true")
    check(not left.strip(), f"left: {left}")


def the_rpm_has_what_the_deb_has(images, place):
    rpm, root = place.rpms["2"], place.room / "root"
    told = run("rpm", "--query", "--package", "--queryformat",
               "%{NAME} %{VERSION}-%{RELEASE} %{LICENSE}", rpm)
    version = run(images.program, "--version").split()[1]
    check(told == f"media-gateway {version}-2 Apache-2.0 OR MIT", told)
    check(run("rpm", "--query", "--package", "--configfiles", rpm).split()
          == ["/etc/media-gateway/gateway.toml"], "other files of the operator")
    scripts = run("rpm", "--query", "--package", "--scripts", rpm)
    for script, word in (("preinstall", "useradd"), ("postinstall", "daemon-reload"),
                         ("preuninstall", "disable --now"), ("postuninstall", "try-restart")):
        check(re.search(rf"{script} scriptlet.*?{word}", scripts, re.S), f"{script}: {scripts}")
    listed = set(run("rpm", "--query", "--package", "--list", rpm).split())
    elsewhere = {"/usr/share/zsh/vendor-completions/_media-gateway":
                 "/usr/share/zsh/site-functions/_media-gateway",
                 "/usr/share/doc/media-gateway/licenses.gz":
                 "/usr/share/licenses/media-gateway/licenses.gz"}
    debians = {"/usr/share/lintian/overrides/media-gateway",
               "/usr/share/doc/media-gateway/copyright",
               "/usr/share/doc/media-gateway/changelog.gz",
               "/usr/share/doc/media-gateway/changelog.Debian.gz"}
    tree = run("dpkg-deb", "--contents", place.debs["2"]).splitlines()
    files = {line.split()[5].removeprefix(".") for line in tree if line.startswith("-")} - debians
    plain = {elsewhere.get(file, file) for file in files}
    # Either side packs some of its documents.
    bare = {re.sub(r"\.gz$", "", file) for file in plain}
    missing = bare - {re.sub(r"\.gz$", "", file) for file in listed}
    check(not missing, f"only the .deb has {sorted(missing)}")
    root.mkdir()
    run("rpm", "--root", root, "--initdb")
    run("rpm", "--root", root, "--install", "--nodeps", "--noscripts", rpm)
    told = run(root / "usr/bin/media-gateway", "--version").split()[1]
    check(told == version, f"what it installs is of version {told}")


PLACE = packages
TESTS = (
    debians_own_judge_finds_nothing,
    the_rpm_has_what_the_deb_has,
    installed_it_runs_nothing_and_says_what_to_fill_in,
    started_without_a_configuration_it_is_not_tried_again,
    configured_it_serves_and_says_how_it_is_doing,
    it_is_confined,
    a_reload_holds_or_fails_with_its_reasons,
    one_that_hangs_is_started_anew,
    a_socket_elsewhere_is_refused_with_what_to_do,
    an_upgrade_under_load_refuses_and_loses_nobody,
    an_upgrade_that_refuses_the_configuration_leaves_what_runs,
    removed_its_state_stays_and_purged_it_is_gone,
)
