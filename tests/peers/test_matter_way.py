"""What stands in the way of Matter devices on this machine, told before one is added, and why one that is heard is not reached."""

import json
import subprocess
import unittest

from net import Network, sh, until
from test_matter import CODE, LAMP, MODULES, Home


def ipv6(machine, device, on):
    machine.run("sh", "-c", f"echo {0 if on else 1} > /proc/sys/net/ipv6/conf/{device}/disable_ipv6")


class Told(Home):
    """With all the ways by which what stands in the way is told before anything is added."""

    def before(self):
        status, answer = self.hub.api("GET", "/why/matter")
        self.assertEqual(status, 200, answer)
        return answer

    def obstacle(self, code):
        return next((one for one in self.before()["obstacles"] if one["code"] == code), None)

    def becomes(self, code, seconds=30):
        return until(lambda: self.obstacle(code), seconds, lambda: f"{code} is told: {self.before()}\n{self.hub.log()[-1500:]}")

    def is_over(self, code, seconds=30):
        until(lambda: not self.obstacle(code), seconds, lambda: f"{code} is not told any more: {self.before()}")

    def searched(self):
        return {one["interface"]: one for one in self.before()["searched"]}

    def everywhere(self, words):
        """The same words at the command line: by `why`, and by `add` before it misses the code."""
        self.assertIn(words, self.hub.accord("why").stdout)
        added = self.hub.accord("add", "matter", check=False, stdin=subprocess.DEVNULL)
        self.assertNotEqual(added.returncode, 0)
        self.assertIn(words, added.stderr)
        self.assertLess(added.stderr.index(words), added.stderr.index("wants `code`"), added.stderr)
        return added.stderr


@unittest.skipUnless(MODULES.is_dir(), "matter.js is missing: tests/peers/run --install")
class NoIpv6(Told):
    def wires(self):
        network = super().wires()
        ipv6(network["alpha"], "eth0", False)
        return network

    def test_it_is_told_before_anything_is_added_or_sent_and_no_more_once_there_is_one(self):
        one = self.obstacle("no-ipv6")
        self.assertEqual(one["weight"], "blocks")
        said = self.everywhere("This machine has no IPv6 address (eth0 has none), and most Matter devices")
        self.assertIn("is looked for on eth0 (10.66.0.1/24)", said)
        self.assertEqual(self.before()["obstacles"], [one], "what the form asks for in place is no obstacle")
        self.assertEqual(self.searched(), {"eth0": {"interface": "eth0", "networks": ["10.66.0.1/24"]}})
        self.assertEqual(self.ours(), [], "nothing was sent for that")
        self.assertEqual(self.hub.api("GET", "/why/nobody")[0], 404)
        # Others take no IPv6, and lack none.
        self.assertNotIn("no-ipv6", json.dumps(self.hub.api("GET", "/why/yeelight")[1]))
        # One that has an address of IPv4 is reached by that.
        self.grant()
        self.switch_on()
        answer = self.hub.accord("add", "matter", "code=-", "tests=yes", "--json", input=CODE, timeout=60)
        answer = json.loads(answer.stdout)
        self.assertEqual([one["code"] for one in answer["obstacles"]], ["no-ipv6"])
        self.assertEqual(([one["interface"] for one in answer["searched"]], len(answer["devices"])), (["eth0"], 1))
        self.find(25)
        why = self.hub.json("why", LAMP)
        self.assertEqual((why["reached"], why["obstacles"]), (True, []))
        ipv6(self.hub.machine, "eth0", True)
        self.is_over("no-ipv6", 15)
        self.assertEqual(self.before()["obstacles"], [])
        self.hub.machine.link("eth0", "down")
        self.assertEqual(self.becomes("no-network", 15)["weight"], "blocks")
        self.assertEqual((self.searched(), self.obstacle("no-ipv6")), ({}, None))


@unittest.skipUnless(MODULES.is_dir(), "matter.js is missing: tests/peers/run --install")
class OneWithoutIpv6(Told):
    """The lamp is on the second interface, which has no IPv6 and is in another network."""

    def wires(self):
        network = Network("alpha", "third")
        more = Network("peer", "fourth", prefix="10.77.0")
        network.machines.update(more.machines)
        alpha, peer = network["alpha"], network["peer"]
        peer.run("ip", "link", "del", "eth0")
        sh("ip", "link", "add", "eth1", "netns", alpha.holder.pid, "type", "veth", "peer", "name", "eth0", "netns", peer.holder.pid)
        for machine, device, address in ((alpha, "eth1", "10.78.0.1/24"), (peer, "eth0", "10.77.0.2/24")):
            machine.run("ip", "addr", "add", address, "dev", device)
            machine.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/{device}/rp_filter")
        ipv6(alpha, "eth1", False)
        alpha.link("eth1", "up")
        peer.link("eth0", "up")
        return network

    def test_a_lamp_that_is_heard_there_is_told_why_it_is_not_reached_and_is_once_there_is_ipv6(self):
        # The other interface has its link-local address a moment after it is there.
        until(lambda: (self.obstacle("no-ipv6") or {}).get("weight") == "hinders", 10, lambda: f"one of both has none: {self.before()}")
        self.everywhere("eth1 of this machine has no IPv6 address. Matter devices there may be heard")
        self.assertEqual({name: one["networks"][0] for name, one in self.searched().items()}, {"eth0": "10.66.0.1/24", "eth1": "10.78.0.1/24"})
        self.grant()
        self.switch_on()
        self.hub.accord("add", "matter", "code=-", "tests=yes", f"name={LAMP}", input=CODE, timeout=60)
        until(lambda: "it is heard there, and not reached" in self.why(), 20, lambda: f"that is said: {self.why()}\n{self.hub.log()[-1500:]}")
        why = self.hub.json("why", LAMP)
        blocks = {one["code"]: one["says"] for one in why["obstacles"] if one["weight"] == "blocks"}
        self.assertEqual(set(blocks), {"no-ipv6", "other-network"}, why)
        self.assertIn("is announced on eth1, at fe80::", blocks["no-ipv6"])
        self.assertIn("eth1 of this machine has no IPv6 address", blocks["no-ipv6"])
        self.assertIn("is announced on eth1 at 10.77.0.2, and eth1 of this machine is in another network (10.78.0.1/24)", blocks["other-network"])
        self.assertNotIn("Thread", json.dumps(why["obstacles"]))
        self.assertEqual([p for p in self.ours() if p.port != 5353], [], "it was not spoken to")
        ipv6(self.hub.machine, "eth1", True)
        until(lambda: (self.device(LAMP) or {}).get("reach") == "local", 40,
              lambda: f"it is reached: {self.why()}\n{self.before()}\n{self.hub.machine.run('ip', 'addr').stdout}\n{self.hub.log()[-1500:]}")
        self.set("on", True)
        self.shows(on=True)
        why = self.hub.json("why", LAMP)
        self.assertEqual((why["reached"], why["obstacles"]), (True, []))
        self.is_over("no-ipv6", 10)


@unittest.skipUnless(MODULES.is_dir(), "matter.js is missing: tests/peers/run --install")
class NoMulticast(Told):
    """A switch that carries no multicast to this machine, as those of guest networks; the lamp is behind another interface."""

    def wires(self):
        network = Network("alpha", "third", "peer")
        network.switch.run("ip", "link", "set", "port0", "type", "bridge_slave", "mcast_flood", "off")
        alpha, peer = network["alpha"], network["peer"]
        sh("ip", "link", "add", "eth1", "netns", alpha.holder.pid, "type", "veth", "peer", "name", "eth1", "netns", peer.holder.pid)
        return network

    def test_the_interface_is_named_on_which_nobody_is_heard(self):
        self.grant()
        self.switch_on()
        says = self.becomes("nothing-heard")["says"]
        self.assertIn("Matter speaks to all near by IPv4 multicast and IPv6 multicast on eth0", says)
        self.assertIn("or this network keeps devices apart", says)
        said = self.everywhere("nothing of any other device came that way")
        self.assertIn("eth0 (10.66.0.1/24), where nobody else is heard", said)
        self.assertIs(self.searched()["eth0"]["heard"], False)
        # Where only devices of one kind answer, that nobody does is no obstacle before there is one.
        self.hub.grant("yeelight/search")
        self.assertEqual(self.hub.api("GET", "/why/yeelight")[1]["obstacles"], [])
        # It is heard by another way.
        self.switch_off()
        for machine, address in ((self.hub.machine, "10.79.0.1/24"), (self.peer, "10.79.0.2/24")):
            machine.run("ip", "addr", "add", address, "dev", "eth1")
            machine.link("eth1", "up")
        self.switch_on()
        self.find(40, name="Lab")
        says = self.becomes("partly-heard", 20)["says"]
        self.assertEqual(says, "Others are heard on eth1, and nobody on eth0.")
        self.everywhere(says)
        self.assertEqual({name: one["heard"] for name, one in self.searched().items()}, {"eth0": False, "eth1": True})
        # The switch lets it through.
        self.network.switch.run("ip", "link", "set", "port0", "type", "bridge_slave", "mcast_flood", "on")
        # Whoever asks about a device has everyone asked anew.
        until(lambda: self.why("Lab") and not self.before()["obstacles"], 60, lambda: f"nothing stands in the way: {self.before()}")
        self.assertIs(self.searched()["eth0"]["heard"], True)


if __name__ == "__main__":
    unittest.main()
