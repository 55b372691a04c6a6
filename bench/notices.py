"""Notifications from an app on one machine to the screens of all: how long, and whether each arrives.

Three real hubs in network namespaces; the first has a session bus of its own on which its hub is the notification
server. A program sends over D-Bus as any app does. When one is shown is read from each hub's events, the first's own
included; all clocks are the kernel's one.
"""

import http.client
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

from tools import ROOT, hubs, net

sys.path.insert(0, str(ROOT / "tests" / "peers"))
import desktop  # noqa: E402

COUNT = 1000
# Between two, in seconds: a hundred a second is more than any person's apps do.
GAP = 0.01
WITHIN = 60

SENDER = """
import dbus, sys, time
server = dbus.Interface(dbus.SessionBus().get_object('org.freedesktop.Notifications', '/org/freedesktop/Notifications'),
                        'org.freedesktop.Notifications')
print('up', flush=True)
for number in range(int(sys.argv[1])):
    began = time.monotonic_ns()
    server.Notify('Bench', 0, '', f'number {number}', 'a word to everybody', [], {}, -1)
    print(number, began, flush=True)
    time.sleep(max(0, float(sys.argv[2]) - (time.monotonic_ns() - began) / 1e9))
"""


def missing():
    """Why this cannot be measured here."""
    absent = [tool for tool in ("dbus-daemon",) if not desktop.shutil.which(tool)]
    if subprocess.run([desktop.SYSTEM_PYTHON, "-c", "import dbus, gi"], capture_output=True).returncode != 0:
        absent.append("python3-dbus, python3-gi")
    return f"not installed: {', '.join(absent)}" if absent else None


class Watcher(threading.Thread):
    """Reads one hub's events, and notes when each notification is shown there."""

    def __init__(self, hub):
        super().__init__(daemon=True)
        self.shown, self.twice = {}, 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(hub.state / "hub.sock"))
        self.socket.sendall(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()
        # The first event says that what comes next is seen.
        assert self.answer.readline().startswith(b"event: hello")
        self.start()

    def run(self):
        try:
            while line := self.answer.readline():
                if line.startswith(b"data:") and (found := re.search(rb'"title":"number (\d+)"', line)):
                    now, number = time.monotonic_ns(), int(found[1])
                    self.twice += number in self.shown
                    self.shown.setdefault(number, now)
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join(5)
        self.socket.close()


def measure(folder):
    """Milliseconds from the app's call to each screen, and how many never came."""
    with net.Network("alpha", "beta", "gamma") as network:
        bus = desktop.Desktop(network["alpha"], server=False)
        running = [hubs.Hub(network[name], name, folder=pathlib.Path(folder)) for name in ("alpha", "beta", "gamma")]
        watchers = []
        try:
            first, *others = running
            first.start(**bus.env)
            first.grant("link/discovery")
            for other in others:
                other.start()
                other.grant("link/discovery")
                hubs.pair(first, other)
                first.grant("notifications/mirror", other.name)
            net.until(lambda: first.json("notifications")["desktop"]["mode"] == "serving", 20, "the hub is the notification server")
            watchers = [Watcher(hub) for hub in running]
            sender = network["alpha"].popen(desktop.SYSTEM_PYTHON, "-c", SENDER, COUNT, GAP, stdout=subprocess.PIPE, text=True,
                                            env={**os.environ, **bus.env})
            assert sender.stdout.readline() == "up\n"
            sent = {int(number): int(at) for number, at in (line.split() for line in sender.stdout)}
            assert sender.wait(WITHIN) == 0 and len(sent) == COUNT
            end = time.monotonic() + WITHIN
            while time.monotonic() < end and any(len(one.shown) < COUNT for one in watchers):
                time.sleep(0.05)
        finally:
            for one in watchers:
                one.close()
            for hub in running:
                hub.close()
            bus.close()
    found = {"sent": COUNT, "devices": len(watchers), "lost": sum(COUNT - len(one.shown) for one in watchers)}
    for name, some in (("here", watchers[:1]), ("there", watchers[1:])):
        took = sorted((at - sent[number]) / 1e6 for one in some for number, at in one.shown.items())
        if took:
            part = statistics.quantiles(took, n=100, method="inclusive")
            found[name] = {"p50_ms": round(part[49], 1), "p99_ms": round(part[98], 1)}
    return found


if __name__ == "__main__":
    import tempfile
    with tempfile.TemporaryDirectory(prefix="accord-bench-") as scratch:
        print(json.dumps(measure(scratch), indent=1))
