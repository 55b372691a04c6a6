"""miIO and MIoT against python-miio's simulators: other programs, in machines of their own."""

import time
import unittest

from miiohome import LAMP, TOKEN, Home
from net import until
from wire import per_address


class Devices(Home):
    def test_a_lamp_is_found_added_with_its_token_read_set_and_changed_from_its_own_side(self):
        capture = self.capture("lamp")
        time.sleep(2)
        self.assertEqual([p for p in capture.packets() if p.protocol == "udp" and p.port == 54321], [], "nothing before consent")
        self.hub.grant("miio/search")
        found = self.find(lambda device: device["trust"] == "seen" and "miIO" in device["name"] and self.is_lamp(device), 20, "it is found")
        self.assertEqual([s["id"] for s in found["services"]], ["pairing"])
        refused = self.hub.api("POST", "/pairings", {"device": found["id"], "inputs": {"token": "short"}})
        self.assertNotEqual(refused[0], 200)
        self.assertNotIn("short", str(refused[1]))
        status, pairing = self.hub.api("POST", "/pairings", {"device": found["id"], "inputs": {"token": TOKEN}})
        self.assertIn(status, (200, 201, 202), pairing)
        until(lambda: self.hub.api("GET", f"/pairings/{pairing['id']}")[1]["state"] == "compare", 10, "it asks for the owner's word")
        self.hub.api("POST", f"/pairings/{pairing['id']}/confirm", {})
        lamp = found["id"]
        self.reach(lamp, "local", 20)
        until(lambda: self.value(lamp, "light", "level") is not None, 10, "it says how bright it is")
        shown = self.device(lamp)
        self.assertEqual((shown["kind"], shown["model"], shown["trust"]), ("light", LAMP, "paired"))
        text = str(shown) + self.hub.log() + str(self.hub.records())
        self.assertNotIn("network", str(shown["services"]), "what it says of its Wi-Fi is dropped")
        self.assertNotIn(TOKEN, text)

        for level in (1, 30, 100):
            status, answer = self.write(lamp, "light", "level", level)
            self.assertEqual(status, 200, answer)
            self.is_said(lamp, "light", "level", level)
        until(lambda: "confirmed" in str(self.device(lamp)) or self.value(lamp, "light", "level") == 100, 5, "it is confirmed")
        for wrong in (101, "bright"):
            self.assertNotEqual(self.write(lamp, "light", "level", wrong)[0], 200)
        self.assertEqual(self.call(lamp, "light", {"verb": "act", "action": "toggle", "inputs": {}})[0], 200)

        address = self.network.address["lamp"]
        code = f"d = MiotDevice('{address}', '{TOKEN}', mapping={{}})\nprint(d.get_property_by(2, 2)[0]['value'])\nd.set_property_by(2, 2, 77)"
        here = lambda: [p for p in capture.packets() if p.protocol == "udp" and p.port == 54321 and p.to == address]
        ours = {p.source_port for p in here()}
        self.assertEqual(self.other_client(code), "100", "the other program sees what was set here")
        others = {p.source_port for p in here()} - ours
        self.assertTrue(others)
        self.is_said(lamp, "light", "level", 77)

        self.hub.stop()
        shown = per_address(p for p in here() if p.source_port not in others)
        self.hub.start()
        written = {}
        for record in self.hub.records():
            if record["kind"] in ("sent", "error") and record.get("entry") == "miio/control":
                for place in (record.get("details") or {}).get("addresses", []):
                    written[place["address"]] = written.get(place["address"], 0) + place["bytes"]
        self.assertEqual({place: count for place, count in written.items() if count}, shown)
        self.hub.accord("ledger", "verify")

    def is_lamp(self, device):
        # Their numbers follow from the model's name.
        import hashlib
        return str(int(hashlib.md5(LAMP.encode()).hexdigest()[:8], 16)) in device["name"]

    def test_older_devices_are_added_by_address_and_speak_their_own_words(self):
        fan = self.add("fan", called="Bedroom")["id"]
        vacuum = self.add("vacuum")["id"]
        self.reach(fan, "local", 20)
        self.is_said(fan, "fan", "on", True)
        self.assertEqual(self.device(fan)["name"], "Bedroom")
        self.assertEqual(self.write(fan, "fan", "on", False)[0], 200)
        self.is_said(fan, "fan", "on", False)
        self.assertEqual(self.write(fan, "fan", "percent", 60)[0], 200)
        self.is_said(fan, "fan", "percent", 60)
        address = self.network.address["fan"]
        said = self.other_client(f"d = Device('{address}', '{TOKEN}')\nprint(d.send('get_prop', ['power', 'speed_level']))\nd.send('set_power', ['on'])")
        self.assertEqual(said, "['off', 60]")
        self.is_said(fan, "fan", "on", True)
        self.is_said(vacuum, "battery", "percent", 87)
        state = next(p for p in next(s for s in self.device(vacuum)["services"] if s["id"] == "vacuum")["properties"] if p["id"] == "state")
        self.assertIn([self.value(vacuum, "vacuum", "state"), "docked"], [list(pair) for pair in state["values"]])
        status, answer = self.call(vacuum, "vacuum", {"verb": "act", "action": "start", "inputs": {}})
        self.assertNotEqual(status, 200, "the simulator has no such method, and that is said")
        self.assertNotIn("Traceback", str(answer))

    def test_a_wrong_token_is_named_and_the_right_one_heals_it(self):
        refused = self.hub.api("POST", "/add", {"bridge": "miio", "way": "token", "inputs": {"address": "203.0.113.7", "token": TOKEN}})
        self.assertEqual(refused[0], 400, refused)
        lamp = self.add("lamp", token="11" * 16)["id"]
        self.assertEqual(self.device(lamp)["reach"], "offline")
        until(lambda: "secret-wrong" in self.why(lamp), 40, f"it is said why: {self.why(lamp)}")
        self.assertEqual(self.add("lamp")["id"], lamp, "the same device")
        self.reach(lamp, "local", 20)
        self.assertNotIn("secret-wrong", self.why(lamp))

    def test_it_goes_comes_back_and_moves(self):
        self.hub.grant("miio/search")
        lamp = self.add("lamp")["id"]
        self.reach(lamp, "local", 20)
        until(lambda: self.value(lamp, "light", "on") is not None, 10, "it is known")
        self.switch_off("lamp")
        status, answer = self.write(lamp, "light", "on", True)
        self.assertNotEqual(status, 200)
        self.reach(lamp, "offline", 20)
        # The hub is restarted meanwhile: it is what it was, with what it said last and when.
        before = self.device(lamp)
        self.hub.stop()
        self.hub.start()
        self.reach(lamp, "offline", 10)
        after = self.device(lamp)
        self.assertEqual([after[key] for key in ("name", "kind", "services")], [before[key] for key in ("name", "kind", "services")])
        self.assertIsNotNone(self.value(lamp, "light", "on"))
        self.switch_on("lamp")
        self.wait_on("lamp")
        self.why(lamp)
        self.reach(lamp, "local", 40)

        machine, old, new = self.network["lamp"], self.network.address["lamp"], f"{self.network.prefix}.77"
        def move(a, b):
            machine.run("ip", "addr", "del", f"{a}/24", "dev", "eth0")
            machine.run("ip", "addr", "add", f"{b}/24", "dev", "eth0")
            machine.run("ip", "route", "replace", "default", "dev", "eth0")
        move(old, new)
        try:
            self.write(lamp, "light", "level", 20)
            self.why(lamp)
            until(lambda: self.write(lamp, "light", "level", 21)[0] == 200, 60, f"it is found elsewhere: {self.why(lamp)}")
            self.is_said(lamp, "light", "level", 21)
            # Its new address is kept: no search is needed after a restart.
            self.hub.accord("consent", "withdraw", "miio/search")
            self.hub.stop()
            self.hub.start()
            self.reach(lamp, "local", 20)
        finally:
            move(new, old)


if __name__ == "__main__":
    unittest.main()
