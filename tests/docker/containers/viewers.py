"""Viewers, as the proxy in front of the gateway passes them on.

A connection that brings not one byte of an answer is tried again, as Caddy does with
`lb_try_duration`: nothing was answered, and a GET may be repeated. Everything else counts: another
status than 200, a body that is short or not the right one, no answer for a minute and a half.
"""

import hashlib
import http.client
import threading
import time

PATIENCE_SECONDS = 90
HOST = "media.example.com"


def ask(address, path, method="GET", host=HOST, timeout=30):
    """Status, headers and body of one answer."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, dict((key.lower(), value) for key, value in answer.getheaders()), \
            answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{path}: {error!r}") from error
    finally:
        connection.close()


class Viewers:
    """Several, who ask for the same objects all the time until they are told to stop."""

    def __init__(self, address, objects, count=8):
        self.address, self.objects = address, list(objects.items())
        self.answered, self.again, self.lost = 0, 0, []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._look, args=(number,), daemon=True)
                        for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *problem):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _look(self, number):
        while not self.stopping.is_set():
            path, digest = self.objects[number % len(self.objects)]
            number += 1
            problem = self._see(path, digest)
            with self.lock:
                self.answered += 1
                if problem:
                    self.lost.append(problem)

    def _see(self, path, digest):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                status, _, body = ask(self.address, path)
            except (ConnectionRefusedError, ConnectionResetError,
                    http.client.RemoteDisconnected, ConnectionError) as error:
                if time.monotonic() > deadline:
                    return f"{path}: nobody answered for {PATIENCE_SECONDS} s: {error!r}"
                with self.lock:
                    self.again += 1
                time.sleep(0.05)
                continue
            except OSError as error:
                return f"{path}: {error!r}"
            if status != 200:
                return f"{path}: status {status}"
            if hashlib.sha256(body).hexdigest() != digest:
                return f"{path}: {len(body)} bytes that are not the right ones"
            return None
