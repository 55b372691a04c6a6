"""The tools that are measured: each copies a file or folder from one machine to the other."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "home"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
RIVALS = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "accord" / "rivals" / "bin"
os.environ["PATH"] = f"{RIVALS}:{os.environ['PATH']}:/usr/sbin:/sbin"
os.environ.setdefault("ACCORD", str(TARGET / "accord"))

import hub as hubs  # noqa: E402
import net  # noqa: E402


def total(path):
    """Bytes of a file, or of all files in a folder."""
    size = 0
    for found in [path, *path.rglob("*")]:
        try:
            size += found.stat().st_size if found.is_file() else 0
        except FileNotFoundError:
            pass  # a tool's own unfinished file, renamed meanwhile
    return size


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Tool:
    """One way to copy from alpha to beta. `copy` returns seconds."""

    name = ""
    encrypted = True
    runs_at_most = 100

    @classmethod
    def missing(cls):
        """Why it cannot run on this machine, if so."""
        return None

    @staticmethod
    def absent(program):
        return None if shutil.which(program) else f"{program} is not installed"

    @classmethod
    def fits(cls, row):
        return True

    def __init__(self, bench, network, row):
        self.bench, self.network, self.row = bench, network, row
        self.alpha, self.beta = network["alpha"], network["beta"]
        self.to = network.address["beta"]
        self.daemons = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=self.name.replace(' ', '-') + '-', dir=bench.scratch))

    def prepare(self):
        pass

    def daemon(self, machine, *words, ready=None, **more):
        process = machine.popen(*words, stdout=subprocess.PIPE if ready else subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, text=True, start_new_session=True, **more)
        self.daemons.append(process)
        if ready:
            while ready not in process.stdout.readline():
                if process.poll() is not None:
                    raise RuntimeError(f"{words[0]} ended")
        else:
            time.sleep(0.5)
            if process.poll() is not None:
                raise RuntimeError(f"{words[0]} ended")
        return process

    def timed(self, *words, **more):
        began = time.monotonic()
        done = self.alpha.run(*words, check=False, timeout=600, **more)
        took = time.monotonic() - began
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]}: {done.stdout[-300:]}{done.stderr[-500:]}")
        return took

    def cpu_seconds(self):
        return 0.0

    def check(self, source, target):
        got, want = total(target), total(source)
        if got != want:
            raise RuntimeError(f"{got} of {want} bytes arrived")

    def close(self):
        for process in self.daemons:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # Syncthing runs as a child of itself
            except ProcessLookupError:
                pass
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Accord(Tool):
    name = "accord"

    def prepare(self):
        self.sender = hubs.Hub(self.alpha, "alpha", folder=self.folder)
        self.receiver = hubs.Hub(self.beta, "beta", folder=self.folder)
        for hub in (self.sender, self.receiver):
            hub.start()
            hub.grant("link/discovery")
        hubs.pair(self.sender, self.receiver)
        self.sender.grant("files/send", "beta")
        self.receiver.grant("files/receive", "alpha")
        device = self.receiver.sees(self.sender)["id"]
        self.receiver.accord("devices", "set", device, "--auto-accept", "true")

    def copy(self, source, target):
        shutil.rmtree(self.receiver.inbox_folder(), ignore_errors=True)
        return self.timed(hubs.ACCORD, "--state", self.sender.state, "send", "--quiet", "beta", source)

    def check(self, source, target):
        inbox = self.receiver.inbox_folder()
        super().check(source, inbox / source.name if source.is_dir() else inbox)

    def cpu_seconds(self):
        return cpu_of(self.sender.process.pid) + cpu_of(self.receiver.process.pid)

    def close(self):
        for hub in (getattr(self, "sender", None), getattr(self, "receiver", None)):
            if hub:
                hub.close()
        super().close()


class Iperf(Tool):
    name = "iperf3"
    encrypted = False

    @classmethod
    def fits(cls, row):
        return bool(row.size)

    def prepare(self):
        self.daemon(self.beta, "iperf3", "-s")

    def copy(self, source, target):
        return self.timed("iperf3", "-c", self.to, "-n", f"{self.row.size}M")

    def check(self, source, target):
        pass


class TlsCopy(Tool):
    """A bare TLS copy of the same file: what encryption alone costs."""

    name = "tls"

    @classmethod
    def fits(cls, row):
        return bool(row.size)

    def copy(self, source, target):
        program = TARGET / "tls-copy"
        self.daemon(self.beta, program, "receive", "--listen", f"{self.to}:9000", target / source.name, ready="ready")
        return self.timed(program, "send", "--to", f"{self.to}:9000", source)


class Rsync(Tool):
    name = "rsync"
    encrypted = False

    def prepare(self):
        config = self.folder / "rsyncd.conf"
        config.write_text(f"use chroot = no\nuid = root\ngid = root\nport = 8730\n[to]\npath = {self.bench.scratch}/to\n"
                          "read only = no\n")
        self.daemon(self.beta, "rsync", "--daemon", "--no-detach", f"--config={config}")

    def copy(self, source, target):
        return self.timed("rsync", "-a", "-W", source, f"rsync://{self.to}:8730/to/")


class Scp(Tool):
    name = "scp"
    port = "2222"

    def prepare(self):
        key = self.folder / "key"
        net.sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        net.sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "host")
        shutil.copy(f"{key}.pub", self.folder / "authorized")
        os.makedirs("/run/sshd", exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text(f"Port {self.port}\nHostKey {self.folder}/host\nAuthorizedKeysFile {self.folder}/authorized\n"
                          f"PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile {self.folder}/pid\n"
                          "Subsystem sftp internal-sftp\n")
        self.daemon(self.beta, "/usr/sbin/sshd", "-D", "-f", config)

    def copy(self, source, target):
        return self.timed("scp", "-q", "-r", "-P", self.port, "-i", self.folder / "key", "-c", "aes128-gcm@openssh.com", "-o",
                          "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", source,
                          f"{self.to}:{target}/")


class TarSsh(Scp):
    name = "tar over ssh"
    port = "2223"

    @classmethod
    def fits(cls, row):
        return bool(row.files)

    def copy(self, source, target):
        line = (f"tar -C '{source.parent}' -cf - '{source.name}' | ssh -q -p {self.port} -i '{self.folder}/key' "
                "-c aes128-gcm@openssh.com -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                f"{self.to} tar -C '{target}' -xf -")
        return self.timed("sh", "-c", line)


class Wormhole(Tool):
    name = "magic-wormhole"

    @classmethod
    def missing(cls):
        return None if (RIVALS / "wormhole").exists() else "magic-wormhole is not installed"

    def prepare(self):
        twist = RIVALS / "twist"
        self.daemon(self.beta, twist, "wormhole-mailbox", "--port", "tcp:4000", cwd=self.folder)
        self.daemon(self.beta, twist, "transitrelay", "--port", "tcp:4001", cwd=self.folder)

    def copy(self, source, target):
        common = [RIVALS / "wormhole", "--relay-url", f"ws://{self.to}:4000/v1", "--transit-helper", f"tcp:{self.to}:4001"]
        receiver = self.beta.popen(*common, "receive", "--accept-file", "--hide-progress", "7-bench-run", cwd=target,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            took = self.timed(*common, "send", "--hide-progress", "--code", "7-bench-run", source)
            receiver.wait(60)
            return took
        finally:
            receiver.kill()


class Sendme(Tool):
    """Measured when `sendme` is on the PATH (cargo install sendme)."""

    name = "sendme"

    @classmethod
    def missing(cls):
        return cls.absent("sendme")

    def copy(self, source, target):
        sender = self.alpha.popen("sendme", "send", "--relay", "disabled", "--no-progress", "--ticket-type", "addresses",
                                  source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=self.folder)
        try:
            began = time.monotonic()
            ticket = None
            while ticket is None:
                line = sender.stdout.readline()
                if not line:
                    raise RuntimeError("sendme ended without a ticket")
                ticket = next((word for word in line.split() if word.startswith("blob") and len(word) > 40), None)
            self.beta.run("sendme", "receive", "--relay", "disabled", "--no-progress", ticket, cwd=target, timeout=600)
            return time.monotonic() - began
        finally:
            sender.kill()
            sender.wait()


class Syncthing(Tool):
    """Timed from the scan that finds the new files until the receiver has all of them."""

    name = "syncthing"
    runs_at_most = 1

    @classmethod
    def missing(cls):
        return cls.absent("syncthing")

    def prepare(self):
        self.id, self.home = {}, {}
        for machine in (self.alpha, self.beta):
            home = self.home[machine.name] = self.folder / machine.name
            net.sh("syncthing", "generate", "--home", home, "--no-default-folder")
            self.id[machine.name] = net.sh("syncthing", "--home", home, "--device-id").stdout.strip()
        for machine, other in ((self.alpha, self.beta), (self.beta, self.alpha)):
            home = self.home[machine.name]
            share = self.folder / f"{machine.name}-share"
            (share / ".stfolder").mkdir(parents=True)
            devices = "".join(f'<device id="{self.id[name]}" name="{name}"><address>tcp://{self.network.address[name]}:'
                              "22000</address></device>" for name in (machine.name, other.name))
            shared = "".join(f'<device id="{self.id[name]}"/>' for name in (machine.name, other.name))
            off = "".join(f"<{name}>false</{name}>" for name in (
                "globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled",
                "crashReportingEnabled", "startBrowser"))
            (home / "config.xml").write_text(
                f'<configuration version="36"><folder id="bench" path="{share}" type="sendreceive" fsWatcherEnabled="false"'
                f' rescanIntervalS="3600">{shared}</folder>{devices}<gui enabled="true"><address>127.0.0.1:8384</address>'
                f"<apikey>bench</apikey></gui><options><listenAddress>tcp://0.0.0.0:22000</listenAddress>{off}"
                "<urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH></options></configuration>")
            self.daemon(machine, "syncthing", "serve", "--home", home, "--no-browser", "--no-restart",
                        env={**os.environ, "STNODEFAULTFOLDER": "1", "HOME": str(self.folder)})
        net.until(self.connected, 60, "the two find each other")

    def rest(self, machine, method, path):
        ask = ("import json,sys,urllib.request as u;"
               f"r=u.Request('http://127.0.0.1:8384/rest/{path}',method='{method}',headers={{'X-API-Key':'bench'}});"
               "sys.stdout.write(u.urlopen(r,timeout=10).read().decode() or '{}')")
        done = machine.run("python3", "-c", ask, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def connected(self):
        seen = self.rest(self.alpha, "GET", "system/connections")
        return seen and seen["connections"].get(self.id["beta"], {}).get("connected")

    def copy(self, source, target):
        share, got = self.folder / "alpha-share", self.folder / "beta-share"
        net.sh("cp", "-rl", source, share / source.name)
        began = time.monotonic()
        self.rest(self.alpha, "POST", "db/scan?folder=bench")
        want = total(source)
        net.until(lambda: total(got / source.name) == want and (self.rest(
            self.alpha, "GET", f"db/completion?folder=bench&device={self.id['beta']}") or {}).get("completion") == 100,
            300, "everything arrives")
        took = time.monotonic() - began
        net.sh("mv", got / source.name, target / source.name)
        return took


class Croc(Tool):
    name = "croc"

    @classmethod
    def missing(cls):
        return cls.absent("croc")

    def prepare(self):
        self.daemon(self.beta, "croc", "relay", "--ports", "9009,9010,9011")

    def copy(self, source, target):
        secret = {**os.environ, "CROC_SECRET": "bench-bench-bench", "HOME": str(self.folder)}
        sender = self.alpha.popen("croc", "--relay", f"{self.to}:9009", "send", "--no-local", source, env=secret,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            began = time.monotonic()
            self.beta.run("croc", "--yes", "--relay", f"{self.to}:9009", env=secret, cwd=target, timeout=600)
            return time.monotonic() - began
        finally:
            sender.kill()
            sender.wait()


ALL = [Accord, Iperf, TlsCopy, Rsync, Scp, TarSsh, Wormhole, Sendme, Croc, Syncthing]
