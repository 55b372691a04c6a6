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

# Crates that can open a socket, resolve a name, reach D-Bus or start a process by themselves,
# and the only crates of ours that may depend on them directly.
SOCKETS = {
    "iroh": {"accord-link"},
    "noq": {"accord-link"},
    "quinn": set(),
    "socket2": {"accord-consent", "accord-link"},
    "netwatch": {"accord-consent"},
    "mio": set(),
    "noq-udp": set(),
    "noq-proto": {"accord-link"},
    "tokio-rustls": {"accord-link", "accord-consent", "accord"},
    # The hub speaks to the desktop over the connection that the outlet makes.
    "zbus": {"accord-consent", "accord"},
    "hyper": {"accord"},
    "hyper-util": {"accord"},
    "axum": {"accord"},
    "utoipa-axum": {"accord"},
    "mdns-sd": set(),
    "reqwest": set(),
    "ureq": set(),
    "curl": set(),
    "hickory-resolver": set(),
    "trust-dns-resolver": set(),
    "tungstenite": set(),
    "tokio-tungstenite": set(),
    "openssl": set(),
    "nix": set(),
    "libc": {"accord-bench"},
}

# What opens sockets at the bottom. A direct dependency that leads to one of these on another way than through tokio,
# whose sockets clippy.toml bans, must be named above.
BOTTOM = {
    "socket2", "mio", "netwatch", "noq-udp", "quinn-udp", "hyper", "reqwest", "ureq", "n0-dns-resolver",
    "hickory-resolver", "hickory-proto", "async-io", "polling", "async-net", "smol", "curl-sys", "openssl-sys",
    "native-tls", "tungstenite", "tokio-websockets", "libssh2-sys", "zmq-sys",
}
GUARDED = {"tokio", "tokio-util", "tokio-stream"}

# Features that open sockets, in crates that are about other things, and who may turn them on.
FEATURES = {("rustix", "net"): {"accord-consent", "accord-link"}}

# Where the bans of clippy.toml may be lifted, and nowhere else.
DOORS = ("core/consent/src/outlet", "core/link/src/")


def layer(folder):
    return folder.split("/")[0]


def ways_down(metadata, ours):
    """(our crate, its direct dependency, what that leads to) for every dependency that leads to a socket."""
    name = {package["id"]: package["name"] for package in metadata["packages"]}
    below = {
        node["id"]: [
            dep["pkg"] for dep in node["deps"]
            if any(kind["kind"] is None and not (kind["target"] or "").startswith("cfg(windows")
                   for kind in dep["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
    }

    def leads_to(start):
        seen, waiting = set(), [start]
        while waiting:
            at = waiting.pop()
            if at in seen or name[at] in GUARDED or name[at] in ours:
                continue
            seen.add(at)
            waiting.extend(below[at])
        return sorted({name[at] for at in seen} & BOTTOM)

    for node in metadata["resolve"]["nodes"]:
        if name[node["id"]] in ours:
            for dependency in below[node["id"]]:
                if name[dependency] not in ours and (found := leads_to(dependency)):
                    yield name[node["id"]], name[dependency], found


def main():
    words = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    packages = [package for package in metadata["packages"] if package["id"] in set(metadata["workspace_members"])]
    folder = {
        package["name"]: str(pathlib.Path(package["manifest_path"]).parent.relative_to(ROOT)) for package in packages
    }
    breaches = []
    for crate, dependency, found in ways_down(metadata, folder):
        if crate not in SOCKETS.get(dependency, set()):
            breaches.append(f"{folder[crate]}: `{dependency}` leads to {', '.join(found)}, and nobody named it here")
    for package in packages:
        name, here = package["name"], folder[package["name"]]
        for dependency in package["dependencies"]:
            needs, test_only = dependency["name"], dependency["kind"] == "dev"
            if needs in SOCKETS and name not in SOCKETS[needs] and not test_only:
                allowed = ", ".join(sorted(SOCKETS[needs])) or "nobody"
                breaches.append(f"{here}: may not depend on `{needs}` (only {allowed}): sockets come from a permit")
            for feature in dependency["features"]:
                if name not in FEATURES.get((needs, feature), {name}) and not test_only:
                    breaches.append(f"{here}: may not turn on `{feature}` of `{needs}`: sockets come from a permit")
            if needs not in folder:
                continue
            there = folder[needs]
            known = {
                "core": {"core"},
                "bridges": {"core"},
                "features": {"core"},
                "apps": {"core", "bridges", "features", "apps"},
            }.get(layer(here))
            if known is not None and layer(there) not in known and not test_only:
                breaches.append(f"{here}: may not know {there}: apps -> features -> core <- bridges")
            if layer(here) == "features" and there == "core/link" and not test_only:
                breaches.append(f"{here}: a feature never names a bridge, and the link is one")
        manifest = (ROOT / here / "Cargo.toml").read_text()
        if here != "bench" and not re.search(r"\[lints\]\s+workspace = true", manifest):
            breaches.append(f"{here}/Cargo.toml: needs `[lints] workspace = true`")

    # The bans belong to clippy's group `style`.
    lifted = re.compile(r"(allow|expect|warn)\s*\([^)]*(clippy::(disallowed|all\b|style\b)|\bwarnings\b)", re.S)
    for source in sorted(ROOT.glob("*/**/*.rs")):
        path = str(source.relative_to(ROOT))
        if path.startswith(("target/", "bench/", "fuzz/target")) or any(
                f"/{folder}/" in path for folder in ("node_modules", "tests", "examples", "benches")):
            continue
        if lifted.search(source.read_text()) and not path.startswith(DOORS):
            breaches.append(f"{path}: lifts the socket ban outside the outlet")

    for breach in breaches:
        print(breach)
    print(f"dependency rule: {len(packages)} crates, {len(breaches)} breaches")
    sys.exit(bool(breaches))


if __name__ == "__main__":
    main()
