"""What is secret lies sealed in a hub's state folder: no token, password, code or key can be read in any file of it but the
hub's own keys, also not after an earlier version kept it in plain; and what is sealed opens with those keys alone."""

import json
import pathlib
import re
import secrets
import tempfile
import unittest
from concurrent import futures

import sealed
from hub import Hub
from net import Network, until

CODE = "34970112332"
# Who wrote what, and what in it is secret.
KEYS = {"kdeconnect/identity.json": ["key"], "localsend/identity.json": ["key"],
        "matter/fabric.json": ["root_key", "own_key", "ipk"]}


class SealedTest(unittest.TestCase):
    def setUp(self):
        self.network = Network("alpha", "beta")
        self.hub = Hub(self.network["alpha"], "alpha", web="0.0.0.0:0").start()
        self.addCleanup(self.network.close)
        self.addCleanup(self.hub.close)

    def add(self, bridge, way, **inputs):
        add = lambda: self.hub.api("POST", "/add", {"bridge": bridge, "way": way, "inputs": inputs, "away": True})
        # Its bridge may begin a moment after the hub answers.
        status, answer = until(lambda: (said := add())[0] != 502 and said, 10, f"{bridge} runs")
        self.assertEqual(status, 200, answer)

    def added(self):
        return sorted(device["id"] for device in self.hub.devices() if device["bridge"] in self.given)

    def all_there(self, devices):
        until(lambda: self.added() == devices, 10, f"nothing is lost: {devices}")

    def read(self, name, **more):
        return sealed.read(self.hub.state, name, **more)

    def test_no_secret_can_be_read_in_the_state_folder_and_none_is_lost(self):
        beta, token = self.network.address["beta"], secrets.token_hex(16)
        password, long = secrets.token_urlsafe(12), f"ey{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(60)}"
        self.given = {"miio": token, "mqtt": password, "homeassistant": long, "matter": CODE}
        self.hub.grant("matter/search")
        # Each waits some seconds for its device, and there is none: all at once.
        with futures.ThreadPoolExecutor() as owners:
            added = [owners.submit(self.add, "miio", "token", address=beta, token=token),
                     owners.submit(self.add, "mqtt", "broker", address=f"{beta}:1883", user="house", password=password),
                     owners.submit(self.add, "homeassistant", "token", address=f"http://{beta}:8123", token=long),
                     owners.submit(self.add, "matter", "code", code=CODE, name="Lamp")]
        [one.result() for one in added]
        devices = until(lambda: len(self.added()) >= 4 and self.added(), 10, f"all are there: {self.hub.devices()}")
        self.hub.stop()

        # Each is in its file, and can be read in none.
        for bridge, secret in self.given.items():
            self.assertIn(secret.encode(), self.read(f"{bridge}/added.json"))
        keys = [json.loads(self.read(name))[field] for name, fields in KEYS.items() for field in fields]
        authority = self.read("tls/authority.key").decode()
        self.assertIn("PRIVATE KEY", authority)
        hidden = [*self.given.values(), *keys, authority.splitlines()[1], "PRIVATE KEY"]
        nowhere = lambda: self.assertEqual(sealed.holding(self.hub.state, *hidden), [])
        nowhere()
        for secret in hidden:
            self.assertNotIn(secret, self.hub.log())

        # As an earlier version left it, all of it in plain and a draft of a key beside it: nothing is lost, and nothing stays plain.
        files = [*KEYS, *(f"{bridge}/added.json" for bridge in self.given), "tls/authority.key"]
        for name in files:
            (self.hub.state / name).write_bytes(self.read(name))
        keyring = self.hub.state / "keys.json"
        self.assertIn('"version": 2', keyring.read_text())
        keyring.write_text(keyring.read_text().replace('"version": 2', '"version": 1'))
        (self.hub.state / "localsend/.identity.json.abcdefghijklmn27").write_text(keys[1])
        self.assertGreaterEqual(len(sealed.holding(self.hub.state, *hidden)), len(files) + 1)
        self.hub.start()
        self.all_there(devices)
        self.hub.stop()
        nowhere()
        self.assertEqual([json.loads(self.read(name))[field] for name, fields in KEYS.items() for field in fields], keys)

        # That was once. What is put there in plain after that is nobody's, and is named.
        self.assertIn('"version": 2', keyring.read_text())
        planted, own = self.hub.state / "mqtt/added.json", (self.hub.state / "mqtt/added.json").read_bytes()
        planted.write_bytes(self.read("mqtt/added.json"))
        self.hub.start()
        self.all_there([device for device in devices if not device.startswith("mqtt")])
        self.hub.stop()
        self.assertRegex(self.hub.log(), r"mqtt/added\.json: it is not sealed")
        planted.write_bytes(own)

        # Under other keys nothing opens: that is said, nothing is changed, and with the right ones it is all there.
        ours, before = self.hub.state / "keys.json", {name: (self.hub.state / name).read_bytes() for name in files}
        ours.rename(self.hub.folder / "keys.json")
        self.hub.web = "127.0.0.1:0"  # it would not be open beyond this machine without its authority
        self.hub.start()
        self.assertEqual(self.added(), [])
        self.hub.stop()
        for name in files:
            if not name.startswith("tls/"):
                self.assertIn(f"{name.split('/')[0]}/", "".join(re.findall(r"\S+: it was sealed by another hub", self.hub.log())))
        (self.hub.folder / "keys.json").rename(ours)
        self.assertEqual({name: (self.hub.state / name).read_bytes() for name in files}, before)

        # With a credential that does not lie in the folder, the folder is not enough any more.
        self.hub.web = "0.0.0.0:0"
        with tempfile.TemporaryDirectory() as folder:
            credential = secrets.token_bytes(32)
            (pathlib.Path(folder) / "accord").write_bytes(credential)
            self.hub.start(CREDENTIALS_DIRECTORY=folder)
            self.all_there(devices)
            self.hub.stop()
        nowhere()
        for name in files:
            self.read(name, key=sealed.key_of(self.hub.state, credential))
        self.hub.web = "127.0.0.1:0"
        self.hub.start()
        self.assertEqual(self.added(), [])


if __name__ == "__main__":
    unittest.main()
