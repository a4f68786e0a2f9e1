"""What is measured. A scenario prepares each server once and measures it once a round.

`measure` returns figures by the name of a row; most scenarios have one row.
"""

import time
from dataclasses import dataclass, field, replace

from .load import Load
from .machine import Failed
from .origin import FILES, FILM_BYTES, GIB, KIB, MADE_UP, MIB, SLOW_BYTES, path_of
from .servers import Setup


@dataclass
class Scenario:
    name: str
    says: str
    setup: Setup = field(default_factory=Setup)
    kind: str = "rate"

    def prepare(self, server, size):
        """Brings what must be held."""

    def measure(self, server, size, turn):
        raise NotImplementedError


@dataclass(frozen=True)
class Size:
    """How much of everything: all of it, or as much as shows that it works."""

    seconds: int = 8
    misses: int = 20_000
    zipf_objects: int = 100_000
    zipf_requests: int = 100_000
    ranges: int = 3
    entries: int = 1_000_000
    idle: int = 10_000
    herds: tuple = (300, 1000)
    requests: int = 100_000


QUICK = Size(seconds=2, misses=3_000, zipf_objects=10_000, zipf_requests=20_000, ranges=1,
             entries=20_000, requests=20_000)


def costed(server, ask, to_the_end=False):
    """Figures of a load, with what the server used for it; `to_the_end`, also behind its answers."""
    before = server.cpu_seconds()
    figures = ask()
    if to_the_end:
        server.settle()
    used = server.cpu_seconds() - before
    requests, seconds = figures["requests"], figures["seconds"]
    latency = figures.get("latency", {})
    server.must_run()
    return {"rps": requests / seconds, "bytes_per_second": figures["bytes"] / seconds,
            "cpu_us": used / requests * 1e6, "p50": latency.get("p50"), "p99": latency.get("p99"),
            "requests": requests, **server.memory(),
            **{name: figures[name] for name in ("leader", "behind") if name in figures}}


def no_more_than(server, allowed, ask, what):
    """Figures of a load for which the origin may be asked so often, or they are not believed."""
    before = server.origin.requests()
    figures = ask()
    asked = server.origin.requests() - before
    if asked > allowed:
        raise Failed(f"{server.name}: {what}: the origin was asked {asked} times, "
                     f"and {allowed} were expected")
    return figures


@dataclass
class Hits(Scenario):
    """A few objects of one length, all held, over and over."""

    object: str = "8k"
    connections: int = 64
    objects: int = 64
    streams: int = 0

    @property
    def length(self):
        return MADE_UP.get(self.object) or FILES[self.object][0]

    def prepare(self, server, size):
        for _ in range(2):
            Load.list(server, path_of(self.object), self.length, self.objects, 4)

    def measure(self, server, size, turn):
        path = path_of(self.object)
        if self.streams:
            one = path.replace("{n}", f"{0:08}")
            ask = lambda: Load.h2load(server, one, self.length, size.requests,
                                      self.connections, self.streams)
        else:
            ask = lambda: Load.wrk(server, path, self.length, self.objects,
                                   self.connections, size.seconds)
        return {"": costed(server, lambda: no_more_than(server, 0, ask, self.name))}


class Zipf(Scenario):
    """Objects of 20 KiB of which memory holds a tenth."""

    def prepare(self, server, size):
        Load.list(server, path_of("20k"), MADE_UP["20k"], size.zipf_objects, 32)

    def measure(self, server, size, turn):
        return {"": costed(server, lambda: Load.list(
            server, path_of("20k"), MADE_UP["20k"], size.zipf_requests, 64,
            zipf=0.9, of=size.zipf_objects))}


class Misses(Scenario):
    def measure(self, server, size, turn):
        return {"": costed(server, lambda: Load.list(
            server, path_of("20k"), MADE_UP["20k"], size.misses, 32,
            **{"from": turn * size.misses}), to_the_end=True)}


@dataclass
class Elsewhere(Scenario):
    """Objects that only a later place has: the first time, and then again."""

    place: str = "second"

    def measure(self, server, size, turn):
        count = max(size.misses // 4, 100)
        ask = lambda: Load.list(server, f"/{self.place}/{{n}}", MADE_UP["20k"], count, 32,
                                **{"from": turn * count})
        return {"first time": costed(server, ask, to_the_end=True), "again": costed(server, ask)}


class ColdRange(Scenario):
    """64 KiB from the middle of an object of 1 GiB of which nothing is held."""

    def measure(self, server, size, turn):
        before = server.origin.sent_bytes(120)
        number = turn * size.ranges

        def ask():
            times = []
            for n in range(number, number + size.ranges):
                one = Load.list(server, path_of("film"), 64 * KIB, 1, 1, range=64 * KIB,
                                step=GIB // 2, **{"from": n})
                times.append(one["latency"]["p50"])
                # Until nothing more is brought for it.
                server.origin.sent_bytes(600)
            times.sort()
            return {"requests": size.ranges, "bytes": size.ranges * 64 * KIB,
                    "seconds": sum(times),
                    "latency": {"p50": times[len(times) // 2], "p99": times[-1]}}

        figures = costed(server, ask)
        sent = server.origin.sent_bytes(600) - before
        if sent > size.ranges * FILM_BYTES * 1.1:
            raise Failed(f"{server.name}: {sent} bytes were brought for {size.ranges} ranges")
        return {"": {**figures, "origin_bytes": sent / size.ranges}}


@dataclass
class Herd(Scenario):
    """Many who ask at once for what the origin sends slowly and nobody holds."""

    kind: str = "herd"
    at: int = 0

    def measure(self, server, size, turn):
        before = server.origin.sent_bytes(120)
        path = f"/slow/{turn:08}"
        figures = costed(server, lambda: Load.herd(
            server, path, SLOW_BYTES, size.herds[self.at]))
        behind = figures.pop("behind")
        sent = server.origin.sent_bytes(120) - before
        return {"": {**figures, "behind_p50": behind["p50"], "behind_max": behind["max"],
                     "origin_bytes": sent}}


@dataclass
class Waiting(Scenario):
    """Connections that only cost memory."""

    kind: str = "memory"
    mode: str = "idle"
    object: str = "8k"

    def count(self, size):
        return size.idle if self.mode == "idle" else 1000

    @property
    def length(self):
        return MADE_UP.get(self.object) or FILES[self.object][0]

    def prepare(self, server, size):
        Load.list(server, path_of(self.object), self.length, 1, 1)

    def measure(self, server, size, turn):
        count = self.count(size)
        # What earlier connections took may still be with the allocator.
        server.stop()
        server.start()
        self.prepare(server, size)
        before = server.memory()
        words = {"path": f"/{self.object}/{0:08}", "length": self.length, "count": count}
        with Load.waiting(self.mode, server, words):
            most = server.memory()
            quiet_since = time.monotonic()
            # Nothing tells from outside when the buffers are full.
            while time.monotonic() < quiet_since + 1:
                now = server.memory()
                if now["pss"] > most["pss"]:
                    most, quiet_since = now, time.monotonic()
                time.sleep(0.1)
        server.must_run()
        return {"": {"before": before["pss"], **most, "connections": count,
                     "each": (most["pss"] - before["pss"]) / count}}


class Start(Scenario):
    """From the command to the first object, with many entries on the disk."""

    def prepare(self, server, size):
        Load.list(server, path_of("256b"), MADE_UP["256b"], size.entries, 64)

    def measure(self, server, size, turn):
        server.stop()
        last = f"/256b/{size.entries - 1:08}"
        seconds = no_more_than(
            server, 0, lambda: server.seconds_until_served(last, MADE_UP["256b"]), "the start")
        return {"": {"seconds": seconds, **server.memory()}}


def hits(name, object_, connections, says, **more):
    objects = min(64, FILES[object_][1] if object_ in FILES else 64)
    return Hits(name, says, object=object_, connections=connections, objects=objects, **more)


PLAIN = [("8k", "8 KiB", 64), ("32k", "32 KiB", 64), ("200k", "200 KiB", 32),
         ("5m", "5 MiB", 16), ("100m", "100 MiB", 4)]
EVERYWHERE = Setup(places=("first", "second", "third"))


def all_scenarios(size):
    """In the order in which they are measured."""
    found = [hits(f"hit-{short}", short, connections, f"hits of {long} from memory")
             for short, long, connections in PLAIN]
    found += [hits(f"disk-{short}", short, connections, f"hits of {long} from disk",
                   setup=Setup(from_disk=True)) for short, long, connections in PLAIN]
    found += [
        hits("hit-8k-log", "8k", 64, "hits of 8 KiB from memory, with an access log",
             setup=Setup(log=True)),
        hits("hit-8k-h2", "8k", 8, "hits of 8 KiB from memory, HTTP/2 without TLS",
             setup=Setup(http2=True), streams=16),
        hits("tls-32k", "32k", 64, "hits of 32 KiB from memory, TLS 1.3", setup=Setup(tls=True)),
        hits("tls-5m", "5m", 16, "hits of 5 MiB from memory, TLS 1.3", setup=Setup(tls=True)),
        Zipf("zipf", f"{size.zipf_objects:,} objects of 20 KiB by Zipf's law, "
             "memory for a tenth", Setup(memory=size.zipf_objects * MADE_UP["20k"] // 10)),
        Misses("miss", "misses of 20 KiB"),
        Elsewhere("second", "only the second origin has it", EVERYWHERE),
        Elsewhere("third", "only the third origin has it", EVERYWHERE, place="third"),
        ColdRange("cold-range", "64 KiB from the middle of a cold 1 GiB",
                  replace(Setup(), memory=2048 * MIB)),
        Herd("herd-300", f"{size.herds[0]} at once, 4 MB at 2 MB/s", at=0),
        Herd("herd-1000", f"{size.herds[1]} at once, 4 MB at 2 MB/s", at=1),
        Waiting("stalled", "1,000 readers of 100 MiB that do not read", mode="stall",
                object="100m"),
        Waiting("idle", f"{size.idle:,} idle connections", mode="idle"),
        Start("start", f"start with {size.entries:,} entries", Setup(lasting=True), "start"),
    ]
    return found
