"""What people do with a phone, through a whole hub and Debian's kdeconnectd: whatever the hub says to it is what its owner
agreed to, feature by feature."""

import os
import re
import time
import unittest

import desktop
import sealed
from desktop import Desktop
from hub import ACCORD, Hub
from kdeconnectd import MISSING, Daemon, common_name, plain
from net import until
from test_kdeconnect import CONNECTION, PRESENCE, Wire, no_peer

NEEDED = MISSING + desktop.MISSING
OURS = {"clipboard/share", "notifications/mirror", "notifications/answer", "media/share", "battery/share", "commands/share",
        "control/command"}


@unittest.skipIf(MISSING, no_peer)
@unittest.skipIf(desktop.MISSING, f"not installed: {', '.join(desktop.MISSING)}")
@unittest.skipUnless(os.path.exists(ACCORD), "accord is not built: cargo build -p accord")
class FeaturesTest(Wire):
    screens = False
    batteries = None
    server = True

    def setUp(self):
        super().setUp()
        ours, theirs = self.batteries or (None, None)
        self.desk = self.keep(Desktop(self.network["desk"], self.server, ours))
        self.theirs = self.keep(Desktop(self.network["phone"], True, theirs))
        if self.screens:
            self.desk.screen(), self.theirs.screen()
        self.hub = self.keep(Hub(self.network["desk"], "desk"))
        self.start_hub()
        self.id = common_name(sealed.read(self.hub.state, "kdeconnect/identity.json"))
        self.daemon = self.keep(Daemon(self.network["phone"], "phone", desktop=self.theirs))
        self.before()
        self.daemon.start()
        self.device = self.pair()

    def start_hub(self):
        self.hub.start(**{key: value for key, value in self.desk.env.items()})

    def before(self):
        """What the phone has before it is started."""

    def phone(self, trust=None, reach=None):
        for device in self.hub.devices():
            if device["name"] == "phone" and trust in (None, device["trust"]) and reach in (None, device["reach"]):
                return device
        return None

    def pair(self):
        self.hub.grant(PRESENCE)
        found = until(lambda: self.phone(reach="local"), 20, "the phone is found")["id"]
        self.again(found)
        return found

    def again(self, device):
        pairing = self.hub.popen("pair", device, "--accept")
        self.daemon.agree(self.id)
        out, err = pairing.communicate(timeout=60)
        self.assertEqual(pairing.returncode, 0, f"{out}{err}")
        until(lambda: self.phone("paired", "local"), 15, "it is paired and linked")
        until(lambda: self.daemon.reaches(self.id), 15, "it reaches us")

    def service(self, id):
        return [service for service in (self.phone() or {"services": []})["services"] if service["id"] == id]

    def said(self, entry):
        """What left under an entry."""
        return [record for record in self.hub.ledger() if record.get("entry") == entry and record["kind"] == "sent"]

    def nothing_of_ours_left(self):
        kinds = {record["entry"] for record in self.hub.ledger() if record["kind"] in ("intent", "sent") and record.get("entry")}
        self.assertFalse(kinds & OURS, kinds)

    def listed(self, title):
        return next((one for one in self.hub.json("notifications")["notifications"] if one["title"] == title), None)

    def listed_of_phone(self, text):
        of_phone = [one for one in self.hub.json("notifications")["notifications"] if one["device_name"] == "phone"]
        return next((one for one in of_phone if text in one["title"] + one["body"]), None)

    def refused(self, *words):
        done = self.hub.accord(*words, check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stdout + done.stderr


class WordsTest(FeaturesTest):
    def test_words_go_both_ways_and_it_rings_here_only_when_it_may(self):
        self.assertIn("control/command", self.refused("ping", "phone", "tea is ready"))
        self.hub.grant("control/command", self.device)
        self.hub.accord("ping", "phone", "tea is ready")
        until(lambda: self.theirs.shown("tea is ready"), 10, "the phone shows the word")
        self.daemon.cli("-d", self.id, "--ping-msg", "coming at once")
        until(lambda: self.desk.shown("coming at once"), 10, "the desktop shows the answer")
        self.hub.accord("ring", "phone")
        self.daemon.cli("-d", self.id, "--ring")
        time.sleep(1.5)
        self.assertIsNone(self.desk.shown("Here it is"))
        self.hub.accord("devices", "set", "phone", "--remote-ring", "true")
        self.daemon.cli("-d", self.id, "--ring")
        until(lambda: self.desk.shown("Here it is"), 10, "this machine rings")


class NotificationsTest(FeaturesTest):
    def mirrored(self):
        """Paths of what the phone shows of ours."""
        said = self.daemon.plugin(self.id, "notifications", "activeNotifications", check=False)
        return re.findall(r"'(\w+)'", said)

    def of_ours(self, number, name):
        return self.daemon.property(self.id, name, "org.kde.kdeconnect.device.notifications.notification", f"/notifications/{number}")

    def on_ours(self, number, method, *words):
        path = f"/modules/kdeconnect/devices/{self.id}/notifications/{number}"
        return self.daemon.call(path, f"org.kde.kdeconnect.device.notifications.notification.{method}", *words)

    def test_ours_are_shown_there_and_dismissed_on_either_side_are_gone_on_both(self):
        self.assertIn("notifications/mirror", self.refused("notify", "phone", "Tea", "is ready"))
        self.desk.notify("Private", "of the desk")
        time.sleep(2)
        self.assertEqual(self.mirrored(), [])
        self.nothing_of_ours_left()
        self.hub.grant("notifications/mirror", self.device)
        self.hub.accord("notify", "phone", "Tea", "is ready")
        until(lambda: self.theirs.shown("is ready"), 10, "the phone shows it")
        # Dismissed here.
        [one] = until(self.mirrored, 5, "it is listed there")
        self.assertIn("is ready", self.of_ours(one, "ticker"))
        self.hub.accord("notifications", "dismiss", self.listed("Tea")["id"])
        until(lambda: not self.mirrored(), 10, "it is gone there")
        # An app's, dismissed there.
        number = self.desk.notify("Dinner", "at eight")
        until(lambda: self.theirs.shown("at eight"), 10, "the phone shows the app's")
        [one] = until(self.mirrored, 5, "it is listed there")
        self.on_ours(one, "dismiss")
        until(lambda: self.desk.is_closed(number), 10, "it is gone on the desktop")
        until(lambda: self.listed("Dinner") is None, 5, "it is gone in Accord")

    def test_theirs_are_listed_here_and_shown_once(self):
        self.daemon.device(self.id, "setPluginEnabled", "kdeconnect_sendnotifications", "true")
        # It takes new links then, and loses what is notified meanwhile.
        time.sleep(2)
        until(lambda: self.theirs.notify("first", "of all") and time.sleep(2) is None and self.listed_of_phone("first"), 30,
              "it passes notifications on")
        self.theirs.notify("Mira", "lunch at noon?", app="Chat")
        of_phone = lambda: self.listed_of_phone("lunch")
        mine = until(of_phone, 10, "it is listed here")
        self.assertIn("Mira: lunch at noon?", mine["title"] + mine["body"])
        until(lambda: self.desk.shown("lunch at noon?"), 10, "the desktop shows it")
        self.nothing_of_ours_left()
        time.sleep(2)
        echoes = [line for line in self.theirs.lines() if line["what"] == "shown" and "lunch" in line["title"] + line["body"]]
        self.assertEqual(len(echoes), 1, "it does not go in circles")
        self.assertIn("notifications/answer", self.refused("notifications", "dismiss", mine["id"]))
        self.hub.grant("notifications/answer", self.device)
        self.hub.accord("notifications", "dismiss", mine["id"])
        until(lambda: of_phone() is None, 5, "it is gone here")
        popup = self.desk.shown("lunch at noon?")["number"]
        until(lambda: self.desk.is_closed(popup), 5, "its popup is gone")
        # That is all: this version of kdeconnectd closes nothing of its own when it is asked to.


class RepliesTest(NotificationsTest):
    """The hub itself is the notification server here."""

    server = False
    test_ours_are_shown_there_and_dismissed_on_either_side_are_gone_on_both = None
    test_theirs_are_listed_here_and_shown_once = None

    def test_an_app_here_is_answered_from_there(self):
        self.hub.grant("notifications/mirror", self.device)
        until(lambda: self.hub.json("notifications")["desktop"]["mode"] == "serving", 10, "the hub shows notifications")
        heard = self.network["desk"].popen("gdbus", "monitor", "--session", "--dest", "org.freedesktop.Notifications", env=self.desk.all_env(),
                                           stdout=open(self.desk.folder / "heard", "w"), start_new_session=True)
        self.desk.running.append(heard)
        time.sleep(0.5)
        self.desk.notify("Ben", "are you there?", actions="['inline-reply', 'Reply']")
        [one] = until(self.mirrored, 10, "it is there, with a reply")
        self.assertTrue(plain(self.of_ours(one, "replyId")).strip("(<''>,)"), "it can be replied to")
        self.daemon.plugin(self.id, "notifications", "sendReply", self.reply_id(one), "I am")
        until(lambda: "I am" in (self.desk.folder / "heard").read_text(), 10, "the app is answered")

    def reply_id(self, one):
        return re.search(r"'(.*)'", self.of_ours(one, "replyId")).group(1)


class ClipboardTest(FeaturesTest):
    screens = True

    def test_what_is_copied_goes_both_ways_when_the_owner_wants_and_never_in_circles(self):
        self.desk.copy("of the desk")
        time.sleep(1.5)
        self.assertIn("clipboard/share", self.refused("clip", "send", "phone"))
        self.assertNotIn("of the desk", self.theirs.pasted())
        self.nothing_of_ours_left()
        self.hub.grant("clipboard/share", self.device)
        self.hub.accord("clip", "send", "phone")
        until(lambda: self.theirs.pasted() == "of the desk", 10, "it can be pasted there")
        self.theirs.copy("of the phone")
        until(lambda: self.hub.json("clip", "list")["offers"], 10, "what was copied there is offered here")
        self.assertEqual(self.desk.pasted(), "of the desk")
        self.hub.accord("clip", "accept")
        until(lambda: self.desk.pasted() == "of the phone", 10, "it can be pasted here")
        # By itself, both ways.
        self.hub.accord("clip", "receive", "automatic", "--from", "phone")
        self.hub.accord("clip", "auto", "phone", "on")
        time.sleep(2)
        self.desk.copy("by itself")
        until(lambda: self.theirs.pasted() == "by itself", 10, "it is there by itself")
        self.theirs.copy("and back")
        until(lambda: self.desk.pasted() == "and back", 10, "it is here by itself")
        time.sleep(4)
        self.assertEqual((self.desk.pasted(), self.theirs.pasted()), ("and back", "and back"))
        self.assertEqual(len(self.said("clipboard/share")), 2, "nothing goes in circles")


class MediaTest(FeaturesTest):
    def players(self):
        return self.hub.json("media", "phone")["players"]

    def remote(self, method, *words):
        return self.daemon.plugin(self.id, "mprisremote", method, *words, check=False)

    def known(self):
        self.remote("requestPlayerList")
        return self.daemon.says(self.id, "mprisremote", "playerList")

    def test_their_player_is_seen_at_once_and_controlled(self):
        self.theirs.play("Sea shanty")
        player = until(self.players, 10, "its player is seen, though nobody asked")[0]
        until(lambda: self.players()[0]["values"].get("title", {}).get("data") == "Sea shanty", 10, "and what it plays")
        self.nothing_of_ours_left()
        self.assertIn("control/command", self.refused("media", "phone", "pause"))
        self.hub.grant("control/command", self.device)
        self.hub.accord("media", "phone", "pause")
        until(lambda: self.theirs.status() == "Paused", 10, f"it pauses: {player}")
        until(lambda: self.players()[0]["values"]["playing"]["data"] is False, 10, "and says so")
        self.hub.accord("media", "phone", "play")
        until(lambda: self.theirs.status() == "Playing", 10, "it plays on")
        self.hub.accord("media", "phone", "volume", "40")
        until(lambda: self.players()[0]["values"]["volume"]["data"] == 40, 10, "it is as loud as asked")
        # Away and back: it is asked again.
        self.daemon.kill()
        until(lambda: self.phone(reach="offline"), 40, "it is away")
        self.theirs.stop_playing()
        self.daemon.start()
        until(lambda: self.phone("paired", "local"), 40, "it is back")
        until(lambda: not self.players(), 10, "the player that ended meanwhile is not shown any more")

    def test_our_player_is_seen_there_with_consent_and_controlled_when_allowed(self):
        self.desk.play("Lullaby")
        until(lambda: self.hub.json("media")["players"], 10, "the hub sees the player")
        self.known()
        time.sleep(2)
        self.assertNotIn("mpv", self.known())
        self.nothing_of_ours_left()
        self.hub.grant("media/share", self.device)
        until(lambda: "mpv" in self.known(), 10, "the phone sees it")
        self.remote("requestPlayerList")
        until(lambda: "Lullaby" in self.daemon.says(self.id, "mprisremote", "title"), 10, "and what it plays")
        self.remote("sendAction", "Pause")
        time.sleep(1.5)
        self.assertEqual(self.desk.status(), "Playing")
        self.hub.accord("devices", "set", "phone", "--remote-media", "true")
        self.remote("sendAction", "Pause")
        until(lambda: self.desk.status() == "Paused", 10, "it is paused from there")
        until(lambda: "false" in self.daemon.says(self.id, "mprisremote", "isPlaying"), 10, "and seen so")
        # Taken back: not a word more, even to a phone that comes anew and asks for everything.
        self.hub.accord("consent", "withdraw", "media/share", "--to", self.device)
        said = len(self.said("media/share"))
        self.daemon.kill()
        until(lambda: self.phone(reach="offline"), 40, "it is away")
        self.daemon.start()
        until(lambda: self.phone("paired", "local"), 40, "it is back")
        self.known()
        time.sleep(2)
        self.assertNotIn("mpv", self.known())
        self.assertEqual(len(self.said("media/share")), said)


class BatteryTest(FeaturesTest):
    batteries = (64, 81)

    def test_batteries_are_seen_theirs_at_once_and_ours_with_consent(self):
        battery = lambda: (self.service("battery") or [{"values": {}}])[0]["values"].get("percent", {}).get("data")
        until(lambda: battery() == 81, 10, "its battery is seen")
        self.theirs.set_battery(79)
        until(lambda: battery() == 79, 10, "a change is told")
        charge = lambda: self.daemon.says(self.id, "battery", "charge")
        self.assertNotIn("64", charge())
        self.nothing_of_ours_left()
        self.hub.grant("battery/share", self.device)
        until(lambda: "64" in charge(), 10, "it sees ours")
        self.desk.set_battery(63)
        until(lambda: "63" in charge(), 10, "and its changes")


class CommandsTest(FeaturesTest):
    def before(self):
        words = f'{{\\"lamp\\":{{\\"command\\":\\"touch {self.daemon.home}/lit\\",\\"name\\":\\"Lamp\\"}}}}'
        self.daemon.configure(self.id, "runcommand", f'[General]\ncommands="@ByteArray({words})"\n')

    def test_their_commands_are_listed_at_once_and_ours_run_when_allowed(self):
        labels = lambda: [service["label"] for service in self.hub.json("run", "phone")["commands"]]
        until(lambda: labels() == ["Lamp"], 10, "its commands are listed")
        self.assertIn("control/command", self.refused("run", "phone", "Lamp", "--yes"))
        self.hub.grant("control/command", self.device)
        self.hub.accord("run", "phone", "Lamp", "--yes")
        until(lambda: (self.daemon.home / "lit").exists(), 10, "the lamp is lit there")
        # Ours.
        mark = self.hub.folder / "dark"
        self.hub.accord("commands", "add", "Lights out", "--", "touch", mark)
        known = lambda: plain(self.daemon.says(self.id, "remotecommands", "commands"))
        time.sleep(2)
        self.assertNotIn("Lights out", known())
        self.hub.grant("commands/share", self.device)
        until(lambda: "Lights out" in known(), 10, "it is known there")
        self.assertNotIn("touch", known())
        key = re.search(r'"(\d+)"', known()).group(1)
        trigger = lambda: self.daemon.plugin(self.id, "remotecommands", "triggerCommand", key)
        trigger()
        time.sleep(1.5)
        self.assertFalse(mark.exists(), "it may not yet")
        self.hub.accord("devices", "set", "phone", "--remote-commands", "true")
        trigger()
        until(mark.exists, 10, "it is run from there")
        until(lambda: self.desk.shown("Lights out"), 5, "the owner is told")


class AwayTest(FeaturesTest):
    batteries = (64, 81)

    def test_who_is_unpaired_there_gets_nothing_more_and_can_be_paired_again(self):
        for entry in ("battery/share", "notifications/mirror", "control/command"):
            self.hub.grant(entry, self.device)
        charge = lambda: self.daemon.says(self.id, "battery", "charge")
        until(lambda: "64" in charge(), 10, "it sees our battery")
        self.daemon.device(self.id, "unpair")
        until(lambda: not self.phone("paired"), 10, "the hub knows")
        self.desk.set_battery(50)
        self.assertTrue(self.refused("notify", "phone", "Tea"))
        time.sleep(2)
        self.assertNotIn("50", charge())
        until(lambda: self.phone(reach="local"), 20, "it is still near")
        self.again(self.phone()["id"])
        until(lambda: self.service("battery"), 10, "and works again")

    def test_what_is_for_a_phone_that_is_away_waits_for_it(self):
        for entry in ("notifications/mirror", "battery/share"):
            self.hub.grant(entry, self.device)
        self.daemon.kill()
        until(lambda: self.phone(reach="offline"), 40, "it is away")
        sent = self.hub.json("notify", "phone", "While you were out", "somebody called")
        self.assertTrue(sent["waits"])
        self.desk.set_battery(33)
        self.daemon.start()
        until(lambda: self.phone("paired", "local"), 40, "it is back")
        until(lambda: self.theirs.shown("somebody called"), 15, "it is told what waited")
        until(lambda: "33" in self.daemon.says(self.id, "battery", "charge"), 15, "and how things are now")


if __name__ == "__main__":
    unittest.main()
