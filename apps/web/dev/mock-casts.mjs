// Casts of the mock hub: a film and pictures on televisions that are not there. MOCK_CAST=1 adds them.
import { player } from "./mock-services.mjs";

const now = () => new Date().toISOString();
const open = { id: "open", effect: "physical", inputs: [{ id: "address", format: "text", read: true, write: false, notify: false, role: "primary" }], outputs: [] };

/** Devices to which can be cast. */
export function castables(device) {
  const tv = (id, name, kind) => {
    const service = player(0, name, "", "", 0, 0, false);
    return device(id, name, kind, "paired", { bridge: "upnp", maker: "Sony", model: "KD-65XD7505", services: [{ ...service, actions: [...service.actions, open] }] });
  };
  return [tv("upnp-lounge", "Lounge TV", "tv"), tv("upnp-bedroom", "Bedroom TV", "tv"), tv("upnp-kitchen", "Kitchen speaker", "speaker")];
}

const item = (name, kind, state, message = null) => ({ name, kind, state, message });
const cast = (id, device, device_name, more) => ({
  id, device, device_name, queue: [], at: 0, left_out: 0, name: "", size: 734_003_200, picture: false, fetched: 91_750_400, step: "moving", seen: true, over: null, done: false,
  resumes: false, held: false, trouble: null, tries: [{ how: "as it is", failed: null }], next: null, advice: null, position: 724, position_seen: now(), length: 5400, seeks: true, volume: 35,
  sounds: [], sound: null, texts: [], captions: "off", captions_file: null, interval: 10, real_title: false, to: null, since: now(), ...more,
});

export function makeCasts(hub, tell) {
  const state = process.env.MOCK_CAST;
  hub.casts = [];
  if (!state) return;
  const film = cast("1", "upnp-lounge", "Lounge TV", {
    name: "The Long Way Home (2024).mkv", queue: [item("Trailer.mp4", "film", "done"), item("The Long Way Home (2024).mkv", "film", "now"), item("notes.mp4", "film", "failed", "its content is no film, sound or picture that is known here"), item("Extras.mp4", "film", "waits")],
    at: 1, sounds: ["English, AC-3 5.1", "Deutsch, AAC"], sound: 0, texts: ["Deutsch, SubRip"], captions: "file", captions_file: "The Long Way Home.srt",
    tries: [{ how: "as it is", failed: "the device fetched the file and its position never moved: it cannot play this format" }, { how: "packed anew, as MP4", failed: null }], next: "picture and sound converted",
  });
  if (state === "stuck") Object.assign(film, { step: "commanded", seen: false, position: null, position_seen: null, fetched: 0 });
  if (state === "over") Object.assign(film, { step: "over", over: "the device was away; it is back", resumes: true, seen: false });
  hub.casts = [film];
  if (state === "two") {
    hub.casts.unshift(cast("2", "upnp-bedroom", "Bedroom TV", { name: "sea 2.png", picture: true, step: "fetched", position: null, position_seen: null, length: null, size: 5e6, fetched: 5e6, queue: [item("sea 1.png", "picture", "done"), item("sea 2.png", "picture", "now"), item("sea 10.png", "picture", "waits")], at: 1 }));
  }
  setInterval(() => {
    for (const one of hub.casts) {
      if (one.step !== "moving" || one.held) continue;
      Object.assign(one, { position: one.position + 5, position_seen: now() });
      tell("cast", one);
    }
  }, 5000).unref();
}

/** Answers `casts…`; `undefined` for what is something else. */
export function answerCasts(hub, tell, method, id, body) {
  if (method === "GET" && !id) return [200, { casts: hub.casts }];
  if (method === "POST" && !id) {
    const device = hub.devices.find((one) => one.id === body.device);
    const name = String(body.what?.[0] ?? "what was uploaded").split("/").at(-1);
    const begun = cast(String(Date.now()), device.id, device.name, { name, queue: [item(name, "film", "now")], position: 0, real_title: body.title === "real" });
    hub.casts.unshift(begun);
    tell("cast", begun);
    return [200, begun];
  }
  const one = hub.casts.find((other) => other.id === id);
  if (!one) return undefined;
  if (method === "DELETE") {
    Object.assign(one, { step: "over", over: "you stopped it", seen: false });
    tell("cast", one);
    return [204];
  }
  if (body.act === "pause" || body.act === "play") one.held = body.act === "pause";
  if (body.act === "seek") Object.assign(one, { position: body.to, position_seen: now() });
  if (body.act === "volume") one.volume = body.percent;
  if (body.act === "captions") one.captions = body.captions;
  if (body.act === "sound") one.sound = body.sound;
  if (["next", "previous", "show"].includes(body.act)) {
    one.queue[one.at].state = one.queue[one.at].message ? "failed" : "waits";
    one.at = Math.max(0, Math.min(one.queue.length - 1, body.act === "show" ? body.at : one.at + (body.act === "next" ? 1 : -1)));
    one.queue[one.at].state = "now";
    one.name = one.queue[one.at].name;
  }
  if (body.act === "hand-over") Object.assign(one, { device: body.device, device_name: hub.devices.find((other) => other.id === body.device)?.name ?? "" });
  tell("cast", one);
  return [200, one];
}
