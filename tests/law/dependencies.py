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
    "tokio-rustls": {"accord-link", "accord-consent", "accord"},
    # The desktop is spoken to over the connection that the outlet makes.
    "zbus": {"accord-consent", "accord", "accord-media", "accord-battery"},
    "hyper": {"accord"},
    "hyper-util": {"accord"},
    "axum": {"accord"},
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

# Where the bans of clippy.toml may be lifted, and nowhere else.
DOORS = ("core/consent/src/outlet", "core/link/src/")


def layer(folder):
    return folder.split("/")[0]


def main():
    words = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"]
    metadata = json.loads(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    folder = {
        package["name"]: str(pathlib.Path(package["manifest_path"]).parent.relative_to(ROOT))
        for package in metadata["packages"]
    }
    breaches = []
    for package in metadata["packages"]:
        name, here = package["name"], folder[package["name"]]
        for dependency in package["dependencies"]:
            needs, test_only = dependency["name"], dependency["kind"] == "dev"
            if needs in SOCKETS and name not in SOCKETS[needs] and not test_only:
                allowed = ", ".join(sorted(SOCKETS[needs])) or "nobody"
                breaches.append(f"{here}: may not depend on `{needs}` (only {allowed}): sockets come from a permit")
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

    lifted = re.compile(r"(allow|expect)\s*\([^)]*clippy::disallowed", re.S)
    for source in sorted(ROOT.glob("*/**/*.rs")):
        path = str(source.relative_to(ROOT))
        if path.startswith(("target/", "bench/", "fuzz/target")) or any(
                f"/{folder}/" in path for folder in ("node_modules", "tests", "examples", "benches")):
            continue
        if lifted.search(source.read_text()) and not path.startswith(DOORS):
            breaches.append(f"{path}: lifts the socket ban outside the outlet")

    for breach in breaches:
        print(breach)
    print(f"dependency rule: {len(metadata['packages'])} crates, {len(breaches)} breaches")
    sys.exit(bool(breaches))


if __name__ == "__main__":
    main()
