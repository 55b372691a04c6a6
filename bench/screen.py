"""How long a screen takes to be seen on another one: two Chromiums with the hub between, and a clock in the picture.

`measure()` gives the delay from being drawn to being shown, in milliseconds, as p50 and p95, and the pictures in a second.
Run it where nothing else runs: `tests/peers/run` sets the networks up, so `python3 bench/screen.py` starts itself in it.
"""

import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS = 15


def measure(seconds=SECONDS):
    sys.path[:0] = [str(ROOT / "tests" / "peers"), str(ROOT / "tests" / "home")]
    import clock
    import test_screen
    from net import until

    case = test_screen.Screen("setUp")
    case.setUp()
    try:
        case.hub.grant("screen/show", case.device)
        status, told = case.show()
        assert status == 200, told
        until(lambda: case.tv.ask("document.getElementById('live').videoWidth") > 2, 20, "the picture comes")
        clock.read(case.tv, 2)  # until it has found its pace
        delays, frames = clock.read(case.tv, seconds)
        assert len(delays) > 5 * seconds, f"only {len(delays)} pictures could be read"
        return {"p50_ms": clock.quantile(delays, 0.5), "p95_ms": clock.quantile(delays, 0.95),
                "pictures_per_s": round(frames / seconds, 1)}
    finally:
        case.tearDown()


if __name__ == "__main__":
    if os.environ.get("ACCORD_IN_NAMESPACE"):
        print(json.dumps(measure()))
    else:
        own = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        os.environ["ACCORD_IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", *own, "--mount", "--net", "--", sys.executable, __file__])
