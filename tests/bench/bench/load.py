"""Load generators: wrk, h2load and our own client. Each answer is checked before it counts."""

import json
import re
import subprocess
from pathlib import Path

from .machine import Failed

# A head is shorter than this, so a sum of bytes tells how many bodies came whole.
HEAD_BYTES = 2048


class Load:
    client = None

    @staticmethod
    def wrk(server, path, length, count, connections, seconds):
        """So many connections that ask for a few objects over and over, as fast as they can."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s",
                   "-s", str(Path(__file__).with_name("wrk.lua")), server.url("/"),
                   "--", path, str(count)]
        said = run(command, seconds + 120)
        figures = json.loads(said.splitlines()[-1])
        if figures.pop("errors") or not figures["requests"]:
            raise Failed(f"{server.name}: {path}: wrk saw errors: {said}")
        # What was begun and not finished at the end counts as bytes and as no request.
        begun = connections * (length + HEAD_BYTES)
        low = figures["requests"] * length
        if not low < figures["bytes"] < low + figures["requests"] * HEAD_BYTES + begun:
            raise Failed(f"{server.name}: {path}: {figures} does not fit {length} bytes each")
        return figures

    @staticmethod
    def h2load(server, path, length, requests, connections, streams):
        """The same over HTTP/2 without TLS; so many requests instead of so many seconds."""
        command = ["h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams),
                   "-t1", "--no-tls-proto=h2c", server.url(path)]
        said = run(command, 300)
        took = re.search(r"finished in ([\d.]+)(s|ms|us)", said)
        done = re.search(r"(\d+) succeeded, (\d+) failed", said)
        sent = re.search(r"\((\d+)\) data", said)
        if not (took and done and sent) or int(done[1]) != requests or \
                int(sent[1]) != requests * length:
            raise Failed(f"{server.name}: {path}: h2load was not answered as it should be: {said}")
        seconds = float(took[1]) * {"s": 1, "ms": 1e-3, "us": 1e-6}[took[2]]
        return {"requests": requests, "bytes": requests * length, "seconds": seconds}

    @classmethod
    def list(cls, server, path, length, count, connections, **more):
        """Objects that are gone through once."""
        words = {"path": path, "length": length, "count": count, "connections": connections}
        return cls.ask("list", server, {**words, **more})

    @classmethod
    def herd(cls, server, path, length, count):
        return cls.ask("herd", server, {"path": path, "length": length, "count": count})

    @classmethod
    def ask(cls, mode, server, words):
        return json.loads(run(cls.command(mode, server, words), 3600))

    @classmethod
    def command(cls, mode, server, words):
        said = [f"{name}={value}" for name, value in words.items()]
        return [str(cls.client), mode, f"at={server.plain_address}", *said]

    @classmethod
    def waiting(cls, mode, server, words):
        """Connections that are there until the block is left."""
        return Waiting(cls.command(mode, server, words))


class Waiting:
    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.child.stdout.readline().strip() != "ready":
            self.child.kill()
            raise Failed(f"{' '.join(self.command)}: {self.child.communicate()[1].strip()}")
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait(60)
        self.child.stdout.close()
        self.child.stderr.close()


def run(command, patience):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(command)}: not within {patience} s") from late
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return done.stdout
