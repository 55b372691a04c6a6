"""A clock in a picture: one page draws the time as black and white squares, another reads it from the film that it is
shown. Both run on one machine, so the difference is the delay from being drawn to being seen."""

WIDTH, HEIGHT, BITS = 640, 360, 16

# Draws the time in milliseconds, modulo 2^16, and below it the same inverted, so that a torn picture is noticed.
DRAW = f"""
window.clock = (function () {{
  var canvas = document.createElement('canvas');
  canvas.width = {WIDTH}; canvas.height = {HEIGHT};
  document.body.appendChild(canvas);
  var brush = canvas.getContext('2d');
  function draw() {{
    var time = Date.now() % 65536, i, on;
    brush.fillStyle = '#808080'; brush.fillRect(0, 0, {WIDTH}, {HEIGHT});
    for (i = 0; i < {BITS}; i += 1) {{
      on = (time >> i) & 1;
      brush.fillStyle = on ? '#fff' : '#000'; brush.fillRect(i * 40, 40, 40, 80);
      brush.fillStyle = on ? '#000' : '#fff'; brush.fillRect(i * 40, 200, 40, 80);
    }}
  }}
  draw();
  setInterval(draw, 16);
  return canvas;
}})(); true
"""

# Something below it that is hard to encode, so that the picture takes as much as it may.
NOISE = f"""
(function () {{
  var brush = window.clock.getContext('2d'), noise = brush.createImageData({WIDTH}, 70), i;
  setInterval(function () {{
    for (i = 0; i < noise.data.length; i += 1) {{ noise.data[i] = i % 4 === 3 ? 255 : Math.random() * 256; }}
    brush.putImageData(noise, 0, 290);
  }}, 33);
}})(); true
"""

# Bytes of the picture that were sent.
SENT = """
window.link.getStats().then(function (all) {
  var sent = 0;
  all.forEach(function (one) { if (one.type === 'outbound-rtp' && one.kind === 'video') { sent = one.bytesSent; } });
  return sent;
})
"""

# An offer to send it, as a page that captures a screen makes it.
OFFER = """
(async function () {
  var stream = window.clock.captureStream(30), link = window.link = new RTCPeerConnection();
  link.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream], sendEncodings: [{ maxBitrate: 6000000, maxFramerate: 30 }] });
  // As a captured tab has it: a sound beside the picture.
  var sound = new AudioContext(), out = sound.createMediaStreamDestination(), tone = sound.createOscillator();
  tone.connect(out);
  tone.start();
  link.addTransceiver(out.stream.getAudioTracks()[0], { direction: 'sendonly', streams: [stream] });
  await link.setLocalDescription();
  return link.localDescription.sdp;
})()
"""

# Reads the clock in every picture that is shown, for so many milliseconds.
READ = """
(async function (lasts) {
  var live = document.getElementById('live'), canvas = document.createElement('canvas');
  canvas.width = %(width)d; canvas.height = %(height)d;
  var brush = canvas.getContext('2d', { willReadFrequently: true }), delays = [], torn = 0, frames = 0;
  function look() {
    var now = Date.now() %% 65536, time = 0, i, above, below;
    frames += 1;
    brush.drawImage(live, 0, 0, %(width)d, %(height)d);
    var pixels = brush.getImageData(0, 0, %(width)d, %(height)d).data;
    for (i = 0; i < %(bits)d; i += 1) {
      above = pixels[(80 * %(width)d + i * 40 + 20) * 4]; below = pixels[(240 * %(width)d + i * 40 + 20) * 4];
      if (Math.abs(above - below) < 80) { torn += 1; return; }
      if (above > below) { time |= 1 << i; }
    }
    delays.push((now - time + 65536) %% 65536);
  }
  var over = false;
  function next() { look(); if (!over) { live.requestVideoFrameCallback(next); } }
  live.requestVideoFrameCallback(next);
  await new Promise(function (resolve) { setTimeout(resolve, lasts); });
  over = true;
  return { delays: delays, torn: torn, frames: frames };
})""" % {"width": WIDTH, "height": HEIGHT, "bits": BITS}


# Whether any of the picture is not black.
BRIGHT = """
(function () {
  var canvas = document.createElement('canvas'), brush = canvas.getContext('2d'), i, pixels;
  canvas.width = 64; canvas.height = 36;
  brush.drawImage(document.getElementById('live'), 0, 0, 64, 36);
  pixels = brush.getImageData(0, 0, 64, 36).data;
  for (i = 0; i < pixels.length; i += 4) { if (pixels[i] + pixels[i + 1] + pixels[i + 2] > 90) { return true; } }
  return false;
})()
"""


def offer(page):
    """The page shows the clock, and offers it."""
    page.ask(DRAW)
    return page.ask(OFFER)


def rate(page, seconds):
    """Bits of the picture that are sent in a second."""
    import time
    before, at = page.ask(SENT), time.monotonic()
    time.sleep(seconds)
    return 8 * (page.ask(SENT) - before) / (time.monotonic() - at)


def answer(page, sdp):
    import json
    page.ask(f"window.link.setRemoteDescription({{ type: 'answer', sdp: {json.dumps(sdp)} }})")


def read(page, seconds):
    """Delays in milliseconds, sorted, and how many pictures there were."""
    got = page.ask(f"{READ}({int(seconds * 1000)})", seconds + 20)
    return sorted(got["delays"]), got["frames"]


def quantile(sorted_, part):
    return sorted_[min(len(sorted_) - 1, int(len(sorted_) * part))]
