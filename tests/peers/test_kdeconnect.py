"""The KDE Connect bridge against Debian's kdeconnectd (version 7 of the protocol), and against itself (version 8)."""

import hashlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time
import unittest

import sealed
from hub import ACCORD, Hub
from kdeconnectd import LAB, MISSING, Daemon, Lab, common_name, plain
from net import Network, until

MIB = 1 << 20
PRESENCE, CONNECTION = "kdeconnect/presence", "kdeconnect/connection"
no_peer = f"KDE Connect is not installed ({', '.join(MISSING)} missing): apt-get install kdeconnect dbus libglib2.0-bin"
no_lab = "the bridge's test program is not built: cargo build -p accord-kdeconnect --example kdeconnect-lab"


def make(path, size, seed):
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Wire(unittest.TestCase):
    """Two machines; broadcasts of old peers need a default route."""

    names = ("desk", "phone")

    def setUp(self):
        self.network = Network(*self.names)
        for machine in self.network.machines.values():
            machine.run("ip", "route", "add", "default", "dev", "eth0", check=False)
        self.closing = [self.network]

    def tearDown(self):
        for thing in reversed(self.closing):
            thing.close()

    def keep(self, thing):
        self.closing.append(thing)
        return thing


@unittest.skipIf(MISSING, no_peer)
@unittest.skipUnless(os.path.exists(LAB), no_lab)
class BridgeTest(Wire):
    def setUp(self):
        super().setUp()
        self.lab = self.keep(Lab(self.network["desk"], "desk")).start()
        self.daemon = self.keep(Daemon(self.network["phone"], "phone")).start()
        self.id = self.lab.own_id()

    def find(self):
        self.lab.grant(PRESENCE, "network:lan")
        seen = self.lab.wait(lambda word: word.get("type") == "seen" and word["device"]["reach"] == "local", "the peer is found")
        until(lambda: self.daemon.reaches(self.id), 20, "the peer reaches us")
        return seen["device"]["id"]

    def pair(self):
        device = self.find()
        self.lab.ask(device, "pairing", "request")
        key = self.lab.event("pairing", "requested")["verification"]
        self.daemon.agree(self.id)
        self.lab.event("pairing", "paired")
        self.lab.grant(CONNECTION, f"device:{device}")
        self.linked(device)
        return device, key

    def linked(self, device, since=0, seconds=20):
        fits = lambda word: (word.get("type") == "seen" and word["device"]["id"] == device and word["device"]["reach"] == "local"
                             and any(service["id"] == "files" for service in word["device"]["services"]))
        return self.lab.wait(fits, "the paired peer is linked", seconds, since)["device"]

    def test_without_consent_not_a_packet_leaves(self):
        address = self.network.address["desk"]
        capture = self.network["desk"].popen("tcpdump", "-i", "eth0", "-n", "-l", "src", "host", address, "and", "not", "arp",
                                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        time.sleep(1)
        self.daemon.cli("--refresh")
        time.sleep(3)
        for kind in ("-Hlnu", "-Hlnt"):
            self.assertNotIn(":17", self.network["desk"].run("ss", kind, check=False).stdout)
        self.assertFalse(self.daemon.reaches(self.id))
        capture.terminate()
        self.assertEqual(capture.communicate()[0].strip(), "")

    def test_we_ask_and_both_show_the_same_key(self):
        device, key = self.pair()
        theirs = plain(self.daemon.device(self.id, "verificationKey"))
        self.assertEqual(theirs[:8].upper(), key)
        self.assertTrue(self.daemon.trusts(self.id), self.daemon.log()[-2000:])
        services = {service["id"] for service in self.lab.device()["services"]}
        self.assertLessEqual({"files", "ping", "pairing"}, services)

    def test_the_peer_asks_and_the_owner_agrees(self):
        device = self.find()
        self.daemon.device(self.id, "requestPair", check=False) or self.daemon.cli("-d", self.id, "--pair")
        self.lab.event("pairing", "asked")
        self.lab.ask(device, "pairing", "accept")
        self.lab.event("pairing", "paired")
        until(lambda: self.daemon.trusts(self.id), 10, "the peer counts us as paired")

    def test_a_refused_peer_is_not_paired(self):
        device = self.find()
        self.daemon.device(self.id, "requestPair", check=False) or self.daemon.cli("-d", self.id, "--pair")
        self.lab.event("pairing", "asked")
        self.lab.ask(device, "pairing", "reject")
        time.sleep(1)
        self.assertFalse(self.daemon.trusts(self.id))

    def test_pings_ringing_texts_battery_and_what_is_shown(self):
        device, _ = self.pair()
        lab, daemon = self.lab, self.daemon
        lab.ask(device, "ping", "ping", {"text": "hello there"})
        until(lambda: "kdeconnect.ping" in daemon.log() or "ping" in daemon.log(), 5, "the peer logs something")
        daemon.cli("-d", self.id, "--ping-msg", "and back")
        self.assertEqual(lab.event("ping", "pinged")["text"], "and back")
        daemon.cli("-d", self.id, "--ring")
        lab.wait(lambda word: word.get("type") == "asked" and word["target"]["service"] == "ringer", "the peer rings us")
        daemon.cli("-d", self.id, "--share-text", "a text\nof two lines")
        lab.wait(lambda word: word.get("received") == "text", "the text comes")
        self.assertEqual((lab.folder / "inbox/text").read_text(), "a text\nof two lines")
        lab.ask(device, "mirror", "show", {"service": "battery", "instance": 0, "percent": 63, "charging": True})
        charge = lambda: daemon.property(self.id, "charge", "org.kde.kdeconnect.device.battery", "/battery")
        until(lambda: "63" in charge(), 10, "the peer shows our battery")
        self.assertIn("Err", lab.ask(device, "mirror", "show", {"service": "light"}, check=False))
        lab.ask(device, "ringer", "ring")

    def test_commands_run_only_when_they_were_shown(self):
        device, _ = self.pair()
        remote = lambda method, *words: self.daemon.call(f"/modules/kdeconnect/devices/{self.id}/remotecommands",
                                                         f"org.kde.kdeconnect.device.remotecommands.{method}", *words, check=False)
        since = self.lab.mark()
        remote("triggerCommand", "1")
        time.sleep(1)
        asked = [word for word in self.lab.heard[since:] if word.get("type") == "asked" and word["target"]["service"] == "command"]
        self.assertFalse(asked, "nobody showed a command")
        self.lab.ask(device, "mirror", "show", {"service": "command", "instance": 1, "label": "Lights out"})
        known = lambda: self.daemon.property(self.id, "commands", "org.kde.kdeconnect.device.remotecommands", "/remotecommands")
        until(lambda: "Lights out" in known(), 10, "the peer knows the command")
        remote("triggerCommand", "1")
        asked = self.lab.wait(lambda word: word.get("type") == "asked" and word["target"]["service"] == "command", "it is run")
        self.assertEqual((asked["target"]["instance"], asked["verb"]["action"]), (1, "run"))

    def test_its_notifications_come_and_ours_are_shown_there(self):
        device, _ = self.pair()
        if not self.daemon.notifier():
            self.skipTest("python3-dbus and python3-gi are not installed")
        self.daemon.device(self.id, "setPluginEnabled", "kdeconnect_sendnotifications", "true")
        time.sleep(2)
        self.daemon.notify("Dinner", "at eight")
        posted = self.lab.event("notifications", "posted")
        self.assertIn("Dinner", posted.get("title", "") + posted.get("body", ""))
        self.lab.ask(device, "notifications", "show", {"id": "n1", "app": "Accord", "title": "Door", "body": "is open"})
        active = lambda: self.daemon.call(f"/modules/kdeconnect/devices/{self.id}/notifications",
                                          "org.kde.kdeconnect.device.notifications.activeNotifications", check=False) or ""
        until(lambda: "'" in active(), 10, "the peer lists our notification")

    def test_files_go_both_ways_whatever_their_size_and_name(self):
        device, _ = self.pair()
        folder = self.lab.folder
        small = make(folder / "small.bin", 10_000, 1)
        odd = make(folder / "Ünï 100% (copy) 'x'.tar.gz", 70_000, 2)
        empty = make(folder / "empty.txt", 0, 3)
        big = make(folder / "big.bin", 200 * MIB, 4)
        for path in (small, odd, empty, big):
            since = self.lab.mark()
            began = time.monotonic()
            self.lab.tell(send={"device": device, "paths": [str(path)]})
            self.lab.wait(lambda word: "sent" in word, f"{path.name} is sent", 120, since)
            there = self.daemon.downloads() / path.name
            until(lambda: there.exists() and there.stat().st_size == path.stat().st_size, 60, f"{path.name} is there")
            if path is big:
                print(f"\n200 MiB to kdeconnectd in {time.monotonic() - began:.1f} s", flush=True)
            self.assertEqual(digest(there), digest(path))
        back = [make(self.daemon.home / "back one.bin", 3 * MIB, 5), make(self.daemon.home / "large back.bin", 200 * MIB, 6)]
        for path in back:
            since, began = self.lab.mark(), time.monotonic()
            self.daemon.cli("-d", self.id, "--share", path)
            self.lab.wait(lambda word: word.get("received") == path.name, f"{path.name} comes", 120, since)
            if path is back[1]:
                print(f"200 MiB from kdeconnectd in {time.monotonic() - began:.1f} s", flush=True)
            self.assertEqual(digest(self.lab.folder / "inbox" / path.name), digest(path))
        # An empty file last: after it this version of the peer sends nothing more until it is started anew.
        nothing = make(self.daemon.home / "nothing.txt", 0, 7)
        self.daemon.cli("-d", self.id, "--share", nothing)
        self.lab.wait(lambda word: word.get("received") == "nothing.txt", "the empty file comes")

    def test_a_device_that_reads_no_more_is_sent_no_more_and_fills_no_memory(self):
        device, _ = self.pair()
        # Slow enough to be met in the middle.
        self.network.shape("200mbit")
        big = make(self.lab.folder / "big.bin", 160 * MIB, 10)
        pid = self.daemon.pid()
        memory = lambda: int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) // 1024
        before = memory()
        self.lab.tell(send={"device": device, "paths": [str(big)]})
        part = self.daemon.downloads() / f"{big.name}.part"
        until(lambda: part.exists() and part.stat().st_size > 20 * MIB, 30, lambda: f"the file comes: {self.lab.heard[-3:]}")
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(1)
            waits = self.unread()
        finally:
            os.kill(pid, signal.SIGCONT)
        # Without that its system would take in all that comes in a second.
        self.assertLess(waits, 1.25 * MIB)
        self.lab.wait(lambda word: "sent" in word, "all of it is sent", 60)
        there = self.daemon.downloads() / big.name
        until(lambda: there.exists() and there.stat().st_size == big.stat().st_size, 30, "all of it is there")
        self.assertEqual(digest(there), digest(big))
        self.assertLess(memory() - before, 80, "MiB")

    def unread(self):
        """Bytes of a payload that the peer's system holds for it."""
        lines = self.network["phone"].run("ss", "-Htn", "state", "established").stdout.splitlines()
        return sum(int(line.split()[0]) for line in lines if 1739 <= int(line.split()[3].rsplit(":", 1)[1]) <= 1764)

    def test_batches_go_both_ways(self):
        device, _ = self.pair()
        paths = [make(self.lab.folder / f"part {n}.bin", 40_000 * (n + 1), n) for n in range(6)]
        self.lab.tell(send={"device": device, "paths": [str(path) for path in paths]})
        self.lab.wait(lambda word: "sent" in word, "the batch is sent", 90)
        for path in paths:
            there = self.daemon.downloads() / path.name
            until(lambda: there.exists() and there.stat().st_size == path.stat().st_size, 30, f"{path.name} is there")
            self.assertEqual(digest(there), digest(path))
        back = [make(self.daemon.home / f"back {n}.bin", 50_000 * (n + 1), n + 50) for n in range(6)]
        self.daemon.cli("-d", self.id, *[word for path in back for word in ("--share", path)])
        for path in back[-1:]:
            self.lab.wait(lambda word: word.get("received") == path.name, f"{path.name} comes", 60)
        share = [f"file://{path}" for path in back]
        self.daemon.call(f"/modules/kdeconnect/devices/{self.id}/share", "org.kde.kdeconnect.device.share.shareUrls",
                         json.dumps(share).replace('"', "'").replace(" 'file", "'file"))
        for path in back:
            self.lab.wait(lambda word: word.get("received") == path.name, f"{path.name} comes", 60)
            self.assertEqual(digest(self.lab.folder / "inbox" / path.name), digest(path))

    def test_a_peer_that_dies_in_mid_transfer_breaks_it_and_is_met_again(self):
        device, _ = self.pair()
        self.network.shape("100mbit")
        big = make(self.lab.folder / "big.bin", 60 * MIB, 8)
        since = self.lab.mark()
        self.lab.tell(send={"device": device, "paths": [str(big)]})
        time.sleep(1.5)
        self.daemon.kill()
        self.lab.wait(lambda word: "not sent" in word, "the sender knows", 40, since)
        since = self.lab.mark()
        self.lab.wait(lambda word: word.get("type") == "seen" and word["device"]["reach"] == "offline", "it is offline", 40)
        self.daemon.start()
        self.linked(device, since, 40)
        self.network.unshape()
        small = make(self.lab.folder / "again.bin", 5000, 9)
        self.lab.tell(send={"device": device, "paths": [str(small)]})
        there = self.daemon.downloads() / small.name
        until(lambda: there.exists() and digest(there) == digest(small), 30, "files go again")

    def test_a_network_that_is_cut_comes_back(self):
        device, _ = self.pair()
        self.network["desk"].link("eth0", "down")
        time.sleep(4)
        since = self.lab.mark()
        self.network["desk"].link("eth0", "up")
        self.network["desk"].run("ip", "route", "add", "default", "dev", "eth0", check=False)
        until(lambda: "Ok" in self.lab.ask(device, "ping", "ping", check=False), 60, "it is spoken to again")
        # What matters is that words arrive, not that a socket took them.
        self.daemon.cli("--refresh")
        until(lambda: self.daemon.reaches(self.id), 30, "the peer reaches us")
        since = self.lab.mark()
        until(lambda: self.daemon.cli("-d", self.id, "--ping-msg", "back", check=False) is not None, 20, "the peer pings")
        self.lab.event("ping", "pinged", since=since)

    def test_who_is_unpaired_on_one_side_knows_on_the_other(self):
        device, _ = self.pair()
        self.daemon.device(self.id, "unpair")
        unpaired = lambda word: (word.get("type") == "seen" and word["device"]["id"] == device and not paired(word["device"]))
        since = self.lab.mark()
        self.lab.wait(unpaired, "we know that we are not paired")
        # And the other way round.
        self.lab.ask(device, "pairing", "request")
        self.daemon.agree(self.id)
        self.lab.event("pairing", "paired", since=since)
        until(lambda: self.daemon.trusts(self.id), 10, "paired again")
        self.lab.ask(device, "pairing", "unpair")
        until(lambda: not self.daemon.trusts(self.id), 10, "the peer knows that it is not paired")

    def test_a_peer_with_another_certificate_is_not_let_in(self):
        device, _ = self.pair()
        self.daemon.kill()
        self.lab.wait(lambda word: word.get("type") == "seen" and word["device"]["reach"] == "offline", "it is offline", 40)
        forge(self.daemon)
        since = self.lab.mark()
        self.daemon.start()
        self.daemon.cli("--refresh")
        failed = self.lab.event("pairing", "failed", "the owner is told", since, 30)
        self.assertIn("another certificate", failed["message"])
        linked = [word for word in self.lab.heard[since:] if word.get("type") == "seen" and word["device"]["reach"] == "local"]
        self.assertFalse(linked)

    def test_a_withdrawn_device_is_not_spoken_to(self):
        device, _ = self.pair()
        since = self.lab.mark()
        self.lab.tell(withdraw=[CONNECTION, f"device:{device}"])
        self.lab.wait(lambda word: word.get("type") == "seen" and word["device"]["reach"] == "offline", "the link is closed", 10, since)
        self.daemon.cli("--refresh")
        time.sleep(2)
        self.assertFalse([word for word in self.lab.heard[since:] if word.get("type") == "seen" and word["device"]["reach"] == "local"])
        self.assertIn("Err", self.lab.ask(device, "ping", "ping", check=False))


def paired(device):
    pairing = next(service for service in device["services"] if service["id"] == "pairing")
    return pairing["values"]["paired"]["data"]


def forge(daemon):
    """Another key under the same id, as an impostor would make it."""
    folder = daemon.home / ".config/kdeconnect"
    subject = subprocess.run(["openssl", "x509", "-in", folder / "certificate.pem", "-noout", "-subject", "-nameopt", "sep_comma_plus"],
                             check=True, text=True, capture_output=True).stdout
    id = next(part.split("=")[1] for part in subject.replace("subject=", "").split(",") if part.strip().startswith("CN"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-keyout", folder / "privateKey.pem",
                    "-out", folder / "certificate.pem", "-subj", f"/O=KDE/OU=Kde connect/CN={id.strip()}"], check=True, capture_output=True)


@unittest.skipUnless(os.path.exists(LAB), no_lab)
class TwoOfOursTest(Wire):
    """Version 8 on both sides."""

    def test_two_that_connect_at_once_keep_the_same_link(self):
        one = self.keep(Lab(self.network["desk"], "desk")).start()
        two = self.keep(Lab(self.network["phone"], "phone")).start()
        for lab in (one, two):
            lab.grant(PRESENCE, "network:lan")
        seen = lambda word: word.get("type") == "seen"
        ids = [lab.wait(seen, "the other is found")["device"]["id"] for lab in (one, two)]
        time.sleep(12)
        for lab in (one, two):
            self.assertFalse([word for word in lab.heard if word.get("type") == "gone"])
        one.ask(ids[0], "pairing", "request")
        two.event("pairing", "asked")
        two.ask(ids[1], "pairing", "accept")
        for lab in (one, two):
            lab.event("pairing", "paired")
        time.sleep(12)
        for lab in (one, two):
            self.assertFalse([word for word in lab.heard if word.get("type") == "gone"])

    def test_two_bridges_find_pair_and_send(self):
        one = self.keep(Lab(self.network["desk"], "desk")).start()
        two = self.keep(Lab(self.network["phone"], "phone")).start()
        for lab in (one, two):
            lab.grant(PRESENCE, "network:lan")
        ids = [lab.wait(lambda word: word.get("type") == "seen", "the other is found")["device"]["id"] for lab in (one, two)]
        one.ask(ids[0], "pairing", "request")
        key = two.event("pairing", "asked")["verification"]
        self.assertEqual(one.event("pairing", "requested")["verification"], key)
        two.ask(ids[1], "pairing", "accept")
        for lab, id in zip((one, two), ids):
            lab.event("pairing", "paired")
            lab.grant(CONNECTION, f"device:{id}")
        files = lambda word: word.get("type") == "seen" and word["device"]["reach"] == "local" and len(word["device"]["services"]) > 1
        for lab in (one, two):
            lab.wait(files, "linked")
        paths = [make(one.folder / f"p{n}.bin", size, n) for n, size in enumerate([1, 0, 300_000, 200 * MIB])]
        began = time.monotonic()
        one.tell(send={"device": ids[0], "paths": [str(path) for path in paths]})
        one.wait(lambda word: "sent" in word, "sent", 120)
        print(f"\n200 MiB between two of ours in {time.monotonic() - began:.1f} s", flush=True)
        for path in paths:
            two.wait(lambda word: word.get("received") == path.name, f"{path.name} comes", 30)
            self.assertEqual(digest(two.folder / "inbox" / path.name), digest(path))
        one.ask(ids[0], "ping", "ping", {"text": "v8"})
        self.assertEqual(two.event("ping", "pinged")["text"], "v8")
        one.ask(ids[0], "clipboard", "set", {"content": "copied"})
        self.assertEqual(two.event("clipboard", "changed")["content"], "copied")
        one.ask(ids[0], "mirror", "show", {"service": "battery", "percent": 41, "charging": False, "low": True})
        self.assertEqual(two.values("battery")["percent"]["data"], 41)
        one.ask(ids[0], "mirror", "show", {"service": "media", "label": "Music", "playing": True, "title": "Song", "position": 12.5})
        self.assertEqual(two.values("media")["title"]["data"], "Song")
        two.ask(ids[1], "media", "pause")
        one.wait(lambda word: word.get("type") == "asked" and word["verb"].get("action") == "pause", "pause is asked")
        two.ask(ids[1], "media", "", verb={"verb": "write", "property": "position", "data": 30.0})
        asked = one.wait(lambda word: word.get("type") == "asked" and word["verb"].get("property") == "position", "a position")
        self.assertEqual(asked["verb"]["data"], 30.0)
        one.ask(ids[0], "mirror", "show", {"service": "volume", "instance": 2, "label": "Speakers", "level": 30, "muted": False})
        self.assertEqual(two.values("volume")["level"]["data"], 30)
        two.ask(ids[1], "volume", "", verb={"verb": "write", "property": "level", "data": 55})
        asked = one.wait(lambda word: word.get("type") == "asked" and word["target"]["service"] == "volume", "a level")
        self.assertEqual((asked["target"]["instance"], asked["verb"]["data"]), (2, 55))
        two.ask(ids[1], "screen-lock", "lock")
        one.wait(lambda word: word.get("type") == "asked" and word["target"]["service"] == "screen-lock", "the lock")
        two.ask(ids[1], "input", "type", {"text": "abc"})
        one.wait(lambda word: word.get("type") == "asked" and word["verb"].get("action") == "type", "keys")


@unittest.skipIf(MISSING, no_peer)
@unittest.skipUnless(os.path.exists(ACCORD), "accord is not built: cargo build -p accord")
class HubTest(Wire):
    """The whole hub, as its owner uses it."""

    def setUp(self):
        super().setUp()
        self.hub = self.keep(Hub(self.network["desk"], "desk")).start()
        self.daemon = self.keep(Daemon(self.network["phone"], "phone")).start()
        self.id = common_name(sealed.read(self.hub.state, "kdeconnect/identity.json"))

    def phone(self, trust=None, reach=None):
        for device in self.hub.devices():
            if device["name"] == "phone" and trust in (None, device["trust"]) and reach in (None, device["reach"]):
                return device
        return None

    def pair(self):
        self.hub.grant(PRESENCE)
        found = until(lambda: self.phone(reach="local"), 20, "the phone is found")
        pairing = self.hub.popen("pair", found["id"], "--accept")
        self.daemon.agree(self.id)
        out, err = pairing.communicate(timeout=60)
        self.assertEqual(pairing.returncode, 0, f"{out}{err}")
        until(lambda: self.phone("paired", "local"), 15, "it is paired and linked")
        return found["id"]

    def test_a_phone_is_paired_files_go_both_ways_and_all_of_it_is_in_the_ledger(self):
        device = self.pair()
        for entry in ("files/send", "files/receive"):
            self.hub.grant(entry, device)
        source = make(self.hub.folder / "photo.jpg", 3 * MIB, 1)
        self.hub.accord("send", device, source)
        there = self.daemon.downloads() / "photo.jpg"
        until(lambda: there.exists() and digest(there) == digest(source), 30, "the photo is there")
        self.hub.accord("send", device, "--text", "see you")
        back = make(self.daemon.home / "back.pdf", 2 * MIB, 2)
        self.daemon.cli("-d", self.id, "--share", back)
        until(self.offered, 15, "the document is offered")
        self.hub.accord("inbox", "accept")
        until(lambda: (self.hub.inbox_folder() / "back.pdf").exists(), 30, "the document is in the inbox")
        self.assertEqual(digest(self.hub.inbox_folder() / "back.pdf"), digest(back))
        kinds = {(record.get("entry"), record.get("kind")) for record in self.hub.ledger()}
        self.assertIn((CONNECTION, "intent"), kinds)
        self.hub.accord("ledger", "verify")

    def offered(self):
        return [transfer for transfer in self.hub.transfers() if transfer["state"] == "offered"]

    def running(self):
        return [transfer for transfer in self.hub.transfers() if transfer["state"] == "running" and transfer["bytes_done"] > 0]

    def test_what_is_cancelled_here_stops_in_both_directions(self):
        device = self.pair()
        for entry in ("files/send", "files/receive"):
            self.hub.grant(entry, device)
        self.network.shape("80mbit")
        source = make(self.hub.folder / "long.bin", 80 * MIB, 11)
        self.hub.accord("send", device, source, "--detach")
        self.hub.accord("transfers", "cancel", until(self.running, 15, "it is sent")[0]["id"])
        time.sleep(3)
        self.assertFalse((self.daemon.downloads() / "long.bin").exists())
        self.daemon.cli("-d", self.id, "--share", make(self.daemon.home / "in.bin", 80 * MIB, 12))
        until(self.offered, 15, "the next is offered")
        self.hub.accord("inbox", "accept")
        self.hub.accord("transfers", "cancel", until(self.running, 15, "it comes")[0]["id"])
        time.sleep(1)
        self.assertFalse((self.hub.inbox_folder() / "in.bin").exists())
        self.network.unshape()
        small = make(self.hub.folder / "after.bin", 10_000, 13)
        self.hub.accord("send", device, small)
        until(lambda: (self.daemon.downloads() / "after.bin").exists(), 30, "files go on")

    def test_a_consent_that_is_withdrawn_stops_what_runs(self):
        device = self.pair()
        self.hub.grant("files/send", device)
        self.network.shape("80mbit")
        self.hub.accord("send", device, make(self.hub.folder / "long.bin", 80 * MIB, 14), "--detach")
        until(self.running, 15, "it is sent")
        self.hub.accord("consent", "withdraw", CONNECTION, "--to", device)
        until(lambda: self.phone(reach="offline"), 10, "the link is closed")
        time.sleep(2)
        self.assertFalse((self.daemon.downloads() / "long.bin").exists())

    def test_an_offer_waits_for_the_owner_and_can_be_refused(self):
        device = self.pair()
        self.hub.grant("files/receive", device)
        back = make(self.daemon.home / "asked.bin", 4 * MIB, 3)
        self.daemon.cli("-d", self.id, "--share", back)
        until(self.offered, 15, "the offer waits")
        time.sleep(5)
        self.hub.accord("inbox", "accept")
        until(lambda: (self.hub.inbox_folder() / "asked.bin").exists(), 30, "the file is in the inbox")
        self.daemon.cli("-d", self.id, "--share", make(self.daemon.home / "no.bin", 4 * MIB, 4))
        until(self.offered, 15, "the next offer waits")
        self.hub.accord("inbox", "refuse")
        time.sleep(1)
        self.assertFalse((self.hub.inbox_folder() / "no.bin").exists())

    def test_a_phone_that_is_trusted_need_not_ask_until_it_is_paired_anew(self):
        device = self.pair()
        self.hub.grant("files/receive", device)
        share = lambda name, seed: self.daemon.cli("-d", self.id, "--share", make(self.daemon.home / name, 100_000, seed))
        share("first.bin", 21)
        until(self.offered, 15, "the first is offered")
        self.hub.accord("inbox", "accept", "--always")
        until(lambda: (self.hub.inbox_folder() / "first.bin").exists(), 30, "the first comes")
        share("second.bin", 22)
        until(lambda: (self.hub.inbox_folder() / "second.bin").exists(), 30, "the second comes unasked")
        self.hub.accord("pairings", "remove", device)
        until(lambda: not self.daemon.trusts(self.id), 10, "the phone knows")
        self.pair()
        self.hub.grant("files/receive", device)
        share("third.bin", 23)
        until(self.offered, 15, "the third is offered")
        time.sleep(1)
        self.assertFalse((self.hub.inbox_folder() / "third.bin").exists())

    def test_a_phone_survives_a_restart_of_the_hub_and_unpairing_is_told(self):
        device = self.pair()
        self.hub.stop()
        self.hub.start()
        until(lambda: self.phone("paired", "local"), 20, "it is linked again")
        self.hub.accord("pairings", "remove", device)
        until(lambda: not self.daemon.trusts(self.id), 10, "the phone knows")


if __name__ == "__main__":
    unittest.main()
