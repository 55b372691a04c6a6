"""The smart home: a lamp switched and heard, beside the libraries that its users have; and a large house on one bus.

One lamp after the other, written from the specification (`tests/peers/yeelamp.py`), in a network namespace of its own. A
command is timed until the lamp itself has said that it is so: on Accord's event stream, to the library's listener. Lamps take
60 commands a minute, so that several are switched in turn. MIoT by python-miio on its own simulator, where both are there.
The house is in one process: as many devices, properties and changes on Accord's registry and on Home Assistant's bus.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

from tools import ROOT, TARGET, hubs, net

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
PYTHON, HASS = PEERS / "py/bin/python", PEERS / "ha/bin/python"
ASKS = ROOT / "tests" / "peers" / "hassdo.py"
LAMP = ROOT / "tests" / "peers" / "yeelamp.py"
LAMPS, COMMANDS, GAP = 4, 40, 0.05
CHANGES, EVERY = 400, 0.02
MIIO, SPEC, TOKEN, SETTINGS = PEERS / "miio/bin", ROOT / "bridges/miio/specs/lamp.json", "0" * 32, 100
HOUSE = (2000, 10, 500, 20)
WITHIN = 30

# The library, as its users write it: a connection for commands, and one that listens.
RIVAL = """
import json, sys, threading, time
from yeelight import Bulb
mode, count, gap, addresses = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
for address in addresses:
    heard, seen, listener = threading.Condition(), [], Bulb(address)
    def told(props):
        with heard:
            seen.append((time.monotonic_ns(), dict(props)))
            heard.notify_all()
    threading.Thread(target=listener.listen, args=(told,), daemon=True).start()
    bulb = Bulb(address, effect='sudden', duration=30)
    bulb.get_properties()
    time.sleep(0.3)
    if mode == 'listen':
        print('ready', flush=True)
        sys.stdin.readline()
        print(json.dumps([(at, props['bright']) for at, props in seen if 'bright' in props]), flush=True)
        continue
    took = []
    for turn in range(count):
        wanted = 'on' if turn % 2 == 0 else 'off'
        with heard:
            seen.clear()
        began = time.monotonic_ns()
        bulb.turn_on() if wanted == 'on' else bulb.turn_off()
        with heard:
            assert heard.wait_for(lambda: any(props.get('power') == wanted for _, props in seen), 5), 'never confirmed'
            took.append((seen[-1][0] - began) / 1e6)
        time.sleep(gap)
    print(json.dumps(took), flush=True)
"""

# Its users set a value, and read it again to be sure: the device says nothing by itself.
MIOT = """
import json, sys, time
from miio import MiotDevice
device, took = MiotDevice(sys.argv[1], sys.argv[2], mapping={}), []
device.get_property_by(2, 2)
for turn in range(int(sys.argv[3])):
    wanted, began = turn % 100 + 1, time.monotonic_ns()
    device.set_property_by(2, 2, wanted)
    assert device.get_property_by(2, 2)[0]['value'] == wanted
    took.append((time.monotonic_ns() - began) / 1e6)
print(json.dumps(took))
"""


def missing():
    """Why this cannot be measured here."""
    there = any(PEERS.glob("py/lib/python3*/site-packages/yeelight"))
    return None if there else "the library yeelight is not installed: tests/peers/run --install"


class Watcher(threading.Thread):
    """Reads a hub's events, and when a device said what."""

    def __init__(self, hub):
        super().__init__(daemon=True)
        self.hub, self.known, self.gaps = hub, {}, 0
        self.said, self.news = [], threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(hub.state / "hub.sock"))
        self.socket.sendall(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()
        assert self.answer.readline().startswith(b"event: hello")
        self.start()

    def run(self):
        try:
            while line := self.answer.readline():
                if line.startswith(b"event: hello"):
                    # There was a gap.
                    self.gaps += 1
                    for device in self.hub.api("GET", "/devices")[1]["devices"]:
                        self.take(device)
                elif line.startswith(b"data:"):
                    self.take(json.loads(line[5:]))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed

    def take(self, told):
        """Values alone, or a whole device."""
        now = time.monotonic_ns()
        services = [told] if "service" in told else told.get("services", [])
        device = str(told.get("device", told.get("id")))
        lights = [one for one in services if one.get("service", one.get("id")) == "light"]
        for name, value in [one for light in lights for one in (light.get("values") or {}).items()]:
            if self.known.get((device, name)) != value["data"]:
                self.known[device, name] = value["data"]
                with self.news:
                    self.said.append((now, device, name, value["data"]))
                    self.news.notify_all()

    def wait(self, since, device, name, data):
        """When it said that first, of what came after the first `since`."""
        fits = lambda: next((at for at, *what in self.said[since:] if what == [device, name, data]), None)
        with self.news:
            assert self.news.wait_for(fits, WITHIN), f"{device} never said {name} {data}"
            return fits()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join(5)
        self.socket.close()


class Api:
    """One connection to the hub for all commands, as a page has it."""

    def __init__(self, hub):
        self.connection = http.client.HTTPConnection("localhost")
        self.connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.sock.connect(str(hub.state / "hub.sock"))

    def write(self, device, property, data):
        verb = {"verb": "write", "property": property, "data": data}
        body = json.dumps({"service": "light", "instance": 0, "verb": verb, "confirmed": False})
        self.connection.request("POST", f"/api/v1/devices/{device}/call", body, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text


def parts(took):
    part = statistics.quantiles(took, n=100, method="inclusive")
    return {"count": len(took), "p50_ms": round(part[49], 2), "p99_ms": round(part[98], 2)}


class Lamps:
    """So many lamps at addresses of one machine."""

    def __init__(self, machine, base, folder, *options):
        self.processes, self.logs, self.addresses = [], [], []
        for number in range(LAMPS):
            address = base if number == 0 else f"{base.rsplit('.', 1)[0]}.{100 + number}"
            if number and address not in machine.addresses():
                machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
            log = folder / f"lamp-{number}-{time.monotonic_ns()}.log"
            with open(log, "wb") as out:
                self.processes.append(machine.popen(sys.executable, "-u", LAMP, address, f"{0xabc000 + number:#018x}", "--name",
                                                    f"Lamp {number}", *options, stdout=out, stderr=out))
            self.logs.append(log), self.addresses.append(address)
            net.until(lambda log=log: "ready" in log.read_text(), 10, "a lamp is on")

    def changes(self):
        """Has the first one change by itself; when it did."""
        self.processes[0].send_signal(signal.SIGUSR2)
        lines = lambda: [json.loads(line) for line in self.logs[0].read_text().splitlines() if line.startswith('{"changed"')]
        net.until(lambda: len(lines()) == CHANGES, WITHIN + CHANGES * EVERY * 2, "it changed")
        return [(line["at"], line["changed"]) for line in lines()]

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


def delays(changed, heard):
    """Of changes one after the other, each heard or not: how long in milliseconds. They repeat, but not within a second."""
    took, place = [], 0
    for at, level in changed:
        later = (index for index in range(place, len(heard)) if heard[index][1] == level and 0 <= heard[index][0] - at < 1e9)
        if (found := next(later, None)) is not None:
            took.append((heard[found][0] - at) / 1e6)
            place = found + 1
    return took


def by_accord(network, folder):
    home = folder / "home"
    home.mkdir()
    lamps = Lamps(network["lamp"], network.address["lamp"], folder, "--changes", str(CHANGES), "--every", str(EVERY))
    hub = hubs.Hub(network["alpha"], "alpha", folder=home).start()
    watcher = None
    try:
        hub.grant("yeelight/search"), hub.grant("control/command")
        devices = lambda: {device["name"]: device for device in hub.devices() if device["name"].startswith("Lamp ")}
        net.until(lambda: len(devices()) == LAMPS, 20, "all lamps are found")
        ids = [devices()[f"Lamp {number}"]["id"] for number in range(LAMPS)]
        watcher = Watcher(hub)
        for device, log in zip(ids, lamps.logs):
            hub.accord("pair", device, "--accept", timeout=60)
            net.until(lambda log=log: "get_prop" in log.read_text(), 20, "the lamp is asked")
        api, took = Api(hub), []
        for device in ids:
            for turn in range(COMMANDS):
                wanted, since, began = turn % 2 == 0, len(watcher.said), time.monotonic_ns()
                api.write(device, "on", wanted)
                took.append((watcher.wait(since, device, "on", wanted) - began) / 1e6)
                time.sleep(GAP)
        since = len(watcher.said)
        changed = lamps.changes()
        time.sleep(0.5)
        heard = [(at, str(data)) for at, device, name, data in watcher.said[since:] if name == "level" and device == ids[0]]
        late = delays(changed, heard)
        return {"command": parts(took), "change": {**parts(late), "lost": CHANGES - len(late)}, "gaps": watcher.gaps}
    finally:
        if watcher:
            watcher.close()
        hub.close()
        lamps.close()


def by_the_library(network, folder):
    lamps = Lamps(network["lamp"], network.address["lamp"], folder, "--changes", str(CHANGES), "--every", str(EVERY))
    try:
        words = [PYTHON, "-c", RIVAL]
        done = network["alpha"].run(*words, "command", COMMANDS, GAP, *lamps.addresses, timeout=120)
        took = [one for line in done.stdout.splitlines() for one in json.loads(line)]
        listens = network["alpha"].popen(*words, "listen", 0, 0, lamps.addresses[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert listens.stdout.readline() == "ready\n"
        changed = lamps.changes()
        time.sleep(0.5)
        out, _ = listens.communicate("\n", timeout=20)
        late = delays(changed, json.loads(out))
        return {"command": parts(took), "change": {**parts(late), "lost": CHANGES - len(late)}}
    finally:
        lamps.close()


def by_home_assistant(network, folder):
    """The same lamps on a whole Home Assistant, which has them by its own means; `None` where it is not there."""
    if not any(PEERS.glob("ha/lib/python3*/site-packages/yeelight")):
        return None
    machine, home = network["alpha"], folder / "hass"
    home.mkdir()
    lamps = Lamps(network["lamp"], network.address["lamp"], folder, "--changes", str(CHANGES), "--every", str(EVERY))
    entities = [f"light.lamp_{number}" for number in range(LAMPS)]
    devices = {address: {"name": f"Lamp {number}", "model": "color", "transition": 30} for number, address in enumerate(lamps.addresses)}
    parts_of_it = {"http": {"server_port": 8123}, "api": {}, "websocket_api": {}, "config": {}, "auth": {}, "onboarding": {},
                   "yeelight": {"devices": devices}}
    # JSON is YAML.
    (home / "configuration.yaml").write_text(json.dumps(parts_of_it))
    alone = {**os.environ, "HOME": str(home)}
    with open(folder / "hass.log", "wb") as log:
        hass = machine.popen(PEERS / "ha/bin/hass", "-c", home, "--skip-pip", stdout=log, stderr=log, start_new_session=True, env=alone)
    try:
        asks = lambda *words: json.loads(machine.run(HASS, ASKS, *words, timeout=120).stdout)
        token = asks("setup")["admin"]
        there = lambda: all((asks("states", token).get(one) or {"state": "unavailable"})["state"] in ("on", "off") for one in entities)
        net.until(there, 60, "Home Assistant has the lamps", pause=1)
        words, speaks = [HASS, ROOT / "bench" / "hasslamps.py"], {**os.environ, "HASS_TOKEN": token}
        # It reads a lamp again after some commands, and lamps take 60 a minute. An odd number leaves them on: it shows no
        # brightness of one that is off.
        done = machine.run(*words, "command", COMMANDS // 2 + 1, GAP, *entities, timeout=120, env=speaks)
        listens = machine.popen(*words, "listen", entities[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=speaks)
        assert listens.stdout.readline() == "ready\n"
        changed = lamps.changes()
        time.sleep(0.5)
        out, _ = listens.communicate("\n", timeout=20)
        late = delays(changed, json.loads(out))
        return {"command": parts(json.loads(done.stdout)), "change": {**parts(late), "lost": CHANGES - len(late)}}
    finally:
        os.killpg(hass.pid, signal.SIGKILL)
        hass.wait()
        lamps.close()


def miot(network, folder):
    """A value set on python-miio's simulator, until the device itself has said it; `None` where that is not there."""
    if not (MIIO / "miiocli").exists() or not SPEC.exists():
        return None
    machine, address = network["wifi"], network.address["wifi"]
    # It must find itself, and not our folders.
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"XDG_CACHE_HOME": str(folder)}
    with open(folder / "miot.log", "wb") as log:
        device = machine.popen(MIIO / "miiocli", "devtools", "miot-simulator", "--file", SPEC, "--model", "accord.light.lamp1",
                               stdout=log, stderr=log, cwd=folder, env=alone)
    home = folder / "miot"
    home.mkdir()
    hub, watcher = hubs.Hub(network["alpha"], "alpha", folder=home).start(), None
    try:
        net.until(lambda: ":54321 " in machine.run("ss", "-lun").stdout, 40, "the simulator runs")
        hub.grant("control/command")
        inputs = {"bridge": "miio", "way": "token", "inputs": {"address": address, "token": TOKEN}}
        status, added = hub.api("POST", "/add", inputs)
        assert status == 200, added
        id = added["devices"][0]["id"]
        level = lambda: next((one["values"].get("level") for one in hub.api("GET", f"/devices/{id}")[1]["services"]
                              if one["id"] == "light"), None)
        net.until(level, WITHIN, "it says how bright it is")
        watcher, api, took = Watcher(hub), Api(hub), []
        api.write(id, "level", 100), time.sleep(1)
        for turn in range(SETTINGS):
            wanted, since, began = turn % 99 + 1, len(watcher.said), time.monotonic_ns()
            api.write(id, "level", wanted)
            took.append((watcher.wait(since, id, "level", wanted) - began) / 1e6)
        hub.stop()
        done = network["alpha"].run(MIIO / "python", "-c", MIOT, address, TOKEN, SETTINGS, env=alone, timeout=120)
        return {"Accord": parts(took), "python-miio": parts(json.loads(done.stdout))}
    finally:
        if watcher:
            watcher.close()
        hub.close()
        device.kill()
        device.wait()


def house():
    """The same house on both buses, one after the other."""
    words = [str(word) for word in HOUSE]
    run = lambda *command: json.loads(subprocess.run([*command, *words], check=True, capture_output=True, text=True, timeout=300).stdout.splitlines()[-1])
    found = {"Accord": run(TARGET / "house")}
    if HASS.exists():
        found["Home Assistant"] = run(HASS, ROOT / "bench" / "hass.py")
    return found


def measure(folder):
    folder = pathlib.Path(folder)
    with net.Network("alpha", "lamp", "wifi") as network:
        for machine in ("alpha", "lamp", "wifi"):
            network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        lamps = {"Accord": by_accord(network, folder), "yeelight (Python)": by_the_library(network, folder)}
        if found := by_home_assistant(network, folder):
            lamps["Home Assistant"] = found
        settings = miot(network, folder)
    return {"lamps": lamps, "miot": settings, "house": house()}


def table(found):
    """The README's lines."""
    names = list(found["lamps"])
    both = lambda figure: f"p50 {figure['p50_ms']} ms, p99 {figure['p99_ms']} ms"
    lines = ["", "| a lamp | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for key, title in (("command", "Switched, until it says so itself"), ("change", "Changed by itself, until it is shown")):
        lines.append(f"| {title} | " + " | ".join(both(found["lamps"][name][key]) for name in names) + " |")
    lines.append("| Changes lost | " + " | ".join(str(found["lamps"][name]["change"]["lost"]) for name in names) + " |")
    if settings := found.get("miot"):
        lines += ["", "| a MIoT lamp | " + " | ".join(settings) + " |", "|---|" + "---:|" * len(settings),
                  "| A value set, until it says so itself | " + " | ".join(both(figure) for figure in settings.values()) + " |"]
    buses = found["house"]
    some = buses["Accord"]
    lines += ["", f"| {some['devices']:,} devices, {some['properties']:,} properties, {some['rate']} changes a second | " +
              " | ".join(name if name == "Accord" else f"{name}'s core" for name in buses) + " |", "|---|" + "---:|" * len(buses)]
    for title, show in (("All of it known after", lambda one: f"{one['known_after_ms']} ms"),
                        ("A change heard", lambda one: f"p50 {one['p50_us']} µs, p99 {one['p99_us']} µs"),
                        ("Processor", lambda one: f"{one['cpu_percent']:.1f} %"),
                        ("Memory", lambda one: f"{one['rss_mib']:.0f} MiB"),
                        ("Changes a second, at most", lambda one: f"{one['most_per_s']:,}")):
        lines.append(f"| {title} | " + " | ".join(show(one) for one in buses.values()) + " |")
    said = f"Lamps written from the specification, {LAMPS} of them switched in turn; all programs told the same ones."
    if settings:
        said += " The MIoT lamp is python-miio's own simulator, which says nothing by itself."
    lines += ["", f"{said} The house is in one process: Accord's registry, and Home Assistant's core with its registries of devices and entities, without one integration."]
    return lines


if __name__ == "__main__":
    import tempfile
    with tempfile.TemporaryDirectory(prefix="accord-bench-") as scratch:
        result = measure(scratch)
    print(json.dumps(result, indent=1))
    print("\n".join(table(result)))
