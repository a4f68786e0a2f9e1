"""The origin of all servers: nginx, which makes small objects up and sends large ones from files.

Three servers stand for three places. The first has what is not below /second/ and /third/. No two
objects below /8k/ and the like are equal, so that nobody gains by keeping equal ones once.
"""

import os
import re
import urllib.request
from pathlib import Path

from .machine import Process, free_ports, until

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MADE_UP = {"256b": 256, "8k": 8 * KIB, "20k": 20 * KIB, "32k": 32 * KIB}
FILES = {"200k": (200 * KIB, 16), "5m": (5 * MIB, 4), "100m": (100 * MIB, 1)}
FILM_BYTES = GIB
SLOW_BYTES, SLOW_RATE = 4_000_000, 2_000_000
PLACES = ["first", "second", "third"]


def made_up(prefix, bytes_):
    """A location whose objects begin with their name and are so long."""
    name = len(prefix) + 8
    whole, rest = divmod(bytes_ - name, KIB)
    return (f'location {prefix} {{ default_type image/webp; add_header ETag \'"$uri"\'; '
            f'return 200 "$uri{"$kib" * whole}{"." * rest}"; }}')


def path_of(kind):
    """Where objects of a kind are; {n} is their number of eight digits."""
    return f"/{kind}/{{n}}"


class Origin:
    def __init__(self, room):
        self.room = Path(room)
        self.files = self.room / "files"
        self.log = self.room / "sent.log"
        *self.ports, self.status_port = free_ports(4)
        self.process = None

    def start(self):
        self.files.mkdir(parents=True)
        for kind, (bytes_, count) in FILES.items():
            (self.files / kind).mkdir()
            for n in range(count):
                (self.files / kind / f"{n:08}").write_bytes(os.urandom(bytes_))
        with open(self.files / "film", "wb") as film:
            film.truncate(FILM_BYTES)
        (self.files / "slow").write_bytes(os.urandom(SLOW_BYTES))
        config = self.room / "nginx.conf"
        config.write_text(self.config())
        self.process = Process(["nginx", "-p", self.room, "-c", config], self.room / "said.log")
        for port in self.ports:
            self.process.listening(port)

    def stop(self):
        if self.process:
            self.process.stop()

    def config(self):
        everything = "\n".join(made_up(f"/{kind}/", bytes_) for kind, bytes_ in MADE_UP.items())
        first, second, third = self.ports
        return f"""
daemon off; worker_processes auto; worker_rlimit_nofile 20000;
pid {self.room}/pid; error_log stderr notice; user {os.environ.get("USER", "root")};
events {{ worker_connections 8192; }}
http {{
    sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 300s;
    default_type video/mp4; access_log off; log_format sent "$uri $body_bytes_sent";
    open_file_cache max=1000 inactive=300s;
    map $uri $kib {{ default "{"." * KIB}"; }}
    server {{
        listen 127.0.0.1:{first} backlog=4096; root {self.files};
        {everything}
        location /film/ {{ access_log {self.log} sent; try_files /film =404; }}
        location /slow/ {{
            access_log {self.log} sent; limit_rate {SLOW_RATE}; try_files /slow =404;
        }}
        location /second/ {{ return 404; }}
        location /third/ {{ return 404; }}
    }}
    server {{
        listen 127.0.0.1:{second} backlog=4096;
        {made_up("/second/", MADE_UP["20k"])}
        location / {{ return 404; }}
    }}
    server {{
        listen 127.0.0.1:{third} backlog=4096;
        {made_up("/third/", MADE_UP["20k"])}
        location / {{ return 404; }}
    }}
    server {{ listen 127.0.0.1:{self.status_port}; location / {{ stub_status; }} }}
}}
"""

    def status(self):
        """Requests so far, this one not counted; and how many are being answered."""
        url = f"http://127.0.0.1:{self.status_port}/"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        requests = int(text.splitlines()[2].split()[2])
        writing = int(re.search(r"Writing: (\d+)", text)[1])
        self.looked = getattr(self, "looked", 0) + 1
        return requests - self.looked, writing - 1

    def requests(self):
        return self.status()[0]

    def is_quiet(self):
        return self.status()[1] == 0

    def sent_bytes(self, patience):
        """What was sent of the films and the slow objects, once nothing is on its way."""
        until("the origin has sent everything", self.is_quiet, patience)
        if not self.log.exists():
            return 0
        return sum(int(line.split()[1]) for line in self.log.read_text().splitlines())
