"""The servers that are compared: how each is configured, started and stopped.

All of them listen on the loopback; where TLS is measured, hits come to a port with it, and
everything else by the plain one.
"""

import http.client
import os
import re
import subprocess
import time
from dataclasses import dataclass, field

from .machine import Failed, Process, cpu_seconds, free_ports, memory_bytes, until

MIB = 1 << 20


@dataclass(frozen=True)
class Setup:
    """What a scenario wants of a server."""

    memory: int = 512 * MIB
    places: tuple = ("first",)
    log: bool = False
    http2: bool = False
    # Whatever is kept must survive a restart.
    lasting: bool = False
    # The gateway's memory tier is off.
    from_disk: bool = False
    # Hits come over TLS.
    tls: bool = False


@dataclass
class Server:
    room: object
    origin: object
    setup: Setup
    port: int = 0
    processes: list = field(default_factory=list)

    def __post_init__(self):
        self.room.mkdir(parents=True, exist_ok=True)
        self.port, self.other_port, self.tls_port = free_ports(3)

    @classmethod
    def can(cls, setup):
        return True

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def plain_address(self):
        """Where HTTP/1.1 is spoken, if not everywhere."""
        return self.address

    def url(self, path):
        if self.setup.tls:
            return f"https://127.0.0.1:{self.tls_port}{path}"
        return f"http://{self.address}{path}"

    def certificate(self):
        """A certificate as the authorities give them today (ECDSA, P-256), and its key."""
        files = self.room / "chain.pem", self.room / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=localhost", "-keyout", files[1], "-out", files[0]],
                       check=True, capture_output=True)
        return files

    def start(self):
        self.launch()
        self.processes[0].listening(self.port)

    def stop(self):
        for process in self.processes:
            process.stop()
        self.processes = []

    def run(self, *command):
        process = Process(command, self.room / "said.log")
        self.processes.append(process)

    def ports(self):
        every = dict(zip(("first", "second", "third"), self.origin.ports))
        return [(place, every[place]) for place in self.setup.places]

    def cpu_seconds(self):
        return cpu_seconds(self.processes)

    def settle(self):
        """Returns when it does nothing any more: what was brought may still be on its way to the
        disk."""
        last = [self.cpu_seconds()]

        def quiet():
            time.sleep(0.3)
            last.append(self.cpu_seconds())
            return last[-1] - last[-2] < 0.02

        until(f"{self.name} is quiet", quiet, 120)

    def memory(self):
        return memory_bytes(self.processes)

    def must_run(self):
        for process in self.processes:
            process.must_run()

    def get(self, path, length):
        """One object, whole."""
        connection = http.client.HTTPConnection(self.plain_address, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if (answer.status, len(body)) != (200, length):
            raise Failed(f"{self.name}: {path}: {answer.status} with {len(body)} bytes")

    def seconds_until_served(self, path, length):
        """Starts it, and returns when it has given this object."""
        began = time.monotonic()
        self.launch()

        def served():
            self.must_run()
            try:
                self.get(path, length)
                return True
            except ConnectionError:
                return False

        until(f"{self.name} serves", served, 600)
        return time.monotonic() - began


class Gateway(Server):
    name = "gateway"
    program = None

    @classmethod
    def version(cls):
        said = subprocess.run([cls.program, "--version"], capture_output=True, text=True,
                              check=True)
        return said.stdout.strip()

    def launch(self):
        config = self.room / "gateway.toml"
        memory = 0 if self.setup.from_disk else self.setup.memory
        origins = "\n".join(
            f'[origins.{place}]\nkind = "http"\nurl = "http://127.0.0.1:{port}/"\n'
            for place, port in self.ports())
        tls = ""
        if self.setup.tls:
            chain, key = self.certificate()
            tls = (f'[server.tls]\nlisten = "127.0.0.1:{self.tls_port}"\n'
                   f'certificate = "{chain}"\nprivate_key = "{key}"\n')
        config.write_text(f"""
[server]
listen = "{self.address}"
redirect = "never"
{tls}
[server.limits]
connections = 15000
bodies = 15000
[admin]
listen = "127.0.0.1:{self.other_port}"
[state]
directory = "{self.room}/state"
[cache]
directory = "{self.room}/cache"
min_free = "0 B"
memory = "{memory} B"
required = true
[log]
level = "{"info" if self.setup.log else "warn"}"
{origins}
[[routes]]
url = "/"
keys = [""]
origins = {list(self.setup.places)}
""".replace("'", '"'))
        self.run(self.program, "serve", "--config", config)


class Nginx(Server):
    """As operators of media proxies set it up: proxy_cache on the disk, sent by the kernel."""

    name = "nginx"

    @property
    def plain_address(self):
        # Without TLS, this nginx speaks either the one or the other on a port.
        return f"127.0.0.1:{self.other_port}"

    @classmethod
    def version(cls):
        said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
        return said.stderr.strip().removeprefix("nginx version: ")

    def launch(self):
        config = self.room / "nginx.conf"
        ports = self.ports()
        upstreams = "\n".join(
            f"upstream {place} {{ server 127.0.0.1:{port}; keepalive 64; }}"
            for place, port in ports)
        locations = []
        for at, (place, _) in enumerate(ports):
            where = "/" if at == 0 else f"@{place}"
            onward = "" if at + 1 == len(ports) else f"error_page 404 = @{ports[at + 1][0]};"
            locations.append(f"location {where} {{ proxy_pass http://{place}; {onward} }}")
        log = f"{self.room}/access.log combined" if self.setup.log else "off"
        http2 = "http2" if self.setup.http2 else ""
        tls = ""
        if self.setup.tls:
            chain, key = self.certificate()
            tls = (f"listen 127.0.0.1:{self.tls_port} ssl backlog=4096; ssl_certificate {chain}; "
                   f"ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; "
                   "ssl_session_cache shared:sessions:10m;")
        config.write_text(f"""
daemon off; worker_processes auto; worker_rlimit_nofile 20000;
pid {self.room}/pid; error_log {self.room}/error.log; user {os.environ.get("USER", "root")};
events {{ worker_connections 15000; }}
http {{
    sendfile on; tcp_nopush on; tcp_nodelay on;
    open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s;
    keepalive_timeout 75s; keepalive_requests 100000000; access_log {log};
    proxy_cache_path {self.room}/cache levels=1:2 keys_zone=media:200m
        inactive=90d max_size=20g use_temp_path=off;
    {upstreams}
    server {{
        listen {self.address} backlog=4096 {http2};
        listen {self.plain_address} backlog=4096;
        {tls}
        proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_cache media; proxy_cache_key $proxy_host$uri; proxy_cache_valid 200 90d;
        proxy_cache_valid 404 5s; proxy_cache_lock on; proxy_cache_lock_timeout 60s;
        proxy_cache_lock_age 60s; proxy_intercept_errors on; recursive_error_pages on;
        proxy_ignore_headers Set-Cookie; proxy_max_temp_file_size 2048m;
        {" ".join(locations)}
    }}
}}
""")
        self.run("nginx", "-p", self.room, "-c", config)


class Varnish(Server):
    """With its objects in memory."""

    name = "varnish"

    @classmethod
    def version(cls):
        said = subprocess.run(["varnishd", "-V"], capture_output=True, text=True, check=True)
        return re.search(r"varnish-[0-9.]+", said.stderr + said.stdout)[0]

    @classmethod
    def can(cls, setup):
        return not setup.lasting and not setup.from_disk and not setup.tls

    def launch(self):
        vcl = self.room / "default.vcl"
        ports = self.ports()
        backends = "\n".join(
            f'backend {place} {{ .host = "127.0.0.1"; .port = "{port}"; }}'
            for place, port in ports)
        turns = "\n".join(
            f"    if (bereq.retries == {at}) {{ set bereq.backend = {place}; }}"
            for at, (place, _) in enumerate(ports))
        vcl.write_text(f"""vcl 4.1;
{backends}
sub vcl_hash {{ hash_data(req.url); return (lookup); }}
sub vcl_backend_fetch {{
{turns}
}}
sub vcl_backend_response {{
    if (beresp.status == 404 && bereq.retries < {len(ports) - 1}) {{ return (retry); }}
    if (beresp.status == 200) {{ set beresp.ttl = 90d; set beresp.grace = 1d; }}
}}
""")
        self.run("varnishd", "-F", "-j", "none", "-n", self.room / "work", "-f", vcl,
                 "-a", self.address, "-s", f"malloc,{self.setup.memory}",
                 "-p", "timeout_idle=75", "-p", "listen_depth=4096",
                 "-p", "thread_pool_max=5000", "-p", "idle_send_timeout=300",
                 *(["-p", "feature=+http2"] if self.setup.http2 else []))
        if self.setup.log:
            self.processes[0].listening(self.port)
            self.run("varnishncsa", "-n", self.room / "work", "-w", self.room / "access.log")


SERVERS = {kind.name: kind for kind in (Gateway, Nginx, Varnish)}
