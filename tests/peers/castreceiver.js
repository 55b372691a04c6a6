// A Google Cast receiver for tests, on npm's castv2 (TLS, framing and protobuf are its own, not ours): one app, one
// player with a clock, and a real fetch of what it is told to play. There is no free receiver; foreign senders
// (pychromecast, catt) drive this one too, so that it does not merely please ours.
//
//   node castreceiver.js FOLDER PORT WITNESS [length=90] [fault=NAME]
//
// FOLDER holds key.pem and cert.pem. What it did is told on 127.0.0.1:WITNESS, which also takes faults: GET /, PUT /NAME
// (fail-load, never-fetch, still, misnumber, refuse-launch, none).

const fs = require('fs')
const http = require('http')
const path = require('path')
const { Server } = require('castv2')

const [folder, port, witness, ...options] = process.argv.slice(2)
const option = (name, otherwise) => (options.find((one) => one.startsWith(name + '=')) || `=${otherwise}`).split('=')[1]
const DEFAULT = 'CC1AD845'
const NAMES = { [DEFAULT]: 'Default Media Receiver', '233637DE': 'YouTube' }
const PREFIX = 'urn:x-cast:com.google.cast.'

const state = {
  fault: option('fault', 'none'), app: null, media: null, volume: { level: 0.5, muted: false, controlType: 'attenuation' },
  loads: [], fetched: 0, captions: null, said: [], senders: new Set(), launches: 0,
}
let runs = 0, sessions = 0
const links = new Map() // client → the ends that it is linked to
const server = new Server({ key: fs.readFileSync(path.join(folder, 'key.pem')), cert: fs.readFileSync(path.join(folder, 'cert.pem')) })

const send = (client, source, destination, namespace, words) => {
  if (server.clients[client]) server.send(client, source, destination, PREFIX + namespace, JSON.stringify(words))
}
const each = (end, act) => { for (const [client, ends] of links) if (ends.has(end)) act(client) }

function receiverStatus(request) {
  const app = state.app && {
    appId: state.app.id, displayName: NAMES[state.app.id], isIdleScreen: false, sessionId: state.app.session,
    transportId: state.app.transport, statusText: '', namespaces: [{ name: PREFIX + 'media' }],
  }
  return { type: 'RECEIVER_STATUS', requestId: request, status: { ...(app && { applications: [app] }), volume: state.volume, userEq: {} } }
}

function position(media) {
  if (media.state !== 'PLAYING' || state.fault === 'still') return media.at
  return Math.min(media.at + (Date.now() - media.since) / 1000, media.length)
}
function settle() {
  const media = state.media
  if (!media) return
  media.at = position(media)
  media.since = Date.now()
}

function mediaStatus(request) {
  const media = state.media
  const status = media ? [{
    mediaSessionId: media.session, playbackRate: 1, playerState: media.state, currentTime: position(media),
    ...(media.idle && { idleReason: media.idle }), supportedMediaCommands: 15, volume: { level: 1, muted: false },
    activeTrackIds: media.tracks, media: { ...media.media, duration: media.length }, currentItemId: 1,
    items: [{ itemId: 1, media: media.media, autoplay: true }], repeatMode: 'REPEAT_OFF',
  }] : []
  return { type: 'MEDIA_STATUS', requestId: request, status }
}

// Answers the one who asked, and tells all others, as devices do.
function tell(end, namespace, make, client, source, request) {
  each(end, (other) => { if (other !== client) send(other, end, '*', namespace, make(0)) })
  if (client) send(client, end, source, namespace, make(state.fault === 'misnumber' ? 99999 : request))
}

function end(idle) {
  if (!state.media) return
  settle()
  state.media.state = 'IDLE'
  state.media.idle = idle
}

function closeApp() {
  if (!state.app) return
  const { transport } = state.app
  each(transport, (client) => { send(client, transport, '*', 'tp.connection', { type: 'CLOSE' }); links.get(client).delete(transport) })
  state.app = state.media = null
}

function fetch(url, range, done) {
  const request = http.get(url, { headers: range ? { Range: range, 'User-Agent': 'CrKey/1.56' } : {}, timeout: 5000 }, (answer) => {
    let bytes = 0
    answer.on('data', (piece) => { bytes += piece.length })
    answer.on('end', () => done(answer, bytes))
    answer.on('error', () => done(null, bytes))
  })
  request.on('timeout', () => request.destroy())
  request.on('error', () => done(null, 0))
}

function load(client, source, words) {
  const { requestId: request, media, activeTrackIds = [] } = words
  state.loads.push(words)
  const { transport } = state.app
  const fail = () => { end('ERROR'); tell(transport, 'media', mediaStatus); send(client, transport, source, 'media', { type: 'LOAD_FAILED', requestId: request }) }
  if (state.fault === 'fail-load') return fail()
  end('INTERRUPTED')
  sessions += 1
  const here = state.media = {
    session: sessions, state: 'BUFFERING', idle: null, at: words.currentTime || 0, since: Date.now(), tracks: activeTrackIds,
    media, length: media.duration || Number(option('length', 90)),
  }
  if (state.fault === 'never-fetch') return tell(transport, 'media', mediaStatus, client, source, request)
  fetch(media.contentId, 'bytes=0-65535', (answer, bytes) => {
    if (state.media !== here) return
    if (!answer || ![200, 206].includes(answer.statusCode)) return fail()
    state.fetched += bytes
    here.state = words.autoplay === false ? 'PAUSED' : 'PLAYING'
    here.since = Date.now()
    tell(transport, 'media', mediaStatus, client, source, request)
    const track = (media.tracks || []).find((one) => activeTrackIds.includes(one.trackId))
    // Captions of another origin are shown only where they allow it, as in any page.
    if (track) fetch(track.trackContentId, null, (captions) => { state.captions = Boolean(captions && captions.headers['access-control-allow-origin']) })
  })
}

const receiver = {
  GET_STATUS() {},
  GET_APP_AVAILABILITY(words, client, source) {
    const availability = Object.fromEntries(words.appId.map((id) => [id, NAMES[id] ? 'APP_AVAILABLE' : 'APP_UNAVAILABLE']))
    send(client, 'receiver-0', source, 'receiver', { responseType: 'GET_APP_AVAILABILITY', requestId: words.requestId, availability })
    return true
  },
  LAUNCH(words, client, source) {
    state.launches += 1
    if (!NAMES[words.appId] || state.fault === 'refuse-launch') {
      send(client, 'receiver-0', source, 'receiver', { type: 'LAUNCH_ERROR', requestId: words.requestId, reason: 'NOT_FOUND' })
      return true
    }
    if (state.app && state.app.id === words.appId) return
    closeApp()
    runs += 1
    state.app = { id: words.appId, session: `run-${runs}`, transport: `web-${runs}` }
  },
  STOP(words, client, source) {
    if (words.sessionId && (!state.app || words.sessionId !== state.app.session)) {
      send(client, 'receiver-0', source, 'receiver', { type: 'INVALID_REQUEST', requestId: words.requestId, reason: 'INVALID_SESSION_ID' })
      return true
    }
    closeApp()
  },
  SET_VOLUME(words) { Object.assign(state.volume, words.volume) },
}

const player = {
  GET_STATUS() {},
  PLAY(media) { settle(); media.state = 'PLAYING' },
  PAUSE(media) { settle(); media.state = 'PAUSED' },
  STOP() { end('CANCELLED') },
  SEEK(media, words) { settle(); media.at = Math.min(words.currentTime, media.length); if (words.resumeState === 'PLAYBACK_START') media.state = 'PLAYING' },
  EDIT_TRACKS_INFO(media, words) { media.tracks = words.activeTrackIds },
}

server.on('message', (client, source, destination, namespace, data) => {
  const kind = namespace.replace(PREFIX, '')
  if (kind === 'tp.deviceauth') return server.send(client, destination, source, namespace, Buffer.from('12040a001200', 'hex'))
  const words = JSON.parse(data)
  if (!links.has(client)) {
    links.set(client, new Set())
    server.clients[client].socket.once('close', () => links.delete(client))
  }
  const mine = links.get(client)
  if (kind === 'tp.heartbeat') return words.type === 'PING' && send(client, destination, source, kind, { type: 'PONG' })
  state.said.push(`${kind} ${words.type}`)
  state.senders.add(source)
  if (kind === 'tp.connection') return words.type === 'CONNECT' ? mine.add(destination) : mine.delete(destination)
  if (!mine.has(destination)) return // as a device drops what comes without a link
  if (kind === 'receiver' && destination === 'receiver-0' && receiver[words.type]) {
    if (receiver[words.type](words, client, source)) return
    const asked = words.type === 'GET_STATUS'
    if (asked) return send(client, destination, source, kind, receiverStatus(state.fault === 'misnumber' ? 99999 : words.requestId))
    return tell('receiver-0', kind, receiverStatus, client, source, words.requestId)
  }
  if (kind !== 'media' || !state.app || destination !== state.app.transport) return
  if (words.type === 'LOAD') return load(client, source, words)
  if (words.type === 'GET_STATUS') return send(client, destination, source, kind, mediaStatus(words.requestId))
  const media = state.media
  if (!player[words.type] || !media || media.session !== words.mediaSessionId || media.state === 'IDLE') {
    return send(client, destination, source, kind, { type: 'INVALID_REQUEST', requestId: words.requestId, reason: 'INVALID_MEDIA_SESSION_ID' })
  }
  player[words.type](media, words)
  tell(destination, kind, mediaStatus, client, source, words.requestId)
})
server.on('error', (error) => { console.error(String(error)); process.exit(1) })
server.server.on('tlsClientError', () => {})
server.server.on('secureConnection', (socket) => socket.on('error', () => {}))

setInterval(() => {
  const media = state.media
  if (media && media.state === 'PLAYING' && position(media) >= media.length) {
    end('FINISHED')
    tell(state.app.transport, 'media', mediaStatus)
  }
}, 200)
setInterval(() => { for (const client of links.keys()) send(client, 'receiver-0', '*', 'tp.heartbeat', { type: 'PING' }) }, 5000)

http.createServer((request, answer) => {
  if (request.method === 'PUT') state.fault = request.url.slice(1)
  settle()
  answer.setHeader('content-type', 'application/json')
  answer.end(JSON.stringify({ ...state, senders: [...state.senders], clients: Object.keys(server.clients).length }))
}).listen(Number(witness), '127.0.0.1')
server.listen(Number(port), '0.0.0.0', () => console.log('ready'))
