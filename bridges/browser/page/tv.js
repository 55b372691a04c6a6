// The page of a screen. Plain ES5 without cookies, for the browsers of old televisions. What passes between it and the hub
// is in src/core/words.rs.
(function () {
  'use strict';

  var KEY = 'accord-screen-key';
  var LOADS_WITHIN = 12000;
  var POLL_WITHIN = 16000;
  var SAY_WITHIN = 8000;
  var FORMATS = [
    'video/mp4', 'video/webm', 'video/ogg', 'video/x-matroska', 'video/mp2t', 'video/quicktime', 'application/vnd.apple.mpegurl',
    'video/mp4; codecs="avc1.42E01E"', 'video/mp4; codecs="avc1.640028"', 'video/mp4; codecs="hvc1.1.6.L93.B0"',
    'video/mp4; codecs="av01.0.04M.08"', 'video/mp4; codecs="mp4a.40.2"', 'video/mp4; codecs="ac-3"', 'video/mp4; codecs="ec-3"',
    'video/webm; codecs="vp8"', 'video/webm; codecs="vp9"', 'video/webm; codecs="opus"', 'audio/mpeg', 'audio/mp4', 'audio/aac',
    'audio/flac', 'audio/ogg', 'audio/ogg; codecs="opus"', 'audio/webm', 'audio/wav'
  ];
  var PICTURES = ['image/jpeg', 'image/png', 'image/gif', 'image/bmp', 'image/svg+xml'];

  function find(id) { return document.getElementById(id); }
  var stage = find('stage'), film = find('film'), picture = find('picture'), live = find('live'), title = find('title');
  var page = find('page'), code = find('code'), words = find('words'), hint = find('hint'), press = find('press');

  function on(element, yes) { element.className = yes ? 'on' : ''; }

  // -- the hub -------------------------------------------------------------------------------------

  var session = null, standing = null, after = 0, failures = 0;
  var saying = false, dirty = false, outcomes = [];

  function post(path, body, within, then, failed) {
    var request = new XMLHttpRequest(), over = false;
    function end(act, value) { if (!over) { over = true; act(value); } }
    request.open('POST', path, true);
    request.setRequestHeader('Content-Type', 'application/json');
    request.timeout = within;
    request.onreadystatechange = function () {
      var answer;
      if (request.readyState !== 4) { return; }
      if (request.status !== 200) { return end(failed, request.status); }
      try { answer = JSON.parse(request.responseText); } catch (error) { return end(failed, 0); }
      end(then, answer);
    };
    request.ontimeout = request.onerror = function () { end(failed, 0); };
    request.send(JSON.stringify(body));
  }

  function kept() { try { return window.localStorage.getItem(KEY); } catch (error) { return null; } }
  function keep(key) { try { window.localStorage.setItem(KEY, key); } catch (error) { /* It is asked for a code again next time. */ } }

  function formats() {
    var found = PICTURES.slice(), i;
    for (i = 0; i < FORMATS.length; i += 1) {
      if (film.canPlayType && film.canPlayType(FORMATS[i])) { found.push(FORMATS[i]); }
    }
    var canvas = document.createElement('canvas');
    try { if (canvas.toDataURL('image/webp').indexOf('data:image/webp') === 0) { found.push('image/webp'); } } catch (error) { /* Then not. */ }
    return found;
  }

  function hello() {
    var body = { formats: formats() }, key = kept();
    if (key) { body.key = key; }
    post('hello', body, SAY_WITHIN, function (told) {
      failures = 0; after = 0; outcomes = [];
      session = told.session;
      keep(told.key);
      stand(told.state, told.code);
      wait();
    }, function (status) {
      if (status === 409) {
        show('', 'This screen is open at another address.', 'Close it there; then this page shows a code.');
      } else {
        show('', status === 503 ? 'Too many screens wait to be added.' : 'The hub cannot be reached.', 'This page tries again by itself.');
      }
      setTimeout(hello, 4000);
    });
  }

  function wait() {
    var mine = session;
    post('wait', { session: mine, after: after }, POLL_WITHIN, function (told) {
      var i;
      if (session !== mine) { return; }
      failures = 0;
      if (told.state === 'unknown') { session = null; setTimeout(hello, 500); return; }
      if (told.state === 'elsewhere') { elsewhere(); return; }
      stand(told.state, told.code);
      for (i = 0; told.orders && i < told.orders.length; i += 1) {
        if (told.orders[i].n > after) { after = told.orders[i].n; follow(told.orders[i]); }
      }
      setTimeout(wait, told.state === 'off' ? 3000 : 0);
    }, function () {
      if (session !== mine) { return; }
      failures += 1;
      if (failures > 2) { idle('The hub cannot be reached.', 'This page tries again by itself.'); }
      setTimeout(wait, failures > 2 ? 4000 : 1000);
    });
  }

  /** Tells what came of orders, and how it goes; one at a time, the newest last. */
  function say() {
    var body;
    if (!session || standing !== 'ready') { return; }
    if (saying) { dirty = true; return; }
    saying = true; dirty = false;
    body = { session: session, done: outcomes.splice(0, 32), state: state() };
    function next() { saying = false; if (dirty || outcomes.length) { setTimeout(say, 50); } }
    post('say', body, SAY_WITHIN, next, function () {
      outcomes = body.done.concat(outcomes).slice(-32);
      setTimeout(next, 1000);
    });
  }

  function done(n, error, answer) {
    var outcome = { n: n };
    if (error) { outcome.error = error; }
    if (answer) { outcome.answer = answer; }
    outcomes.push(outcome);
    say();
  }

  function leave() {
    if (!session) { return; }
    var body = JSON.stringify({ session: session, leaving: true });
    if (navigator.sendBeacon) { navigator.sendBeacon('say', body); }
  }

  // -- what is seen --------------------------------------------------------------------------------

  function show(number, text, more) {
    code.textContent = number; words.textContent = text; hint.textContent = more || '';
  }

  function stand(now, number) {
    var changed = standing !== now;
    standing = now;
    if (now === 'code') {
      stop();
      if (number) { show(number, 'Add this screen with Accord on your computer, with this code.', 'Devices, Add a device. Nothing is shown here before that.'); }
    } else if (now === 'off') {
      stop();
      show('', 'This screen is added, and may not be used now.', 'The owner of the computer took back the consent to it.');
    } else if (changed) {
      ready();
      say();
    }
  }

  function ready() { idle('Ready.', pressed ? '' : 'Press OK once, so that sound may play and the picture fills the screen.'); }

  function idle(text, more) {
    if (busy()) { return; }
    on(stage, false);
    page.style.display = '';
    show('', text, more);
  }

  function elsewhere() {
    stop();
    session = null;
    page.style.display = '';
    show('', 'This screen is open in another tab or window.', 'Press OK to use it here.');
    wanted = hello;
  }

  function busy() { return now.kind !== null; }

  function stageFor(element) {
    on(film, element === film); on(picture, element === picture); on(live, element === live);
    stage.className = 'on' + (now.kind === 'sound' ? ' sound' : '');
    title.textContent = now.kind === 'sound' ? now.title : '';
    page.style.display = 'none';
  }

  // -- playing -------------------------------------------------------------------------------------

  var nothing = { kind: null, n: 0, title: '', length: 0, timer: 0, trouble: '', held: false };
  var now = nothing, pressed = false, wanted = null, volume = 100;

  function state() {
    var known = { playing: false, position: 0, length: now.length || 0, volume: volume, muted: film.muted, screen: false };
    if (now.kind === 'picture') { known.playing = picture.complete; }
    if (now.kind === 'screen') { known.screen = now.shown === true; }
    if (now.kind === 'film' || now.kind === 'sound') {
      known.playing = !film.paused && !film.ended && film.readyState > 2;
      known.position = film.currentTime || 0;
      if (isFinite(film.duration) && film.duration > 0) { known.length = film.duration; }
    }
    if (now.trouble) { known.trouble = now.trouble; }
    return known;
  }

  function finish(error) {
    if (now.n) { done(now.n, error); now.n = 0; }
    clearTimeout(now.timer);
  }

  function stop() {
    var was = now;
    if (was.n) { finish('something else was wanted meanwhile'); }
    now = nothing;
    if (was.link) { was.link.close(); }
    if (was.kind === 'film' || was.kind === 'sound') {
      film.pause();
      while (film.firstChild) { film.removeChild(film.firstChild); }
      film.removeAttribute('src');
      film.load();
    }
    if (was.url) { window.URL.revokeObjectURL(was.url); }
    picture.removeAttribute('src');
    live.srcObject = null;
    on(press, false);
    on(stage, false);
    page.style.display = '';
    rest();
  }

  function kindOf(order) {
    var format = order.format || '', path = order.address.split(/[?#]/)[0];
    if (/^image\//.test(format) || (!format && /\.(jpe?g|png|gif|webp|bmp|svg|avif)$/i.test(path))) { return 'picture'; }
    if (/^audio\//.test(format) || (!format && /\.(mp3|m4a|aac|flac|oga|opus|wav)$/i.test(path))) { return 'sound'; }
    return 'film';
  }

  function open(order) {
    stop();
    now = { kind: kindOf(order), n: order.n, title: order.title, length: order.length || 0, start: order.start || 0, trouble: '', held: false };
    now.timer = setTimeout(function () { fail('nothing came from that address within 12 seconds'); }, LOADS_WITHIN);
    wake();
    if (now.kind === 'picture') {
      picture.src = order.address;
      return;
    }
    film.src = order.address;
    if (order.captions) { caption(order.captions, now); }
    film.load();
    start();
  }

  function fail(why) {
    if (now.kind === null) { return; }
    finish(why);
    now.trouble = why;
    var told = why;
    stop();
    idle('This cannot be played here.', told);
    now = { kind: null, n: 0, title: '', length: 0, timer: 0, trouble: told, held: false };
    say();
  }

  picture.onload = function () { if (now.kind === 'picture') { stageFor(picture); finish(); say(); } };
  picture.onerror = function () { if (now.kind === 'picture' && picture.getAttribute('src')) { fail('this browser cannot show this picture'); } };

  film.onloadedmetadata = function () {
    if (now.kind !== 'film' && now.kind !== 'sound') { return; }
    // A film without a picture is a sound, whatever it is called.
    if (now.kind === 'film' && film.videoWidth === 0) { now.kind = 'sound'; }
    if (now.start > 0 && (!isFinite(film.duration) || now.start < film.duration)) { film.currentTime = now.start; }
    stageFor(film);
    finish();
    say();
  };
  film.onerror = function () {
    if (!film.getAttribute('src')) { return; }
    var number = film.error ? film.error.code : 0;
    fail(number === 2 ? 'the network broke off while it was fetched' : number === 3 ? 'this browser cannot decode it' :
      'this browser cannot play this format, or nothing is at that address');
  };
  film.onplaying = function () { now.trouble = ''; on(press, false); wake(); say(); };
  film.onpause = film.onseeked = film.onvolumechange = function () { if (busy()) { say(); } };
  film.onwaiting = film.onstalled = function () {
    if (busy() && !film.paused && film.readyState < 3) { now.trouble = 'waits for more of the file'; say(); }
  };
  film.onended = function () {
    say();
    // The picture stays black for a moment, so that the next of a queue follows without this page between.
    var was = now;
    setTimeout(function () { if (now === was && film.ended) { stop(); ready(); say(); } }, 3000);
  };

  function start() {
    var was = now, promise;
    function refused(error) {
      if (now !== was) { return; }
      if (error && error.name === 'AbortError') { return; }
      if (error && error.name === 'NotSupportedError') { return; }
      hold();
    }
    try { promise = film.play(); } catch (error) { refused(error); }
    if (promise && promise.then) { promise.then(null, refused); } else {
      setTimeout(function () { if (now === was && film.paused && film.readyState > 2 && !film.ended) { refused(null); } }, 1500);
    }
  }

  /** The browser lets nothing play before somebody presses something. */
  function hold() {
    now.trouble = 'waits for a press of OK on the screen';
    press.textContent = 'Press OK to play';
    on(press, true);
    press.focus();
    wanted = start;
    say();
  }

  function caption(address, was) {
    var request = new XMLHttpRequest();
    function none() { if (now === was) { now.trouble = 'the captions could not be fetched'; say(); } }
    request.open('GET', address, true);
    request.timeout = LOADS_WITHIN;
    request.onerror = request.ontimeout = none;
    request.onload = function () {
      if (now !== was) { return; }
      if (request.status !== 200 || !window.Blob || !window.URL) { return none(); }
      var text = request.responseText.replace(/\r\n?/g, '\n').replace(/^\uFEFF/, '');
      if (text.indexOf('WEBVTT') !== 0) { text = 'WEBVTT\n\n' + text.replace(/(\d\d:\d\d:\d\d),(\d\d\d)/g, '$1.$2'); }
      was.url = window.URL.createObjectURL(new Blob([text], { type: 'text/vtt' }));
      var track = document.createElement('track');
      track.kind = 'captions'; track.label = 'Captions'; track['default'] = true; track.src = was.url;
      film.appendChild(track);
      if (film.textTracks && film.textTracks.length) { film.textTracks[film.textTracks.length - 1].mode = 'showing'; }
    };
    request.send();
  }

  // -- a screen, over WebRTC -----------------------------------------------------------------------

  function present(order) {
    var Link = window.RTCPeerConnection, link, was, told = false, stream = null;
    stop();
    if (!Link) { return done(order.n, 'this browser shows no screens: it has no WebRTC'); }
    was = now = { kind: 'screen', n: order.n, title: '', length: 0, trouble: '', held: false, shown: false };
    now.timer = setTimeout(function () { fail('the way to the screen could not be prepared in time'); }, LOADS_WITHIN);
    link = now.link = new Link();
    link.ontrack = function (event) {
      if (now !== was) { return; }
      // As little as possible waits between arriving and being shown.
      try { event.receiver.jitterBufferTarget = 0; } catch (error) { /* An older browser. */ }
      try { event.receiver.playoutDelayHint = 0; } catch (error) { /* Another one. */ }
      // Picture and sound may come as two streams; they belong together.
      stream = stream || new MediaStream();
      stream.addTrack(event.track);
      live.srcObject = stream;
      var promise = live.play();
      if (promise && promise.then) {
        promise.then(null, function (error) {
          if (now !== was || !error || error.name !== 'NotAllowedError') { return; }
          live.muted = true;
          live.play();
        });
      }
    };
    link.oniceconnectionstatechange = function () {
      if (now === was && (link.iceConnectionState === 'failed' || link.iceConnectionState === 'closed')) {
        stop(); ready(); say();
      }
    };
    function answer() {
      if (told || now !== was) { return; }
      told = true;
      clearTimeout(now.timer);
      now.n = 0;
      done(order.n, null, link.localDescription.sdp);
    }
    link.onicegatheringstatechange = function () { if (link.iceGatheringState === 'complete') { answer(); } };
    link.setRemoteDescription({ type: 'offer', sdp: order.offer }).then(function () {
      return link.createAnswer();
    }).then(function (description) {
      return link.setLocalDescription(description);
    }).then(function () {
      if (link.iceGatheringState === 'complete') { answer(); } else { setTimeout(answer, 1500); }
    }).then(null, function (error) { if (now === was) { fail('this browser cannot show it: ' + error.message); } });
    wake();
  }

  live.onplaying = function () { if (now.kind === 'screen') { now.shown = true; stageFor(live); say(); } };

  // -- orders --------------------------------------------------------------------------------------

  function playing() { return now.kind === 'film' || now.kind === 'sound'; }

  function follow(order) {
    var what = order['do'], n = order.n;
    if (what === 'open') { return open(order); }
    if (what === 'show') { return present(order); }
    if (what === 'stop' || (what === 'hide' && now.kind === 'screen')) { stop(); ready(); return done(n); }
    if (what === 'hide') { return done(n); }
    if (what === 'volume') { volume = order.to; film.volume = live.volume = volume / 100; if (volume > 0) { film.muted = false; } return done(n); }
    if (what === 'mute') { film.muted = live.muted = order.to; return done(n); }
    if (!playing()) { return done(n, now.kind === 'picture' ? 'a picture is shown' : 'nothing is played'); }
    if (what === 'play') { start(); }
    if (what === 'pause') { film.pause(); }
    if (what === 'play-pause') { if (film.paused) { start(); } else { film.pause(); } }
    if (what === 'seek') {
      if (isFinite(film.duration) && order.to > film.duration) { return done(n, 'that is beyond its end'); }
      if (!isFinite(film.duration) && film.seekable.length === 0) { return done(n, 'this cannot be sought in'); }
      film.currentTime = order.to;
    }
    done(n);
  }

  // -- the remote control, and staying awake -------------------------------------------------------

  var lock = null;
  function wake() {
    // Browsers give this to secure pages alone; a film that plays keeps the screen on by itself.
    if (!lock && navigator.wakeLock) {
      navigator.wakeLock.request('screen').then(function (one) {
        lock = one;
        one.addEventListener('release', function () { lock = null; });
      }, function () { /* Then not. */ });
    }
  }
  function rest() { if (lock) { lock.release(); lock = null; } }

  function ok() {
    var root = document.documentElement, fill = root.requestFullscreen || root.webkitRequestFullscreen, act = wanted;
    wanted = null;
    pressed = true;
    on(press, false);
    if (fill && !document.fullscreenElement && !document.webkitFullscreenElement) {
      try { var promise = fill.call(root); if (promise && promise.then) { promise.then(null, function () { /* Then not. */ }); } } catch (error) { /* Then not. */ }
    }
    if (act) { act(); } else if (!busy()) { film.load(); if (standing === 'ready') { ready(); } }
    if (live.muted && now.kind === 'screen' && !film.muted) { live.muted = false; }
  }

  document.addEventListener('click', ok);
  document.addEventListener('keydown', function (event) {
    var key = event.keyCode;
    if (key === 13 && document.activeElement !== press) { ok(); }
    if (!playing()) { return; }
    if (key === 32 || key === 179 || key === 10252) { if (film.paused) { start(); } else { film.pause(); } }
    if (key === 415) { start(); }
    if (key === 19) { film.pause(); }
    if (key === 413) { stop(); ready(); say(); }
  });

  var still = 0;
  document.addEventListener('mousemove', function () {
    document.body.className = '';
    clearTimeout(still);
    still = setTimeout(function () { document.body.className = 'still'; }, 3000);
  });

  window.addEventListener('pagehide', leave);
  window.addEventListener('pageshow', function (event) { if (event.persisted) { hello(); } });

  var ticks = 0;
  setInterval(function () {
    ticks += 1;
    if ((playing() && !film.paused) || ticks % 5 === 0) { say(); }
  }, 1000);

  hello();
}());
