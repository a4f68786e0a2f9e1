"""The command line, and the order in which everything is measured.

In each round every server is measured once, so that whatever the machine does meanwhile meets all
of them; the order changes from round to round. Nobody else runs while one is measured.
"""

import argparse
import signal
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import chart, machine
from .load import Load
from .machine import Failed
from .origin import Origin
from .report import Results
from .scenarios import QUICK, Size, all_scenarios
from .servers import SERVERS, Gateway


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description="Measures the gateway beside nginx and Varnish. Tables go to standard "
                    "output; results.json, results.md and hits.svg to --out.")
    parser.add_argument("--scenario", action="append", metavar="NAME",
                        help="only this one; may be given several times")
    parser.add_argument("--servers", default=",".join(SERVERS), metavar="NAMES",
                        help="only these, such as gateway,nginx")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5, or 3 with --quick")
    parser.add_argument("--quick", action="store_true",
                        help="little of everything: shows that it works, and roughly how much")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="default: bench below the target directory")
    parser.add_argument("--program", type=Path, metavar="FILE",
                        help="another gateway than the one that is built")
    parser.add_argument("--list", action="store_true", help="names the scenarios and ends")
    parser.add_argument("--target", type=Path, default=Path("target"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.servers = given.servers.split(",")
    for server in given.servers:
        if server not in SERVERS:
            parser.error(f"--servers: {server} is none of {', '.join(SERVERS)}")
    given.rounds = given.rounds or (3 if given.quick else 5)
    given.size = QUICK if given.quick else Size()
    every = all_scenarios(given.size)
    names = [scenario.name for scenario in every]
    for name in given.scenario or ():
        if name not in names:
            parser.error(f"--scenario: {name} is none of {', '.join(names)}")
    given.scenarios = [one for one in every if not given.scenario or one.name in given.scenario]
    return given


def main():
    given = arguments()
    if given.list:
        for scenario in given.scenarios:
            print(f"{scenario.name:12} {scenario.says}")
        return 0
    # Ended from outside, everything that was started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    release = given.target.resolve() / "release"
    Gateway.program = (given.program or release / "media-gateway").resolve()
    Load.client = release / "bench-client"
    out = given.out or given.target / "bench"
    out.mkdir(parents=True, exist_ok=True)
    results = Results({
        "machine": machine.described(), "rounds": given.rounds, "quick": given.quick,
        "versions": {name: SERVERS[name].version() for name in given.servers}})
    with ExitStack() as stack:
        room = Path(tempfile.mkdtemp(prefix="room-", dir=out.resolve()))
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        origin = Origin(room / "origin")
        stack.callback(origin.stop)
        origin.start()
        for scenario in given.scenarios:
            origin.process.must_run()
            measure(scenario, given, origin, room / scenario.name, results)
            # What is there by now is kept, whatever happens to the rest.
            write(results, out)
    sys.stdout.write(results.markdown())
    say(f"written to {out}")
    return 1 if any("failed" in one for one in results.scenarios.values()) else 0


def measure(scenario, given, origin, room, results):
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        servers = []
        for name in given.servers:
            if not SERVERS[name].can(scenario.setup):
                continue
            server = SERVERS[name](room / name, origin, scenario.setup)
            stack.callback(server.stop)
            say(f"{scenario.name}: {name} is made ready")
            if attempt(scenario, server, results, prepared, given):
                servers.append(server)
        for turn in range(given.rounds):
            first = turn % max(len(servers), 1)
            for server in servers[first:] + servers[:first]:
                say(f"{scenario.name}: round {turn + 1} of {given.rounds}: {server.name}")
                attempt(scenario, server, results, measured, given, turn)
            servers = [one for one in servers if one.name not in
                       results.scenarios[scenario.name].get("failed", {})]


def prepared(scenario, server, _, given):
    server.start()
    scenario.prepare(server, given.size)


def measured(scenario, server, results, given, turn):
    results.add(scenario, server.name, scenario.measure(server, given.size, turn))


def attempt(scenario, server, results, do, *more):
    """One server's failure is reported, and the others go on."""
    try:
        do(scenario, server, results, *more)
        return True
    except (Failed, OSError) as why:
        say(f"{scenario.name}: {server.name}: {why}")
        results.failed(scenario, server.name, str(why).splitlines()[0])
        return False


def write(results, out):
    (out / "results.json").write_text(results.json())
    (out / "results.md").write_text(results.markdown())
    drawn = chart.svg(results)
    if drawn:
        (out / "hits.svg").write_text(drawn)


def say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as why:
        sys.exit(f"tests/bench/run: {why}")
    except KeyboardInterrupt:
        sys.exit(130)
