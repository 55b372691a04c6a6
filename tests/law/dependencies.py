#!/usr/bin/env python3
"""The dependency rule of the house: apps -> features -> core <- bridges, and sockets only where the law allows.

Reads `cargo metadata` and the sources; prints every breach and exits 1 if there is one.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Which crates of ours may depend directly on crates that exist to speak to others.
DIRECT = {
    "iroh": {"accord-link"},
    "noq": {"accord-link"},
    "noq-proto": {"accord-link"},
    "socket2": {"accord-consent", "accord-link"},
    "netwatch": {"accord-consent"},
    "n0-watcher": {"accord-consent"},
    "tokio-rustls": {"accord-link", "accord-consent", "accord"},
    # The desktop is spoken to over the connection that the outlet makes.
    "zbus": {"accord-consent", "accord", "accord-media", "accord-battery", "accord-notifications", "accord-input"},
    "hyper": {"accord"},
    "hyper-util": {"accord"},
    "axum": {"accord"},
    "matter-transport": {"accord-matter"},
    "matter-commissioning": {"accord-matter"},
    "libc": {"accord-bench"},
}
# Nobody of ours takes these.
NOBODY = {"quinn", "mdns-sd", "reqwest", "ureq", "curl", "hickory-resolver", "trust-dns-resolver", "tungstenite",
          "tokio-tungstenite", "openssl", "nix", "mio", "async-std", "async-io", "smol", "polling"}

# Every crate from elsewhere that names a socket, a resolver or a child process in its sources, and which crates of
# ours may reach it other than through one another. A crate that is not here was not looked at: look, then add it.
LINK, CONSENT, HUB = "accord-link", "accord-consent", "accord"
# Who speaks to the desktop.
BUS = {CONSENT, HUB, "accord-media", "accord-battery", "accord-notifications", "accord-input"}
SOCKETS = {
    "axum": {HUB},  # serves a listener that it is given
    "hyper-rustls": {LINK},  # iroh's relay client
    "hyper-util": {HUB, LINK},
    "iroh": {LINK}, "iroh-metrics": {LINK}, "iroh-relay": {LINK}, "n0-dns-resolver": {LINK},
    "netdev": {CONSENT, LINK}, "netlink-sys": {CONSENT, LINK}, "netwatch": {CONSENT, LINK},  # asks the system
    "noq": {LINK}, "noq-udp": {CONSENT, LINK}, "reqwest": {LINK}, "tokio-websockets": {LINK},
    "tokio-stream": {HUB, LINK},
    "portable-atomic": {HUB, LINK},  # in a test of its own
    "terminal_size": {HUB, "accord-bench"},  # in a test of its own
    "sctp-proto": {"accord-screen"},  # in a test of its own
    "url": {LINK},  # a trait for callers who resolve
    "rustls": {HUB, LINK, "accord-bench", "accord-kdeconnect", "accord-localsend", "accord-ports",
               "accord-googlecast", "accord-homeassistant", "accord-miio", "accord-mqtt"},  # in its documentation's examples
    # Speaks over a transport that it is given. Its own socket and its own search, which it brings with itself, are never
    # made: clippy.toml bans them, and `DIRECT` keeps them from everybody else.
    "matter-transport": {"accord-matter"}, "mdns-sd": {"accord-matter"}, "socket-pktinfo": {"accord-matter"},
    "if-addrs": {"accord-matter"},
    # Speaks over a stream that it is given; `connect` and the agents, which dial, are not called.
    "russh": {"accord-kdeconnect"}, "nix": {"accord-kdeconnect"},  # the latter locks its memory
    "zbus": BUS, "zruntime": BUS,
}
# What every program with an event loop holds. clippy.toml bans their sockets in our sources.
EVERYWHERE = {"tokio", "tokio-util", "mio", "socket2", "rustix"}
NAMES_A_SOCKET = re.compile(
    r"\b(?:TcpStream|TcpListener|TcpSocket|UdpSocket|UnixDatagram|UnixStream|UnixListener|ToSocketAddrs|to_socket_addrs"
    r"|process::Command|libc::socket|libc::connect|libc::getaddrinfo|net::socket|socket_with)\b")
# The same for ours, where no lint looks: functions that are reached by a path which clippy.toml cannot name.
NAMES_A_WAY_OUT = re.compile(r"\b(?:rustix::net|mio::net|zbus::blocking|libc::|from_raw_fd|FromRawFd)\b")

# Where the bans of clippy.toml may be lifted, and nowhere else.
DOORS = ("core/consent/src/outlet", "core/link/src/")


def layer(folder):
    return folder.split("/")[0]


# `disallowed_methods` and `disallowed_types` are in the group `style`.
LIFTED = re.compile(r"\b(?:allow|expect|warn)\s*\([^)]*\b(?:clippy::(?:disallowed\w*|all|style)|warnings)\b", re.S)


def metadata():
    host = next(line.split()[1] for line in subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True)
                .stdout.splitlines() if line.startswith("host:"))
    words = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host]
    return json.loads(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def directly(members, folder):
    """The layers, and who may depend on what by name."""
    for package in members:
        name, here = package["name"], folder[package["name"]]
        for dependency in package["dependencies"]:
            needs, test_only = dependency["name"], dependency["kind"] == "dev"
            if test_only:
                continue
            if needs in NOBODY or name not in DIRECT.get(needs, {name}):
                allowed = ", ".join(sorted(DIRECT.get(needs, ()))) or "nobody"
                yield f"{here}: may not depend on `{needs}` (only {allowed}): sockets come from a permit"
            if needs not in folder:
                continue
            there = folder[needs]
            known = {
                "core": {"core"},
                "bridges": {"core"},
                "features": {"core"},
                "apps": {"core", "bridges", "features", "apps"},
            }.get(layer(here))
            if known is not None and layer(there) not in known:
                yield f"{here}: may not know {there}: apps -> features -> core <- bridges"
            if layer(here) == "features" and there == "core/link":
                yield f"{here}: a feature never names a bridge, and the link is one"
        manifest = (ROOT / here / "Cargo.toml").read_text()
        if here != "bench" and not re.search(r"\[lints\]\s+workspace = true", manifest):
            yield f"{here}/Cargo.toml: needs `[lints] workspace = true`"
        # Tests may unwrap; the program may not. No lint of the workspace can tell them apart.
        for target in package["targets"]:
            source = pathlib.Path(target["src_path"])
            if {"lib", "bin"} & set(target["kind"]) and "#![cfg_attr(not(test), deny(clippy::unwrap_used))]" not in source.read_text():
                yield f"{source.relative_to(ROOT)}: needs `#![cfg_attr(not(test), deny(clippy::unwrap_used))]`"


def reached(data):
    """By crate from elsewhere: which crates of ours reach it other than through one another."""
    ours, nodes = set(data["workspace_members"]), {node["id"]: node for node in data["resolve"]["nodes"]}
    macros = {package["id"] for package in data["packages"]
              if any("proc-macro" in target["kind"] for target in package["targets"])}
    reach = {}
    for member in ours:
        seen, todo = {member}, [member]
        while todo:
            for dependency in nodes[todo.pop()]["deps"]:
                runs = any(kind["kind"] is None for kind in dependency["dep_kinds"])
                if runs and dependency["pkg"] not in ours | seen | macros:
                    seen.add(dependency["pkg"])
                    todo.append(dependency["pkg"])
        for crate in seen - {member}:
            reach.setdefault(crate, set()).add(member)
    return reach


def through_others(data):
    """Crates from elsewhere that can open sockets by themselves, wherever in the tree they are."""
    packages = {package["id"]: package for package in data["packages"]}
    for crate, members in sorted(reached(data).items()):
        name, root = packages[crate]["name"], pathlib.Path(packages[crate]["manifest_path"]).parent
        if name in EVERYWHERE:
            continue
        members = {packages[member]["name"] for member in members}
        if name in SOCKETS:
            for member in sorted(members - SOCKETS[name]):
                yield f"{member}: reaches `{name}`, which can open sockets (only {', '.join(sorted(SOCKETS[name]))} may)"
        elif any(NAMES_A_SOCKET.search(code(file)) for file in sources(root)):
            yield f"`{name}` names sockets or child processes and nobody looked at it; {', '.join(sorted(members))} reach it"


def sources(root):
    inside = root / "src" if (root / "src").is_dir() else root
    return [file for file in inside.rglob("*.rs") if not re.search(r"(^|/)(tests?|examples|benches)(/|\.rs|_)",
                                                                   str(file.relative_to(inside)))]


def code(file):
    return re.sub(r"//.*", "", file.read_text(errors="replace"))


def bans():
    """Nobody lifts a ban outside the outlet, not even with a whole group of lints."""
    for source in sorted(ROOT.glob("*/**/*.rs")):
        path = str(source.relative_to(ROOT))
        if path.startswith(("target/", "bench/", "fuzz/target", *DOORS)) or any(
                f"/{folder}/" in path for folder in ("node_modules", "tests", "examples", "benches")):
            continue
        text = code(source)
        if LIFTED.search(text):
            yield f"{path}: lifts the socket ban outside the outlet"
        if found := NAMES_A_WAY_OUT.search(text):
            yield f"{path}: names {found[0]}: a way out that only the outlet may take"


def main():
    data = metadata()
    members = [package for package in data["packages"] if package["id"] in set(data["workspace_members"])]
    folder = {package["name"]: str(pathlib.Path(package["manifest_path"]).parent.relative_to(ROOT)) for package in members}
    breaches = [*directly(members, folder), *through_others(data), *bans()]
    for breach in breaches:
        print(breach)
    print(f"dependency rule: {len(members)} crates of ours, {len(data['packages'])} in all, {len(breaches)} breaches")
    sys.exit(bool(breaches))


if __name__ == "__main__":
    main()
