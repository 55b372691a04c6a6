#!/usr/bin/env python3
"""Measures Accord beside its rivals, in the same run on the same machine, and writes the README's table.

Every row is one task on one link; the tools take turns, and the median of the runs is shown. Whole commands
are timed, from start to exit: start-up, hashing and the last acknowledged write included.

    bench/run.py                      all rows, three runs each
    bench/run.py --rows big-fast --runs 5 --tools accord,rsync,tls
    bench/run.py --write-readme       and put the tables into README.md
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "home"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
RIVALS = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "accord" / "rivals" / "bin"
os.environ["PATH"] = f"{RIVALS}:{os.environ['PATH']}"
os.environ.setdefault("ACCORD", str(TARGET / "accord"))

import hub as hubs  # noqa: E402
import net  # noqa: E402

MIB = 1 << 20


class Row:
    """One task on one link."""

    def __init__(self, key, title, link, size=None, files=None, control=None):
        self.key, self.title, self.link, self.size, self.files, self.control = key, title, link, size, files, control


def rows(full):
    slow = 2048 if full else 512
    bad = 2048 if full else 128
    return [
        Row("big-fast", "one 2 GiB file, unshaped veth", "fast", size=2048),
        Row("big-gigabit", f"one {slow} MiB file, 1 Gbit/s", "gigabit", size=slow),
        Row("big-bad", f"one {bad} MiB file, 300 Mbit/s, 20 ms, 1 % loss", "bad", size=bad, control="bbr"),
        Row("small-fast", "10,000 files of 4 KiB, unshaped veth", "fast", files=10_000),
        Row("small-gigabit", "10,000 files of 4 KiB, 1 Gbit/s", "gigabit", files=10_000),
        Row("small-bad", "10,000 files of 4 KiB, 300 Mbit/s, 20 ms, 1 % loss", "bad", files=10_000, control="bbr"),
    ]


class Bench:
    def __init__(self, options):
        self.options = options
        base = options.scratch or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="accord-bench-", dir=base))

    def source(self, row):
        """The file or folder that the row sends, made once."""
        path = self.scratch / "from" / (f"{row.size}.bin" if row.size else f"{row.files}-files")
        if path.exists():
            return path
        path.parent.mkdir(exist_ok=True)
        if row.size:
            block = os.urandom(4 * MIB)
            with open(path, "wb") as out:
                for index in range(row.size // 4):
                    out.write(index.to_bytes(8, "big") + block[8:])
        else:
            path.mkdir()
            for index in range(row.files):
                (path / f"{index:05}.bin").write_bytes(os.urandom(4096))
        return path

    def network(self, row):
        if row.link == "bad":
            network = net.BadLink(str(TARGET / "link-emulator"), "alpha", "beta", 300, 10, 0.01)
        else:
            network = net.Network("alpha", "beta")
            if row.link == "gigabit":
                network.shape("1gbit")
        if row.control:
            network.congestion(row.control)
        return network

    def run(self):
        chosen = [row for row in rows(self.options.full) if not self.options.rows or row.key in self.options.rows]
        results = []
        try:
            for row in chosen:
                results.append(self.measure(row))
            idle = self.idle() if not self.options.rows else None
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return results, idle

    def measure(self, row):
        print(f"\n{row.title}", flush=True)
        source = self.source(row)
        amount = row.size or row.files * 4096 / MIB
        with self.network(row) as network:
            tools = []
            for kind in TOOLS:
                if self.options.tools and kind.name not in self.options.tools:
                    continue
                if not kind.fits(row):
                    continue
                tool = kind(self, network, row)
                try:
                    tool.prepare()
                    tools.append(tool)
                except Exception as error:  # a rival that does not start here is named, not hidden
                    print(f"  {kind.name}: cannot run here: {str(error).splitlines()[-1][:160]}", flush=True)
                    tool.close()
            seconds = {tool.name: [] for tool in tools}
            cpu = {}
            for _ in range(self.options.runs):
                for tool in tools:
                    target = self.scratch / "to"
                    shutil.rmtree(target, ignore_errors=True)
                    target.mkdir()
                    try:
                        before = tool.cpu_seconds()
                        took = tool.copy(source, target)
                        cpu.setdefault(tool.name, []).append(tool.cpu_seconds() - before)
                        tool.check(source, target)
                        seconds[tool.name].append(took)
                    except Exception as error:
                        print(f"  {tool.name}: failed: {str(error)[-300:]}", flush=True)
            for tool in tools:
                tool.close()
        shutil.rmtree(self.scratch / "to", ignore_errors=True)
        result = {"row": row.key, "title": row.title, "mib": amount, "small": bool(row.files), "tools": {}}
        for tool in tools:
            runs = seconds[tool.name]
            if not runs:
                continue
            median = statistics.median(runs)
            figure = {"median_s": round(median, 3), "min_s": round(min(runs), 3), "max_s": round(max(runs), 3),
                      "mib_per_s": round(amount / median, 1), "runs": len(runs), "encrypted": tool.encrypted}
            spent = statistics.median(cpu.get(tool.name, [0]))
            if spent > 0:
                figure["cpu_s_per_gib"] = round(spent / (amount / 1024), 2)
            result["tools"][tool.name] = figure
            print(f"  {tool.name:<14}{median:9.3f} s {amount / median:9.1f} MiB/s   ({min(runs):.3f} to {max(runs):.3f})",
                  flush=True)
        return result

    def idle(self):
        """Memory and wake-ups of a hub that sees another and has nothing to do."""
        print("\nIdle hub, discovery on, one paired device, 30 s", flush=True)
        with net.Network("alpha", "beta") as network:
            tool = Accord(self, network, Row("idle", "", "fast", size=1))
            try:
                tool.prepare()
                time.sleep(5)
                pid = tool.sender.process.pid
                before = wakeups(pid)
                time.sleep(30)
                figure = {"rss_mib": round(rss(pid) / MIB, 1), "wakeups_per_s": round((wakeups(pid) - before) / 30, 1)}
            finally:
                tool.close()
        print(f"  {figure['rss_mib']} MiB resident, {figure['wakeups_per_s']} wake-ups a second", flush=True)
        return figure


def tasks(pid):
    return list(pathlib.Path(f"/proc/{pid}/task").iterdir())


def wakeups(pid):
    total = 0
    for task in tasks(pid):
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def rss(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Tool:
    """One way to copy from alpha to beta. `copy` returns seconds."""

    name = ""
    encrypted = True

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
                                stderr=subprocess.DEVNULL, text=True, **more)
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
        got = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        want = source.stat().st_size if source.is_file() else sum(path.stat().st_size for path in source.iterdir())
        if got != want:
            raise RuntimeError(f"{got} of {want} bytes arrived")

    def close(self):
        for process in self.daemons:
            process.kill()
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
    def fits(cls, row):
        return (RIVALS / "wormhole").exists()

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
    def fits(cls, row):
        return shutil.which("sendme") is not None

    def copy(self, source, target):
        sender = self.alpha.popen("sendme", "send", "--relay", "disabled", "--no-progress", "--ticket-type", "addresses",
                                  source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=self.folder)
        try:
            began = time.monotonic()
            ticket = None
            for line in sender.stdout:
                ticket = next((word for word in line.split() if word.startswith("blob") and len(word) > 40), None)
                if ticket:
                    break
            assert ticket, f"sendme ended with status {sender.wait()} and showed no ticket"
            self.beta.run("sendme", "receive", "--relay", "disabled", "--no-progress", ticket, cwd=target, timeout=600)
            return time.monotonic() - began
        finally:
            sender.kill()
            sender.wait()


TOOLS = [Accord, Iperf, TlsCopy, Rsync, Scp, TarSsh, Wormhole, Sendme]


def table(results, idle):
    """The README's tables, as Markdown."""
    lines = []
    for small, unit in ((False, "MiB/s, more is better"), (True, "seconds, less is better")):
        chosen = [result for result in results if result["small"] == small]
        if not chosen:
            continue
        names = [kind.name for kind in TOOLS if any(kind.name in result["tools"] for result in chosen)]
        plain = {name for result in chosen for name, figure in result["tools"].items() if not figure["encrypted"]}
        lines.append(f"| {unit} | " + " | ".join(name + (" *" if name in plain else "") for name in names) + " |")
        lines.append("|---|" + "---:|" * len(names))
        for result in chosen:
            cells = []
            for name in names:
                figure = result["tools"].get(name)
                value = "–" if figure is None else f"{figure['median_s']:.2f}" if small else f"{figure['mib_per_s']:.0f}"
                cells.append(f"**{value}**" if name == "accord" else value)
            lines.append(f"| {result['title']} | " + " | ".join(cells) + " |")
        lines.append("")
    runs = max((figure["runs"] for result in results for figure in result["tools"].values()), default=0)
    lines.append(f"Median of {runs} runs each, tools in turn, files on tmpfs, whole commands timed. \\* not encrypted. "
                 "iperf3 moves bytes from memory; `tls` is a bare TLS 1.3 copy of the file that checks and names nothing.")
    if idle:
        lines.append(f"An idle hub with one paired device: {idle['rss_mib']} MiB resident, "
                     f"{idle['wakeups_per_s']} wake-ups a second.")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=lambda text: text.split(","))
    parser.add_argument("--tools", type=lambda text: text.split(","))
    parser.add_argument("--full", action="store_true", help="2 GiB on every link")
    parser.add_argument("--scratch", help="folder for the files; default: memory")
    parser.add_argument("--json", type=pathlib.Path, help="also write all figures to this file")
    parser.add_argument("--write-readme", action="store_true")
    options = parser.parse_args()
    results, idle = Bench(options).run()
    if options.json:
        options.json.write_text(json.dumps({"rows": results, "idle": idle}, indent=1))
    text = table(results, idle)
    print("\n" + text)
    if options.write_readme:
        readme = ROOT / "README.md"
        before, rest = readme.read_text().split("<!-- bench -->\n", 1)
        after = rest.split("<!-- /bench -->", 1)[1]
        readme.write_text(f"{before}<!-- bench -->\n{text}\n<!-- /bench -->{after}")


if __name__ == "__main__":
    main()
