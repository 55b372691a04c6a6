"""Looking into a phone through a whole hub: a scripted app, and Debian's OpenSSH as its file server (`phone.py`)."""

import os
import random
import signal
import time
import unittest

from hub import ACCORD, Hub
from net import until
from phone import MISSING, Phone
from test_kdeconnect import CONNECTION, PRESENCE, Wire

LOOK, RECEIVE = "browse/look", "files/receive"
MIB = 1 << 20


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
@unittest.skipUnless(os.path.exists(ACCORD), "accord is not built: cargo build -p accord")
@unittest.skipUnless(open("/proc/self/uid_map").read().split()[2] != "1", "the file server needs a whole range of users: run as root")
class BrowseTest(Wire):
    key = "ec"
    options = ()

    def setUp(self):
        super().setUp()
        self.hub = self.keep(Hub(self.network["desk"], "desk"))
        self.hub.start(DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere")
        self.phone = self.keep(Phone(self.network["phone"], self.network, key=self.key))
        self.phone.options = list(self.options)
        self.phone.start()
        self.device = self.pair()

    def pair(self):
        self.hub.grant(PRESENCE)
        def found():
            self.phone.announce()
            time.sleep(1)
            return next((one["id"] for one in self.hub.devices() if one["name"] == "phone" and one["reach"] == "local"), None)
        device = until(found, 20, "the phone is found")
        self.hub.accord("pair", device, "--accept")
        linked = lambda: any(one["id"] == device and one["reach"] == "local" and any(of["id"] == "storage" for of in one["services"])
                             for one in self.hub.devices())
        until(linked, 20, "it is paired and shows its files")
        return device

    def agree(self):
        self.hub.grant(LOOK, self.device)
        self.hub.grant(RECEIVE, self.device)

    def put(self, name, content=b"x"):
        path = self.phone.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def look(self, path=None):
        return self.hub.json("browse", "phone", *([str(path)] if path else []))

    def refused(self, *words, **more):
        done = self.hub.accord("browse", "phone", *map(str, words), check=False, **more)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def get(self, path):
        [transfer] = self.hub.json("browse", "phone", "--get", str(path))["transfers"]
        self.assertEqual(transfer["state"], "done", transfer)
        return self.hub.inbox_folder() / transfer["items"][0]["name"], transfer

    def begin(self, path):
        """A file on its way, over a slow network; the transfer once bytes move."""
        self.network.shape("16mbit")
        status, transfer = self.hub.api("POST", f"/devices/{self.device}/files/fetch", {"path": str(path)})
        self.assertEqual(status, 200, transfer)
        now = lambda: self.hub.api("GET", f"/transfers/{transfer['id']}")[1]
        until(lambda: now()["bytes_done"] > MIB, 30, f"bytes move: {now()}")
        return now

    def inbox_is_clean(self):
        left = [path for path in self.hub.inbox_folder().rglob("*") if path.is_file()]
        self.assertEqual(left, [])

    def records(self, entry):
        return [record for record in self.hub.ledger() if record.get("entry") == entry]


class Ways(BrowseTest):
    def test_folders_names_and_files_of_every_size(self):
        self.agree()
        odd = {"ä ö 中文 🎉.jpg": b"odd", "-rf": b"dash", "a\x1b[2Jb\nc": b"control", "quote's \"too\"": b"quotes", "x" * 250: b"long"}
        for name, content in odd.items():
            self.put(name, content)
        self.put("empty", b"")
        self.put("/".join(["deep"] * 20) + "/found.txt", b"down here")
        large = random.Random(7).randbytes(40 * MIB + 12345)
        self.put("large.bin", large)
        os.symlink("empty", self.phone.files / "link")
        os.mkfifo(self.phone.files / "pipe")
        (self.phone.files / os.fsdecode(b"latin-\xe9")).write_bytes(b"no text")
        folder = self.look()
        self.assertEqual((folder["path"], folder["more"], folder["nameless"]), (str(self.phone.files), False, 1))
        shown = {os.path.basename(entry["path"]): entry for entry in folder["entries"]}
        self.assertEqual(set(shown), {*odd, "empty", "deep", "large.bin", "link", "pipe"})
        self.assertEqual(folder["entries"][0]["kind"], "folder")
        self.assertEqual([shown[name]["kind"] for name in ("link", "pipe", "empty")], ["link", "other", "file"])
        self.assertEqual(shown["large.bin"]["size"], len(large))
        for entry in folder["entries"]:
            self.assertNotRegex(entry["name"], "[\x00-\x1f]")
        self.assertNotRegex(self.hub.accord("browse", "phone").stdout, "[\x00-\x09\x0b-\x1f]")
        self.assertEqual(self.look(self.phone.files / "/".join(["deep"] * 20))["entries"][0]["name"], "found.txt")
        for name, content in [*odd.items(), ("empty", b""), ("large.bin", large), ("link", b"")]:
            at, transfer = self.get(self.phone.files / name)
            saved = [path for path in self.hub.inbox_folder().iterdir() if path.read_bytes() == content]
            self.assertTrue(saved, f"{name} -> {transfer}")
            self.assertEqual(transfer["direction"], "in")
        self.assertEqual(self.phone.asked(), 1, "one connection serves all of it")
        for bad, why in [("pipe", "no file"), ("deep", "no file"), ("nowhere", "no such file")]:
            self.assertIn(why, self.refused("--get", self.phone.files / bad))
        self.assertIn("no such file", self.refused(self.phone.files / "nowhere"))
        self.assertIn("no `.` or `..`", self.refused(f"{self.phone.files}/../../etc"))
        self.assertIn("begins with `/`", self.refused("etc"))
        # What was asked is written down, under the entry that allows it, and what went out under the connection's.
        asked = [record for record in self.records(LOOK) if record["kind"] == "sent"]
        self.assertGreater(len(asked), 10)
        self.assertEqual({tuple(record["fields"]) for record in asked}, {("file.name",)})
        self.hub.accord("ledger", "verify")
        log = self.hub.log()
        self.assertNotIn("password-", log)

    def test_several_places_are_where_one_begins(self):
        self.agree()
        self.put("internal/a.txt")
        self.put("card/b.txt")
        both = [str(self.phone.files / "internal"), str(self.phone.files / "card")]
        self.phone.answers = lambda: self.phone.open(multiPaths=both, pathNames=["Internal storage", "SD \x1b[31mcard"])
        folder = self.look()
        self.assertEqual([entry["path"] for entry in folder["entries"]], both)
        self.assertEqual(folder["entries"][0]["name"], "Internal storage")
        self.assertNotIn("\x1b", folder["entries"][1]["name"])
        self.assertEqual([entry["name"] for entry in self.look(both[1])["entries"]], ["b.txt"])

    def test_of_a_hundred_thousand_files_ten_thousand_are_told(self):
        self.agree()
        folder = self.phone.files / "many"
        folder.mkdir()
        for at in range(100_000):
            (folder / f"file-{at:06}-\x07{'n' * 60}").touch()
        told = self.look(folder)
        self.assertEqual((len(told["entries"]), told["more"]), (10_000, True))
        self.assertEqual(len({entry["path"] for entry in told["entries"]}), 10_000)
        self.assertIn("only the first 10000", self.hub.accord("browse", "phone", folder).stderr)


class Law(BrowseTest):
    def test_without_consent_the_phone_hears_nothing(self):
        before = len(self.phone.heard)
        self.assertIn("You have not decided", self.refused())
        self.assertIn("You have not decided", self.refused("--get", "/sd/a"))
        self.hub.refuse(LOOK, self.device)
        self.assertIn("you refused", self.refused())
        # Controlling a device is another consent, and no way around this one.
        self.hub.grant("control/command", self.device)
        status, answer = self.hub.api("POST", f"/devices/{self.device}/call",
                                      {"service": "storage", "verb": {"verb": "act", "action": "list", "inputs": {"path": "/"}}})
        self.assertEqual(status, 404, answer)
        time.sleep(1)
        self.assertEqual(self.phone.heard[before:], [])
        self.assertEqual([record for record in self.records(LOOK) if record["kind"] == "sent"], [])

    def test_a_withdrawal_stops_a_file_on_its_way(self):
        for entry in (LOOK, CONNECTION):
            with self.subTest(entry):
                self.agree()
                path = self.put("large.bin", random.Random(1).randbytes(64 * MIB))
                now = self.begin(path)
                self.hub.accord("consent", "withdraw", entry, "--to", self.device)
                until(lambda: now()["state"] in ("failed", "cancelled"), 10, f"it ends: {now()}")
                until(lambda: not self.phone.sessions() or entry == LOOK, 10, "the connection is closed")
                done = now()["bytes_done"]
                time.sleep(2)
                self.assertEqual(now()["bytes_done"], done)
                self.inbox_is_clean()
                self.network.unshape()

    def test_a_file_on_its_way_is_cancelled_and_the_next_one_comes(self):
        self.agree()
        now = self.begin(self.put("large.bin", random.Random(1).randbytes(64 * MIB)))
        self.hub.accord("transfers", "cancel", now()["id"])
        until(lambda: now()["state"] == "cancelled", 10, f"it ends: {now()}")
        self.network.unshape()
        self.inbox_is_clean()
        self.get(self.put("small.txt", b"small"))
        self.assertEqual(self.phone.asked(), 1)


class Trouble(BrowseTest):
    def test_a_wrong_password_and_a_changed_key(self):
        self.agree()
        self.phone.answers = lambda: self.phone.open(password="wrong")
        self.assertIn("does not take the password", self.refused())
        self.assertEqual(self.phone.asked(), 2, "asked once more, and no more often")
        self.phone.stop_server()
        other = self.phone.folder / "other"
        other.mkdir()
        self.phone.make_key(self.key, other)
        def impostor():
            self.phone.set_password("right")
            self.phone.serve(other / "key.pem")
            self.phone.send("sftp", port=self.phone.port, user="kdeconnect", password="right", path="/")
        self.phone.answers = impostor
        before = len(self.phone.server_log())
        self.assertIn("another key than the device that you paired", self.refused())
        self.assertNotIn("assword", self.phone.server_log()[before:], "no password was tried")
        self.phone.stop_server()
        self.phone.answers = self.phone.open
        self.put("a.txt")
        self.assertEqual(self.look()["entries"][0]["name"], "a.txt")

    def test_words_silence_nonsense_and_closed_ports(self):
        self.agree()
        self.phone.answers = lambda: self.phone.send("sftp", errorMessage="Allow \x1b[31mfiles\n in the app")
        says = self.refused()
        self.assertIn("files", says)
        self.assertNotIn("\x1b", says)
        self.phone.answers = lambda: None
        self.assertIn("no answer within 10 s", self.refused())
        for body in ({}, {"port": 22, "password": "x"}, {"port": 1750}, {"port": "nonsense", "password": "x"}):
            self.phone.answers = lambda: self.phone.send("sftp", **body)
            self.assertIn("no port and password", self.refused())
        self.phone.answers = lambda: self.phone.send("sftp", port=1750, user="kdeconnect", password="x", path="/")
        self.assertIn("cannot be reached", self.refused())
        # What nobody asked for is not used.
        self.phone.send("sftp", port=1, user="x", password="x", path="/")
        time.sleep(0.5)
        self.phone.answers = self.phone.open
        self.put("a.txt")
        self.assertEqual(self.look()["entries"][0]["name"], "a.txt")

    def test_a_server_that_dies_or_falls_silent_ends_the_file(self):
        self.agree()
        path = self.put("large.bin", random.Random(1).randbytes(64 * MIB))
        now = self.begin(path)
        self.phone.stop_server()
        until(lambda: now()["state"] == "failed", 15, f"it fails: {now()}")
        self.inbox_is_clean()
        now = self.begin(path)
        self.phone.signal_server(signal.SIGSTOP)
        until(lambda: now()["state"] == "failed", 60, f"it is given up: {now()}")
        self.phone.signal_server(signal.SIGCONT)
        self.inbox_is_clean()
        self.network.unshape()
        self.phone.stop_server()
        self.get(path)


class OldApp(BrowseTest):
    """An app from before 2023: one key exchange, one signature, with an RSA key."""
    key = "rsa"
    options = ("HostKeyAlgorithms ssh-rsa", "KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-ctr", "MACs hmac-sha1")

    def test_it_shows_its_files_too(self):
        self.agree()
        self.put("a.txt", b"old")
        self.assertEqual(self.look()["entries"][0]["name"], "a.txt")
        at, _ = self.get(self.phone.files / "a.txt")
        self.assertEqual(at.read_bytes(), b"old")


if __name__ == "__main__":
    unittest.main()
