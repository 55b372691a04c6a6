"""A home with miIO devices: python-miio's simulators, of which each wants UDP 54321 for itself and so a machine of its own."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from hub import Hub, ROOT
from net import Network, until
from wire import Capture

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
CLI = PEERS / "miio" / "bin" / "miiocli"
PYTHON = PEERS / "miio" / "bin" / "python"
TOKEN = "0" * 32
LAMP, FAN, VACUUM = "accord.light.lamp1", "zhimi.fan.za4", "roborock.vacuum.a15"


def installed(file):
    return next((PEERS / "miio" / "lib").glob("python3*/site-packages/miio/integrations")) / file


def alone():
    """python-miio must find itself, and not our folders."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


class Things:
    """Things on the simulator of python-miio, of one process that is in all of their networks: see `miiothings.py`."""

    def __init__(self, folder):
        self.log = folder / "things.log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([PYTHON, pathlib.Path(__file__).with_name("miiothings.py")], stdin=subprocess.PIPE, stdout=out,
                                            stderr=out, text=True, env=alone())
        until(lambda: any("up" in said for said in self.said()), 40, lambda: f"the simulator is up: {self.log.read_text()[-1000:]}")

    def said(self):
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]

    def tell(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def switch_on(self, name, machine, spec, model, **more):
        before = sum("ready" in said for said in self.said())
        self.tell(on=name, net=machine.holder.pid, spec=str(spec), model=model, **more)
        until(lambda: sum("ready" in said for said in self.said()) > before, 20, lambda: f"the {name} is on: {self.log.read_text()[-1000:]}")

    def switch_off(self, name):
        before = sum("gone" in said for said in self.said())
        self.tell(off=name)
        until(lambda: sum("gone" in said for said in self.said()) > before, 10, lambda: f"the {name} is off: {self.log.read_text()[-1000:]}")

    def happens(self, name, what):
        self.tell(at=name, set=what)

    def became(self, name, place):
        values = [said[place] for said in self.said() if said.get("at") == name and place in said]
        return values[-1] if values else None

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@unittest.skipUnless(CLI.exists(), "python-miio is not installed: tests/peers/run --install")
class Home(unittest.TestCase):
    """A hub, a lamp that speaks MIoT, and a fan and a vacuum that speak in older words."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-miio-"))
        cls.network = Network("alpha", "lamp", "fan", "vacuum")
        cls.running = {}
        # Machines that have no route would not answer a broadcast of another one's.
        for name in ("alpha", "lamp", "fan", "vacuum"):
            cls.network[name].run("ip", "route", "add", "default", "dev", "eth0")
        for name in ("lamp", "fan", "vacuum"):
            cls.switch_on(name)
        for name in ("lamp", "fan", "vacuum"):
            cls.wait_on(name)

    @classmethod
    def tearDownClass(cls):
        for name in list(cls.running):
            cls.switch_off(name)
        cls.network.close()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.hub.grant("control/command")

    def tearDown(self):
        self.hub.close()

    # -- the devices' side --------------------------------------------------------------------------

    @classmethod
    def switch_on(cls, name):
        words = {
            "lamp": ["miot-simulator", "--file", ROOT / "bridges/miio/specs/lamp.json", "--model", LAMP],
            "fan": ["miio-simulator", "--file", installed("zhimi/fan/zhimi_fan.yaml"), "--model", FAN],
            "vacuum": ["miio-simulator", "--file", installed("roborock/vacuum/simulated_roborock.yaml"), "--model", VACUUM],
        }[name]
        with open(cls.folder / f"{name}.log", "ab") as log:
            cls.running[name] = cls.network[name].popen(CLI, "devtools", *words, stdout=log, stderr=log, cwd=cls.folder,
                                                        env=alone() | {"XDG_CACHE_HOME": str(cls.folder)})

    @classmethod
    def wait_on(cls, name):
        hears = lambda: ":54321 " in cls.network[name].run("ss", "-lun").stdout
        until(hears, 40, f"the {name} runs: {(cls.folder / f'{name}.log').read_text()[-1000:]}")

    @classmethod
    def switch_off(cls, name):
        process = cls.running.pop(name)
        process.kill()
        process.wait()

    def other_client(self, code):
        """What python-miio itself says and is told, from the machine of the hub."""
        done = self.network["alpha"].run(PYTHON, "-c", f"from miio import MiotDevice, Device\n{code}", check=False, env=alone(), timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr[-1500:])
        return done.stdout.strip()

    # -- the hub's side -----------------------------------------------------------------------------

    def device(self, id):
        return next((device for device in self.hub.devices() if device["id"] == id), None)

    def find(self, fits, seconds, what):
        found = lambda: next((device for device in self.hub.devices() if fits(device)), None)
        return until(found, seconds, f"{what}: {[(d['name'], d['reach']) for d in self.hub.devices()]}\n{self.hub.log()[-1500:]}")

    def at(self, name):
        return lambda device: device["trust"] != "own" and self.network.address[name] in json.dumps(device)

    def add(self, name, token=TOKEN, called=None):
        inputs = {"address": self.network.address[name], "token": token, **({"name": called} if called else {})}
        status, answer = self.hub.api("POST", "/add", {"bridge": "miio", "way": "token", "inputs": inputs, "away": True})
        self.assertEqual(status, 200, answer)
        return answer["devices"][0]

    def value(self, id, service, property):
        found = [one for one in (self.device(id) or {}).get("services", []) if one["id"] == service]
        return found[0]["values"].get(property, {}).get("data") if found else None

    def is_said(self, id, service, property, data, seconds=20):
        until(lambda: self.value(id, service, property) == data, seconds,
              f"{service}.{property} is {data}: {self.device(id)}\n{self.hub.log()[-1500:]}")

    def call(self, id, service, verb):
        return self.hub.api("POST", f"/devices/{id}/call", {"service": service, "instance": 0, "verb": verb, "confirmed": False})

    def write(self, id, service, property, data):
        return self.call(id, service, {"verb": "write", "property": property, "data": data})

    def reach(self, id, reach, seconds):
        until(lambda: (self.device(id) or {}).get("reach") == reach, seconds,
              f"it is {reach}: {self.device(id)}\n{self.hub.log()[-2000:]}")

    def why(self, id):
        return json.dumps(self.hub.api("GET", f"/devices/{id}/why")[1])

    def capture(self, name):
        capture = Capture(self.network[name], self.folder)
        self.addCleanup(capture.stop)
        return capture
