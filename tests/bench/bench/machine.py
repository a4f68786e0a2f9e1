"""Processes, ports and what the kernel counts of them.

Every process that is started here is ended here, whatever happens in between.
"""

import os
import platform
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0


class Failed(Exception):
    """A measurement that cannot be believed, or a server that does not start."""


def free_ports(count):
    """Ports of the loopback that nobody has. All are held until all are known."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def until(what, is_so, patience=PATIENCE):
    """Returns the first true answer to a question that is asked again and again."""
    deadline = time.monotonic() + patience
    while True:
        answer = is_so()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {patience:.0f} s")
        time.sleep(0.002)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """A command with everything that it starts, which is ended as one group."""

    def __init__(self, command, log, **options):
        self.command = [str(word) for word in command]
        self.log = Path(log)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, **options)

    def must_run(self):
        if self.child.poll() is not None:
            said = self.log.read_text(errors="replace")[-2000:]
            raise Failed(f"{Path(self.command[0]).name} has ended with "
                         f"{self.child.returncode}: {said}")
        return True

    def listening(self, port, patience=PATIENCE):
        until(f"{self.command[0]} listens on port {port} (see {self.log})",
              lambda: self.must_run() and listens(port), patience)

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def tree(self):
        """The process and all below it."""
        below = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = stat_of(int(entry))
                if fields:
                    below.setdefault(int(fields[1]), []).append(int(entry))
        found, look = [], [self.child.pid]
        while look:
            pid = look.pop()
            found.append(pid)
            look.extend(below.get(pid, ()))
        return found


def stat_of(pid):
    """The fields of /proc/PID/stat from the state on; none where it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2:].split()


def cpu_seconds(processes):
    """What these processes and all below them have used, in user and kernel mode."""
    ticks = 0
    for process in processes:
        for pid in process.tree():
            fields = stat_of(pid)
            if fields:
                # utime, stime, and those of children that have ended
                ticks += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return ticks / TICKS


def memory_bytes(processes):
    """Proportional set size: what they share is counted once. And the resident set size."""
    pss = rss = 0
    for process in processes:
        for pid in process.tree():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                if line.startswith("Pss:"):
                    pss += int(line.split()[1]) * 1024
                elif line.startswith("Rss:"):
                    rss += int(line.split()[1]) * 1024
    return {"pss": pss, "rss": rss}


def described():
    """What a figure depends on."""
    model = next((line.split(":", 1)[1].strip()
                  for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) * 1024
                  for line in Path("/proc/meminfo").read_text().splitlines()
                  if line.startswith("MemTotal"))
    return {"processor": model, "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": memory, "kernel": platform.release(),
            "load_before": os.getloadavg()[0]}
