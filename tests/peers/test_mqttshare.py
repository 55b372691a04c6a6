"""Devices of a hub shown on an MQTT broker: to mosquitto's own clients, and to a real Home Assistant 2024.3 where that is installed
(`ACCORD_HA=1 tests/peers/run --install`)."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import mosquitto
from hub import Hub
from mosquitto import Mosquitto
from net import Network, until

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
HERE = pathlib.Path(__file__).parent
HASS, PYTHON = PEERS / "ha/bin/hass", PEERS / "ha/bin/python"
LAMP = "Desk lamp"


class House(unittest.TestCase):
    """A hub with a lamp, and a broker."""

    MACHINES = ("alpha", "lamp", "broker")

    def setUp(self):
        self.network = Network(*self.MACHINES)
        for machine in self.MACHINES:
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-mqttshare-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.network.close)
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.addCleanup(self.hub.close)
        self.broker = Mosquitto(self.network["broker"], self.network.address["broker"], self.folder, password=True).start()
        self.addCleanup(self.broker.close)
        self.bulb = None
        self.addCleanup(lambda: self.bulb and self.switch_off())
        self.heard = {}

    # -- the lamp -----------------------------------------------------------------------------------

    def switch_on(self):
        self.log = self.folder / "lamp.log"
        with open(self.log, "ab") as out:
            self.bulb = self.network["lamp"].popen(sys.executable, "-u", HERE / "yeelamp.py", self.network.address["lamp"],
                                                   "0x00000000037073d2", stdout=out, stderr=out, start_new_session=True)
        until(lambda: "ready" in self.log.read_text(), 20, "the lamp is on")

    def switch_off(self):
        self.bulb.kill()
        self.bulb.wait(10)

    def told(self):
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line["told"] for line in lines if "told" in line and line["told"] not in ("get_prop", "set_name")]

    def device(self, name):
        return next((one for one in self.hub.api("GET", "/devices")[1]["devices"] if one["name"] == name), None)

    def add_lamp(self):
        self.switch_on()
        self.hub.grant("yeelight/search")
        found = until(lambda: next((one for one in self.hub.devices() if one["bridge"] == "yeelight"), None), 20, "the lamp is found")
        self.hub.accord("pair", found["id"], "--accept", timeout=60)
        self.hub.accord("devices", "set", found["id"], "--name", LAMP, "--room", "Study")
        until(lambda: (self.device(LAMP) or {}).get("reach") == "local", 15, "the lamp is added", pause=0.1)
        self.lamp = found["id"]

    def add_broker(self, broker=None):
        broker = broker or self.broker
        inputs = {"address": f"{broker.address}:{broker.port}"}
        if broker.user:
            inputs |= {"user": mosquitto.USER, "password": mosquitto.PASSWORD}
        status, answer = self.hub.api("POST", "/add", {"bridge": "mqtt", "way": "broker", "inputs": inputs})
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["devices"][0]["reach"], "local", answer)
        return answer["devices"][0]["id"]

    # -- the broker ---------------------------------------------------------------------------------

    def kept(self, broker=None):
        """All that a client that comes now is given."""
        broker = broker or self.broker
        words = broker.words("-v", "-t", "#", "--retained-only", "-W", 1)
        lines = broker.machine.run("mosquitto_sub", *words, check=False).stdout.splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def watch(self):
        """What is said from now on, by topic."""
        process = self.broker.listen("#")

        def run():
            for line in process.stdout:
                topic, payload = line.rstrip("\n").split(" ", 1)
                self.heard.setdefault(topic, []).append("" if payload == "(null)" else payload)
        threading.Thread(target=run, daemon=True).start()

    def configs(self):
        return {topic: json.loads(said[-1]) for topic, said in self.heard.items() if topic.endswith("/config") and said[-1]}

    def entity(self, component, end="/config"):
        of = lambda topic: f"/{component}/" in topic and topic.endswith(end)
        return until(lambda: next((one for topic, one in self.configs().items() if of(topic)), None), 10,
                     f"there is a {component}: {list(self.heard)}\n{self.hub.log()[-2000:]}", pause=0.05)

    def says(self, topic, wanted, seconds=8):
        until(lambda: wanted(self.heard.get(topic, [""])[-1]), seconds, f"{topic}: {self.heard.get(topic)}", pause=0.05)

    def is_on(self, config, on):
        self.says(config["state_topic"], lambda said: said and json.loads(said)["state"] == ("ON" if on else "OFF"))

    def all_gone(self, seconds=10):
        ours = lambda topic: "ccord" in topic and not topic.endswith(("/do", "/set"))
        left = lambda: {topic: said[-1] for topic, said in self.heard.items() if ours(topic) and said[-1]}
        until(lambda: not left(), seconds, f"nothing is left: {left()}\n{self.hub.log()[-1500:]}", pause=0.05)
        self.assertEqual(self.kept(), {})

    def share(self, *more, name=LAMP, **how):
        return self.hub.accord("home", "share", name, *more, **how)


@unittest.skipUnless(mosquitto.THERE, "mosquitto is not installed: scripts/need peers")
class Shown(House):
    def test_a_lamp_is_shown_controlled_lost_back_and_taken_back(self):
        self.add_lamp()
        broker = self.add_broker()
        self.watch()
        # Nothing before the owner chose it and agreed; also when they chose and did not agree.
        status, answer = self.hub.api("PUT", f"/home/shown/{broker}/{self.lamp}", {})
        self.assertEqual((status, answer["error"]), (409, "consent-needed"), answer)
        time.sleep(0.5)
        self.assertEqual((self.heard, self.kept()), ({}, {}))
        # Shown, and not controlled.
        self.share("--accept")
        seen = self.entity("binary_sensor", "light-0-on/config")
        self.says(seen["state_topic"], lambda said: '"on":"OFF"' in said)
        text = json.dumps(self.heard)
        self.assertIn("Study", text)
        for secret in (self.lamp, self.lamp.split("-")[-1], "037073d2", self.network.address["lamp"], "alpha"):
            self.assertNotIn(secret, text)
        root, identifier = seen["availability"][0]["topic"].rsplit("/", 1)[0], seen["device"]["identifiers"][0]
        base = seen["state_topic"].rsplit("/", 1)[0]
        self.broker.say(f"{base}/set", {"state": "ON"})
        until(lambda: self.hub.json("home", "shown")["places"][0]["refused"] == 1, 5, "it is not obeyed", pause=0.1)
        self.assertEqual(self.told(), [])
        # Controlled: the same device there, as a lamp.
        self.share("--control", "--accept")
        light = self.entity("light")
        self.assertEqual((light["name"], light["device"]["identifiers"], light["device"]["name"]), (None, [identifier], LAMP))
        until(lambda: not any(topic.endswith("light-0-on/config") for topic in self.configs()), 5, "it is a lamp alone", pause=0.05)
        self.broker.say(light["command_topic"], {"state": "ON", "brightness": 30})
        self.is_on(light, True)
        self.says(light["state_topic"], lambda said: json.loads(said)["brightness"] == 30)
        self.assertEqual(self.told()[:2], ["set_power", "set_bright"])
        # From here it is the same.
        status, answer = self.hub.api("POST", f"/devices/{self.lamp}/call",
                                      {"service": "light", "instance": 0, "verb": {"verb": "write", "property": "on", "data": False}})
        self.assertEqual(status, 200, answer)
        self.is_on(light, False)
        # Nonsense is not obeyed, and answered with what is.
        before = len(self.heard[light["state_topic"]])
        self.broker.say(light["command_topic"], "{" * 100)
        until(lambda: len(self.heard[light["state_topic"]]) > before, 5, "it is said again", pause=0.05)
        self.broker.say(light["command_topic"], {"state": "ON"}, keep=True)
        self.is_on(light, True)
        self.broker.forget(light["command_topic"])
        # Home Assistant starts.
        topic = next(topic for topic in self.configs() if "/light/" in topic)
        count = len(self.heard[topic])
        self.broker.say("homeassistant/status", "online")
        until(lambda: len(self.heard[topic]) > count, 5, "it is described again", pause=0.05)
        # The lamp is away, and back.
        self.switch_off()
        alive = light["availability"][1]["topic"]
        self.says(alive, lambda said: said == "offline", 15)
        self.switch_on()
        self.says(alive, lambda said: said == "online", 30)
        # The broker is restarted without a memory.
        self.broker.stop()
        self.heard.clear()
        self.broker.start()
        self.watch()
        self.entity("light")
        self.says(f"{root}/status", lambda said: said == "online")
        # The hub is killed: its last will; and comes back as who it was.
        self.hub.kill()
        self.says(f"{root}/status", lambda said: said == "offline")
        self.hub.start()
        self.says(f"{root}/status", lambda said: said == "online", 20)
        self.assertEqual(self.entity("light")["device"]["identifiers"], [identifier])
        # Ended, it says so.
        self.hub.stop()
        self.says(f"{root}/status", lambda said: said == "offline")
        self.assertIn(topic, self.kept())
        self.hub.start()
        self.says(f"{root}/status", lambda said: said == "online", 20)
        # Taken back while the broker takes nothing, and killed: the next start has it deleted.
        self.broker.process.send_signal(signal.SIGSTOP)
        self.hub.accord("home", "unshare", LAMP)
        self.hub.kill()
        self.broker.process.send_signal(signal.SIGCONT)
        self.says(f"{root}/status", lambda said: said == "offline")
        self.assertIn(topic, self.kept())
        self.hub.start()
        self.all_gone(30)
        # The consent ends.
        self.share("--accept")
        self.entity("binary_sensor")
        self.hub.accord("consent", "withdraw", "home/share", "--to", broker)
        self.all_gone()
        # The broker is removed.
        self.share("--accept")
        until(lambda: self.configs(), 10, "it is shown again", pause=0.05)
        self.assertEqual(self.hub.api("DELETE", f"/pairings/paired/{broker}")[0], 204)
        self.all_gone()
        # Every time in the ledger, with whom it was for.
        records = [one for one in self.hub.records() if one.get("entry") == "home/share"]
        kinds = {one["kind"] for one in records}
        self.assertTrue({"intent", "sent", "received"} <= kinds, kinds)
        self.assertTrue(all(broker in json.dumps(one) for one in records))
        self.assertNotIn(mosquitto.PASSWORD, self.hub.log())
        self.hub.accord("ledger", "verify")


@unittest.skipUnless(mosquitto.THERE, "mosquitto is not installed: scripts/need peers")
class Guarded(House):
    def test_a_lock_stays_locked_and_nothing_goes_back_to_where_it_came_from(self):
        other = self.folder / "other"
        other.mkdir()
        source = Mosquitto(self.network["lamp"], self.network.address["lamp"], other).start()
        self.addCleanup(source.close)
        source.say("homeassistant/lock/l/config", {"unique_id": "l", "name": "Front door", "state_topic": "l/s", "command_topic": "l/c"},
                   keep=True)
        source.say("l/s", "LOCKED", keep=True)
        heard, process = [], source.listen("l/c")

        def obey():
            for line in process.stdout:
                heard.append(line.split()[1])
                source.say("l/s", heard[-1] + "ED", keep=True)
        threading.Thread(target=obey, daemon=True).start()
        first, second = self.add_broker(source), self.add_broker()
        self.watch()
        until(lambda: (self.device("Front door") or {}).get("reach") == "local", 15, "the lock is found", pause=0.1)
        back = self.hub.accord("home", "share", "Front door", "--with", first, "--accept", check=False)
        self.assertNotEqual(back.returncode, 0)
        self.assertIn("comes from there", back.stderr)
        self.share("--with", second, "--control", "--accept", name="Front door")
        lock = self.entity("lock")
        state = lambda: json.loads(self.heard[lock["state_topic"]][-1])["lock"]
        until(lambda: state() == "locked", 5, "it is locked", pause=0.05)
        before = len(self.heard[lock["state_topic"]])
        self.broker.say(lock["command_topic"], "unlock")
        until(lambda: len(self.heard[lock["state_topic"]]) > before, 5, "it is said again that it is locked", pause=0.05)
        self.assertEqual((state(), heard), ("locked", []))
        # Its owner said so, for whoever may write there.
        self.share("--with", second, "--control", "--opens", "--accept", name="Front door")
        topic = f"{lock['command_topic']}"
        shown = lambda: self.hub.json("home", "shown")["places"]
        place = next(one for one in shown() if one["device"] == second)
        self.assertEqual([one["shown"] for one in place["devices"] if one["name"] == "Front door"], [{"control": True, "opens": True}])

        def unlocked():
            if state() != "unlocked":
                self.broker.say(topic, "unlock")
            return state() == "unlocked"
        until(unlocked, 10, "it is unlocked", pause=1)
        self.assertEqual(set(heard), {"UNLOCK"})
        trusted = [one for one in self.hub.records() if one.get("entry") == "control/command" and one["kind"] == "intent"]
        self.assertTrue(trusted and all("on.control.trusted" in json.dumps(one) for one in trusted), trusted)
        self.broker.say(topic, "lock")
        until(lambda: state() == "locked", 10, "and locked", pause=0.1)
        # A flood of wishes is not obeyed for long.
        words = " ".join(f"'{word}'" for word in map(str, self.broker.words("-t", topic, "-l")))
        self.broker.machine.run("sh", "-c", f"yes lock | head -500 | mosquitto_pub {words}")
        until(lambda: next(one for one in shown() if one["device"] == second)["refused"] > 300, 10, "most are refused", pause=0.2)
        self.assertLess(len(heard), 60)
        self.hub.accord("home", "unshare", "Front door", "--with", second)
        self.all_gone()


class Late:
    """A message that is made when it is read."""

    def __init__(self, make):
        self.make = make

    def __str__(self):
        return self.make()


CONFIGURATION = """
homeassistant: {name: Lab House, unit_system: metric}
http: {server_port: 8123}
api:
websocket_api:
config:
auth:
onboarding:
"""


@unittest.skipUnless(mosquitto.THERE and HASS.exists(), "Home Assistant is missing: ACCORD_HA=1 tests/peers/run --install")
class HomeAssistant(House):
    MACHINES = ("alpha", "lamp", "broker", "home")

    def setUp(self):
        super().setUp()
        self.config = self.folder / "hass"
        self.config.mkdir()
        (self.config / "configuration.yaml").write_text(CONFIGURATION)
        with open(self.config / "hass.log", "ab") as log:
            self.hass = self.network["home"].popen(HASS, "-c", self.config, "--skip-pip", stdout=log, stderr=log,
                                                   start_new_session=True, env={**os.environ, "HOME": str(self.config)})
        self.addCleanup(self.end)

    def end(self):
        if self.hass.poll() is None:
            os.killpg(self.hass.pid, signal.SIGKILL)
            self.hass.wait(20)

    def do(self, *words):
        done = self.network["home"].run(PYTHON, HERE / "hassdo.py", *map(str, words), check=False, timeout=120)
        self.assertEqual(done.returncode, 0, f"{done.stderr[-2000:]}\n{(self.config / 'hass.log').read_text()[-2000:]}")
        return json.loads(done.stdout)

    def states(self):
        return self.do("states", self.token)

    def becomes(self, entity, wanted, seconds=20):
        seen = {}

        def fits():
            seen["is"] = self.states().get(entity)
            return seen["is"] and wanted(seen["is"])
        until(fits, seconds, f"{entity}: {seen}\n{(self.config / 'hass.log').read_text()[-3000:]}", pause=0.3)

    def test_the_lamp_is_an_entity_there_and_is_switched_from_there(self):
        self.add_lamp()
        broker = self.add_broker()
        self.watch()
        tokens = self.do("setup")
        self.token = tokens["admin"]
        self.do("mqtt", self.token, self.broker.address, self.broker.port, mosquitto.USER, mosquitto.PASSWORD)
        self.share("--control", "--accept")
        self.becomes("light.desk_lamp", lambda one: one["state"] == "off")
        self.do("call", self.token, "light", "turn_on", "light.desk_lamp", json.dumps({"brightness_pct": 40}))
        self.becomes("light.desk_lamp", lambda one: one["state"] == "on" and one["attributes"]["brightness"] == 102)
        self.assertEqual(self.told()[:2], ["set_power", "set_bright"])
        self.do("call", self.token, "light", "turn_on", "light.desk_lamp", json.dumps({"hs_color": [120, 60]}))
        self.becomes("light.desk_lamp", lambda one: one["attributes"].get("color_mode") == "hs"
                     and [round(part) for part in one["attributes"]["hs_color"]] == [120, 60])
        self.do("call", self.token, "light", "turn_on", "light.desk_lamp", json.dumps({"color_temp": 250}))
        self.becomes("light.desk_lamp", lambda one: one["attributes"].get("color_temp") == 250)
        # What the lamp does by itself is shown there.
        self.bulb.send_signal(signal.SIGUSR2)
        status, answer = self.hub.api("POST", f"/devices/{self.lamp}/call",
                                      {"service": "light", "instance": 0, "verb": {"verb": "write", "property": "on", "data": False}})
        self.assertEqual(status, 200, answer)
        self.becomes("light.desk_lamp", lambda one: one["state"] == "off")
        # This Home Assistant is added here too: its lamp, which is ours, does not go round in circles.
        inputs = {"address": f"http://{self.network.address['home']}:8123", "token": tokens["user"]}
        status, answer = self.hub.api("POST", "/add", {"bridge": "homeassistant", "way": "token", "inputs": inputs})
        self.assertEqual(status, 200, answer)
        twin = lambda: next((one for one in self.hub.devices() if one["bridge"] == "homeassistant" and one["name"] == LAMP), None)
        found = until(twin, 20, "it is shown back")
        refused = self.hub.api("PUT", f"/home/shown/{broker}/{found['id']}", {})
        self.assertEqual(refused[0], 409, refused)
        self.assertIn("Home Assistant has it already", refused[1]["message"])
        # Everything that the hub can say of this computer, without complaint there.
        log = lambda: (self.config / "hass.log").read_text()
        complaints = [line for line in log().splitlines() if ("ERROR" in line or "WARNING" in line) and "mqtt" in line.lower()]
        self.assertEqual(complaints, [], "\n".join(complaints))
        # The hub is gone: by its last will it is not available there; and back.
        self.hub.kill()
        self.becomes("light.desk_lamp", lambda one: one["state"] == "unavailable")
        self.hub.start()
        self.becomes("light.desk_lamp", lambda one: one["state"] == "off", 30)
        self.hub.accord("home", "unshare", LAMP)
        until(lambda: "light.desk_lamp" not in self.states(), 20, "it is no entity any more", pause=0.3)
        self.all_gone()


    def test_every_kind_of_device_is_one_there_too(self):
        other = self.folder / "other"
        other.mkdir()
        source = Mosquitto(self.network["lamp"], self.network.address["lamp"], other).start()
        self.addCleanup(source.close)
        for name, (component, description, said) in KINDS.items():
            device = {"identifiers": [name], "name": name.capitalize()}
            source.say(f"homeassistant/{component}/{name.replace(' ', '_')}/config", {"unique_id": name, "name": None, "device": device, **description},
                       keep=True)
            for topic, payload in said.items():
                source.say(topic, payload, keep=True)
        first, second = self.add_broker(source), self.add_broker()
        self.watch()
        self.token = self.do("setup")["admin"]
        self.do("mqtt", self.token, self.broker.address, self.broker.port, mosquitto.USER, mosquitto.PASSWORD)
        for name in KINDS:
            until(lambda: (self.device(name.capitalize()) or {}).get("reach") == "local", 15, f"{name} is here", pause=0.1)
            opens = ["--opens"] if name in ("gate", "guard") else []
            self.share("--with", second, "--control", *opens, "--accept", name=name.capitalize())
        refused = self.hub.accord("home", "share", "Plug", "--with", second, "--control", "--opens", "--accept", check=False)
        self.assertIn("opens, unlocks and disarms nothing", refused.stderr)
        names = {name: f"{component}.{name.replace(' ', '_')}" for name, (component, *_) in KINDS.items()}
        names |= {"party": "button.party", "warmth": "sensor.warmth_temperature", "window": "binary_sensor.window_contact"}
        wanted = set(names.values())
        there = {}

        def all_known():
            there.update({entity: one["state"] for entity, one in self.states().items()})
            return all(there.get(entity, "unavailable") not in ("unavailable", "unknown") or entity == "button.party" for entity in wanted)
        until(all_known, 20, Late(lambda: f"all are there and say something: {there}"), pause=0.5)
        states = self.states()
        has = {entity: one["state"] for entity, one in states.items() if entity in wanted}
        print(f"\n{len(has)} kinds: {has}")
        for entity, state in {"switch.plug": "on", "cover.blind": "open", "climate.stove": "heat", "lock.gate": "locked", "fan.vent": "on",
                              "vacuum.robot": "docked", "sensor.warmth_temperature": "21.5", "binary_sensor.window_contact": "on", "number.delay": "4",
                              "select.scene_of_day": "dusk", "alarm_control_panel.guard": "armed_away", "siren.horn": "off",
                              "humidifier.mist": "on", "valve.tap": "closed"}.items():
            said = states[entity]["state"]
            is_number = entity.startswith(("sensor.", "number."))
            self.assertEqual(float(said) if is_number else said, float(state) if is_number else state, states[entity])
        self.assertEqual(states["cover.blind"]["attributes"]["current_position"], 70)
        self.assertEqual(states["climate.stove"]["attributes"]["temperature"], 20)
        heard, process = [], source.listen("k/+/set")

        def hear():
            for line in process.stdout:
                heard.append(line.strip())
        threading.Thread(target=hear, daemon=True).start()
        time.sleep(0.3)
        for domain, service, entity, data, said in (
            ("switch", "turn_off", "switch.plug", {}, "k/plug/set OFF"),
            ("cover", "close_cover", "cover.blind", {}, "k/blind/set CLOSE"),
            ("climate", "set_temperature", "climate.stove", {"temperature": 22}, "k/stove/set 22"),
            ("lock", "unlock", "lock.gate", {}, "k/gate/set UNLOCK"),
            ("fan", "turn_off", "fan.vent", {}, "k/vent/set OFF"),
            ("vacuum", "start", "vacuum.robot", {}, "k/robot/set start"),
            ("number", "set_value", "number.delay", {"value": 6}, "k/delay/set 6"),
            ("select", "select_option", "select.scene_of_day", {"option": "dawn"}, "k/scene of day/set dawn"),
            ("alarm_control_panel", "alarm_disarm", "alarm_control_panel.guard", {}, "k/guard/set DISARM"),
            ("siren", "turn_on", "siren.horn", {}, "k/horn/set"),
            ("humidifier", "turn_off", "humidifier.mist", {}, "k/mist/set OFF"),
            ("valve", "open_valve", "valve.tap", {}, "k/tap/set OPEN"),
            ("button", "press", "button.party", {}, "k/party/set ON"),
        ):
            self.do("call", self.token, domain, service, entity, json.dumps(data))
            until(lambda: any(one.startswith(said) for one in heard), 8,
                  f"{entity} was told: {heard}\n{self.hub.log()[-2000:]}", pause=0.1)
        complaints = [line for line in (self.config / "hass.log").read_text().splitlines()
                      if ("ERROR" in line or "WARNING" in line) and ("mqtt" in line.lower() or "template" in line.lower())]
        self.assertEqual(complaints, [], "\n".join(complaints))


def of(name, **more):
    """Topics of a thing that was described on another broker."""
    return {"state_topic": f"k/{name}/is", "command_topic": f"k/{name}/set", **more}


KINDS = {
    "plug": ("switch", of("plug"), {"k/plug/is": "ON"}),
    "blind": ("cover", of("blind", position_topic="k/blind/at", set_position_topic="k/blind/to"), {"k/blind/is": "open", "k/blind/at": "70"}),
    "stove": ("climate", {"modes": ["off", "heat"], "mode_state_topic": "k/stove/mode", "mode_command_topic": "k/stove/mode/to",
                          "temperature_state_topic": "k/stove/to", "temperature_command_topic": "k/stove/set",
                          "current_temperature_topic": "k/stove/is", "preset_modes": ["eco", "away"],
                          "preset_mode_state_topic": "k/stove/preset", "preset_mode_command_topic": "k/stove/preset/to"},
              {"k/stove/mode": "heat", "k/stove/to": "20", "k/stove/is": "19.5", "k/stove/preset": "eco"}),
    "gate": ("lock", of("gate"), {"k/gate/is": "LOCKED"}),
    "vent": ("fan", of("vent", percentage_state_topic="k/vent/speed", percentage_command_topic="k/vent/speed/to",
                       oscillation_state_topic="k/vent/swing", oscillation_command_topic="k/vent/swing/to",
                       preset_modes=["auto", "night"], preset_mode_state_topic="k/vent/mode", preset_mode_command_topic="k/vent/mode/to"),
             {"k/vent/is": "ON", "k/vent/speed": "50", "k/vent/swing": "oscillate_off", "k/vent/mode": "auto"}),
    "robot": ("vacuum", {"schema": "state", "state_topic": "k/robot/is", "command_topic": "k/robot/set", "fan_speed_list": ["low", "high"],
                         "set_fan_speed_topic": "k/robot/speed"}, {"k/robot/is": {"state": "docked", "fan_speed": "low"}}),
    "warmth": ("sensor", {"state_topic": "k/warmth/is", "device_class": "temperature", "unit_of_measurement": "°C"}, {"k/warmth/is": "21.5"}),
    "window": ("binary_sensor", {"state_topic": "k/window/is", "device_class": "window"}, {"k/window/is": "ON"}),
    "delay": ("number", of("delay", min=1, max=10), {"k/delay/is": "4"}),
    "scene of day": ("select", of("scene of day", options=["dawn", "dusk"]), {"k/scene of day/is": "dusk"}),
    "guard": ("alarm_control_panel", of("guard", code_arm_required=False), {"k/guard/is": "armed_away"}),
    "horn": ("siren", of("horn"), {"k/horn/is": "OFF"}),
    "mist": ("humidifier", of("mist", target_humidity_command_topic="k/mist/to", target_humidity_state_topic="k/mist/at"),
             {"k/mist/is": "ON", "k/mist/at": "45"}),
    "tap": ("valve", of("tap", reports_position=False), {"k/tap/is": "closed"}),
    "party": ("scene", {"command_topic": "k/party/set", "payload_on": "ON"}, {}),
}


if __name__ == "__main__":
    unittest.main()
