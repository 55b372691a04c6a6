"""A phone's messages and contacts, and pictures of our players for it, through a whole hub; the phone is a script that says
what the Android app says."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import desktop
import sealed
from desktop import Desktop
from hub import ACCORD, Hub
from kdephone import CARDS, MESSAGES
from net import until
from test_kdeconnect import PRESENCE, Wire

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 60


class Phone:
    def __init__(self, machine, name):
        self.folder = tempfile.mkdtemp(prefix="accord-phone-")
        script = pathlib.Path(__file__).with_name("kdephone.py")
        self.process = machine.popen(sys.executable, script, "--name", name, "--folder", self.folder, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.heard = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.heard.append(json.loads(line))

    def send(self, kind, **body):
        self.process.stdin.write(json.dumps({"type": kind, "body": body}) + "\n")
        self.process.stdin.flush()

    def got(self, kind):
        """The bodies of the packets of one type."""
        return [word["body"] for word in self.heard if word["what"] == "packet" and word["type"] == kind]

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@unittest.skipUnless(os.path.exists(ACCORD), "accord is not built: cargo build -p accord")
@unittest.skipUnless(shutil.which("openssl"), "not installed: openssl")
class PhoneTest(Wire):
    desk = None

    def setUp(self):
        super().setUp()
        self.phone = self.keep(Phone(self.network["phone"], "phone"))
        self.hub = self.keep(Hub(self.network["desk"], "desk"))
        self.before()
        self.hub.start(**(self.desk.env if self.desk else {}))
        self.hub.grant(PRESENCE)
        self.device = until(lambda: self.seen(reach="local"), 20, "the phone is found")["id"]
        self.hub.accord("pair", self.device, "--accept")
        until(lambda: self.seen(trust="paired", reach="local"), 15, "it is paired and linked")

    def before(self):
        """What the desk has before its hub is started."""

    def seen(self, **wanted):
        fits = lambda device: all(device[key] == value for key, value in wanted.items())
        return next((device for device in self.hub.devices() if device["name"] == "phone" and fits(device)), None)

    def refused(self, *words):
        done = self.hub.accord(*words, check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stdout + done.stderr

    def entries(self):
        return {record["entry"] for record in self.hub.ledger() if record["kind"] in ("intent", "sent") and record.get("entry")}


class MessagesTest(PhoneTest):
    def test_messages_are_read_when_the_owner_looks_and_sent_by_a_consent_of_their_own(self):
        self.assertIn("people/messages", self.refused("messages", "phone"))
        self.assertEqual(self.phone.got("sms.request_conversations"), [])
        self.hub.grant("people/messages", self.device)
        said = self.hub.json("messages", "phone")
        self.assertEqual([one["thread"] for one in said["messages"]], [8, 7], "newest first; what is too long is left out")
        self.assertTrue(said["more"])
        code = said["messages"][0]
        self.assertEqual((code["text"], code["addresses"]), ("your code\ufffd[2J is \ufffd4711", ["BANK\ufffd"]))
        self.assertEqual(code["attachments"], ["image/jpeg"])
        shown = self.hub.accord("messages", "phone").stdout
        self.assertNotRegex(shown, "[\x00-\x08\x0b-\x1f\u202e]")
        thread = self.hub.json("messages", "phone", "7")
        self.assertEqual([(one["text"], one["sent"]) for one in thread["messages"]],
                         [("see you\nthere \U0001f600", False), ("yes!", True), ("lunch at noon?", False)])
        early = self.hub.json("messages", "phone", "7", "--before", str(MESSAGES[0]["date"]))
        self.assertEqual([one["text"] for one in early["messages"]], ["lunch at noon?"])
        # Nothing of it is kept here.
        self.assertFalse([path for path, held in sealed.contents(self.hub.state).items() if b"lunch at noon" in held])
        # Sending is another matter.
        self.assertIn("people/reply", self.refused("messages", "phone", "7", "--reply", "on my way", "--yes"))
        self.assertEqual(self.phone.got("sms.request"), [])
        self.hub.grant("people/reply", self.device)
        self.assertIn("--yes", self.refused("messages", "phone", "7", "--reply", "on my way"))
        self.hub.accord("messages", "phone", "7", "--reply", "on my way", "--yes")
        [sent] = until(lambda: self.phone.got("sms.request"), 5, "the phone is told to send it")
        self.assertEqual((sent["messageBody"], sent["addresses"]), ("on my way", [{"address": "+49 170 1"}]))
        self.assertIn("people/reply", self.entries())
        self.hub.accord("consent", "withdraw", "people/messages", "--to", self.device)
        asked = len(self.phone.got("sms.request_conversations"))
        self.refused("messages", "phone")
        self.assertEqual(len(self.phone.got("sms.request_conversations")), asked)

    def test_what_a_phone_tells_unasked_is_not_listened_to(self):
        self.phone.send("sms.messages", messages=MESSAGES[:1], version=2)
        self.phone.send("contacts.response_vcards", uids=["a"], a=CARDS["9999evil"])
        time.sleep(1)
        self.assertTrue(self.seen(trust="paired", reach="local"))
        self.assertNotIn("lunch", self.hub.log())


class ContactsTest(PhoneTest):
    def test_the_address_book_comes_page_by_page_without_pictures(self):
        self.assertIn("people/contacts", self.refused("contacts", "phone"))
        self.assertEqual(self.phone.got("contacts.request_all_uids_timestamps"), [])
        self.hub.grant("people/contacts", self.device)
        book = self.hub.json("contacts", "phone")
        names = [contact["name"] for contact in book["contacts"]]
        self.assertEqual((len(names), names[0], names[-1]), (451, "Person 000", "Zoe\ufffd[31m \ufffdEvil"))
        self.assertFalse(book["more"])
        self.assertEqual(book["contacts"][7]["numbers"], [{"label": "cell", "value": "+49 170 7"}])
        self.assertEqual(len(self.phone.got("contacts.request_vcards_by_uid")), 3)
        one = self.hub.json("contacts", "phone", "--find", "person 123")["contacts"]
        self.assertEqual([contact["name"] for contact in one], ["Person 123"])
        self.assertEqual(self.entries() & {"people/messages", "people/reply"}, set())


@unittest.skipIf(desktop.MISSING, f"not installed: {', '.join(desktop.MISSING)}")
class ArtTest(PhoneTest):
    def before(self):
        self.desk = self.keep(Desktop(self.network["desk"]))

    def test_the_picture_of_what_plays_is_fetched_by_a_phone_that_may_see_it(self):
        cover = self.desk.folder / "cover.png"
        cover.write_bytes(PNG)
        self.desk.play("Lullaby")
        until(lambda: self.hub.json("media")["players"], 10, "the hub sees the player")
        until(lambda: self.hub.json("media")["players"][0]["values"].get("artwork"), 15, "and its picture")
        told = lambda: [body for body in self.phone.got("mpris") if body.get("albumArtUrl")]
        self.phone.send("mpris.request", player="mpv", albumArtUrl=f"file://{cover}")
        time.sleep(1)
        self.assertEqual(self.phone.got("mpris"), [])
        self.hub.grant("media/share", self.device)
        said = until(told, 10, "the phone is told of a picture")[-1]
        self.assertNotIn("accord-desktop", said["albumArtUrl"])
        payloads = lambda: [word for word in self.phone.heard if word["what"] == "payload"]
        self.phone.send("mpris.request", player=said["player"], albumArtUrl=f"file://{cover}")
        self.phone.send("mpris.request", player=said["player"], albumArtUrl="file:///etc/passwd")
        time.sleep(1)
        self.assertEqual(payloads(), [])
        self.phone.send("mpris.request", player=said["player"], albumArtUrl=said["albumArtUrl"])
        [payload] = until(payloads, 10, "it has the picture")
        import hashlib
        self.assertEqual((payload["size"], payload["sha256"]), (len(PNG), hashlib.sha256(PNG).hexdigest()))
        transfer = [body for body in self.phone.got("mpris") if body.get("transferringAlbumArt")][-1]
        self.assertEqual((transfer["player"], transfer["albumArtUrl"]), (said["player"], said["albumArtUrl"]))
        # Taken back.
        self.hub.accord("consent", "withdraw", "media/share", "--to", self.device)
        self.phone.send("mpris.request", player=said["player"], albumArtUrl=said["albumArtUrl"])
        time.sleep(1.5)
        self.assertEqual(len(payloads()), 1)


if __name__ == "__main__":
    unittest.main()
