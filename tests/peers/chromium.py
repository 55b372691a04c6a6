"""A real browser on one machine, driven by its own protocol over a pipe: no port is open for it."""

import base64
import collections
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    def __init__(self, machine, agent=None, size=(960, 540), *flags):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-chromium-"))
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        words = [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                 "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
                 "--disable-features=MediaRouter,OptimizationHints", "--mute-audio", f"--user-data-dir={self.folder}",
                 f"--window-size={size[0]},{size[1]}", "--remote-debugging-pipe", *([f"--user-agent={agent}"] if agent else []),
                 *flags, "about:blank"]
        # The browser reads at 3 and writes at 4.
        shell = f"exec \"$@\" 3<&{to_browser} 4>&{from_browser} {to_browser}<&- {from_browser}>&-"
        with open(self.folder / "log", "wb") as log:
            self.process = machine.popen("bash", "-c", shell, "bash", *words, stdout=log, stderr=log,
                                         pass_fds=(to_browser, from_browser), start_new_session=True)
        os.close(to_browser), os.close(from_browser)
        self.next, self.buffer, self.events = 1, b"", collections.deque(maxlen=500)
        self.pages = []

    def call(self, method, session=None, within=20, **given):
        number, self.next = self.next, self.next + 1
        message = {"id": number, "method": method, "params": given, **({"sessionId": session} if session else {})}
        os.write(self.write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + within
        while True:
            answer = self.receive(end, method)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def receive(self, end, what):
        while b"\0" not in self.buffer:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.read], [], [], left)[0]
            bytes_ = os.read(self.read, 1 << 20) if ready else b""
            assert bytes_, f"no answer to {what}; the browser said:\n{self.log()[-1500:]}"
            self.buffer += bytes_
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        self.call("Page.enable", session)
        self.call("Runtime.enable", session)
        page.go(url)
        self.pages.append(page)
        return page

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for end in (self.read, self.write):
            os.close(end)
        # What it started ends with its pipes, and may still write for a moment.
        for _ in range(20):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)


class Page:
    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session

    def go(self, url):
        return self.browser.call("Page.navigate", self.session, url=url)

    def reload(self):
        self.browser.call("Page.reload", self.session)

    def ask(self, expression, within=20, pressed=False):
        """What it is in the page; promises are waited for. `pressed`: as if somebody had just pressed something."""
        got = self.browser.call("Runtime.evaluate", self.session, within, expression=expression, returnByValue=True,
                                awaitPromise=True, userGesture=pressed)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def text(self, id_):
        return self.ask(f"(document.getElementById({json.dumps(id_)}) || {{}}).textContent") or ""

    def picture(self, path):
        got = self.browser.call("Page.captureScreenshot", self.session, format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(got["data"]))

    def press(self, key="Enter", code=13):
        for kind in ("rawKeyDown", "char", "keyUp"):
            self.browser.call("Input.dispatchKeyEvent", self.session, type=kind, key=key, code=key,
                              windowsVirtualKeyCode=code, text="\r" if kind == "char" else "")

    def console(self):
        logged = [one["params"] for one in self.browser.events if one.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
        return json.dumps(logged)[-2000:]

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
