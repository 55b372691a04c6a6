"""Why a device cannot be reached: real obstacles, one after the other, and the one that `accord why` names."""

import shutil
import signal
import sys
import time
import unittest

from home import Home
from hub import Hub, pair
from net import Network, until
from wire import Capture

SITTER = """
import socket, sys, time
held = []
for port in map(int, sys.argv[1:]):
    one = socket.socket()
    one.bind(("0.0.0.0", port))
    one.listen()
    held.append(one)
print("up", flush=True)
time.sleep(600)
"""


def here(hub, bridge):
    return next(way for way in hub.json("why")["ways"] if way["bridge"] == bridge)


def codes(answer):
    return [obstacle["code"] for obstacle in answer["obstacles"]]


def reason(answer):
    """The first obstacle, if it blocks."""
    first = answer["obstacles"][0] if answer["obstacles"] else None
    return first["code"] if first and first["weight"] == "blocks" else None


class HereTest(Home):
    """How the machine itself stands."""

    def test_without_consent_that_is_the_answer_and_not_a_packet_leaves(self):
        capture = Capture(self.network["beta"], self.alpha.folder)
        self.alpha.start()
        for bridge in ("link", "kdeconnect", "localsend"):
            self.assertEqual(reason(here(self.alpha, bridge)), "consent-missing")
        time.sleep(1)
        capture.stop()
        address = self.network.address["alpha"]
        self.assertEqual([packet for packet in capture.packets() if packet.source == address and packet.protocol in ("udp", "tcp")], [])

    def test_ports_that_another_program_has_are_named_with_it(self):
        sitter = self.network["alpha"].popen(sys.executable, "-c", SITTER, "1716", "53317", stdout=-1, text=True)
        try:
            self.assertEqual(sitter.stdout.readline(), "up\n")
            self.alpha.start()
            for entry in ("kdeconnect/presence", "localsend/presence"):
                self.alpha.grant(entry)
            for bridge, port in (("kdeconnect", 1716), ("localsend", 53317)):
                look = lambda: next((one for one in here(self.alpha, bridge)["obstacles"] if one["code"] == "port-taken"), None)
                says = until(look, 10, f"{bridge} knows that its port is taken: {here(self.alpha, bridge)}")["says"]
                self.assertIn(f"TCP port {port} is taken by `python3", says)
                self.assertIn(f"process {sitter.pid}", says)
        finally:
            sitter.kill()
            sitter.wait()

    def test_a_machine_in_no_network_is_told_so(self):
        self.alpha.start()
        self.alpha.grant("link/discovery")
        self.network["alpha"].link("eth0", "down")
        until(lambda: reason(here(self.alpha, "link")) == "no-network", 10, here(self.alpha, "link"))


class FilteredTest(Home):
    names = ("alpha", "beta", "gamma")

    def test_a_network_that_carries_broadcast_and_no_multicast_is_described(self):
        for port in range(3):
            self.network.switch.run("ip", "link", "set", f"port{port}", "type", "bridge_slave", "mcast_flood", "off")
        for hub in (self.alpha, self.beta):
            hub.start()
            for entry in ("link/discovery", "kdeconnect/presence"):
                hub.grant(entry)
        nothing = lambda: codes(here(self.alpha, "link")) and "nothing-heard" in codes(here(self.alpha, "link"))
        until(nothing, 30, f"nothing is heard by multicast: {here(self.alpha, 'link')}")
        partly = lambda: next((one for one in here(self.alpha, "kdeconnect")["obstacles"] if one["code"] == "partly-heard"), None)
        says = until(partly, 30, f"broadcast is heard: {here(self.alpha, 'kdeconnect')}")["says"]
        self.assertIn("heard by IPv4 broadcast, but not by IPv4 multicast", says)


class LinkTest(Home):
    """Between two hubs that are paired."""

    def setUp(self):
        super().setUp()
        self.befriend()
        until(lambda: self.alpha.sees(self.beta, reach="local"), 20, "they are connected")

    def why(self):
        return self.alpha.json("why", "beta")

    def becomes(self, code, seconds=45):
        last = {}

        def is_reason():
            last.update(self.why())
            return reason(last) == code

        try:
            until(is_reason, seconds, f"the reason is {code}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}\n{self.alpha.log()[-3000:]}") from None
        return last

    def test_a_device_that_is_here_has_nothing_in_its_way(self):
        answer = self.why()
        self.assertTrue(answer["reached"], answer)
        self.assertIsNone(reason(answer))

    def test_a_hub_that_ended_is_told_from_a_machine_that_is_gone(self):
        self.beta.kill()
        answer = self.becomes("app-closed")
        self.assertFalse(answer["reached"])
        self.network["beta"].link("eth0", "down")
        answer = self.becomes("asleep")
        self.assertIn("10.66.0.2", answer["obstacles"][0]["says"])

    def test_a_hub_that_is_stopped_is_silent_and_then_here_again(self):
        self.beta.process.send_signal(signal.SIGSTOP)
        self.becomes("asleep", 90)
        self.beta.process.send_signal(signal.SIGCONT)
        until(lambda: self.why()["reached"], 60, "it is here again")

    def test_another_network_is_named(self):
        self.network["beta"].link("eth0", "down")
        self.network["alpha"].run("ip", "addr", "flush", "dev", "eth0", "scope", "global")
        self.network["alpha"].run("ip", "addr", "add", "10.99.0.1/24", "dev", "eth0")
        says = self.becomes("other-network", 90)["obstacles"][0]["says"]
        self.assertIn("10.66.0.2", says)
        self.assertIn("10.99.0.1/24", says)

    def test_a_hub_that_was_reset_is_a_stranger_at_its_address(self):
        self.beta.kill()
        shutil.rmtree(self.beta.state)
        self.beta.start()
        self.beta.grant("link/discovery")
        self.becomes("stranger-there")

    def test_consent_that_was_taken_back_goes_first(self):
        self.alpha.accord("consent", "withdraw", "link/connection")
        self.assertEqual(reason(self.why()), "consent-ended")

    def test_the_other_owners_no_is_told(self):
        self.beta.accord("consent", "withdraw", "link/connection")
        self.becomes("turned-away")

    def test_what_asking_says_is_in_the_ledger(self):
        self.beta.kill()
        self.becomes("app-closed")
        self.alpha.accord("ledger", "verify")


if __name__ == "__main__":
    unittest.main()
