"""Adding by address, as people mistype it, and by a name: what does not answer is not kept, and a name ending in .local is looked
up by multicast DNS against a responder that is not ours (python-zeroconf)."""

import json
import os
import pathlib
import shutil
import tempfile
import unittest

import mosquitto
from hub import Hub
from mosquitto import Mosquitto
from net import Network, until
from wire import Capture, per_address

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
PYTHON = PEERS / "py/bin/python"
THERE = any(PEERS.glob("py/lib/python3*/site-packages/zeroconf"))
LOOKUP = "names/lookup"
TOKEN = "000102030405060708090a0b0c0d0e0f"
RESPONDER = """
import sys, time
from zeroconf import ServiceInfo, Zeroconf
zero = Zeroconf(interfaces=[sys.argv[2]])
info = ServiceInfo("_accord-lab._tcp.local.", f"Lab {sys.argv[2]}._accord-lab._tcp.local.", port=9, server=sys.argv[1] + ".",
                   parsed_addresses=[sys.argv[2]])
zero.register_service(info)
print("ready", flush=True)
time.sleep(600)
"""


class Home(unittest.TestCase):
    def setUp(self):
        self.network = Network("alpha", "home", "other")
        for machine in ("alpha", "home", "other"):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-adding-"))
        self.address = self.network.address["home"]
        self.broker, self.started = None, []
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.capture = Capture(self.network["home"], self.folder)

    def tearDown(self):
        self.capture.stop()
        for process in self.started:
            process.kill()
            process.wait()
        if self.broker:
            self.broker.close()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, bridge, way, inputs, **more):
        return self.hub.api("POST", "/add", {"bridge": bridge, "way": way, "inputs": inputs, **more})

    def of_house(self):
        return [one for one in self.hub.devices() if one["bridge"] in ("miio", "mqtt", "homeassistant")]

    def given(self):
        entries = self.hub.json("statement", "show")["entries"]
        consents = self.hub.api("GET", "/entries")[1]["entries"]
        self.assertTrue(entries)
        return {one["key"] for one in consents for consent in one["consents"] if consent["state"] == "given" and consent["to"] != "any"}

    def answers_to(self, name, machine="home"):
        process = self.network[machine].popen(PYTHON, "-c", RESPONDER, name, self.network.address[machine], text=True,
                                              stdout=-1, stderr=-1)
        self.started.append(process)
        self.assertEqual(process.stdout.readline().strip(), "ready")


FORMS = (
    ("miio", "token", lambda at: {"address": at, "token": TOKEN}),
    ("mqtt", "broker", lambda at: {"address": f"{at}:1883"}),
    ("homeassistant", "token", lambda at: {"address": f"http://{at}:8123", "token": "x" * 60}),
)


class Mistyped(Home):
    def test_what_is_not_there_is_not_kept_and_it_is_said_why(self):
        nobody = self.address.rsplit(".", 1)[0] + ".99"
        for bridge, way, inputs in FORMS:
            for at in (self.address, nobody):
                with self.subTest(bridge=bridge, at=at):
                    status, answer = self.add(bridge, way, inputs(at))
                    self.assertEqual((status, answer.get("error")), (409, "not-reached"), answer)
                    self.assertTrue(answer["message"].startswith("Nothing was added."), answer)
                    self.assertIn(at, answer["message"])
                    self.assertNotIn(TOKEN, answer["message"])
                    self.assertEqual((self.of_house(), self.given()), ([], set()))
        # Nor after a restart.
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.of_house(), [])
        self.hub.accord("ledger", "verify")

    def test_what_is_switched_off_now_is_added_if_its_owner_says_so(self):
        for bridge, way, inputs in FORMS:
            status, answer = self.add(bridge, way, inputs(self.address), away=True)
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["devices"][0]["reach"], "offline")
        self.assertEqual(sorted(one["bridge"] for one in self.of_house()), ["homeassistant", "miio", "mqtt"])
        # What was added before stays, whatever is given for it now.
        status, answer = self.add("mqtt", "broker", {"address": f"{self.address}:1883", "user": "u", "password": "p"})
        self.assertEqual(status, 200, answer)
        self.assertEqual(len(self.of_house()), 3)
        done = self.hub.accord("add", "mqtt", f"address={self.address}:1884", check=False, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Nothing was added.", done.stderr)
        self.hub.accord("add", "mqtt", f"address={self.address}:1884", "--away", timeout=60)
        self.assertEqual(len(self.of_house()), 4)


@unittest.skipUnless(mosquitto.THERE, "mosquitto is missing")
class Named(Home):
    def asked(self):
        return [p for p in self.capture.packets() if p.protocol == "udp" and p.port == 5353 and p.source == self.network.address["alpha"]]

    @unittest.skipUnless(THERE, "zeroconf is missing: tests/peers/run --install")
    def test_a_broker_is_added_by_its_name_once_the_name_may_be_asked_for(self):
        self.answers_to("broker.local")
        self.broker = Mosquitto(self.network["home"], self.address, self.folder).start()
        status, answer = self.add("mqtt", "broker", {"address": "mqtt://Broker.local:1883/"})
        self.assertEqual((status, answer["error"], answer["prompt"]["entry"]["key"]), (409, "consent-needed", LOOKUP), answer)
        self.assertIn("Broker.local", answer["prompt"]["because"])
        self.assertEqual((self.asked(), self.of_house()), ([], []), "nothing is asked before that")
        self.hub.grant(LOOKUP)
        status, answer = self.add("mqtt", "broker", {"address": "mqtt://Broker.local:1883/"})
        self.assertEqual(status, 200, answer)
        self.assertEqual((answer["devices"][0]["reach"], answer["looked_up"]), ("local", {"name": "Broker.local", "address": self.address}))
        self.assertIn(f"broker.local is at {self.address}", self.hub.accord("add", "mqtt", "address=broker.local", timeout=60).stderr)
        # Every byte of it is in the ledger.
        self.hub.stop()
        shown = per_address(self.asked())
        self.hub.start()
        written = {}
        for record in self.hub.records():
            if record["kind"] in ("sent", "error") and record.get("entry") == LOOKUP:
                for place in (record.get("details") or {}).get("addresses", []):
                    written[place["address"]] = written.get(place["address"], 0) + place["bytes"]
        self.assertTrue(shown)
        self.assertEqual(written, dict(shown))
        self.hub.accord("ledger", "verify")
        # Taken back, nothing is asked any more.
        self.hub.accord("consent", "withdraw", LOOKUP)
        before = len(self.asked())
        self.assertEqual(self.add("mqtt", "broker", {"address": "broker.local"})[0], 409)
        self.assertEqual(len(self.asked()), before)

    @unittest.skipUnless(THERE, "zeroconf is missing: tests/peers/run --install")
    def test_nobody_several_and_other_names_are_said_so(self):
        self.hub.grant(LOOKUP)
        status, answer = self.add("homeassistant", "token", {"address": "nobody.local:8123", "token": "x" * 60})
        self.assertEqual(status, 409, answer)
        self.assertIn("Nobody in your networks answers", answer["message"])
        before = len(self.asked())
        self.assertGreater(before, 0)
        for name, says in (("nas.lan", "type its number"), ("broker", "broker.local"), ("example.org:8123", "type its number")):
            status, answer = self.add("homeassistant", "token", {"address": name, "token": "x" * 60})
            self.assertEqual(status, 400, answer)
            self.assertIn(says.lower(), json.dumps(answer).lower())
        self.assertEqual(len(self.asked()), before, "nobody is asked for other names")
        # Each of two machines says that it is the one; neither gets the token.
        self.answers_to("twice.local")
        script = RESPONDER.replace("zero.register_service(info)", "zero.register_service(info, allow_name_change=True)")
        process = self.network["other"].popen(PYTHON, "-c", script, "twice.local", self.network.address["other"], text=True, stdout=-1, stderr=-1)
        self.started.append(process)
        self.assertEqual(process.stdout.readline().strip(), "ready")
        several = lambda: "several machines" in self.add("homeassistant", "token", {"address": "twice.local", "token": "x" * 60})[1].get("message", "")
        until(several, 20, "both are heard")
        self.assertEqual(self.of_house(), [])


if __name__ == "__main__":
    unittest.main()
