"""Another sender: pychromecast. castsender.py ADDRESS PORT play URL TITLE | status | volume LEVEL | quit → JSON"""

import json
import sys
import time
import uuid

import pychromecast

address, port, action, *given = sys.argv[1:]
cast = pychromecast.get_chromecast_from_host((address, int(port), uuid.UUID(int=7), "Chromecast", "there"), tries=2, timeout=5)
cast.wait(timeout=10)
media = cast.media_controller
if action == "play":
    media.play_media(given[0], "audio/wav", title=given[1])
    media.block_until_active(timeout=10)
elif action == "volume":
    cast.set_volume(float(given[0]))
elif action == "quit":
    # It knows which app to end once it was told how the device stands.
    for _ in range(50):
        if cast.status and cast.status.session_id:
            break
        time.sleep(0.1)
    try:
        cast.quit_app()
    except pychromecast.error.PyChromecastError:
        # It happened to be connecting anew.
        time.sleep(2)
        cast.quit_app()
if action != "quit":
    media.update_status()  # which opens the player anew where there is none
for _ in range(50):
    known = media.status.player_state not in ("UNKNOWN", "BUFFERING")
    if action == "quit" or (known and (action != "play" or media.status.content_id == given[0])):
        break
    time.sleep(0.1)
status = media.status
print(json.dumps({"app": cast.app_id, "volume": cast.status.volume_level, "state": status.player_state,
                  "content": status.content_id, "title": status.title, "position": status.adjusted_current_time}))
cast.disconnect(timeout=5)
