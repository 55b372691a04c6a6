"""A home with a UPnP renderer: Debian's gmediarender, with GStreamer sinks that keep time and make no sound."""

import http.client
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import unittest
import wave

from hub import Hub
from net import Network, until
from wire import Capture

RENDERER = shutil.which("gmediarender")
NAME, UUID, PORT, SECONDS = "Lounge TV", "0a1b2c3d-1111-2222-3333-444455556666", 49494, 90


def tone(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * SECONDS))


class Home(unittest.TestCase):
    """A hub, a television that is switched on when it is wanted, and others."""

    machines = ("alpha", "tv", "other")

    def setUp(self):
        self.network = Network(*self.machines)
        for machine in self.machines:
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.tv, self.address = self.network["tv"], self.network.address["tv"]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-upnp-"))
        (self.folder / "media").mkdir()
        tone(self.folder / "media" / "tone.wav")
        self.started, self.renderer = [], None
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.capture = Capture(self.tv, self.folder)

    def tearDown(self):
        self.capture.stop()
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- the television's side ----------------------------------------------------------------------

    def run_there(self, *words):
        with open(self.folder / "tv.log", "ab") as log:
            process = self.tv.popen(*words, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def switch_on(self, port=PORT):
        self.renderer = self.run_there(
            RENDERER, "-f", NAME, "-u", UUID, "--interface-name", "eth0", "--port", str(port),
            f"--logfile={self.folder / 'renderer.log'}", "--gstout-audiopipe=fakesink sync=true",
            "--gstout-videopipe=fakesink sync=true")
        self.port = port
        until(lambda: self.tv.inside(self.answers), 15, f"the renderer runs:\n{self.log()}")

    def answers(self):
        try:
            connection = http.client.HTTPConnection(self.address, self.port, timeout=5)
            connection.request("GET", "/description.xml")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def log(self):
        return "\n".join(f.read_text(errors="replace")[-1500:] for f in self.folder.glob("*.log"))

    def switch_off(self, how=signal.SIGTERM):
        self.renderer.send_signal(how)
        self.renderer.wait(10)

    def serve(self):
        self.web = self.run_there(sys.executable, "-u", "-m", "http.server", "8000", "--bind", self.address, "--directory",
                                  self.folder / "media")
        # Python's server looks for its own name first, in vain.
        until(lambda: "Serving HTTP" in self.log(), 30, "the file is served")
        return f"http://{self.address}:8000/tone.wav"

    def ask(self, service, action, what, more=""):
        """Asks the renderer itself, as any third program may."""
        def there():
            kind = f"urn:schemas-upnp-org:service:{service}:1"
            body = (f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:{action} xmlns:u="{kind}">'
                    f'<InstanceID>0</InstanceID><Channel>Master</Channel>{more}</u:{action}></s:Body></s:Envelope>')
            connection = http.client.HTTPConnection(self.address, self.port, timeout=5)
            path = {"AVTransport": "/upnp/control/rendertransport1", "RenderingControl": "/upnp/control/rendercontrol1"}[service]
            connection.request("POST", path, body, {"Content-Type": 'text/xml; charset="utf-8"', "SOAPACTION": f'"{kind}#{action}"'})
            return connection.getresponse().read().decode()
        found = re.search(f"<{what}>(.*?)</{what}>", self.tv.inside(there))
        return found and found[1]

    def state(self):
        return self.ask("AVTransport", "GetTransportInfo", "CurrentTransportState")

    def at(self):
        hours, minutes, seconds = self.ask("AVTransport", "GetPositionInfo", "RelTime").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

    # -- the hub's side -----------------------------------------------------------------------------

    def device(self, name=NAME):
        return next((device for device in self.hub.devices() if device["name"] == name), None)

    def find(self, seconds=20, reach="local", name=NAME):
        fits = lambda: (self.device(name) or {}).get("reach") == reach and self.device(name)
        return until(fits, seconds, f"it is {reach}: {self.device(name)}\n{self.hub.log()[-1500:]}")

    def value(self, name, service="media"):
        found = next(one for one in self.device()["services"] if one["id"] == service)
        return found["values"].get(name, {}).get("data")

    def add(self, name=NAME):
        self.hub.grant("upnp/search")
        self.hub.grant("control/command")
        found = self.find(name=name)
        self.hub.accord("pair", found["id"], "--accept", timeout=60)
        return until(lambda: self.device(name)["trust"] == "paired" and self.device(name), 10, "it is added")

    def call(self, device, service, action, **inputs):
        """(status, answer) of an action, as a script asks for it."""
        wanted = {"service": service, "instance": 0, "verb": {"verb": "act", "action": action, "inputs": inputs}, "confirmed": False}
        return self.hub.api("POST", f"/devices/{device['id']}/call", wanted)

    def media(self, *words, **more):
        return self.hub.accord("media", NAME, *words, timeout=60, **more)

    def ours(self):
        """What reached the television of UPnP: also the answers to what it tells, at the callback that it was given."""
        packets = self.capture.packets()
        told = {int(port) for p in packets for port in re.findall(rb"CALLBACK: <http://[0-9.]+:([0-9]+)/", p.payload)}
        return [p for p in packets if (p.protocol == "udp" and p.port == 1900) or p.port in (PORT, PORT + 1) or p.protocol == "igmp"
                or (p.protocol == "tcp" and p.source_port in told)]

    def fetch(self, machine, url, **headers):
        """(status, bytes) of a GET from a machine; None when it is closed unanswered."""
        def there():
            at, path = url[len("http://"):].split("/", 1)
            connection = http.client.HTTPConnection(at, timeout=5)
            try:
                connection.request("GET", "/" + path, headers={name.replace("_", "-"): value for name, value in headers.items()})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                return None
        return machine.inside(there)
