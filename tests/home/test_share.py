"""Sharing by link, with the programs that visitors really have: curl, and whatever reads a ZIP archive.

Three machines: the one that shares, a guest that is let in, and a stranger that learns the address.
"""

import collections
import hashlib
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest
import zipfile

from hub import Hub
from net import Network, until
from wire import Capture

MIB = 1 << 20
PORT = 8421


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class ShareTest(unittest.TestCase):
    def setUp(self):
        self.network = Network("alpha", "guest", "stranger")
        self.alpha = Hub(self.network["alpha"], "alpha", kind="laptop").start()
        self.folder = self.alpha.folder
        self.captures = []

    def tearDown(self):
        for capture in self.captures:
            capture.stop()
        self.alpha.close()
        self.network.close()

    # -- what people do -----------------------------------------------------------------------------

    def file(self, name, size=0, text=None):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if text is not None else hashlib.shake_128(name.encode()).digest(size))
        return path

    def share(self, *words):
        return json.loads(self.alpha.accord("share", *words, "--detach", "--json").stdout)

    def shares(self):
        return self.alpha.json("shares")["shares"]

    def curl(self, who, *words, check=True, timeout=60):
        """What curl says: (status, body as text)."""
        done = self.network[who].run("curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", timeout,
                                     "--write-out", "\n%{http_code}", *words, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def knock(self, who, url, *form):
        """Comes to the door; the address of the visit's own page."""
        done = self.network[who].run("curl", "--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}",
                                     "--request", "POST", "--data", "&".join(form), url)
        status, _, page = done.stdout.partition(" ")
        return int(status), page

    def waiting(self):
        return [one for share in self.shares() for one in share["visitors"] if one["state"] == "waiting"]

    def let_in(self, who, url):
        status, page = self.knock(who, url)
        self.assertEqual(status, 303)
        until(self.waiting, 5, "somebody waits")
        self.alpha.accord("shares", "let-in")
        return page

    def listens(self):
        return f":{PORT} " in self.network["alpha"].run("ss", "-Hltn").stdout

    def visitor_records(self, *kinds):
        return [one for one in self.alpha.records() if one.get("entry") == "share/visitor" and one["kind"] in kinds]

    # -- the tests ----------------------------------------------------------------------------------

    def test_without_consent_no_listener_and_not_one_packet(self):
        self.captures.append(Capture(self.network["guest"], self.folder))
        path = self.file("a.txt", text="CANARY")
        for _ in range(2):
            done = self.alpha.accord("share", path, "--detach", check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertFalse(self.listens())
            self.alpha.refuse("share/link")
        self.assertIn("efused", done.stderr)
        self.alpha.grant("share/link")
        self.alpha.refuse("share/visitor")
        self.assertEqual(self.alpha.accord("share", path, "--everyone", "--detach", check=False).returncode, 1)
        self.assertFalse(self.listens())
        self.assertEqual(self.shares(), [])
        self.curl("guest", f"http://{self.network.address['alpha']}:{PORT}/", check=False)
        self.assertEqual(self.captures[0].packets(), [])

    def test_a_guest_is_let_in_and_a_stranger_with_the_address_gets_nothing(self):
        self.alpha.grant("share/link")
        big, odd = self.file("big.bin", 5 * MIB), self.file("trip/Grüße & \"mehr\".txt", text="hello")
        self.captures.append(Capture(self.network["guest"], self.folder))
        self.captures.append(Capture(self.network["stranger"], self.folder))
        share = self.share(big, odd.parent, "--text", "the word is CANARYTEXT4410")
        url = share["urls"][0]
        self.assertRegex(url, rf"^http://{re.escape(self.network.address['alpha'])}:{PORT}/[a-z2-9]{{12}}/$")
        self.assertEqual(self.curl("guest", url.rsplit("/", 2)[0] + "/")[0], 404)
        landing = self.curl("guest", url)[1]
        self.assertIn("alpha shares 3 things", landing)
        self.assertNotIn("big.bin", landing)
        page = self.let_in("guest", url)
        listed = self.curl("guest", page)[1]
        self.assertIn("big.bin", listed)
        self.assertIn("CANARYTEXT4410", listed)

        # The stranger knows every address that the guest knows.
        for path in (page, page + "1/big.bin", page + "all.zip"):
            status, body = self.curl("stranger", path)
            self.assertIn(status, (303, 403), path)
            self.assertNotIn("big.bin", body)
        status, asked = self.knock("stranger", url)
        self.assertEqual(status, 303)
        until(self.waiting, 5, "the stranger waits")
        self.alpha.accord("shares", "decline")
        self.assertEqual(self.curl("stranger", asked)[0], 403)
        self.assertEqual(self.curl("stranger", asked + "1/")[0], 403)

        got = self.folder / "got"
        got.mkdir()
        self.network["guest"].run("curl", "--silent", "--noproxy", "*", "--remote-name-all", "--remote-header-name", page + "1/",
                                  page + "2/", cwd=got)
        self.assertEqual(digest(got / "big.bin"), digest(big))
        names = {one.name for one in got.iterdir()}
        self.assertEqual(len(names), 2, names)
        archive = self.folder / "all.zip"
        self.curl("guest", "--output", archive, page + "all.zip")
        with zipfile.ZipFile(archive) as read:
            self.assertIsNone(read.testzip())
            self.assertEqual(set(read.namelist()), {"big.bin", "trip/Grüße & \"mehr\".txt"})
            self.assertEqual(read.read("trip/Grüße & \"mehr\".txt"), b"hello")
        if shutil.which("unzip"):
            subprocess.run(["unzip", "-tq", archive], check=True, capture_output=True)

        # What is gone is not given out; LocalSend's own calls are asked about like others.
        odd.unlink()
        self.assertEqual(self.curl("guest", page + "2/")[0], 410)
        info = json.loads(self.curl("stranger", url.rsplit("/", 2)[0] + "/api/localsend/v2/info")[1])
        self.assertTrue(info["download"])
        self.alpha.accord("shares", "stop")
        self.assertFalse(self.listens())
        self.assertEqual(self.shares(), [])
        self.curl("guest", page, check=False)
        self.the_ledger_is_what_the_wire_shows()
        kinds = {one["to"]: one["state"] for one in self.alpha.json("consent", "list")["consents"] if one["entry"] == "share/visitor"}
        self.assertEqual(kinds, {}, "what was agreed to for this share is over with it")

    def the_ledger_is_what_the_wire_shows(self):
        """Per machine and entry: bytes that left by TCP, repeats counted once, equal the ledger's."""
        written, seen = collections.Counter(), collections.Counter()
        until(lambda: len(self.visitor_records("intent")) == len(self.visitor_records("sent", "error")), 10, "every intent is closed")
        for record in self.alpha.records():
            details = record.get("details") or {}
            if record.get("entry") == "share/visitor" and record["kind"] in ("sent", "error"):
                written[details["recipient"].removeprefix("visitor:")] += record["bytes"] + record.get("framing", 0)
            if record.get("entry") == "share/link" and record["kind"] == "sent":
                for place in details["addresses"]:
                    written[place["address"].rsplit(":", 1)[0]] += place["bytes"]
        for capture in self.captures:
            parts = {}
            for packet in capture.packets():
                if packet.protocol == "tcp" and packet.source == self.network.address["alpha"] and packet.payload:
                    parts.setdefault((packet.to, packet.port), {})[packet.sequence] = len(packet.payload)
                self.assertIn(packet.protocol, ("tcp",), packet)
            for (to, _), stretches in parts.items():
                seen[to] += covered(stretches)
        self.assertEqual(seen, written)

    def test_a_visitor_that_is_killed_half_way_goes_on_where_it_was(self):
        self.alpha.grant("share/link")
        # More than the kernels of both ends hold for a visitor that reads slowly.
        big = self.file("big.bin", 64 * MIB)
        page = self.let_in("guest", self.share(big)["urls"][0])
        got = self.folder / "got.bin"
        words = ["curl", "--silent", "--noproxy", "*", "--output", got, page + "0/big.bin"]
        slow = self.network["guest"].popen(*words, "--limit-rate", "4M")
        until(lambda: got.exists() and got.stat().st_size > 2 * MIB, 30, "some of it arrived")
        slow.kill()
        slow.wait()
        half = got.stat().st_size
        self.assertLess(half, 64 * MIB)
        self.network["guest"].run(*words, "--continue-at", "-")
        self.assertEqual(digest(got), digest(big))
        until(lambda: self.visitor_records("error"), 10, "the half is in the ledger")
        rest = max(item["size"] for one in self.visitor_records("sent") for item in one["details"].get("items", []))
        self.assertEqual(rest, 64 * MIB - half, "only the rest was sent again")

    def test_withdrawing_or_stopping_ends_a_download_at_once(self):
        self.alpha.grant("share/link")
        big = self.file("big.bin", 64 * MIB)
        for how in (["consent", "withdraw", "share/visitor", "--to", f"visitor:{self.network.address['guest']}"], ["shares", "stop"]):
            share = self.share(big)
            page = self.let_in("guest", share["urls"][0])
            got = self.folder / "got.bin"
            got.unlink(missing_ok=True)
            slow = self.network["guest"].popen("curl", "--silent", "--noproxy", "*", "--output", got, "--limit-rate", "8M", page + "0/")
            until(lambda: got.exists() and got.stat().st_size > MIB, 30, "some of it arrived")
            self.alpha.accord(*how)
            self.captures.append(Capture(self.network["guest"], self.folder))
            self.assertNotEqual(slow.wait(30), 0, "the download broke off")
            self.assertLess(got.stat().st_size, 64 * MIB)
            time.sleep(0.5)
            late = [packet for packet in self.captures.pop().packets() if packet.payload and packet.source == self.network.address["alpha"]]
            # What the kernel held already may still leave.
            self.assertLess(sum(len(packet.payload) for packet in late), 8 * MIB, how)
            self.assertEqual(self.curl("guest", page + "0/", check=False)[0] if how[0] == "consent" else 0, 403 if how[0] == "consent" else 0)
            self.alpha.accord("shares", "stop", check=how[0] == "consent")
        self.assertFalse(self.listens())

    def test_a_pin_is_guessed_three_times_at_most(self):
        self.alpha.grant("share/link")
        path = self.file("a.txt", text="hello")
        share = self.share(path, "--pin", "4711abc")
        url = share["urls"][0]
        self.assertEqual(url, f"http://{self.network.address['alpha']}:{PORT}/", "short enough to type")
        status, page = self.knock("guest", url, "pin=4711abc")
        self.assertEqual(status, 303)
        self.assertEqual(self.curl("guest", page + "0/"), (200, "hello"))
        for pin in ("1", "2", "3"):
            self.assertEqual(self.knock("stranger", url, f"pin={pin}")[0], 401)
        self.assertEqual(self.knock("stranger", url, "pin=4711abc")[0], 429)
        self.assertEqual(self.curl("stranger", "--request", "POST", f"{url}api/localsend/v2/prepare-download?pin=4711abc")[0], 429)
        self.assertEqual(self.curl("stranger", page + "0/")[0], 403)
        again = self.alpha.json("shares")["shares"][0]
        self.assertEqual(again["pin"], "4711abc")
        # A PIN that was made up, and two shares at once that let in the same guest.
        second = self.share(path, "--pin", "new", "--for", "2h")
        self.assertRegex(second["pin"], r"^\d{6}$")
        status, other = self.knock("guest", second["urls"][0], f"pin={second['pin']}")
        self.assertEqual(self.curl("guest", other + "0/"), (200, "hello"))
        self.alpha.accord("shares", "stop", second["id"])
        self.assertEqual(self.curl("guest", page + "0/"), (200, "hello"), "the first share goes on")

    def test_localsends_download_api_as_its_core_speaks_it(self):
        """POST without a body, then GET: as `LsHttpClientV2` of LocalSend 1.18 does."""
        self.alpha.grant("share/link")
        path = self.file("a b.txt", text="hello")
        share = self.share(path, "--everyone")
        root = share["urls"][0].rsplit("/", 2)[0]
        asking = self.network["guest"].popen("curl", "--silent", "--noproxy", "*", "--request", "POST", "--user-agent", "LocalSend/1.18",
                                             f"{root}/api/localsend/v2/prepare-download", stdout=subprocess.PIPE, text=True)
        asked = until(self.waiting, 5, "the owner is asked, though the link is for everyone: this visitor has not shown it")
        self.assertEqual(asked[0]["agent"], "LocalSend/1.18")
        self.alpha.accord("shares", "let-in")
        offer = json.loads(asking.communicate(timeout=20)[0])
        self.assertEqual(offer["info"]["alias"], "alpha")
        self.assertEqual(offer["files"]["0"]["fileName"], "a b.txt")
        got = self.curl("guest", f"{root}/api/localsend/v2/download?sessionId={offer['sessionId']}&fileId=0")
        self.assertEqual(got, (200, "hello"))
        self.assertEqual(self.curl("stranger", f"{root}/api/localsend/v2/download?sessionId={offer['sessionId']}&fileId=0")[0], 403)

    def test_hostile_visitors_are_bounded_and_the_terminal_ends_it(self):
        self.alpha.grant("share/link")
        path = self.file("a.txt", text="hello")
        running = self.alpha.popen("share", path, "--everyone", stdin=subprocess.DEVNULL)
        share = until(lambda: self.shares() and self.shares()[0], 10, "the share is open")
        at = (self.network.address["alpha"], PORT)

        def hold():
            """Many connections that say nothing, or one byte a second; how many of them are served after a while."""
            lines = [socket.create_connection(at, 5) for _ in range(60)]
            for line in lines:
                try:
                    line.sendall(b"GET / HT")
                except OSError:
                    pass
            time.sleep(12)
            alive = 0
            for line in lines:
                line.settimeout(0.2)
                try:
                    alive += line.recv(1) != b""
                except TimeoutError:
                    alive += 1
                except OSError:
                    pass
                line.close()
            return alive

        holding = self.network["stranger"].inside(hold)
        self.assertEqual(holding, 0, "who does not say what it wants in time is let go")
        self.assertEqual(self.curl("guest", "--location", share["urls"][0])[0], 200)
        until(lambda: any(one["state"] == "in" for one in self.shares()[0]["visitors"]), 5, "the guest is seen")
        time.sleep(1)  # what changes is told four times a second
        for request in (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", b"BREW / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"):
            def send():
                with socket.create_connection(at, 5) as line:
                    line.sendall(request)
                    return line.recv(4096)
            self.assertRegex(self.network["stranger"].inside(send), rb"^HTTP/1.1 4\d\d ")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
        self.assertEqual(running.returncode, 0, err)
        self.assertIn("is in", out)
        self.assertIn("Sharing stopped", out)
        self.assertFalse(self.listens())
        # A crash leaves nothing open and nothing agreed to.
        self.share(path, "--everyone")
        self.assertEqual(self.curl("guest", "--location", self.shares()[0]["urls"][0])[0], 200)
        self.alpha.kill()
        self.alpha.start()
        self.assertEqual(self.shares(), [])
        self.assertFalse(self.listens())


def covered(stretches):
    """Bytes of a stream that were seen, each once, from its pieces by sequence number."""
    total, end = 0, None
    for at, length in sorted(stretches.items()):
        begin = at if end is None else max(at, end)
        total += max(0, at + length - begin)
        end = max(at + length, end or 0)
    return total


if __name__ == "__main__":
    unittest.main()
