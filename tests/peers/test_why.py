"""Why a device cannot be reached, against programs of others: a real kdeconnectd, and a strict LocalSend 2.2 device."""

import os
import shutil
import signal
import time
import unittest

from net import until

import miiohome
import mosquitto
import test_kdeconnect
import test_localsend
import test_mqtt
import test_yeelight


def reason(answer):
    first = answer["obstacles"][0] if answer["obstacles"] else None
    return first["code"] if first and first["weight"] == "blocks" else None


class Why:
    def why(self, device):
        return self.hub.json("why", device)

    def becomes(self, device, code, seconds=60):
        until(lambda: reason(self.why(device)) == code, seconds, f"{code}: {self.why(device)}")
        return self.why(device)["obstacles"][0]["says"]


class KdeConnect(Why, test_kdeconnect.HubTest):
    def setUp(self):
        super().setUp()
        self.device = self.pair()

    def test_a_daemon_that_ended_is_closed(self):
        self.assertTrue(self.why(self.device)["reached"])
        self.daemon.kill()
        says = self.becomes(self.device, "app-closed")
        self.assertIn("KDE Connect is not running on it", says)
        self.hub.accord("ledger", "verify")

    def test_a_daemon_that_is_stopped_is_mute(self):
        os.killpg(self.daemon.process.pid, signal.SIGSTOP)
        try:
            # Where it was last is known after a restart too.
            self.hub.stop()
            self.hub.start()
            self.becomes(self.device, "mute", 30)
        finally:
            os.killpg(self.daemon.process.pid, signal.SIGCONT)

    def test_a_daemon_that_was_reset_shows_another_certificate(self):
        self.daemon.kill()
        until(lambda: self.phone(reach="offline"), 20, "the phone is gone")
        shutil.rmtree(self.daemon.home / ".config/kdeconnect")
        self.daemon.start()
        says = self.becomes(self.device, "key-changed")
        self.assertIn("another key than the device that you paired", says)

    def test_a_daemon_that_ended_the_pairing_is_told(self):
        self.daemon.device(self.id, "unpair")
        until(lambda: reason(self.why(self.device)) == "unpaired-there", 20, f"it ended that: {self.why(self.device)}")


class SameMachine(test_kdeconnect.Wire):
    @unittest.skipIf(test_kdeconnect.MISSING, test_kdeconnect.no_peer)
    def test_the_desktop_app_on_this_machine_is_named(self):
        self.keep(test_kdeconnect.Daemon(self.network["desk"], "desktop")).start()
        hub = self.keep(test_kdeconnect.Hub(self.network["desk"], "desk")).start()
        hub.grant(test_kdeconnect.PRESENCE)
        way = lambda: next(one for one in hub.json("why")["ways"] if one["bridge"] == "kdeconnect")
        taken = lambda: next((one for one in way()["obstacles"] if one["code"] == "port-taken"), None)
        self.assertIn("port 1716 is taken by `kdeconnectd`", until(taken, 20, way())["says"])


@unittest.skipUnless(shutil.which("openssl"), "needs openssl")
class LocalSend(Why, test_localsend.Home):
    def setUp(self):
        super().setUp()
        self.phone = self.ours("Phone", "serve")
        until(lambda: self.phone.told("ready"), 10, self.phone.text())
        self.device = self.find("Phone")["id"]
        self.trust(self.find("Phone"))

    def test_closed_stopped_and_here_again(self):
        self.assertTrue(self.why(self.device)["reached"])
        os.killpg(self.phone.process.pid, signal.SIGSTOP)
        self.becomes(self.device, "mute")
        os.killpg(self.phone.process.pid, signal.SIGCONT)
        self.assertTrue(self.why(self.device)["reached"])
        self.phone.kill()
        self.becomes(self.device, "app-closed")

    def test_another_certificate_is_not_taken_for_the_old_one(self):
        self.phone.kill()
        for file in ("cert.pem", "key.pem"):
            (self.folder / "Phone" / file).unlink()
        again = self.ours("Phone", "serve")
        until(lambda: again.told("ready"), 10, again.text())
        self.becomes(self.device, "key-changed")

    def test_another_network_is_named(self):
        self.network["phone"].link("eth0", "down")
        self.network["alpha"].run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
        self.network["alpha"].run("ip", "addr", "add", "10.99.0.1/24", "dev", "eth0")
        self.assertIn("10.99.0.1/24", self.becomes(self.device, "other-network"))


class Yeelight(Why, test_yeelight.Home):
    def test_a_lamp_that_hangs_is_there_and_does_not_answer(self):
        self.switch_on()
        self.device_id = self.add()["id"]
        until(lambda: self.why(self.device_id)["reached"], 10, "it answers")
        os.kill(self.bulb.pid, signal.SIGSTOP)
        try:
            # Its system keeps the connection, and takes the next one.
            began = time.monotonic()
            why = self.why(self.device_id)
            self.assertLess(time.monotonic() - began, 8)
            self.assertEqual((why["reached"], reason(why)), (False, "mute"), why)
            first = why["obstacles"][0]
            self.assertIn(f"is there, at {self.address}:55443, and does not answer", first["says"])
            self.assertIn("It answered last", first["says"])
            self.assertIn("Take its power away for ten seconds", first["remedy"])
            self.find(20, "offline")
            said = self.hub.accord("why", test_yeelight.NAME, check=False, timeout=60).stdout
            self.assertNotIn("answers, by", said)
            self.assertIn("does not answer what it is asked", said)
            # The same after a restart of the hub, which finds it nowhere but where it was.
            self.hub.stop()
            self.hub.start()
            self.becomes(self.device_id, "mute", 30)
        finally:
            os.kill(self.bulb.pid, signal.SIGCONT)
        until(lambda: self.why(self.device_id)["reached"], 40, "it answers again")

    def test_a_lamp_without_power_is_not_said_to_hang(self):
        self.switch_on()
        self.device_id = self.add()["id"]
        self.lamp.link("eth0", "down")
        says = self.becomes(self.device_id, "asleep")
        self.assertIn("power", says)
        self.assertNotIn("open Yeelight", self.why(self.device_id)["obstacles"][0]["remedy"])


class Miio(Why, miiohome.Home):
    def test_a_lamp_that_hangs_is_there_and_one_without_power_is_not(self):
        lamp = self.add("lamp")["id"]
        self.reach(lamp, "local", 20)
        self.assertTrue(self.why(lamp)["reached"])
        os.kill(self.running["lamp"].pid, signal.SIGSTOP)
        try:
            why = self.why(lamp)
            self.assertEqual((why["reached"], reason(why)), (False, "mute"), why)
            self.assertIn("does not answer what it is asked", why["obstacles"][0]["says"])
            self.network["lamp"].link("eth0", "down")
            says = self.becomes(lamp, "asleep")
            self.assertIn("power", says)
        finally:
            os.kill(self.running["lamp"].pid, signal.SIGCONT)
            self.network["lamp"].link("eth0", "up")
            self.network["lamp"].run("ip", "route", "add", "default", "dev", "eth0", check=False)
        until(lambda: self.why(lamp)["reached"], 60, f"it answers again: {self.why(lamp)}")
        self.hub.accord("ledger", "verify")

    def test_a_wrong_token_is_still_told_from_silence(self):
        lamp = self.add("fan", token="0" * 31 + "1")["id"]
        self.becomes(lamp, "secret-wrong")


@unittest.skipUnless(mosquitto.THERE, "mosquitto is missing")
class Mqtt(Why, test_mqtt.Broker):
    def test_a_broker_that_hangs_is_named_for_its_devices_too(self):
        self.start()
        self.describe()
        broker = self.add()["id"]
        plug = until(lambda: next((one for one in self.hub.devices() if one["id"] != broker and one["bridge"] == "mqtt"), None), 20, "its device")
        self.assertTrue(self.why(broker)["reached"])
        os.kill(self.broker.process.pid, signal.SIGSTOP)
        try:
            for device in (broker, plug["id"]):
                why = self.why(device)
                self.assertEqual((why["reached"], reason(why)), (False, "mute"), why)
                self.assertIn("does not speak on it", why["obstacles"][0]["says"])
            self.assertIn("by way of", why["obstacles"][0]["says"])
        finally:
            os.kill(self.broker.process.pid, signal.SIGCONT)
        until(lambda: self.why(broker)["reached"], 60, f"it answers again: {self.why(broker)}")
        self.broker.stop()
        says = self.becomes(broker, "app-closed")
        self.assertIn("MQTT does not run on it", says)
        self.network["broker"].link("eth0", "down")
        self.becomes(broker, "asleep")
        self.network["alpha"].run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
        self.network["alpha"].run("ip", "addr", "add", "10.99.0.1/24", "dev", "eth0")
        self.assertIn("10.99.0.1/24", self.becomes(broker, "other-network"))


# What the class that this builds on tries is tried in its own file.
for kind in (KdeConnect, Yeelight, Miio, Mqtt):
    for name in [name for name in dir(kind) if name.startswith("test_") and name not in kind.__dict__]:
        setattr(kind, name, None)


if __name__ == "__main__":
    unittest.main()
