"""Yeelight against a lamp written from the specification, which the library `yeelight` controls as well."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from hub import Hub
from net import Network, until
from wire import Capture, per_address

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
HERE = pathlib.Path(__file__).parent
PYTHON = PEERS / "py/bin/python"
THERE = any(PEERS.glob("py/lib/python3*/site-packages/yeelight"))
NAME, ID, PORT = "Desk lamp", "0x00000000037073d2", 55443


class Home(unittest.TestCase):
    """A hub, a lamp that is switched on when it is wanted, and another machine."""

    def setUp(self):
        self.network = Network("alpha", "lamp", "other")
        for machine in ("alpha", "lamp", "other"):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.lamp, self.address = self.network["lamp"], self.network.address["lamp"]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-yeelight-"))
        self.started = []
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.capture = Capture(self.lamp, self.folder)

    def tearDown(self):
        self.capture.stop()
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- the lamp's side ----------------------------------------------------------------------------

    def switch_on(self, *options, address=None, identity=ID, machine="lamp"):
        log = self.folder / f"{len(self.started)}.log"
        with open(log, "wb") as out:
            process = self.network[machine].popen(sys.executable, "-u", HERE / "yeelamp.py", address or self.address, identity, *options,
                                                  stdout=out, stderr=out, start_new_session=True)
        self.started.append(process)
        process.log = log
        until(lambda: process.poll() is not None or "ready" in log.read_text(), 20, "the lamp is on")
        self.assertIsNone(process.poll(), log.read_text())
        self.bulb = process
        return process

    def switch_off(self, process=None):
        process = process or self.bulb
        process.kill()
        process.wait(10)

    def told(self, method=None):
        """What the lamp was told since it was switched on."""
        lines = [json.loads(line) for line in self.bulb.log.read_text().splitlines() if line.startswith("{")]
        told = [(line["told"], line["params"]) for line in lines if "told" in line]
        return [params for name, params in told if name == method] if method else [name for name, _ in told]

    def sender(self, *words):
        done = self.network["other"].run(PYTHON, HERE / "yeesender.py", *map(str, words), check=False, timeout=40)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return json.loads(done.stdout.splitlines()[-1])

    # -- the hub's side -----------------------------------------------------------------------------

    def device(self, name=NAME):
        return next((device for device in self.hub.api("GET", "/devices")[1]["devices"] if device["name"] == name), None)

    def find(self, seconds=20, reach="local"):
        fits = lambda: (self.device() or {}).get("reach") == reach and self.device()
        return until(fits, seconds, f"it is {reach}: {self.device()}\n{self.hub.log()[-1500:]}")

    def value(self, name, service="light"):
        of = next((one for one in (self.device() or {"services": []})["services"] if one["id"] == service), {"values": {}})
        return of["values"].get(name, {}).get("data")

    def shows(self, seconds=5, service="light", **wanted):
        wanted = {name.replace("_", "-"): data for name, data in wanted.items()}
        fits = lambda: all(self.value(name, service) == data for name, data in wanted.items())
        until(fits, seconds, f"it shows {wanted}: {[(name, self.value(name, service)) for name in wanted]}")

    def add(self):
        self.hub.grant("yeelight/search")
        self.hub.grant("control/command")
        found = self.find()
        self.hub.accord("pair", found["id"], "--accept", timeout=60)
        until(lambda: self.device()["trust"] == "paired" and self.told("get_prop"), 15,
              f"it is added, and asked: {self.device()}\n{self.hub.log()[-1500:]}")
        return found

    def call(self, verb, service="light", status=200):
        body = {"service": service, "instance": 0, "verb": verb, "confirmed": False}
        got, answer = self.hub.api("POST", f"/devices/{self.device()['id']}/call", body)
        self.assertEqual(got == 200, status == 200, answer)
        return answer

    def set(self, property, data, **more):
        return self.call({"verb": "write", "property": property, "data": data}, **more)

    def takes(self):
        """Whether the lamp takes what is wanted."""
        body = {"service": "light", "instance": 0, "verb": {"verb": "write", "property": "on", "data": True}, "confirmed": False}
        return self.hub.api("POST", f"/devices/{self.device()['id']}/call", body)[0] == 200

    def act(self, action, **more):
        return self.call({"verb": "act", "action": action, "inputs": {}}, **more)

    def ours(self):
        """What reached the lamp of Yeelight, from this hub alone."""
        mine = self.hub.machine.addresses()
        return [p for p in self.capture.packets() if p.source in mine and
                (p.protocol == "tcp" or (p.protocol == "udp" and p.port == 1982))]


@unittest.skipUnless(THERE, "the library yeelight is missing: tests/peers/run --install")
class Use(Home):
    def test_nothing_leaves_before_the_owner_agrees_and_the_ledger_has_every_byte(self):
        self.switch_on()
        time.sleep(1)
        self.assertEqual(self.ours(), [])
        self.assertIsNone(self.device())
        self.hub.grant("yeelight/search")
        found = self.find()
        self.assertEqual((found["trust"], found["kind"], found["model"]), ("seen", "light", "color"))
        self.shows(on=False, level=50, color_temperature=4000)
        self.set("on", True, status=0)
        self.assertFalse([p for p in self.ours() if p.protocol == "tcp"], "seen, and not spoken to before it is added")
        self.assertFalse([p for p in self.ours() if b"ccord" in p.payload or b"alpha" in p.payload])

        self.add()
        self.set("on", True)
        self.shows(on=True)
        self.hub.accord("consent", "withdraw", "yeelight/control", "--to", found["id"])
        self.set("on", False, status=0)
        self.hub.accord("consent", "withdraw", "yeelight/search")
        self.find(10, "offline")
        before = len(self.ours())
        time.sleep(1.5)
        self.assertEqual(len(self.ours()), before)
        self.hub.stop()
        shown = per_address(p for p in self.ours() if p.payload)
        self.hub.start()
        written = {}
        for record in self.hub.records():
            if record["kind"] in ("sent", "error") and (record.get("entry") or "").startswith("yeelight/"):
                for place in (record.get("details") or {}).get("addresses", []):
                    written[place["address"]] = written.get(place["address"], 0) + place["bytes"]
        self.assertEqual({place: count for place, count in written.items() if count}, dict(shown))
        self.hub.accord("ledger", "verify")

    def test_it_is_set_and_confirmed_and_what_another_program_does_is_shown(self):
        self.switch_on()
        self.add()
        # Refused while it is off, it is lit first.
        self.set("level", 30)
        self.shows(on=True, level=30)
        self.assertEqual(self.told()[-2:], ["set_power", "set_bright"])
        self.set("color-temperature", 2700)
        self.shows(color_temperature=2700, color_mode=0)
        self.set("hue", 240)
        self.shows(hue=240, saturation=100, color_mode=1)
        self.set("saturation", 60)
        self.shows(hue=240, saturation=60)
        self.assertEqual(self.told("set_hsv")[-1][:2], [240, 60])
        self.act("toggle")
        self.shows(on=False)
        self.set("on", True)
        self.shows(on=True)
        # What changes nothing is not pushed, and is asked for.
        asked = len(self.told("get_prop"))
        self.set("level", 30)
        until(lambda: len(self.told("get_prop")) > asked, 5, "it is asked whether it is so")
        self.set("level", 0, status=0)
        self.set("color-temperature", 9000, status=0)
        self.set("sleep-timer", 900, service="more")
        self.shows(sleep_timer=900, service="more")
        self.set("sleep-timer", 0, service="more")
        self.shows(sleep_timer=0, service="more")

        # The other program: found by it too, and heard here.
        bulbs = self.sender("discover", "eth0")
        self.assertEqual([(bulb["ip"], bulb["capabilities"]["id"]) for bulb in bulbs], [(self.address, ID)])
        self.sender(self.address, "set_brightness", 64)
        self.shows(level=64)
        self.sender(self.address, "set_rgb", 0, 255, 0)
        self.shows(hue=120, saturation=100, color_mode=1)
        self.sender(self.address, "set_color_temp", 5000)
        self.shows(color_temperature=5000, color_mode=0)
        self.sender(self.address, "turn_off")
        self.shows(on=False)
        self.bulb.send_signal(signal.SIGUSR2)
        self.shows(level=77)
        self.assertEqual(self.sender(self.address, "get_properties")["bright"], "77")


class Change(Home):
    def test_it_is_restarted_moves_and_its_lan_control_is_switched_off(self):
        self.switch_on()
        added = self.add()
        self.switch_off()
        self.find(10, "offline")
        self.switch_on()
        self.find(10)
        self.set("level", 20)
        self.shows(level=20)
        # Somebody says that it is elsewhere: it stays where it is connected.
        thief = self.switch_on(address=self.network.address["other"], machine="other")
        time.sleep(1)
        self.assertEqual(self.told(), [])
        self.switch_off(thief)
        self.bulb = self.started[-2]

        # Another address, with the same id.
        elsewhere = self.address.rsplit(".", 1)[0] + ".77"
        self.switch_off()
        self.lamp.run("ip", "addr", "del", f"{self.address}/24", "dev", "eth0")
        self.lamp.run("ip", "addr", "add", f"{elsewhere}/24", "dev", "eth0")
        self.lamp.run("ip", "route", "add", "default", "dev", "eth0", check=False)
        self.switch_on(address=elsewhere)
        self.find(20)
        until(lambda: self.told("get_prop"), 20, f"it is asked there\n{self.hub.log()[-1500:]}")
        self.set("level", 21)
        self.shows(level=21)
        self.assertEqual(self.device()["id"], added["id"])

        self.bulb.send_signal(signal.SIGUSR1)
        self.find(10, "offline")
        self.set("on", True, status=0)
        why = self.hub.accord("why", NAME, check=False, timeout=60).stdout
        self.assertIn("LAN control is off", why)
        self.assertIn("Yeelight app", why)
        # The same when it does not even answer searches any more, and after a restart of the hub.
        self.switch_off()
        self.hub.stop()
        self.hub.start()
        self.find(10, "offline")
        self.assertEqual(self.device()["trust"], "paired")
        self.shows(level=21)
        self.assertIn("LAN control is off", self.hub.accord("why", NAME, check=False, timeout=60).stdout)
        self.switch_on(address=elsewhere)
        self.find(15)
        # Gone without a word, and back.
        self.lamp.link("eth0", "down")
        self.set("level", 23, status=0)
        self.find(10, "offline")
        self.lamp.link("eth0", "up")
        self.lamp.run("ip", "route", "add", "default", "dev", "eth0", check=False)
        self.find(30)
        self.set("level", 22)
        self.shows(level=22)


class Filtered(Home):
    """A network that lets no multicast through, as some access points do."""

    def setUp(self):
        super().setUp()
        ports = json.loads(self.network.switch.run("ip", "-j", "link", "show", "master", "br0").stdout)
        for port in ports:
            self.network.switch.run("bridge", "link", "set", "dev", port["ifname"], "mcast_flood", "off")

    def test_a_lamp_is_added_by_its_address_and_found_there_after_a_restart_of_the_hub(self):
        self.switch_on()
        self.hub.grant("yeelight/search")
        self.hub.grant("control/command")
        time.sleep(3)
        self.assertIsNone(self.device(), "multicast does not reach it")
        # Nobody is there: that is said, and nothing is left.
        nobody = self.address.rsplit(".", 1)[0] + ".99"
        wrong = self.hub.accord("add", "yeelight", f"address={nobody}", check=False)
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn("no Yeelight lamp answers at " + nobody, wrong.stderr)
        afar = self.hub.accord("add", "yeelight", "address=203.0.113.5", check=False)
        self.assertIn("none of the networks", afar.stderr)
        self.assertEqual([one["name"] for one in self.hub.devices() if one["bridge"] == "yeelight"], [])
        self.hub.accord("add", "yeelight", f"address={self.address}")
        added = self.find()
        self.assertEqual(added["trust"], "paired")
        self.set("level", 33)
        self.shows(level=33)
        # Both are restarted: it is found where it was, though it says nothing that the hub hears.
        self.switch_off()
        self.find(10, "offline")
        self.switch_on()
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.find(15)["id"], added["id"])
        self.set("level", 34)
        self.shows(level=34)
        # Another lamp at that address is not taken for it.
        self.switch_off()
        self.hub.stop()
        self.switch_on("--name", "Other lamp", identity="0x00000000000000aa")
        self.hub.start()
        until(lambda: self.device("Other lamp"), 15, "it answers, as who it is")
        self.assertEqual((self.device()["reach"], self.device("Other lamp")["trust"]), ("offline", "seen"))
        self.assertEqual(self.told(), [])
        self.hub.stop()
        # All of it is in the ledger: nothing else reached the lamp.
        self.hub.start()
        self.hub.accord("ledger", "verify")


@unittest.skipUnless(THERE, "the library yeelight is missing: tests/peers/run --install")
class Harm(Home):
    def test_beyond_what_it_takes_nothing_is_sent_and_that_is_said(self):
        self.switch_on()
        self.add()
        refused = None
        for turn in range(70):
            body = {"service": "light", "instance": 0, "verb": {"verb": "write", "property": "on", "data": turn % 2 == 0}, "confirmed": False}
            status, answer = self.hub.api("POST", f"/devices/{self.device()['id']}/call", body)
            if status != 200:
                refused = json.dumps(answer)
                break
        self.assertIn("takes 60 commands a minute", refused or "never refused")
        self.assertIn("try again in", refused)
        self.assertLessEqual(len(self.told()), 60, "the lamp itself was never told too much")
        # Another program has a connection, and a count, of its own.
        self.sender(self.address, "turn_on"), self.sender(self.address, "set_brightness", 5)
        self.shows(level=5)
        self.assertEqual(self.find()["trust"], "paired")

    def test_what_means_harm_costs_itself_alone(self):
        self.switch_on()
        self.add()
        memory = lambda: int(next(line.split()[1] for line in pathlib.Path(f"/proc/{self.hub.process.pid}/status").read_text()
                                  .splitlines() if line.startswith("VmRSS")))
        before = memory()
        for fault, says in (("garbage", "no lamp sends"), ("endless", "16384 bytes"), ("mute", "did not answer")):
            self.switch_off()
            self.switch_on("--fault", fault)
            body = {"service": "light", "instance": 0, "verb": {"verb": "write", "property": "on", "data": True}, "confirmed": False}
            said = lambda: json.dumps(self.hub.api("POST", f"/devices/{self.device()['id']}/call", body)[1])
            until(lambda: says in said(), 20, f"{fault}: {says}; {said()}")
        self.switch_off()
        # A flood of what changed, and of lamps that are not there.
        self.switch_on("--fault", "flood")
        # What is wanted is tried at once, however often it failed before.
        until(self.takes, 25, "it takes what is wanted, in the middle of a flood of what it says")
        def flood():
            import socket
            air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            air.bind((self.network.address["other"], 0))
            for turn in range(3000):
                air.sendto(f"NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\nLocation: yeelight://{self.network.address['other']}:{turn % 9 + 1}\r\n"
                           f"id: {turn + 1:#018x}\r\nmodel: color\r\nsupport: set_power\r\nname: x\r\n\r\n".encode(), ("239.255.255.250", 1982))
                air.sendto(b"\xff" * 1400, ("239.255.255.250", 1982))
        self.network["other"].inside(flood)
        self.switch_off()
        self.assertLess(len(self.hub.devices()), 80)
        self.switch_on()
        until(self.takes, 25, "it takes what is wanted again")
        self.set("level", 40)
        self.shows(level=40)
        self.assertLess(memory() - before, 60_000, "kilobytes")


if __name__ == "__main__":
    unittest.main()
