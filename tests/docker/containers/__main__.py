"""The order in which everything is tried, and the account at the end."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from . import alone, demo, image, misskey, monitoring, packages
from .engine import Failed, everything
from .images import Images

GROUPS = {"image": image, "alone": alone, "demo": demo, "misskey": misskey,
          "monitoring": monitoring, "packages": packages}


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/docker/run",
        description="Builds the image and runs every file below docker/ with it, on the engine of "
                    "this machine. Removes everything that it made.")
    parser.add_argument("--only", action="append", choices=list(GROUPS), metavar="GROUP",
                        help=f"only these of {', '.join(GROUPS)}; may be given several times")
    parser.add_argument("--tries", type=int, default=1, metavar="N",
                        help="how often a group may begin anew before it has failed; 1 by default. "
                             "What failed is said each time")
    parser.add_argument("--target", type=Path, default=Path("target"), help=argparse.SUPPRESS)
    return parser.parse_args()


def group(name, module, images):
    place = getattr(module, "PLACE", None)
    began = time.monotonic()
    with (place(images, name) if place else nullcontext()) as made:
        print(f"  {name}: ready after {time.monotonic() - began:.1f} s", flush=True)
        for test in module.TESTS:
            began = time.monotonic()
            print(f"  {test.__name__.replace('_', ' ')}", flush=True)
            test(images, made) if place else test(images)
            print(f"    passed in {time.monotonic() - began:.1f} s", flush=True)


def tried(name, module, images, tries):
    for left in reversed(range(tries)):
        try:
            group(name, module, images)
            return
        except (Failed, OSError) as failed:
            if not left:
                raise
            print(f"  {name}: {failed}; begun anew", flush=True)


def main():
    given = arguments()
    # Whoever stops this wants the engine as it was.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tests/docker: stopped"))
    before = everything()
    room = Path(tempfile.mkdtemp(prefix="media-gateway-containers-"))
    images = Images(given.target.resolve(), room)
    try:
        for name, module in GROUPS.items():
            if not given.only or name in given.only:
                tried(name, module, images, given.tries)
    finally:
        images.remove()
        shutil.rmtree(room, ignore_errors=True)
    left = {kind: now - before[kind] for kind, now in everything().items() if now - before[kind]}
    if left:
        raise Failed(f"left behind on the engine: {left}")


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        print(f"tests/docker: {failed}", file=sys.stderr)
        sys.exit(1)
