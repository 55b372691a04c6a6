"""LocalSend against programs of others, and against a small 2.2 device of ours that keeps to its rules strictly."""

import hashlib
import json
import os
import pathlib
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from hub import Hub
from net import Network, until
from wire import Capture

HERE = pathlib.Path(__file__).resolve().parent
PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
MIB = 1 << 20


def peer(*places):
    """A program of others, or a reason to skip."""
    for place in places:
        found = shutil.which(str(place)) or (str(PEERS / place) if (PEERS / place).exists() else None)
        if found:
            return found
    return None


NPM = peer("node/node_modules/.bin/localsend")
PYTHON = peer("py/bin/localsend-cli")
HOW = "not installed: tests/peers/run --install"


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Peer:
    """A running program; its lines are read as they come."""

    def __init__(self, machine, *words, folder, **more):
        environment = {name: value for name, value in os.environ.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
        environment.update(HOME=str(folder), PYTHONUNBUFFERED="1", NO_COLOR="1")
        self.process = machine.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.PIPE, text=True,
                                     cwd=folder, env=environment, start_new_session=True, **more)
        self.lines, self.heard = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def all(self):
        while not self.lines.empty():
            self.heard.append(self.lines.get())
        return self.heard

    def text(self):
        return "\n".join(self.all())

    def told(self, what, **more):
        """The first JSON line that says this."""
        for line in self.all():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict) and said.get("what") == what and all(said.get(name) == value for name, value in more.items()):
                return said
        return None

    def ended(self, seconds=60):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end:\n{self.text()}")
        time.sleep(0.2)
        return self.process.returncode

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Home(unittest.TestCase):
    config = ""
    captured = False

    def setUp(self):
        self.network = Network("alpha", "phone")
        for machine in ("alpha", "phone"):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-peers-"))
        self.peers = []
        self.hub = Hub(self.network["alpha"], "alpha")
        if self.config:
            self.hub.state.mkdir(parents=True, mode=0o700)
            (self.hub.state / "config.toml").write_text(self.config)
        self.capture = Capture(self.network["phone"], self.folder) if self.captured else None
        self.hub.start()
        for entry in ("localsend/presence", "files/send", "files/receive", "localsend/transfer"):
            self.hub.grant(entry)

    def tearDown(self):
        for running in self.peers:
            running.kill()
        if self.capture:
            self.capture.stop()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *words, **more):
        running = Peer(self.network["phone"], *words, folder=self.folder, **more)
        self.peers.append(running)
        return running

    def ours(self, name, *words):
        """The 2.2 device."""
        return self.start(sys.executable, HERE / "localsend22.py", "--name", name, "--address", self.network.address["phone"],
                          "--folder", self.folder / name, *words)

    def find(self, name, seconds=20):
        look = lambda: next((device for device in self.hub.devices() if device["name"] == name), None)
        return until(look, seconds, f"the hub finds {name}: {[d['name'] for d in self.hub.devices()]}")

    def trust(self, device):
        self.hub.accord("pair", device["id"], "--accept", timeout=60)
        return until(lambda: self.find(device["name"])["trust"] == "paired", 10, "it is trusted")

    def make(self, name, size):
        path = self.folder / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(size))
        return path

    def send(self, device, *words, check=True, timeout=120):
        return self.hub.accord("send", device["id"], *words, check=check, timeout=timeout)

    def incoming(self, seconds=20, state=None):
        look = lambda: next((t for t in self.hub.transfers() if t["direction"] == "in" and state in (None, t["state"])), None)
        return until(look, seconds, f"an offer comes: {self.hub.transfers()}")

    def accept(self):
        offer = self.incoming(state="offered")
        self.hub.accord("inbox", "accept", offer["id"])
        return offer

    def over(self, id, state, seconds=60):
        look = lambda: next((t for t in self.hub.transfers() if t["id"] == id and t["state"] == state), None)
        try:
            return until(look, seconds, state)
        except AssertionError:
            raise AssertionError(f"not {state}: {[t for t in self.hub.transfers() if t['id'] == id]}\n{self.hub.log()[-2000:]}")

    def inbox(self):
        return self.hub.inbox_folder()

    def to_hub(self):
        return f"{self.network.address['alpha']}:53317"


@unittest.skipUnless(shutil.which("openssl"), "needs openssl")
class Version22(Home):
    """A device that keeps to version 2.2 strictly, in both roles."""

    def serve(self, *words):
        running = self.ours("Phone", "serve", *words)
        until(lambda: running.told("ready"), 10, running.text())
        # Each announces itself for two seconds when it begins, and on a busy machine neither may hear the other by then.
        met = lambda: running.told("found", alias="alpha") and any(device["name"] == "Phone" for device in self.hub.devices())
        try:
            until(met, 5, "they meet")
        except AssertionError:
            self.hub.refuse("localsend/presence"), self.hub.grant("localsend/presence")
        until(lambda: running.told("found", alias="alpha"), 20, lambda: f"the device finds the hub: {running.text()}")
        return running, self.find("Phone")

    def test_it_is_found_trusted_and_gets_files_of_all_sorts(self):
        running, device = self.serve()
        found = running.told("found", alias="alpha")
        self.assertEqual((found["version"], found["port"]), ("2.2", 53317))
        self.trust(device)
        shown = next(service for service in self.find("Phone")["services"] if service["id"] == "pairing")["values"]
        self.assertTrue(shown["verified"]["data"])
        fingerprint = running.told("ready")["fingerprint"]
        self.assertEqual(shown["verification"]["data"].replace(" ", ""), fingerprint[:32])
        sizes = {"small.txt": 12, "empty": 0, "große Datei – 50 %&?#.bin": 30 * MIB, "Folder/inner/a.jpg": 70_000, "Folder/b": 0}
        for name, size in sizes.items():
            self.make(name, size)
        out = self.folder / "out"
        self.send(device, out / "small.txt", out / "empty", out / "große Datei – 50 %&?#.bin", out / "Folder")
        for name, size in sizes.items():
            got = running.told("file", name=name)
            self.assertEqual((got["size"], got["sha256"]), (size, digest(out / name)), name)
        self.send(device, "--text", "Grüße vom Rechner")
        self.assertEqual(running.told("text")["text"], "Grüße vom Rechner")

    def test_it_declines_and_is_busy(self):
        for answer, state in ((403, "refused"), (409, "failed")):
            running, device = self.serve("--answer", answer)
            done = self.send(device, self.make("x", 100), check=False)
            self.assertNotEqual(done.returncode, 0)
            transfer = next(t for t in self.hub.transfers() if t["direction"] == "out")
            self.assertEqual(transfer["state"], state, transfer)
            if answer == 409:
                self.assertIn("busy", transfer["message"])
            running.kill()
            time.sleep(0.2)

    def test_it_asks_for_a_pin(self):
        _, device = self.serve("--pin", "1234")
        done = self.send(device, self.make("x", 100), check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("PIN", done.stdout + done.stderr + json.dumps(self.hub.transfers()))

    def test_it_dies_in_the_middle(self):
        running, device = self.serve("--slow", "0.5")
        self.send(device, self.make("big", 60 * MIB), "--detach")
        until(lambda: any(t["bytes_done"] > 2 * MIB for t in self.hub.transfers()), 30, "it runs")
        running.kill()
        id = self.hub.transfers()[0]["id"]
        transfer = self.over(id, "failed", 40)
        self.assertTrue(transfer["message"], transfer)

    def test_the_hub_cancels_in_the_middle(self):
        running, device = self.serve("--slow", "0.5")
        self.send(device, self.make("big", 60 * MIB), "--detach")
        until(lambda: any(t["bytes_done"] > 2 * MIB for t in self.hub.transfers()), 30, "it runs")
        id = self.hub.transfers()[0]["id"]
        self.hub.accord("transfers", "cancel", id)
        self.over(id, "cancelled")
        until(lambda: running.told("cancelled"), 20, running.text())

    def test_it_sends_files_folders_and_texts(self):
        _, device = self.serve()
        out = self.folder / "out"
        for name, size in (("Trip/one.jpg", 5 * MIB), ("Trip/two/leer", 0), ("Trip/two/Ä ö.txt", 1000)):
            self.make(name, size)
        sending = self.ours("Phone", "send", self.to_hub(), out / "Trip", "--parallel", "3")
        offer = self.accept()
        self.assertEqual((offer["device"], offer["items"][0]["name"]), (device["id"], "Trip"))
        self.assertEqual(sending.ended(), 0, sending.text())
        transfer = self.over(offer["id"], "done")
        self.assertEqual(transfer["files_done"], 3)
        for name in ("Trip/one.jpg", "Trip/two/leer", "Trip/two/Ä ö.txt"):
            self.assertEqual(digest(self.inbox() / name), digest(out / name))
        self.assertEqual((self.inbox() / "Trip/one.jpg").stat().st_mtime, 1580608922)

    def test_a_text_is_shown(self):
        self.serve()
        sending = self.ours("Phone", "send", self.to_hub(), "--text", "https://example.org/x")
        offer = self.accept()
        self.over(offer["id"], "done")
        sending.ended()
        self.assertEqual(sending.told("answer")["status"], 204)
        transfer = next(t for t in self.hub.transfers() if t["id"] == offer["id"])
        self.assertEqual((transfer["kind"], transfer["text"]), ("url", "https://example.org/x"))

    def test_the_hub_declines_an_offer(self):
        self.serve()
        sending = self.ours("Phone", "send", self.to_hub(), self.make("x", 100))
        self.hub.accord("inbox", "refuse", self.incoming(state="offered")["id"])
        sending.ended()
        self.assertEqual(sending.told("answer")["status"], 403)

    def test_a_sender_that_hangs_up_is_gone(self):
        self.serve()
        sending = self.ours("Phone", "send", self.to_hub(), self.make("x", 100))
        offer = self.incoming(state="offered")
        sending.kill()
        self.over(offer["id"], "cancelled")

    def test_a_sender_cancels_or_dies_in_the_middle(self):
        self.serve()
        for cancel in (True, False):
            self.network["phone"].run("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", "80mbit", "burst", "64kb",
                                      "limit", "200kb")
            sending = self.ours("Phone", "send", self.to_hub(), self.make(f"big{cancel}", 60 * MIB), "--parallel", "1",
                                *(["--cancel", "2"] if cancel else []))
            offer = self.accept()
            until(lambda: next(t for t in self.hub.transfers() if t["id"] == offer["id"])["bytes_done"] > MIB, 30, "it runs")
            if not cancel:
                sending.kill()
            # A sender that is gone may come back with the file for half a minute.
            self.over(offer["id"], "cancelled" if cancel else "failed", 40 if cancel else 60)
            self.assertFalse((self.inbox() / f"big{cancel}").exists())

    def test_a_damaged_file_is_not_kept(self):
        self.serve()
        sending = self.ours("Phone", "send", self.to_hub(), self.make("x", 100_000), "--damage")
        offer = self.accept()
        sending.ended()
        self.assertEqual(sending.told("sent")["status"], 422)
        self.assertFalse((self.inbox() / "x").exists())

    def test_who_shows_no_certificate_or_another_is_told_no(self):
        self.serve()
        for words in (["--anonymous"], ["--pretend", "AB" * 32]):
            sending = self.ours("Phone", "send", self.to_hub(), self.make("x", 100), *words)
            sending.ended()
            self.assertEqual(sending.told("answer")["status"], 403)
        self.assertEqual(self.hub.transfers(), [])

    def test_a_withdrawal_ends_everything(self):
        running, device = self.serve("--slow", "0.5")
        self.send(device, self.make("big", 60 * MIB), "--detach")
        until(lambda: any(t["bytes_done"] > 2 * MIB for t in self.hub.transfers()), 30, "it runs")
        self.hub.accord("consent", "withdraw", "localsend/transfer")
        id = self.hub.transfers()[0]["id"]
        self.over(id, "failed", 5)
        self.hub.accord("consent", "withdraw", "localsend/presence")
        until(lambda: all(d["name"] != "Phone" for d in self.hub.devices()), 5, "it is not seen any more")
        listening = self.network["alpha"].run("ss", "-tuln").stdout
        self.assertNotIn("53317", listening)


@unittest.skipUnless(shutil.which("openssl"), "needs openssl")
class Wire(Home):
    """The promise, seen from the wire."""

    captured = True

    def test_what_the_hub_says_is_what_the_ledger_has(self):
        running = self.ours("Phone", "serve")
        until(lambda: running.told("found", alias="alpha"), 20, running.text())
        device = self.find("Phone")
        self.trust(device)
        self.send(device, self.make("big.bin", 3 * MIB), self.make("empty", 0))
        self.send(device, "--text", "CANARYTEXT7731")
        sending = self.ours("Phone", "send", self.to_hub(), self.make("x", 100_000))
        self.accept()
        sending.ended()
        time.sleep(3)  # the last announcement
        for entry in ("localsend/transfer", "localsend/presence"):
            self.hub.accord("consent", "withdraw", entry, check=False)
        alpha, phone = self.network.address["alpha"], self.network.address["phone"]

        def on_the_wire():
            said = [packet for packet in self.capture.packets() if packet.source == alpha or packet.source.startswith("fe80")]
            datagrams = [packet for packet in said if packet.protocol == "udp"]
            self.assertLessEqual({(packet.to, packet.port) for packet in datagrams}, {("224.0.0.167", 53317), ("ff12::fd3a:e420", 53317)})
            segments = {}
            for packet in (packet for packet in said if packet.protocol == "tcp"):
                self.assertEqual(packet.to, phone)
                # What TCP repeats, the hub said once.
                key = (packet.source_port, packet.port, packet.sequence)
                segments[key] = max(segments.get(key, 0), len(packet.payload))
            return said, sum(len(packet.payload) for packet in datagrams), sum(segments.values())

        def written():
            return sum(record["bytes"] or 0 for record in self.hub.ledger()
                       if record["kind"] in ("sent", "error") and (record["entry"] or "").startswith("localsend/"))

        def equal():
            said, datagrams, stream = on_the_wire()
            return datagrams + stream == written() and (said, datagrams, stream)

        # A lease is closed in the ledger a moment after its consent ended.
        said, datagrams, stream = until(equal, 10, lambda: f"{on_the_wire()[1:]} bytes on the wire, {written()} in the ledger", pause=1)
        self.assertGreater(stream, 3 * MIB)
        self.assertGreater(datagrams, 0)
        self.assertFalse(any(b"CANARYTEXT7731" in packet.payload for packet in said), "the text is readable on the wire")


@unittest.skipUnless(NPM, f"npm `localsend` is {HOW}")
class Npm(Home):
    """npm `localsend`: plain HTTP, version 2.1."""

    config = "[localsend]\nunverified = true\n"

    def receive(self):
        running = self.start(NPM, "receive", "--alias", "lab-npm", "--saveDir", self.folder / "rx", "--autoAccept")
        return running, self.find("lab-npm", 30)

    def test_it_gets_files_once_it_is_trusted_nevertheless(self):
        running, device = self.receive()
        done = self.send(device, self.make("x", 10), check=False)
        self.assertNotEqual(done.returncode, 0, "not without trust")
        self.trust(device)
        names = {"small.txt": 12, "empty": 0, "big Ä.bin": 40 * MIB}
        for name, size in names.items():
            self.make(name, size)
        self.send(device, *[self.folder / "out" / name for name in names])
        for name in names:
            # It answers before it has written everything to its disk.
            want, got = digest(self.folder / "out" / name), self.folder / "rx" / name
            until(lambda: got.exists() and digest(got) == want, 20, f"{name} arrives whole")

    def test_it_sends_when_the_owner_allows_devices_that_prove_nothing(self):
        path = self.make("from-npm.bin", 5 * MIB)
        sending = self.start(NPM, "send", self.network.address["alpha"], path, "--protocol", "https")
        offer = self.accept()
        self.over(offer["id"], "done")
        sending.ended()
        self.assertEqual(digest(self.inbox() / "from-npm.bin"), digest(path))


@unittest.skipUnless(PYTHON, f"Python's `localsend-cli` is {HOW}")
class Python(Home):
    """Python's `localsend-cli`: HTTPS, without a client certificate."""

    config = "[localsend]\nunverified = true\n"

    def receive(self):
        running = self.start(PYTHON, "receive", "--output", self.folder / "rx", "--json")
        look = lambda: next((d for d in self.hub.devices() if d["bridge"] == "localsend"), None)
        return running, until(look, 30, f"the hub finds it: {running.text()}")

    def test_it_gets_files(self):
        running, device = self.receive()
        names = {"small.txt": 12, "empty": 0, "big Ä.bin": 40 * MIB}
        for name, size in names.items():
            self.make(name, size)
        self.trust(device)
        self.send(device, *[self.folder / "out" / name for name in names])
        for name in names:
            # It answers before it has written everything to its disk.
            want, got = digest(self.folder / "out" / name), self.folder / "rx" / name
            until(lambda: got.exists() and digest(got) == want, 20, f"{name} arrives whole")

    def test_it_sends_when_the_owner_allows_devices_that_prove_nothing(self):
        path = self.make("from-python.bin", 20 * MIB)
        sending = self.start(PYTHON, "send", self.network.address["alpha"], "--json", path)
        offer = self.accept()
        self.over(offer["id"], "done")
        sending.ended()
        self.assertEqual(digest(self.inbox() / "from-python.bin"), digest(path))


@unittest.skipUnless(PYTHON, f"Python's `localsend-cli` is {HOW}")
class Strict(Home):
    """As it is by default: who proves nothing is told no."""

    def test_a_sender_without_a_certificate_is_refused_before_the_owner_is_asked(self):
        sending = self.start(PYTHON, "send", self.network.address["alpha"], "--json", self.make("x", 1000))
        sending.ended()
        self.assertIn("rejected", sending.text())
        self.assertEqual(self.hub.transfers(), [])


if __name__ == "__main__":
    unittest.main()
