"""Home Assistant 2024.3 itself, headless, with its demo house, on a machine of its own, and a hub on another."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from hub import Hub
from net import Network, until
from wire import Capture

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
HERE = pathlib.Path(__file__).parent
HASS, PYTHON = PEERS / "ha/bin/hass", PEERS / "ha/bin/python"
CONFIGURATION = """
homeassistant: {name: Lab House, unit_system: metric}
http: {server_port: 8123}
api:
websocket_api:
config:
auth:
onboarding:
zeroconf:
demo:
"""
# It has no id of its own, so that nothing is left of it once it is not configured.
LOST = """
sensor: [{platform: template, sensors: {lab_lost: {friendly_name: Lab lost, value_template: "{{ 5 }}"}}}]
"""


@unittest.skipUnless(HASS.exists(), "Home Assistant is missing: ACCORD_HA=1 tests/peers/run --install")
class Home(unittest.TestCase):
    # What else is in its house.
    MORE = ""

    def setUp(self):
        self.network = Network("alpha", "home")
        for machine in ("alpha", "home"):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.home, self.address, self.process = self.network["home"], self.network.address["home"], None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-hass-"))
        # Also when it does not come up.
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.network.close)
        self.addCleanup(self.end, signal.SIGKILL)
        self.scheme = "http"
        text = CONFIGURATION + LOST + self.MORE
        if self._testMethodName.endswith("over_https"):
            self.scheme = "https"
            self.new_key()
            text = text.replace("{server_port: 8123}",
                                f"{{server_port: 8123, ssl_certificate: {self.folder}/cert.pem, "
                                f"ssl_key: {self.folder}/key.pem}}")
        (self.folder / "configuration.yaml").write_text(text)
        self.start()
        self.tokens = self.do("setup")
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.capture = Capture(self.home, self.folder)

    def tearDown(self):
        self.capture.stop()
        self.hub.close()

    # -- the server's side --------------------------------------------------------------------------

    def start(self, **more):
        with open(self.folder / "hass.log", "ab") as log:
            self.process = self.home.popen(HASS, "-c", self.folder, "--skip-pip", stdout=log, stderr=log,
                                           start_new_session=True, env={**os.environ, "HOME": str(self.folder), **more})

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, how)
            self.process.wait(40)

    def new_key(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=house", "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem"],
                       check=True, capture_output=True)

    def key(self):
        """As the guide says."""
        line = "openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum"
        return subprocess.run(line, shell=True, check=True, capture_output=True, text=True, cwd=self.folder).stdout.split()[0]

    def do(self, *words):
        base = {**os.environ, "HASS_BASE": f"{self.scheme}://127.0.0.1:8123"}
        done = self.home.run(PYTHON, HERE / "hassdo.py", *words, check=False, timeout=90, env=base)
        self.assertEqual(done.returncode, 0, f"{done.stderr[-2000:]}\n{(self.folder / 'hass.log').read_text()[-2000:]}")
        return json.loads(done.stdout)

    def there(self, entity):
        return self.do("states", self.tokens["admin"])[entity]

    # -- the hub's side -----------------------------------------------------------------------------

    def devices(self):
        return self.hub.api("GET", "/devices")[1]["devices"]

    def device(self, name):
        return next((one for one in self.devices() if one["name"] == name), None)

    def shown(self, name, service, instance=0):
        services = (self.device(name) or {"services": []})["services"]
        return next((one for one in services if one["id"] == service and one["instance"] == instance), {"values": {}})

    def value(self, name, service, property):
        return self.shown(name, service)["values"].get(property, {}).get("data")

    def shows(self, name, service, property, wanted, seconds=10):
        until(lambda: self.value(name, service, property) == wanted, seconds,
              f"{name} shows {property} {wanted}: {self.shown(name, service)}\n{self.hub.log()[-1500:]}")

    def reach(self, name, reach, seconds=60):
        until(lambda: (self.device(name) or {}).get("reach") == reach, seconds,
              f"{name} is {reach}: {self.device(name)}\n{self.hub.log()[-2000:]}")

    def call(self, name, service, verb, confirmed=False):
        body = {"service": service, "instance": 0, "verb": verb, "confirmed": confirmed}
        return self.hub.api("POST", f"/devices/{self.device(name)['id']}/call", body)

    def write(self, name, service, property, data):
        return self.call(name, service, {"verb": "write", "property": property, "data": data})

    def act(self, name, service, action, confirmed=False, **inputs):
        return self.call(name, service, {"verb": "act", "action": action, "inputs": inputs}, confirmed)

    def add(self, token, **more):
        inputs = {"address": f"{self.scheme}://{self.address}:8123", "token": token, **more}
        status, answer = self.hub.api("POST", "/add", {"bridge": "homeassistant", "way": "token", "inputs": inputs, "away": True})
        self.assertEqual(status, 200, f"{answer}\n{self.hub.log()[-2000:]}")
        return answer["devices"][0]

    def why(self, name):
        return self.hub.api("GET", f"/devices/{self.device(name)['id']}/why")[1]

    def codes(self, name):
        return json.dumps(self.why(name))

    def to_server(self):
        mine = self.hub.machine.addresses()
        return [p for p in self.capture.packets() if p.source in mine and p.protocol == "tcp"]
