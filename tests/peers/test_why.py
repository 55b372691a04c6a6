"""Why a device cannot be reached, against programs of others: a real kdeconnectd, and a strict LocalSend 2.2 device."""

import os
import shutil
import signal
import unittest

from net import until

import test_kdeconnect
import test_localsend


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


# What the class that this builds on tries is tried in its own file.
for name in [name for name in dir(KdeConnect) if name.startswith("test_") and name not in KdeConnect.__dict__]:
    setattr(KdeConnect, name, None)


if __name__ == "__main__":
    unittest.main()
