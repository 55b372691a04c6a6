"""Every kind of thing in every state, with every peer that has it: the table of `docs/guide/home.md`, which is printed at the end."""

import concurrent.futures
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import hasshome
import houses
import miiohome
import mosquitto
import test_matter
import test_mqtt
import test_yeelight
from houses import Row, act, write
from hub import ROOT, Hub
from jump import FAKETIME
from mosquitto import Mosquitto
from net import Network, until


def tearDownModule():
    print(f"\n{houses.table()}", flush=True)


class AtOnce(unittest.TestSuite):
    """The houses wait more than they work, and each has networks of its own."""

    def run(self, result, debug=False):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for one in [pool.submit(case.run, result) for case in self]:
                one.result()
        tearDownModule()
        return result


def load_tests(loader, tests, pattern):
    return AtOnce(case for of_class in tests for case in of_class)


@unittest.skipUnless(test_matter.MODULES.is_dir(), "matter.js is missing: tests/peers/run --install")
class Matter(houses.House, test_matter.Home):
    """Seven devices of their own, each with a code and a fabric of its own."""

    PEER = "Matter"
    IDS = {"lamp": "lamp", "plug": "plug", "sensor": "weather", "climate": "heating", "cover": "blind", "lock": "lock", "vacuum": "robot"}
    SAYS = "has removed this machine"

    def rows(self):
        on_off = lambda service: (write(service, "on", True), write(service, "on", False))
        return [
            Row("lamp", "Lamp", ("light", "on", False), on_off("light"), ('{"onOff": {"onOff": false}}', "light", "on", False)),
            Row("plug", "Plug", ("on-off", "on", False), on_off("on-off"), ('{"onOff": {"onOff": false}}', "on-off", "on", False)),
            Row("sensor", "Weather", ("temperature", "temperature", 21.5), (),
                ('{"temperatureMeasurement": {"measuredValue": -725}}', "temperature", "temperature", -7.25)),
            Row("climate", "Heating", ("climate", "target", 20), (write("climate", "target", 21.5), write("climate", "target", 23)),
                ('{"thermostat": {"occupiedHeatingSetpoint": 1800}}', "climate", "target", 18)),
            Row("cover", "Blind", ("cover", "position", 0), (write("cover", "position", 40), write("cover", "position", 60)),
                ('{"windowCovering": {"currentPositionLiftPercent100ths": 2500}}', "cover", "position", 75)),
            Row("lock", "Front Door", ("door-lock", "locked", True),
                (act("door-lock", "unlock", "locked", False, confirmed=True), act("door-lock", "lock", "locked", True)),
                ('{"doorLock": {"lockState": 1}}', "door-lock", "locked", True)),
            Row("vacuum", "Robot", ("vacuum", "state", "docked"),
                (act("vacuum", "start", "state", "cleaning"), act("vacuum", "dock", "state", "docked")),
                ('{"rvcOperationalState": {"operationalState": 64}}', "vacuum", "state", "returning"), ("battery", "percent")),
        ]

    def test_each_kind_in_each_state(self):
        self.hub.stop()
        self.start_hub()
        self.grant()
        self.on()
        self.run_all()

    def seen(self, row):
        found = self.called(row.name)
        return found if found and found["trust"] == "seen" else None

    def add_all(self):
        codes = {said["node"]: said["code"] for said in self.said() if "code" in said}
        for row in self.all:
            self.hub.accord("add", "matter", "code=-", "tests=yes", input=codes[self.IDS[row.kind]], timeout=60)
        for row in self.all:
            until(lambda: (self.called(row.name) or {}).get("trust") == "paired" and self.called(row.name)["reach"] == "local", 60,
                  lambda: f"the {row.kind} is added: {self.called(row.name)}\n{self.hub.log()[-2500:]}")
            row.id = self.called(row.name)["id"]

    def own_side(self, row, what):
        self.there(f"set {self.IDS[row.kind]} {what}")

    # What it is itself, as matter.js tells it.
    ATTRIBUTES = {
        "lamp": ("onOff", bool), "plug": ("onOff", bool),
        "climate": ("occupiedHeatingSetpoint", lambda data: data / 100),
        "cover": ("currentPositionLiftPercent100ths", lambda data: 100 - data / 100),
        "lock": ("lockState", lambda data: data == 1),
        "vacuum": ("operationalState", {1: "cleaning", 66: "docked"}.get),
    }

    def theirs(self, row, setting):
        attribute, of = self.ATTRIBUTES[row.kind]
        data = self.became(self.IDS[row.kind], attribute)
        return data is not None and of(data) == setting.shows

    def on(self):
        self.switch_on(",".join(self.IDS.values()))

    def off(self):
        self.switch_off()

    def move(self):
        self.goes()
        self.peer.run("ip", "addr", "del", f"{self.network.address['peer']}/24", "dev", "eth0")
        self.peer.run("ip", "addr", "add", f"{self.network.prefix}.77/24", "dev", "eth0")
        self.peer.run("ip", "link", "set", "eth0", "down")
        self.peer.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77", "up")
        self.peer.run("ip", "route", "replace", "default", "dev", "eth0")
        self.on()

    def refuse(self):
        """Whoever holds it removes this hub there."""
        for one in self.IDS.values():
            self.there(f"leave {one}")


@unittest.skipUnless(miiohome.CLI.exists(), "python-miio is not installed: tests/peers/run --install")
class Miio(houses.House, unittest.TestCase):
    """Six things that speak MIoT, on machines of their own; a lock with this protocol there is not."""

    PEER = "miIO"
    MEANWHILE = True
    SAYS = "secret-wrong"
    OTHER = "11" * 16
    MODELS = {"lamp": "accord.light.lamp1", "plug": "accord.plug.plug1", "sensor": "accord.airmonitor.sensor1",
              "climate": "accord.aircondition.ac1", "cover": "accord.curtain.curtain1", "vacuum": "accord.vacuum.vacuum1"}
    SPECS = {"climate": "air-conditioner", "cover": "curtain"}
    # What the simulator is at first, and what it does not do by itself.
    MORE = {
        "lamp": {"is": {"2.1": False, "2.2": 50}},
        "plug": {"is": {"2.1": False}},
        "sensor": {"is": {"3.7": 21}},
        "climate": {"is": {"2.4": 20}},
        "cover": {"is": {"2.3": 0, "2.7": 0, "2.6": 0}, "follows": {"2.7": "2.3"}},
        "vacuum": {"is": {"2.1": 5}, "acts": {"2.1": {"2.1": 2}, "2.3": {"2.1": 5}}},
    }

    def rows(self):
        return [
            Row("lamp", None, ("light", "level", 50), (write("light", "level", 30), write("light", "level", 60)),
                ({"2.2": 77}, "light", "level", 77)),
            Row("plug", None, ("on-off", "on", False), (write("on-off", "on", True), write("on-off", "on", False)),
                ({"2.1": False}, "on-off", "on", False)),
            Row("sensor", None, ("temperature", "temperature", 21), (), ({"3.7": -7}, "temperature", "temperature", -7)),
            Row("climate", None, ("climate", "target", 20), (write("climate", "target", 21.5), write("climate", "target", 23)),
                ({"2.4": 18}, "climate", "target", 18)),
            Row("cover", None, ("cover", "position", 0), (write("cover", "position", 40), write("cover", "position", 60)),
                ({"2.3": 75}, "cover", "position", 75)),
            Row("vacuum", None, ("vacuum", "state", "docked"),
                (act("vacuum", "start", "state", "cleaning"), act("vacuum", "dock", "state", "docked")),
                ({"2.1": 6}, "vacuum", "state", "returning"), ("battery", "percent")),
        ]

    # Which property of the thing a setting is.
    PLACES = {"lamp": "2.2", "plug": "2.1", "climate": "2.4", "cover": "2.3", "vacuum": "2.1"}

    def test_each_kind_in_each_state(self):
        self.network = Network("alpha", *self.MODELS)
        self.addCleanup(self.network.close)
        for machine in ("alpha", *self.MODELS):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-miio-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.things = miiohome.Things(self.folder)
        self.addCleanup(self.things.close)
        self.hub = Hub(self.network["alpha"], "alpha")
        self.addCleanup(self.hub.close)
        self.token = miiohome.TOKEN
        self.start_hub()
        self.on()
        self.hub.grant("miio/search")
        self.hub.grant("control/command")
        self.run_all()

    def on(self):
        for kind, model in self.MODELS.items():
            self.things.switch_on(kind, self.network[kind], ROOT / f"bridges/miio/specs/{self.SPECS.get(kind, kind)}.json", model,
                                  token=self.token, **self.MORE[kind])

    def off(self):
        for kind in self.MODELS:
            self.things.switch_off(kind)

    def seen(self, row):
        return next((one for one in self.everything() if one["trust"] == "seen" and self.network.address[row.kind] in one["addresses"][0]), None)

    def add_all(self):
        for row in self.all:
            row.id = self.seen(row)["id"]
            status, pairing = self.hub.api("POST", "/pairings", {"device": row.id, "inputs": {"token": self.token}})
            self.assertIn(status, (200, 201, 202), pairing)
            until(lambda: self.hub.api("POST", f"/pairings/{pairing['id']}/confirm", {})[0] == 200, 10, "it is confirmed")
        for row in self.all:
            self.is_reached(row, "local", 20)

    def own_side(self, row, what):
        self.things.happens(row.kind, what)

    def theirs(self, row, setting):
        data = self.things.became(row.kind, self.PLACES[row.kind])
        return {2: "cleaning", 5: "docked"}.get(data) == setting.shows if row.kind == "vacuum" else data == setting.shows

    def move(self):
        self.goes()
        for number, kind in enumerate(self.MODELS):
            machine, old, new = self.network[kind], self.network.address[kind], f"{self.network.prefix}.{77 + number}"
            machine.run("ip", "addr", "del", f"{old}/24", "dev", "eth0")
            machine.run("ip", "addr", "add", f"{new}/24", "dev", "eth0")
            machine.run("ip", "route", "replace", "default", "dev", "eth0")
            self.network.address[kind] = new
        self.on()

    def refuse(self):
        """Reset, and set up anew: each has another token then."""
        self.token = self.OTHER
        self.off()
        self.on()

    def heal(self):
        for row in self.all:
            inputs = {"address": self.network.address[row.kind], "token": self.token}
            status, answer = self.hub.api("POST", "/add", {"bridge": "miio", "way": "token", "inputs": inputs})
            self.assertEqual((status, answer["devices"][0]["id"]), (200, row.id), answer)
        return True


DEVICE = {"manufacturer": "Lab", "model": "M1"}


@unittest.skipUnless(mosquitto.THERE, "mosquitto is not installed: scripts/need peers")
class Mqtt(houses.House, test_mqtt.Broker):
    """Seven things that describe themselves to a broker as Home Assistant's convention has it, and keep what they are."""

    PEER = "MQTT"
    MEANWHILE = True
    SAYS = "password"
    # What each says that it is: the platform, and the keys of its description.
    DESCRIBED = {
        "lamp": ("light", {"schema": "json", "brightness": True, "command_topic": "~/set", "state_topic": "~/state"}),
        "plug": ("switch", {"command_topic": "~/set", "state_topic": "~/state"}),
        "sensor": ("sensor", {"device_class": "temperature", "unit_of_measurement": "°C", "state_topic": "~/state"}),
        "climate": ("climate", {"temperature_command_topic": "~/set", "temperature_state_topic": "~/state", "min_temp": 7, "max_temp": 30, "temp_step": 0.5,
                                "modes": ["off", "heat"], "mode_state_topic": "~/mode", "mode_command_topic": "~/mode/set"}),
        "cover": ("cover", {"set_position_topic": "~/set", "position_topic": "~/state", "command_topic": "~/move"}),
        "lock": ("lock", {"command_topic": "~/set", "state_topic": "~/state"}),
        "vacuum": ("vacuum", {"command_topic": "~/set", "state_topic": "~/state", "schema": "state",
                              "supported_features": ["start", "stop", "return_home"]}),
    }
    # What becomes of it by what it is told.
    OBEYS = {
        "lamp": lambda told, is_: json.dumps({**json.loads(is_), **json.loads(told)}),
        "lock": lambda told, is_: {"LOCK": "LOCKED", "UNLOCK": "UNLOCKED"}[told],
        "vacuum": lambda told, is_: json.dumps({"state": {"start": "cleaning", "return_to_base": "docked"}[told]}),
    }

    def rows(self):
        return [
            Row("lamp", "Lamp", ("light", "level", 50), (write("light", "level", 30), write("light", "level", 60)),
                ('{"state": "ON", "brightness": 204}', "light", "level", 80)),
            Row("plug", "Plug", ("on-off", "on", False), (write("on-off", "on", True), write("on-off", "on", False)), ("OFF", "on-off", "on", False)),
            Row("sensor", "Weather", ("temperature", "temperature", 21.5), (), ("-7.25", "temperature", "temperature", -7.25)),
            Row("climate", "Heating", ("climate", "target", 20), (write("climate", "target", 21.5), write("climate", "target", 23)),
                ("18.0", "climate", "target", 18)),
            Row("cover", "Blind", ("cover", "position", 0), (write("cover", "position", 40), write("cover", "position", 60)),
                ("75", "cover", "position", 75)),
            Row("lock", "Front Door", ("door-lock", "locked", True),
                (act("door-lock", "unlock", "locked", False, confirmed=True), act("door-lock", "lock", "locked", True)),
                ("LOCKED", "door-lock", "locked", True)),
            Row("vacuum", "Robot", ("vacuum", "state", "docked"),
                (act("vacuum", "start", "state", "cleaning"), act("vacuum", "dock", "state", "docked")),
                ('{"state": "returning"}', "vacuum", "state", "returning"), ("battery", "percent")),
        ]

    def test_each_kind_in_each_state(self):
        self.hub.stop()
        self.start_hub()
        self.is_, self.was_told = {"lamp": '{"state": "ON", "brightness": 127}', "plug": "OFF", "sensor": "21.5", "climate": "20.0", "cover": "0",
                                   "lock": "LOCKED", "vacuum": '{"state": "docked"}'}, {}
        self.password = mosquitto.PASSWORD
        self.start(password=True)
        self.add_broker()
        self.live()
        self.run_all()

    def add_broker(self, **more):
        self.add(user=mosquitto.USER, password=self.password, **more)
        # Added anew, it begins with nothing else agreed.
        self.hub.grant("control/command", self.id)

    def live(self):
        """They are connected: they describe themselves, say what they are, and listen."""
        heard = self.broker.listen("house/+/set")
        threading.Thread(target=self.obey, args=(self.broker, heard), daemon=True).start()
        for row in self.rows():
            platform, keys = self.DESCRIBED[row.kind]
            device = {"device": {**DEVICE, "identifiers": [row.kind], "name": row.name}, "~": f"house/{row.kind}"}
            self.broker.say(f"homeassistant/{platform}/{row.kind}/config", {"unique_id": row.kind, **device, **keys}, keep=True)
            self.broker.say(f"house/{row.kind}/state", self.is_[row.kind], keep=True)
            if row.kind == "vacuum":
                battery = {"unique_id": "battery", **device, "device_class": "battery", "unit_of_measurement": "%", "state_topic": "~/battery"}
                self.broker.say("homeassistant/sensor/battery/config", battery, keep=True)
                self.broker.say("house/vacuum/battery", "87", keep=True)
            if row.kind == "climate":
                self.broker.say("house/climate/mode", "heat", keep=True)

    def obey(self, broker, heard):
        for line in heard.stdout:
            topic, told = line.rstrip("\n").split(" ", 1)
            kind = topic.split("/")[1]
            self.is_[kind] = self.OBEYS.get(kind, lambda told, is_: told)(told, self.is_[kind])
            self.was_told[kind] = told
            broker.say(f"house/{kind}/state", self.is_[kind], keep=True)

    def seen(self, row):
        found = self.called(row.name)
        return found if found and found["reach"] == "local" else None

    def add_all(self):
        for row in self.all:
            row.id = self.called(row.name)["id"]

    def own_side(self, row, what):
        self.is_[row.kind] = what
        self.broker.say(f"house/{row.kind}/state", what, keep=True)

    def theirs(self, row, setting):
        said = self.is_[row.kind]
        shows = {"lamp": lambda: round(json.loads(said)["brightness"] / 2.55), "plug": lambda: said == "ON", "climate": lambda: float(said),
                 "cover": lambda: float(said), "lock": lambda: said == "LOCKED", "vacuum": lambda: json.loads(said)["state"]}[row.kind]
        return row.kind in self.was_told and shows() == setting.shows

    def off(self):
        self.broker.close()

    def on(self):
        self.broker.start()
        self.live()

    def move(self):
        """The broker is at another address; nobody looks for it, so that its owner says where it is now."""
        self.goes()
        machine, new = self.network["broker"], f"{self.network.prefix}.77"
        machine.run("ip", "addr", "del", f"{self.broker.address}/24", "dev", "eth0")
        machine.run("ip", "addr", "add", f"{new}/24", "dev", "eth0")
        self.broker = Mosquitto(machine, new, self.folder, password=True)
        self.on()
        self.add(again=self.id)

    def refuse(self):
        """The password is another one from now on."""
        self.password = "lab-mq-2"
        self.off()
        subprocess.run(["mosquitto_passwd", "-b", self.folder / "passwd", mosquitto.USER, self.password], check=True)
        self.broker.user = ["-u", mosquitto.USER, "-P", self.password]
        self.on()

    def heal(self):
        self.add_broker()
        return True


class DemoHouse(houses.House, hasshome.Home):
    """Seven things of the demo house."""

    PEER = "Home Assistant"
    # The sensors of the demo house say the same for ever.
    MORE = """
input_number: {lab_degrees: {min: -50, max: 50, step: 0.01, initial: 21.5}}
template: [{sensor: [{name: Lab weather, unique_id: lab_weather, device_class: temperature, unit_of_measurement: "°C",
                      state: "{{ states('input_number.lab_degrees') }}"}]}]
"""
    SAYS = "turned-away"
    BACK = 180
    # A thing has been so since Home Assistant was started, and says when that was.
    OLDEST = 600
    ENTITIES = {"lamp": "light.bed_light", "plug": "switch.ac", "sensor": "input_number.lab_degrees", "climate": "climate.heatpump",
                "cover": "cover.hall_window", "lock": "lock.front_door", "vacuum": "vacuum.0_ground_floor"}

    def rows(self):
        call = lambda kind, service, **data: (kind, service, data)
        return [
            Row("lamp", "Bed Light", ("light", "on", False), (write("light", "on", True), write("light", "on", False)),
                (call("light", "turn_off"), "light", "on", False)),
            Row("plug", "AC", ("on-off", "on", False), (write("on-off", "on", True), write("on-off", "on", False)),
                (call("switch", "turn_off"), "on-off", "on", False)),
            Row("sensor", "Lab weather", ("temperature", "temperature", 21.5), (),
                (call("input_number", "set_value", value=-7.25), "temperature", "temperature", -7.25)),
            Row("climate", "HeatPump", ("climate", "target", 20), (write("climate", "target", 21.5), write("climate", "target", 23)),
                (call("climate", "set_temperature", temperature=18), "climate", "target", 18)),
            Row("cover", "Hall Window", ("cover", "position", 10), (write("cover", "position", 40), write("cover", "position", 20)),
                (call("cover", "set_cover_position", position=30), "cover", "position", 30)),
            Row("lock", "Front Door", ("door-lock", "locked", True),
                (act("door-lock", "unlock", "locked", False, confirmed=True), act("door-lock", "lock", "locked", True)),
                (call("lock", "lock"), "door-lock", "locked", True)),
            Row("vacuum", "0_Ground_floor", ("vacuum", "state", "docked"),
                (act("vacuum", "start", "state", "cleaning"), act("vacuum", "dock", "state", "returning")),
                (call("vacuum", "pause"), "vacuum", "state", "paused"), ("battery", "percent")),
        ]

    def test_each_kind_in_each_state(self):
        self.hub.stop()
        self.start_hub()
        self.server = self.add(self.tokens["user"])["id"]
        self.hub.grant("homeassistant/search")
        self.hub.grant("control/command")
        self.run_all()

    def seen(self, row):
        found = self.called(row.name)
        return found if found and found["reach"] == "local" else None

    def add_all(self):
        for row in self.all:
            row.id = self.called(row.name)["id"]

    def own_side(self, row, what):
        domain, service, data = what
        self.do("call", self.tokens["admin"], domain, service, self.ENTITIES[row.kind], json.dumps(data))

    def theirs(self, row, setting):
        there = self.there(self.ENTITIES[row.kind])
        shown = {"lamp": lambda: there["state"] == "on", "plug": lambda: there["state"] == "on", "lock": lambda: there["state"] == "locked",
                 "climate": lambda: there["attributes"]["temperature"], "cover": lambda: there["attributes"]["current_position"],
                 "vacuum": lambda: there["state"]}[row.kind]
        return shown() == setting.shows

    def on(self):
        # It says itself since when its things are so: the day is over there too.
        self.start(**({"LD_PRELOAD": FAKETIME, "FAKETIME": f"+{self.clock.seconds}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
                      if self.clock.seconds else {}))

    def off(self):
        self.end(signal.SIGKILL)

    def move(self):
        self.goes()
        new = f"{self.network.prefix}.77"
        self.home.run("ip", "addr", "del", f"{self.address}/24", "dev", "eth0")
        self.home.run("ip", "addr", "add", f"{new}/24", "dev", "eth0")
        self.home.run("ip", "route", "replace", "default", "dev", "eth0")
        self.address = new
        self.on()
        # Its token goes only where it was added, and that is said; added there again, all is as it was.
        until(lambda: "announces itself as" in self.whys(self.all[0]), 60, lambda: f"it is said: {self.whys(self.all[0])}")
        self.assertEqual(self.add(self.tokens["user"])["id"], self.server)

    def refuse(self):
        self.do("revoke", self.tokens["user"])

    def heal(self):
        self.add(self.tokens["admin"])
        return True


@unittest.skipUnless(test_yeelight.THERE, "the library yeelight is missing: tests/peers/run --install")
class Yeelight(houses.House, test_yeelight.Home):
    """A lamp."""

    PEER = "Yeelight"

    def rows(self):
        return [Row("lamp", test_yeelight.NAME, ("light", "level", 50), (write("light", "level", 30), write("light", "level", 60)),
                    (("set_brightness", 64), "light", "level", 64))]

    def test_each_kind_in_each_state(self):
        self.hub.stop()
        self.start_hub()
        self.on()
        self.hub.grant("yeelight/search")
        self.hub.grant("control/command")
        self.run_all()

    def seen(self, row):
        return self.called(row.name)

    def add_all(self):
        for row in self.all:
            row.id = self.called(row.name)["id"]
            self.hub.accord("pair", row.id, "--accept", timeout=60)
            self.is_reached(row, "local", 20)

    def own_side(self, row, what):
        self.sender(self.address, "turn_on")
        self.sender(self.address, *what)

    def theirs(self, row, setting):
        return [params[0] for params in self.told("set_bright")][-1:] == [setting.shows]

    def on(self):
        self.switch_on()

    def off(self):
        self.switch_off()

    def move(self):
        self.goes()
        new = f"{self.network.prefix}.77"
        self.lamp.run("ip", "addr", "del", f"{self.address}/24", "dev", "eth0")
        self.lamp.run("ip", "addr", "add", f"{new}/24", "dev", "eth0")
        self.lamp.run("ip", "route", "replace", "default", "dev", "eth0")
        self.address = new
        self.on()


if __name__ == "__main__":
    unittest.main()
