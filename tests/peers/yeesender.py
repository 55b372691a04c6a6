"""A second program that controls the lamp: the library `yeelight`, as its users write it.

yeesender.py discover INTERFACE | yeesender.py ADDRESS METHOD [NUMBER…]
"""

import json
import sys

from yeelight import Bulb, discover_bulbs

if sys.argv[1] == "discover":
    print(json.dumps(discover_bulbs(timeout=2, interface=sys.argv[2])))
else:
    bulb = Bulb(sys.argv[1], effect="smooth", duration=300)
    said = getattr(bulb, sys.argv[2])(*(int(word) for word in sys.argv[3:]))
    print(json.dumps(said))
