"""Home Assistant 2024.3 itself, headless, with its demo house: found, added, shown, controlled, gone and back.

It is heavy (an install of minutes, 700 MB), so that it runs only where it was installed: `ACCORD_HA=1 tests/peers/run --install`.
What needs no server of its own is tried in `bridges/homeassistant/tests`, against the messages that were recorded here.
"""

import json
import time
import unittest

import hasshome
import sealed
from hasshome import CONFIGURATION, HASS
from net import until


class HomeAssistant(hasshome.Home):
    # -- what is tried ------------------------------------------------------------------------------

    def test_it_is_found_and_added_with_a_token(self):
        time.sleep(1)
        self.assertEqual(self.to_server(), [])
        self.hub.grant("homeassistant/search")
        found = until(lambda: self.device("Lab House"), 20, f"it is found: {self.hub.log()[-1500:]}")
        self.assertEqual((found["trust"], found["kind"]), ("seen", "hub"))
        self.assertEqual(self.to_server(), [], "searching says nothing to it")
        status, pairing = self.hub.api("POST", "/pairings", {"device": found["id"], "inputs": {"token": self.tokens["user"]}})
        self.assertEqual(status, 200, pairing)
        until(lambda: self.hub.api("POST", f"/pairings/{pairing['id']}/confirm", {})[0] == 200, 10, "it is confirmed")
        self.reach("Lab House", "local")
        until(lambda: self.device("Bed Light"), 20, "its things are shown")
        server = self.shown("Lab House", "more")["values"]
        self.assertEqual(server["administrator"]["data"], False)
        self.assertIn("2024.3.3", self.value("Lab House", "information", "software"))
        # Every thing is its, has something to show, and is what it is.
        things = [one for one in self.devices() if one["bridge"] == "homeassistant" and one["id"] != found["id"]]
        print(f"\n{len(things)} devices of the demo house")
        self.assertGreaterEqual(len(things), 60)
        kinds = {name: self.device(name)["kind"] for name in ("Bed Light", "Front Door", "HeatPump", "AC", "Hall Window")}
        self.assertEqual(kinds, {"Bed Light": "light", "Front Door": "lock", "HeatPump": "climate", "AC": "plug", "Hall Window": "cover"})
        self.assertFalse([one["name"] for one in things if not [s for s in one["services"] if s["id"] != "pairing"]])
        self.assertEqual(self.device("Paulus"), None, "where people are is not shown")
        # The token is nowhere but in its file, where it is sealed.
        for text in (json.dumps(self.devices()), self.hub.log(), json.dumps(self.hub.records())):
            self.assertNotIn(self.tokens["user"], text)
        self.assertEqual(sealed.holding(self.hub.state, self.tokens["user"]), [])
        self.assertIn(self.tokens["user"].encode(), sealed.read(self.hub.state, "homeassistant/added.json"))
        self.assertEqual((self.hub.state / "homeassistant/added.json").stat().st_mode & 0o77, 0)
        sent = [record for record in self.hub.records() if record.get("entry") == "homeassistant/connection"]
        self.assertTrue(sent and all(found["id"] in json.dumps(record) for record in sent))

    def test_things_are_set_confirmed_by_their_state_and_change_from_their_own_side(self):
        server = self.add(self.tokens["user"])
        self.hub.grant("control/command")
        until(lambda: self.device("Bed Light"), 20, "its things are shown")
        self.assertEqual(self.write("Bed Light", "light", "level", 30)[0], 200)
        self.shows("Bed Light", "light", "level", 30)
        self.shows("Bed Light", "light", "on", True)
        self.assertEqual(self.there("light.bed_light")["attributes"]["brightness"], 76)
        for _ in range(3):
            self.assertEqual(self.write("Bed Light", "light", "color-temperature", 3000)[0], 200)
        until(lambda: abs((self.value("Bed Light", "light", "color-temperature") or 0) - 3000) < 50, 10, "it is warm")
        self.assertEqual(self.write("Bed Light", "light", "hue", 120)[0], 200)
        self.shows("Bed Light", "light", "hue", 120)
        self.assertEqual(self.write("HeatPump", "climate", "target", 21.5)[0], 200)
        self.shows("HeatPump", "climate", "target", 21.5)
        self.assertEqual(self.write("Hall Window", "cover", "position", 70)[0], 200)
        self.shows("Hall Window", "cover", "position", 70, seconds=20)
        self.assertEqual(self.write("AC", "on-off", "on", True)[0], 200)
        self.shows("AC", "on-off", "on", True)
        self.assertEqual(self.act("0_Ground_floor", "vacuum", "start")[0], 200)
        names = dict(next(one for one in self.shown("0_Ground_floor", "vacuum")["properties"] if one["id"] == "state")["values"])
        until(lambda: names.get(self.value("0_Ground_floor", "vacuum", "state")) == "cleaning", 10, "it cleans")
        # What opens the house is asked for each time.
        self.assertNotEqual(self.act("Front Door", "door-lock", "unlock")[0], 200)
        self.assertEqual(self.there("lock.front_door")["state"], "locked")
        self.assertEqual(self.act("Front Door", "door-lock", "unlock", confirmed=True)[0], 200)
        self.shows("Front Door", "door-lock", "locked", False)
        # What they do there is shown here.
        self.do("call", self.tokens["admin"], "light", "turn_off", "light.bed_light")
        self.shows("Bed Light", "light", "on", False)
        self.assertIsNone(self.value("Bed Light", "light", "level"), "a lamp that is off has no level")
        self.do("call", self.tokens["admin"], "lock", "lock", "lock.front_door")
        self.shows("Front Door", "door-lock", "locked", True)
        # A button tells nothing of before, and is pressed from here.
        self.assertEqual(self.act("Push", "press", "press")[0], 200)
        until(lambda: self.there("button.push")["state"] != "unknown", 5, "it was pressed")
        sent = [record for record in self.hub.records() if record.get("entry") == "control/command" and record["kind"] == "sent"]
        self.assertTrue(sent and all(server["id"] in json.dumps(record) for record in sent), f"the server is who gets it: {sent[:3]}")

    def test_its_cameras_are_looked_at_and_switched_and_the_owners_token_is_not_said_for_that(self):
        self.add(self.tokens["user"])
        until(lambda: self.device("Demo camera png"), 20, "its cameras are shown")
        refused = self.hub.accord("home", "look", "Demo camera png", "--to", self.folder / "none.png", check=False, stdin=-3)
        self.assertIn("control/command", refused.stderr)
        self.hub.grant("control/command")
        self.assertEqual(self.device("Demo camera png")["kind"], "camera")
        demo = next(HASS.parent.parent.glob("lib/python3*/site-packages/homeassistant/components/demo"))
        theirs = {path.read_bytes() for path in demo.glob("demo_*.png")}
        seen = []
        for number in range(3):
            file = self.folder / f"seen-{number}.png"
            self.hub.accord("home", "look", "Demo camera png", "--to", file)
            seen.append(file.read_bytes())
        self.assertLessEqual(set(seen), theirs)
        self.assertGreater(len(set(seen)), 1, "what it sees now, and not what it saw before")
        self.assertEqual(self.hub.accord("home", "look", "Demo camera png", "--to", file, check=False).returncode, 1, "no file is replaced")
        # Switched off it has none, and that is asked about.
        self.assertNotEqual(self.act("Demo camera", "picture", "turn-off")[0], 200)
        self.assertEqual(self.act("Demo camera", "picture", "turn-off", confirmed=True)[0], 200)
        self.shows("Demo camera", "picture", "streaming", False)
        off = self.hub.accord("home", "look", "Demo camera", "--to", self.folder / "off.jpg", check=False)
        self.assertIn("has no picture of it now", off.stderr)
        asked = [packet.payload for packet in self.capture.packets() if packet.payload.startswith(b"GET /api/camera_proxy/")]
        self.assertGreaterEqual(len(asked), 4)
        self.assertFalse([one for one in asked if self.tokens["user"].encode() in one])
        self.hub.accord("ledger", "verify")

    def test_it_goes_and_comes_back_and_a_token_ends(self):
        wrong = self.add("no-token-of-this-house-at-all")
        self.assertEqual(wrong["reach"], "offline")
        name = wrong["name"]
        until(lambda: "turned-away" in self.codes(name), 15, f"it says why: {self.why(name)}")
        time.sleep(3)
        self.assertEqual(len({p.source_port for p in self.to_server()}), 1, "a wrong token is not tried again and again")
        self.assertEqual(self.add(self.tokens["user"])["id"], wrong["id"])
        self.reach("Lab House", "local")
        until(lambda: self.device("Bed Light"), 20, "its things are shown")
        # Restarted.
        self.end()
        self.reach("Bed Light", "offline")
        self.reach("Lab House", "offline")
        self.start()
        self.reach("Bed Light", "local", seconds=90)
        # The hub is restarted, without anybody adding anything.
        self.hub.stop()
        self.hub.start()
        self.reach("Bed Light", "local")
        # The hub is restarted while the server is away: its things are there as they were, and nothing is done later.
        self.shows("Bed Light", "light", "on", False)
        self.do("call", self.tokens["admin"], "light", "turn_on", "light.bed_light", '{"brightness_pct": 40}')
        self.shows("Bed Light", "light", "level", 40)
        status, answer = self.hub.api("PATCH", f"/devices/{self.device('Bed Light')['id']}", {"room": "Attic"})
        self.assertEqual(status, 200, answer)
        until(lambda: self.device("Lab lost"), 10, "one that will be lost is shown")
        known = {one["id"]: one for one in self.devices() if one["bridge"] == "homeassistant"}
        self.hub.stop()
        self.end()
        self.hub.start()
        remembered = lambda: {one["id"]: one for one in self.devices() if one["bridge"] == "homeassistant"}
        until(lambda: remembered().keys() == known.keys(), 10, lambda: f"{len(known)} things: {remembered().keys() ^ known.keys()}")
        after = remembered()
        for id, before in known.items():
            if before["name"] != "Lab House":
                for key in ("name", "kind", "room"):
                    self.assertEqual(before.get(key), after[id].get(key))
                # What is played is not kept; all else is as it was, with its age.
                if not [one for one in before["services"] if one["id"] == "media"]:
                    self.assertEqual(before["services"], after[id]["services"], before["name"])
            self.assertEqual(after[id]["reach"], "offline")
        self.hub.grant("control/command", after[self.device("Lab House")["id"]]["id"])
        status, answer = self.act("Bed Light", "light", "toggle")
        self.assertNotEqual(status, 200, answer)
        # Meanwhile the server has lost one.
        (self.folder / "configuration.yaml").write_text(CONFIGURATION)
        self.start()
        self.reach("Bed Light", "local", seconds=90)
        until(lambda: self.device("Lab lost") is None, 10, "what the server does not know any more is gone")
        self.assertEqual(self.device("Bed Light")["room"], "Attic")
        # The token is taken back there.
        self.do("revoke", self.tokens["user"])
        self.reach("Lab House", "offline", seconds=10)
        until(lambda: "turned-away" in self.codes("Lab House"), 15, f"it says why: {self.why('Lab House')}")
        self.assertNotIn(self.tokens["user"], self.hub.log())
        # An administrator's token is told to be one.
        self.add(self.tokens["admin"])
        self.reach("Lab House", "local")
        self.shows("Lab House", "more", "administrator", True)

    def test_it_is_the_same_at_another_address(self):
        server = self.add(self.tokens["user"])["id"]
        self.reach("Lab House", "local")
        until(lambda: self.device("Bed Light"), 20, "its things are shown")
        lamp = self.device("Bed Light")["id"]
        self.assertEqual(self.hub.api("PATCH", f"/devices/{lamp}", {"name": "By the bed", "room": "Attic"})[0], 200)
        self.hub.grant("control/command", server)
        ids = {one["id"] for one in self.devices() if one["bridge"] == "homeassistant"}
        elsewhere = self.address.rsplit(".", 1)[0] + ".77"
        self.home.run("ip", "addr", "del", f"{self.address}/24", "dev", "eth0")
        self.home.run("ip", "addr", "add", f"{elsewhere}/24", "dev", "eth0")
        # With the token that it has, and with nothing agreed anew.
        self.hub.accord("add", "homeassistant", "--again", "Lab House", f"address=http://{elsewhere}:8123")
        self.reach("By the bed", "local")
        self.assertEqual({one["id"] for one in self.devices() if one["bridge"] == "homeassistant"}, ids)
        found = self.device("By the bed")
        self.assertEqual((found["id"], found["room"], found["via"]), (lamp, "Attic", server))
        status, answer = self.write("By the bed", "light", "level", 40)
        self.assertEqual(status, 200, answer)
        self.shows("By the bed", "light", "level", 40)
        self.assertNotIn(self.tokens["user"], self.hub.log())

    # -- signing in ---------------------------------------------------------------------------------

    def comes_back(self, open):
        """The owner signs in at Home Assistant's own page; where the browser, on the hub's machine, is sent to then."""
        self.assertTrue(open.startswith(f"{self.scheme}://{self.address}:8123/auth/authorize?"), open)
        return self.do("sign_in", open, "accord", "lab-pass-2")

    def browse(self, url):
        done = self.hub.machine.run("curl", "-s", "-m", "40", "-w", "\n%{http_code}", url)
        page, status = done.stdout.rsplit("\n", 1)
        return int(status), page

    def begin(self):
        inputs = {"address": f"{self.scheme}://{self.address}:8123"}
        body = {"bridge": "homeassistant", "way": "token", "inputs": inputs, "sign_in": True}
        status, answer = self.hub.api("POST", "/add", body)
        self.assertEqual(status, 200, answer)
        return answer

    def signing(self, begun):
        return self.hub.api("GET", f"/add/sign-in/{begun['signing_in']}")[1]

    def test_its_owner_signs_in_with_a_browser(self):
        begun = self.begin()
        self.assertEqual((self.signing(begun)["state"], self.to_server()), ("waits", []), "nothing is said before the browser is back")
        # Somebody comes with another word; the owner comes with the right one, once.
        back = self.comes_back(begun["open"])
        self.assertEqual(self.browse(back["back"][:-6] + "000000")[0], 400)
        status, page = self.browse(back["back"])
        self.assertEqual(status, 200, f"{page}\n{self.hub.log()[-2000:]}")
        self.assertIn("You are signed in", page)
        self.assertEqual(self.browse(back["back"])[0], 400, "once")
        signed = self.signing(begun)
        self.assertEqual((signed["state"], [one["id"] for one in signed["devices"]]), ("done", [begun["devices"][0]["id"]]))
        self.reach("Lab House", "local")
        until(lambda: self.device("Bed Light"), 20, "its things are shown")
        self.assertEqual(self.value("Lab House", "more", "administrator"), False)
        client = f"{self.hub.json('status')['http']}/"
        self.assertIn(client, self.do("clients", self.tokens["user"]))
        # What lasts is in its file, sealed; the code and the words of the browser are nowhere.
        kept = sealed.read(self.hub.state, "homeassistant/added.json")
        lasting = next(iter(json.loads(kept).values()))["token"]
        for secret in (lasting, back["code"], "lab-pass-2"):
            for text in (json.dumps(self.devices()), self.hub.log(), json.dumps(self.hub.records())):
                self.assertNotIn(secret, text)
            self.assertEqual(sealed.holding(self.hub.state, secret), [])
            self.assertEqual(secret.encode() in kept, secret == lasting)
        # The hub is restarted: it has a new token by itself.
        lamp = self.device("Bed Light")["id"]
        self.hub.stop()
        self.hub.start()
        self.reach("Bed Light", "local")
        # It is taken back there: that is said, its things stay what they are, and the owner signs in again.
        self.do("sign_out", self.tokens["user"], client)
        self.reach("Lab House", "offline", seconds=10)
        until(lambda: "sign in again" in self.codes("Lab House"), 20, f"it says so: {self.why('Lab House')}")
        process = self.hub.popen("add", "homeassistant", "--sign-in", f"address={self.scheme}://{self.address}:8123")
        open = next(line.strip() for line in process.stderr if "/auth/authorize?" in line)
        self.assertEqual(self.browse(self.comes_back(open)["back"])[0], 200)
        said, trouble = process.communicate(timeout=30)
        self.assertEqual((process.returncode, "Added" in said), (0, True), said + trouble)
        client = f"{self.hub.json('status')['http']}/"
        self.reach("Bed Light", "local")
        self.assertEqual(self.device("Bed Light")["id"], lamp)
        # Removed, it is signed out there too.
        self.assertIn(client, self.do("clients", self.tokens["user"]))
        self.assertEqual(self.hub.api("DELETE", f"/pairings/paired/{begun['devices'][0]['id']}")[0], 204)
        until(lambda: self.device("Bed Light") is None, 10, "its things are gone")
        self.assertNotIn(client, self.do("clients", self.tokens["user"]))

    def test_it_is_told_nothing_when_it_holds_another_key_over_https(self):
        token = self.tokens["user"]
        wrong = self.add(token, certificate="ab" * 32)
        self.assertEqual(wrong["reach"], "offline")
        until(lambda: "key-changed" in self.codes(wrong["name"]), 10, f"it says why: {self.why(wrong['name'])}")
        self.assertEqual(self.add(token, certificate=self.key())["id"], wrong["id"])
        self.reach("Lab House", "local")
        until(lambda: self.device("Bed Light"), 20, "its things are shown")
        self.assertEqual(self.value("Lab House", "more", "certificate"), self.key())
        self.assertFalse([p for p in self.capture.packets() if token.encode() in p.payload], "it is encrypted")
        self.end()
        self.new_key()
        self.start()
        until(lambda: "key-changed" in self.codes("Lab House"), 90, f"it says why: {self.why('Lab House')}")
        self.assertEqual(self.device("Bed Light")["reach"], "offline")
        self.add(token)
        self.reach("Bed Light", "local")
        self.assertEqual(self.value("Lab House", "more", "certificate"), self.key())


if __name__ == "__main__":
    unittest.main()
