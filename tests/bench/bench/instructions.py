"""How many instructions a hit from memory takes, against the number that is written down.

Time depends on the machine and on what else runs there; the number of instructions nearly does
not. The program runs under callgrind, twice: what the longer run takes more, divided by the hits
that it serves more, is a hit, from the socket to the socket. Refuses to compare anything but a
release build.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .load import Load
from .machine import Failed, Process, free_ports

HERE = Path(__file__).resolve().parent.parent
WRITTEN = HERE / "instructions.json"
# One worker: which of several takes a task is chance.
THREADS = {"TOKIO_WORKER_THREADS": "1"}
OBJECTS = {"8k": (8 * 1024, 64), "32k": (32 * 1024, 64)}
FEW, MANY = 500, 6500
AN_OLD_FILE = 1_600_000_000
ALLOWED = 1.05
ATTEMPTS = 3
# Under callgrind everything takes fifty times as long, and other things may run here too.
SLOWLY = 300


class Gateway:
    """The program under callgrind, in front of a directory, keeping everything in memory."""

    name = "gateway"

    def __init__(self, program, room):
        self.room = room
        (room / "files").mkdir(parents=True)
        for kind, (bytes_, count) in OBJECTS.items():
            (room / "files" / kind).mkdir()
            for n in range(count):
                file = room / "files" / kind / f"{n:08}.webp"
                file.write_bytes(os.urandom(bytes_))
                # A file of this moment may still be growing: the gateway would not keep it.
                os.utime(file, (AN_OLD_FILE, AN_OLD_FILE))
        self.port, admin = free_ports(2)
        self.plain_address = f"127.0.0.1:{self.port}"
        (room / "gateway.toml").write_text(f"""
[server]
listen = "{self.plain_address}"
[admin]
listen = "127.0.0.1:{admin}"
[state]
directory = "{room}/state"
[cache]
directory = "{room}/cache"
memory = "256 MiB"
[log]
level = "warn"
[origins.files]
kind = "filesystem"
root = "{room}/files"
marker = ""
[[routes]]
url = "/"
keys = [""]
origins = ["files"]
""")
        self.counts = room / "callgrind.out"
        self.process = Process(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.counts}",
             program, "serve", "--config", room / "gateway.toml"],
            room / "said.log", env={**os.environ, **THREADS})

    def hits(self, kind, count):
        length, of = OBJECTS[kind]
        Load.list(self, f"/{kind}/{{n}}.webp", length, count, 1, zipf=0, of=of)

    def instructions(self):
        """Everything since its start; it has ended then."""
        self.process.stop()
        said = self.process.log.read_text(errors="replace")
        found = re.search(r"Collected : (\d+)", said)
        if not found:
            raise Failed(f"callgrind has counted nothing: {said[-2000:]}")
        return int(found[1])


def of_a_hit(program, kind, keep):
    def run(count):
        with ExitStack() as stack:
            room = Path(tempfile.mkdtemp(prefix="instructions-"))
            stack.callback(shutil.rmtree, room, ignore_errors=True)
            gateway = Gateway(program, room)
            stack.callback(gateway.process.stop)
            gateway.process.listening(gateway.port, SLOWLY)
            length, objects = OBJECTS[kind]
            # Each twice: whatever only a first request does is done then.
            for _ in range(2):
                Load.list(gateway, f"/{kind}/{{n}}.webp", length, objects, 1)
            gateway.hits(kind, count)
            counted = gateway.instructions()
            if keep:
                shutil.copy(gateway.counts, keep / f"callgrind.{kind}.{count}")
            return counted

    return round((run(MANY) - run(FEW)) / (MANY - FEW))


def least(program, kind, keep, allowed):
    """The least of a few counts, or the first that is allowed: what else the program does in the
    meantime is counted too."""
    counts = []
    while len(counts) < ATTEMPTS and (not counts or min(counts) > allowed):
        counts.append(of_a_hit(program, kind, keep))
    return min(counts)


def main():
    parser = argparse.ArgumentParser(
        prog="tests/bench/instructions",
        description=f"Fails if a hit takes more than {ALLOWED - 1:.0%} more instructions than "
                    f"tests/bench/{WRITTEN.name} says.")
    parser.add_argument("--renew", action="store_true",
                        help="writes the numbers down instead; say in the commit why they changed")
    parser.add_argument("--keep", type=Path, metavar="DIR",
                        help="what callgrind wrote, for callgrind_annotate")
    parser.add_argument("--program", type=Path, metavar="FILE",
                        help="another gateway than the one that is built")
    parser.add_argument("--target", type=Path, required=True, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if platform.machine() != "x86_64":
        print("the numbers that are written down are of x86_64; nothing is compared here")
        return 0
    release = given.target.resolve() / "release"
    program = (given.program or release / "media-gateway").resolve()
    Load.client = release / "bench-client"
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    written = json.loads(WRITTEN.read_text()) if WRITTEN.exists() else {}
    now = {kind: least(program, kind, given.keep, written.get(kind, 0) * ALLOWED)
           for kind in OBJECTS}
    if given.renew:
        WRITTEN.write_text(json.dumps(now, indent=1) + "\n")
        print(f"written down: {now}")
        return 0
    failed = False
    for kind, count in now.items():
        ratio = count / written[kind]
        print(f"a hit of {kind}: {count:,} instructions, {ratio:.3f} of {written[kind]:,}")
        failed |= ratio > ALLOWED
    if failed:
        print("more than allowed. Where they are: tests/bench/instructions --keep DIR, then "
              "callgrind_annotate DIR/callgrind.8k.6500; if they are wanted: "
              "tests/bench/instructions --renew", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as why:
        sys.exit(f"tests/bench/instructions: {why}")
