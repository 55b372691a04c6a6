"""A whole hub and a KDE Connect device of version 8 on a library that we did not write (`v8/`)."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from hub import ACCORD, Hub
from net import until
from test_kdeconnect import PRESENCE, Wire

PEER = os.environ.get("KDECONNECT_V8", str(pathlib.Path(os.environ.get("ACCORD_PEERS", "/nowhere")) / "v8/bin/peer-v8"))


class Phone:
    def __init__(self, machine, name):
        self.machine, self.name = machine, name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-v8-"))
        self.process, self.heard = None, []

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = self.machine.popen(PEER, self.name, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                          cwd=self.folder, start_new_session=True)
        self.heard = []
        threading.Thread(target=self._listen, args=(self.process, self.heard), daemon=True).start()
        self.wait(lambda word: word.get("ready"), "the peer is up")
        return self

    @staticmethod
    def _listen(process, heard):
        for line in process.stdout:
            heard.append(json.loads(line))

    def tell(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def wait(self, fits, what, seconds=15, since=0):
        try:
            return until(lambda: next((word for word in self.heard[since:] if fits(word)), None), seconds, what)
        except AssertionError as error:
            log = (self.folder / "log").read_text(errors="replace")[-1500:]
            raise AssertionError(f"{error}\n--- heard\n" + "\n".join(json.dumps(word)[:300] for word in self.heard[-20:]) + log) from None

    def links(self):
        since = len(self.heard)
        self.tell("links")
        return self.wait(lambda word: "links" in word, "its links", since=since)["links"]

    def send(self, to, kind, **body):
        self.tell("send", to, json.dumps({"id": 0, "type": f"kdeconnect.{kind}", "body": body}))

    def packets(self, kind):
        return [word["packet"]["body"] for word in self.heard if word.get("packet", {}).get("type") == f"kdeconnect.{kind}"]

    def packet(self, kind, what, fits=lambda body: True):
        def found(word):
            packet = word.get("packet", {})
            return packet.get("type") == f"kdeconnect.{kind}" and fits(packet["body"])
        return self.wait(found, what)["packet"]["body"]

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@unittest.skipUnless(os.path.exists(PEER), "the version 8 peer is not built: tests/peers/run --install")
@unittest.skipUnless(os.path.exists(ACCORD), "accord is not built: cargo build -p accord")
class Version8Test(Wire):
    def setUp(self):
        super().setUp()
        self.hub = self.keep(Hub(self.network["desk"], "desk"))
        self.hub.start(DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere")
        self.peer = self.keep(Phone(self.network["phone"], "eight"))

    def device(self, trust=None, reach=None):
        for device in self.hub.devices():
            if device["name"] == "eight" and trust in (None, device["trust"]) and reach in (None, device["reach"]):
                return device
        return None

    def find(self):
        self.hub.grant(PRESENCE)
        self.peer.start()
        found = until(lambda: self.device(reach="local"), 20, "the phone is found")["id"]
        [link] = until(self.peer.links, 10, "it found us too")
        self.id = link["id"]
        return found

    def pair(self):
        device = self.find()
        pairing = self.hub.popen("pair", device, "--accept")
        until(lambda: self.peer.links()[0]["state"] == "RequestedByPeer", 10, "the phone is asked")
        self.peer.tell("accept", self.id)
        out, err = pairing.communicate(timeout=60)
        self.assertEqual(pairing.returncode, 0, f"{out}{err}")
        until(lambda: self.device("paired", "local"), 15, "it is paired and linked")
        return device

    def listed(self, title):
        return next((one for one in self.hub.json("notifications")["notifications"] if one["title"] == title), None)

    def test_it_asks_to_pair_and_is_forgotten(self):
        device = self.find()
        incoming = self.hub.popen("pair", "--incoming", "--accept")
        self.peer.tell("pair", self.id)
        self.peer.wait(lambda word: "trusted" in word, "it counts us as paired", 30)
        out, err = incoming.communicate(timeout=60)
        self.assertEqual(incoming.returncode, 0, f"{out}{err}")
        until(lambda: self.device("paired"), 10, "the hub counts it as paired")
        self.hub.accord("pairings", "remove", device)
        self.peer.wait(lambda word: "untrusted" in word, "it knows that it is forgotten")

    def test_words_texts_the_battery_notifications_and_the_clipboard(self):
        device = self.pair()
        # What it is asked at once shares nothing.
        self.peer.packet("runcommand.request", "its commands are asked for")
        self.peer.packet("mpris.request", "and its players")
        for entry in ("control/command", "files/send", "files/receive", "notifications/mirror", "notifications/answer"):
            self.hub.grant(entry, device)
        self.hub.accord("ping", "eight", "are you there?")
        self.peer.packet("ping", "the word comes", lambda ping: ping.get("message") == "are you there?")
        self.hub.accord("send", "eight", "--text", "a text\nof two lines")
        self.peer.packet("share.request", "the text comes", lambda share: share.get("text") == "a text\nof two lines")
        self.peer.send(self.id, "share.request", text="back to you")
        until(lambda: [one for one in self.hub.transfers() if one["state"] == "offered"], 15, "its text is offered")
        self.peer.send(self.id, "battery", currentCharge=37, isCharging=False)
        battery = lambda: next(one for one in self.device()["services"] if one["id"] == "battery").get("values", {})
        until(lambda: battery().get("percent", {}).get("data") == 37, 10, "its battery is seen")
        self.peer.send(self.id, "mpris", playerList=["Player"])
        self.peer.packet("mpris.request", "what it plays is asked", lambda ask: ask.get("requestNowPlaying"))
        # Its notifications: answered, and dismissed.
        self.peer.send(self.id, "notification", id="n1", appName="Chat", ticker="Mira: lunch?", title="Mira", text="lunch?",
                       requestReplyId="r1")
        mine = until(lambda: self.listed("Mira"), 10, "its notification is listed")
        self.hub.accord("notifications", "reply", mine["id"], "at noon")
        reply = self.peer.packet("notification.reply", "it is answered")
        self.assertEqual((reply["requestReplyId"], reply["message"]), ("r1", "at noon"))
        self.hub.accord("notifications", "dismiss", mine["id"])
        self.peer.packet("notification.request", "it is dismissed", lambda ask: ask.get("cancel") == "n1")
        # Ours: shown, and dismissed there.
        self.hub.accord("notify", "eight", "Tea", "is ready")
        shown = self.peer.packet("notification", "ours is shown")
        self.assertEqual((shown["title"], shown["ticker"]), ("Tea", "Tea: is ready"))
        self.peer.send(self.id, "notification.request", cancel=shown["id"])
        until(lambda: self.listed("Tea") is None, 10, "it is gone here")
        self.hub.accord("ledger", "verify")

    def test_without_consent_it_is_told_nothing_and_it_comes_back(self):
        self.pair()
        self.hub.accord("commands", "add", "Lights out", "--", "true")
        for kind, body in {"runcommand.request": {"requestCommandList": True}, "mpris.request": {"requestPlayerList": True},
                           "notification.request": {"request": True}}.items():
            self.peer.send(self.id, kind, **body)
        time.sleep(2)
        self.peer.kill()
        until(lambda: self.device(reach="offline"), 40, "it is away")
        self.assertEqual([self.peer.packets(kind) for kind in ("runcommand", "mpris", "notification", "clipboard", "battery")], [[]] * 5)
        self.peer.start()
        until(lambda: self.device("paired", "local"), 40, "it is back, and still paired")


if __name__ == "__main__":
    unittest.main()
