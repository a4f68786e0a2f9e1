"""The engine, as its command line offers it, and an account of what was made on it.

Everything that is made here carries the name of this run, so that nothing of anybody else's is ever
touched, and whatever is left at the end is a failure.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
RUN = f"media-gateway-test-{os.getpid()}"


class Failed(Exception):
    """Something is not as it is promised."""


def check(holds, otherwise):
    if not holds:
        raise Failed(otherwise)


def run(*command, fails=False, both=False, quiet_for=300, given="", **more):
    """What a command prints, with `both` on either stream; `fails`: it must not end with 0."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, text=True, input=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=quiet_for, **more)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(command)}\nhas not ended after {quiet_for} s") from late
    if (done.returncode != 0) != fails:
        said = f"{done.stdout}\n{done.stderr}".strip()[-4000:]
        raise Failed(f"{' '.join(command)}\nended with "
                     f"{done.returncode}:\n{said}")
    return done.stdout + (done.stderr if fails or both else "")


def docker(*arguments, **more):
    return run("docker", *arguments, **more)


def inspect(what):
    return json.loads(docker("inspect", what))[0]


def compose_command():
    """Compose v2 where there is one, else the older program."""
    found = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if found.returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise Failed("neither `docker compose` nor docker-compose is installed")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def until(what, holds, within=60):
    """Waits; another process gives no event to wait for. Returns what `holds` returned."""
    deadline = time.monotonic() + within
    while True:
        try:
            found = holds()
            problem = None
        except (Failed, OSError) as error:
            found, problem = None, error
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"after {within} s still not: {what}" + (f"; {problem}" if problem else ""))
        time.sleep(0.1)


class Project:
    """One or more compose files, brought up together and taken down with everything."""

    def __init__(self, name, files, room, environment):
        self.name = f"{RUN}-{name}"
        self.room = room
        self.port, self.admin_port = free_port(), free_port()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")},
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "GATEWAY_ADMIN_PORT": str(self.admin_port),
            "GATEWAY_STATE_VOLUME": f"{self.name}-state",
            "GATEWAY_CACHE_VOLUME": f"{self.name}-cache",
            **environment,
        }
        self.command = compose_command() + ["--project-name", self.name,
                                            "--project-directory", str(room)]
        for file in files:
            self.command += ["--file", str(file)]

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, trace):
        if problem is not None:
            self.show()
        self.down()

    def __call__(self, *arguments, **more):
        return run(*self.command, *arguments, env=self.environment, cwd=self.room, **more)

    def show(self):
        said = subprocess.run([*self.command, "logs", "--tail", "40"], env=self.environment,
                              cwd=self.room, capture_output=True, text=True, check=False)
        print(said.stdout[-8000:] + said.stderr[-2000:], flush=True)

    def down(self):
        self("--profile", "tools", "down", "--volumes", "--timeout", "10", "--remove-orphans")

    def container(self, service="gateway"):
        found = docker("ps", "--all", "--quiet",
                       "--filter", f"label=com.docker.compose.project={self.name}",
                       "--filter", f"label=com.docker.compose.service={service}",
                       "--filter", "label=com.docker.compose.oneoff=False").split()
        check(len(found) == 1, f"{self.name} has {len(found)} containers of {service}")
        return found[0]

    def inside(self, *command, **more):
        """Runs a command of the gateway's in its container, as an operator does."""
        return docker("exec", self.container(), "media-gateway", *command, **more)

    def healthy(self):
        until("the gateway is healthy", lambda: inspect(self.container())["State"]["Health"][
            "Status"] == "healthy")

    def address(self):
        return ("127.0.0.1", self.port)


def everything():
    """What is on the engine now, by kind."""
    return {
        "container": set(docker("ps", "--all", "--quiet", "--no-trunc").split()),
        "image": set(docker("images", "--all", "--quiet", "--no-trunc").split()),
        "network": set(docker("network", "ls", "--quiet", "--no-trunc").split()),
        "volume": set(docker("volume", "ls", "--quiet").split()),
    }
