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
sys.path.insert(0, str(ROOT / "bench"))

import casting  # noqa: E402
import home  # noqa: E402
import notices  # noqa: E402
import phones  # noqa: E402
import tools  # noqa: E402  (finds the tests' machines, too)
from tools import TARGET, net  # noqa: E402

MIB = 1 << 20
# The row of notifications, which no other tool has, and those of casting and of the home, which have rivals of their own.
NOTICES, CASTING, HOME = "notices", "casting", "home"
# A tool that takes longer than these seconds, or fails, is not run again.
PATIENCE = 60


class Row:
    """One task on one link."""

    def __init__(self, key, title, link, size=None, files=None, control=None, family=None):
        self.key, self.title, self.link, self.size, self.files, self.control = key, title, link, size, files, control
        self.family = family  # the phones' protocol that all tools of this row speak

    @property
    def tools(self):
        return phones.WAYS[self.family] if self.family else tools.ALL + phones.RIVALS_TO_ALL


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
        *(Row(family.lower().replace(" ", ""), f"{family}, one 1 GiB file, unshaped veth", "fast", size=1024, family=family)
          for family in phones.WAYS),
    ]


class Bench:
    def __init__(self, options):
        self.options = options
        self.absent = {}
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
            more = {} if self.options.rows else {
                "idle": self.idle(), "law": self.law(), "round_trip": self.round_trip()}
            if not self.options.rows or NOTICES in self.options.rows:
                more["notices"] = self.notices()
            if not self.options.rows or CASTING in self.options.rows:
                more["casting"] = casting.measure(self.scratch, self.options.runs)
            if not self.options.rows or HOME in self.options.rows:
                more["home"] = self.home()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return {"rows": results, "absent": self.absent, **more}

    def measure(self, row):
        print(f"\n{row.title}", flush=True)
        source = self.source(row)
        amount = row.size or row.files * 4096 / MIB
        seconds, cpu, ready = {}, {}, []
        # Ways over one protocol hold the same ports, so each has a network of its own.
        for kinds in [[kind] for kind in row.tools] if row.family else [row.tools]:
            with self.network(row) as network:
                together = [tool for kind in kinds if (tool := self.start(kind, network, row))]
                self.turns(together, row, source, seconds, cpu)
                for tool in together:
                    tool.close()
                ready += together
        shutil.rmtree(self.scratch / "to", ignore_errors=True)
        result = {"row": row.key, "title": row.title, "family": row.family, "mib": amount, "small": bool(row.files), "tools": {}}
        for tool in ready:
            runs = seconds.get(tool.name)
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

    def turns(self, ready, row, source, seconds, cpu):
        """The tools copy in turn."""
        for turn in range(self.options.runs):
            for tool in ready:
                if turn >= tool.runs_at_most or turn and min(seconds.get(tool.name, [PATIENCE])) >= PATIENCE:
                    continue
                target = self.scratch / "to"
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir()
                try:
                    before = tool.cpu_seconds()
                    took = tool.copy(source, target)
                    cpu.setdefault(tool.name, []).append(tool.cpu_seconds() - before)
                    tool.check(source, target)
                    seconds.setdefault(tool.name, []).append(took)
                except Exception as error:
                    print(f"  {tool.name}: failed: {str(error)[-300:]}", flush=True)

    def start(self, kind, network, row):
        """A tool, ready to copy. One that cannot run here is named, not hidden."""
        if self.options.tools and kind.name not in self.options.tools or not kind.fits(row):
            return None
        why = kind.missing()
        if not why:
            tool = kind(self, network, row)
            try:
                tool.prepare()
                return tool
            except Exception as error:
                why = (str(error).splitlines() or [repr(error)])[-1][:160]
                tool.close()
        print(f"  {kind.name}: cannot run here: {why}", flush=True)
        self.absent[f"{row.family}: {kind.name}" if row.family else kind.name] = why
        return None

    def law(self):
        """What the gate costs, from the criterion bench, in nanoseconds."""
        print("\nWhat the law costs", flush=True)
        words = ["cargo", "bench", "--locked", "--quiet", "-p", "accord-consent", "--features", "volatile", "--bench", "gate"]
        subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = {}
        for name, folder in (("permit_ns", "permit"), ("send_64_ns", "64 bytes, permit to sent, ledger in memory")):
            kept = TARGET.parent / "criterion" / folder / "new" / "estimates.json"
            found[name] = round(json.loads(kept.read_text())["median"]["point_estimate"])
            print(f"  {folder}: {found[name]} ns", flush=True)
        return found

    def round_trip(self):
        """64 bytes there and back between two hubs over the link, beside bare TCP and TLS, in microseconds."""
        print("\nMessages of 64 bytes there and back, loopback", flush=True)
        net.sh("ip", "link", "set", "lo", "up")
        done = subprocess.run([TARGET / "round-trip"], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        for name, figure in found.items():
            print(f"  {name}: p50 {figure['p50_us']} us, p99 {figure['p99_us']} us", flush=True)
        return found

    def notices(self):
        """Notifications of an app to the screens of three hubs, in milliseconds; `None` where that cannot be measured."""
        print(f"\n{notices.COUNT:,} notifications to three hubs", flush=True)
        if why := notices.missing():
            print(f"  cannot run here: {why}", flush=True)
            self.absent[f"{notices.COUNT:,} notifications"] = why
            return None
        found = notices.measure(self.scratch)
        for where in ("here", "there"):
            print(f"  shown {where}: p50 {found[where]['p50_ms']} ms, p99 {found[where]['p99_ms']} ms", flush=True)
        print(f"  lost: {found['lost']}", flush=True)
        return found

    def home(self):
        """Lamps and a large house; `None` where that cannot be measured."""
        print("\nThe smart home: lamps, and a house on one bus", flush=True)
        if why := home.missing():
            print(f"  cannot run here: {why}", flush=True)
            self.absent["lamps"] = why
            return None
        found = home.measure(self.scratch)
        print("\n".join(f"  {line}" for line in home.table(found) if line), flush=True)
        return found

    def idle(self):
        """Memory and wake-ups of a hub that sees another and has nothing to do."""
        print("\nIdle hub, discovery on, one paired device, 30 s", flush=True)
        with net.Network("alpha", "beta") as network:
            tool = tools.Accord(self, network, Row("idle", "", "fast", size=1))
            try:
                tool.prepare()
                time.sleep(5)
                pid = tool.sender.process.pid
                before = wakeups(pid)
                time.sleep(30)
                # A thread that ended meanwhile took its count along.
                woken = sum(count - before.get(task, 0) for task, count in wakeups(pid).items())
                figure = {"rss_mib": round(rss(pid) / MIB, 1), "wakeups_per_s": round(woken / 30, 1)}
            finally:
                tool.close()
        print(f"  {figure['rss_mib']} MiB resident, {figure['wakeups_per_s']} wake-ups a second", flush=True)
        return figure


def wakeups(pid):
    """How often each thread went to sleep of itself, and so was woken."""
    counts = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                counts[task.name] = int(line.split()[1])
    return counts


def rss(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def table(found):
    """The README's tables, as Markdown."""
    results, lines = found["rows"], []
    phone = [result for result in results if result["family"]]
    results = [result for result in results if not result["family"]]
    every = tools.ALL + phones.RIVALS_TO_ALL
    for small, unit in ((False, "MiB/s, more is better"), (True, "seconds, less is better")):
        chosen = [result for result in results if result["small"] == small]
        if not chosen:
            continue
        names = [kind.name for kind in every if any(kind.name in result["tools"] for result in chosen)]
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
    once = [kind.name for kind in every if kind.runs_at_most == 1]
    if results:
        lines.append(f"Median of {runs} runs each (one of {', '.join(once)}), tools in turn, files on tmpfs, whole commands "
                     "timed. \\* not encrypted. iperf3 moves bytes from memory; `tls` is a bare TLS 1.3 copy of the file "
                     "that checks and names nothing.")
    if phone:
        names = [kind.name for kind in phones.WAYS["KDE Connect"]]
        lines += ["", "| MiB/s, over the phones' own protocols | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
        for result in phone:
            figures = [result["tools"].get(name) for name in names]
            cells = ["–" if figure is None else f"{figure['mib_per_s']:.0f}" for figure in figures]
            lines.append(f"| {result['title']} | " + " | ".join(cells) + " |")
        lines += ["", "Theirs are Debian's `kdeconnectd` and the Python package `localsend-cli`. Until the whole file is there."]
    if found["absent"]:
        lines.append("Could not run: " + "; ".join(f"{name} ({why})" for name, why in found["absent"].items()) + ".")
    if "idle" in found:
        idle, law, trip = found["idle"], found["law"], found["round_trip"]
        lines += ["", "| | |", "|---|---:|",
                  f"| Idle hub with one paired device, memory | {idle['rss_mib']} MiB |",
                  f"| Idle hub with one paired device, wake-ups | {idle['wakeups_per_s']} a second |",
                  f"| A permit | {law['permit_ns'] / 1000:.2f} µs |",
                  f"| The whole send path for 64 bytes, without the disk | {law['send_64_ns'] / 1000:.1f} µs |"]
        lines += [f"| 64 bytes there and back, {name} | p50 {figure['p50_us']} µs, p99 {figure['p99_us']} µs |"
                  for name, figure in trip.items()]
    if found.get("notices"):
        some = found["notices"]
        if "idle" not in found:
            lines += ["", "| | |", "|---|---:|"]
        lines += [f"| {some['sent']:,} notifications of an app, shown by its own hub | p50 {some['here']['p50_ms']} ms, p99 {some['here']['p99_ms']} ms |",
                  f"| The same, shown on two other hubs | p50 {some['there']['p50_ms']} ms, p99 {some['there']['p99_ms']} ms |",
                  f"| Of the {some['devices'] * some['sent']:,}, lost | {some['lost']} |"]
    if found.get("casting"):
        lines += casting.table(found["casting"])
    if found.get("home"):
        lines += home.table(found["home"])
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
    found = Bench(options).run()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    text = table(found)
    print("\n" + text)
    if options.write_readme:
        readme = ROOT / "README.md"
        before, rest = readme.read_text().split("<!-- bench -->\n", 1)
        after = rest.split("<!-- /bench -->", 1)[1]
        readme.write_text(f"{before}<!-- bench -->\n{text}\n<!-- /bench -->{after}")


if __name__ == "__main__":
    main()
