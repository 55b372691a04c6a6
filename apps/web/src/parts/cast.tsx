// Casting: what plays on which device, how it really goes there, and the dialog to begin it.
import { useEffect, useId, useRef, useState } from "react";
import { actOnCast, castFiles, castNamed, type HowCast, stopCast } from "../actions";
import { BASE, id as escape } from "../api/client";
import type { Cast, CastCaptions, CastItem, Device } from "../api/types";
import { bytes, clock, plural } from "../format";
import { castWatch, useHub } from "../store";
import { announce, closeDialog, Dialog, openDialog } from "../ui/overlay";
import { Ago, Button, Field, Menu, Name, Switch, useNow } from "../ui/bits";
import { Icon, type IconName } from "../ui/icons";
import { Slider } from "../services/control";
import { takesCasts } from "../services/model";
import { fromInput } from "./drop";
import { DropTarget, isLink, type Taker } from "./send";

/** After so many seconds without a word, its age is worth saying. */
const OLD_S = 12;
const STOPPED = "you stopped it";

/** What really happens on the device, in words. That it says "playing" is no evidence. */
export function castLine(cast: Cast): string {
  if (cast.over !== null) return `Over: ${cast.over}`;
  if (cast.trouble) return cast.trouble.charAt(0).toUpperCase() + cast.trouble.slice(1);
  switch (cast.step) {
    case "begins": return "Is being told…";
    case "commanded": return "Told; nothing was fetched yet";
    case "fetched": return cast.seen ? "Shown" : "Fetches it; nothing moves yet";
    case "away": return "Does not answer; the place is kept";
    default: return cast.held ? "On hold" : "Plays";
  }
}

/** The way that failed last and the one that is tried now, while it is not seen. */
export function castWay(cast: Cast): string | null {
  const failed = cast.tries.filter((one) => one.failed).at(-1);
  if (!failed || cast.over !== null) return null;
  const now = cast.tries.at(-1);
  return `Tried ${failed.how}: ${failed.failed}.${now && now !== failed ? ` Now ${now.how}.` : ""}`;
}

/** Where it is now: what was said last, and the time since while it moves. */
export function castPlace(cast: Cast, now: number): number | null {
  if (cast.position === null || cast.position_seen === null) return null;
  const moves = cast.step === "moving" && !cast.held && !cast.trouble;
  const since = moves ? Math.min(15, Math.max(0, (now - Date.parse(cast.position_seen)) / 1000)) : 0;
  return Math.min(cast.length ?? Infinity, cast.position + since);
}

/** Casts that ran while this page was open: how they ended is worth showing. */
const ran = new Set<string>();
export function tellOfCasts() {
  castWatch.changed = (before, now) => {
    if (now.over === null) ran.add(now.id);
    const on = `${now.name} on ${now.device_name}`;
    if (before?.over === null && now.over !== null && now.over !== STOPPED) announce(`${on} is over: ${now.over}.`);
    else if (before && !before.seen && now.seen && now.over === null) announce(`${on}: ${castLine(now)}.`);
    else if (before && now.trouble && before.trouble !== now.trouble) announce(`${on}: ${now.trouble}.`);
  };
}

/** What the bar shows: what runs; else what ended otherwise than it should. */
function useShown(): { all: Cast[]; one: Cast | undefined; choose: (id: string) => void; dismiss: (id: string) => void } {
  const casts = useHub((hub) => hub.casts);
  const [chosen, setChosen] = useState<string | null>(null);
  const [dismissed, setDismissed] = useState<string[]>([]);
  const running = casts.filter((cast) => cast.over === null);
  const ended = casts.filter((cast) => cast.over !== null && !cast.done && cast.over !== STOPPED && ran.has(cast.id) && !dismissed.includes(cast.id));
  for (const cast of running) ran.add(cast.id);
  const all = running.length > 0 ? running : ended.slice(0, 1);
  return { all, one: all.find((cast) => cast.id === chosen) ?? all[0], choose: setChosen, dismiss: (id) => setDismissed([...dismissed, id]) };
}

/** At the bottom of every page while something is cast. */
export function MiniPlayer() {
  const { all, one, choose, dismiss } = useShown();
  const active = one !== undefined;
  useEffect(() => {
    document.documentElement.classList.toggle("has-cast", active);
    return () => document.documentElement.classList.remove("has-cast");
  }, [active]);
  if (!one) return null;
  return (
    <section className="mini" aria-label={`Cast on ${one.device_name}`} data-testid="mini-player" data-step={one.step}>
      {all.length > 1 && (
        <label className="mini-which">
          <span className="hidden-visually">Which cast</span>
          <select value={one.id} onChange={(event) => choose(event.target.value)}>
            {all.map((cast) => <option key={cast.id} value={cast.id}>{`${cast.device_name}: ${cast.name}`}</option>)}
          </select>
        </label>
      )}
      <div className="mini-row">
        <Picture cast={one} at={one.at} />
        <div className="mini-what">
          <p className="row-label"><Name>{one.name}</Name></p>
          <Line cast={one} />
        </div>
        {one.over === null ? <Buttons cast={one} /> : (
          <div className="mini-buttons">
            {one.resumes && <Button tone="primary" icon="media" onClick={() => actOnCast(one, { act: "play" })}>{one.position ? `Go on at ${clock(one.position)}` : "Go on"}</Button>}
            <button className="icon-button" aria-label="Dismiss" onClick={() => dismiss(one.id)}><Icon name="close" /></button>
          </div>
        )}
      </div>
      {one.over === null && !one.picture && <Place cast={one} />}
    </section>
  );
}

function Line({ cast }: { cast: Cast }) {
  const now = useNow(1000);
  const way = castWay(cast);
  const old = cast.step === "moving" && !cast.held && cast.position_seen !== null && now - Date.parse(cast.position_seen) > OLD_S * 1000;
  const good = cast.seen && cast.over === null && !cast.trouble;
  return (
    <p className="meta mini-line" data-testid="cast-line">
      <span className={`dot ${good ? "live" : ""}`} aria-hidden="true" /> {castLine(cast)} · <Name>{cast.device_name}</Name>
      {cast.queue.length > 1 && <span className="tabular"> · {cast.at + 1} of {cast.queue.length}</span>}
      {old && cast.position_seen && <> · <span className="age stale">heard of <Ago time={cast.position_seen} /></span></>}
      {cast.to && " · is handed over"}
      {way && !cast.seen && <span className="mini-way"> · {way}</span>}
    </p>
  );
}

const kindIcon: Record<CastItem["kind"], IconName> = { film: "tv", sound: "note", picture: "camera", address: "link" };

/** A picture of the queue as it is; an icon for everything else. */
function Picture({ cast, at, small }: { cast: Cast; at: number; small?: boolean }) {
  const item = cast.queue[at];
  const [broken, setBroken] = useState("");
  const address = `${BASE}/casts/${escape(cast.id)}/picture?at=${at}`;
  const size = small ? "kind small" : "kind";
  if (item?.kind !== "picture" || broken === address) return <span className={size}><Icon name={kindIcon[item?.kind ?? "film"]} /></span>;
  return <img className={`${size} artwork`} src={address} alt="" loading="lazy" onError={() => setBroken(address)} />;
}

function Buttons({ cast }: { cast: Cast }) {
  const on = `${cast.name} on ${cast.device_name}`;
  const several = cast.queue.length > 1;
  const still = cast.picture && (!several || cast.at + 1 >= cast.queue.length);
  return (
    <div className="mini-buttons">
      {(several || !cast.picture) && <button className="icon-button" aria-label={`Previous, ${on}`} onClick={() => actOnCast(cast, { act: "previous" })}><Icon name="previous" filled /></button>}
      {!still && (
        <button className="icon-button round" aria-label={`${cast.held ? "Go on" : "Hold"}, ${on}`} data-testid="cast-toggle" onClick={() => actOnCast(cast, { act: cast.held ? "play" : "pause" })}>
          <Icon name={cast.held ? "media" : "pause"} filled />
        </button>
      )}
      {several && <button className="icon-button" disabled={cast.at + 1 >= cast.queue.length} aria-label={`Next, ${on}`} onClick={() => actOnCast(cast, { act: "next" })}><Icon name="next" filled /></button>}
      <button className="icon-button" aria-label={`Stop, ${on}`} data-testid="cast-stop" onClick={() => stopCast(cast)}><Icon name="stop" filled /></button>
      {cast.volume !== null && <div className="mini-volume"><Icon name="volume" /><Volume cast={cast} /></div>}
      <HandOver cast={cast} />
      <button className="icon-button" aria-label={`Queue, captions, volume and more, ${on}`} aria-haspopup="dialog" data-testid="cast-more" onClick={() => openDialog({ kind: "casting", id: cast.id })}><Icon name="list" /></button>
    </div>
  );
}

function Volume({ cast, loud }: { cast: Cast; loud?: boolean }) {
  return (
    <Slider quiet={!loud} label={loud ? "Volume" : `Volume of ${cast.device_name}`} now={cast.volume ?? undefined} min={0} max={100} step={1} say={(at) => `${Math.round(at)} %`} disabled={false}
      onSet={(percent) => actOnCast(cast, { act: "volume", percent: Math.round(percent) })} />
  );
}

function Place({ cast }: { cast: Cast }) {
  const now = useNow(1000);
  const [wanted, setWanted] = useState<number | null>(null);
  const here = wanted ?? castPlace(cast, now);
  useEffect(() => setWanted(null), [cast.position_seen, cast.at]);
  if (here === null) return <p className="hint tabular mini-place">{cast.size === null ? "Fetched from elsewhere" : `${bytes(Math.min(cast.fetched, cast.size))} of ${bytes(cast.size)} fetched`}</p>;
  if (cast.length === null || !cast.seeks) return <p className="hint tabular mini-place">{clock(here)}{cast.length !== null && ` of ${clock(cast.length)}`}</p>;
  return (
    <div className="mini-place">
      <Slider quiet label={`Position, ${cast.name}`} now={here} min={0} max={cast.length} step={1} say={(at) => `${clock(at)} of ${clock(cast.length ?? 0)}`} disabled={false}
        onSet={(to) => { setWanted(to); void actOnCast(cast, { act: "seek", to }).then((done) => { if (!done) setWanted(null); }); }} />
    </div>
  );
}

/** Devices to which it can go on. */
function useOthers(cast: Cast): Device[] {
  const devices = useHub((hub) => hub.devices);
  return devices.filter((device) => device.id !== cast.device && takesCasts(device));
}

function HandOver({ cast }: { cast: Cast }) {
  const others = useOthers(cast);
  if (others.length === 0) return null;
  const items = others.map((device) => ({ label: device.name, icon: (device.kind === "speaker" ? "speaker" : "tv") as IconName, run: () => void actOnCast(cast, { act: "hand-over", device: device.id }) }));
  return <Menu label={`Hand over to another device, ${cast.name}`} icon="cast" items={items} />;
}

const same = (one: CastCaptions, other: CastCaptions) => JSON.stringify(one) === JSON.stringify(other);

/** Everything about one cast: its queue, sounds, captions, volume, what was tried. */
export function CastingDialog({ id }: { id: string }) {
  const cast = useHub((hub) => hub.casts.find((one) => one.id === id));
  const sound = useId();
  const captions = useId();
  useEffect(() => { if (!cast) closeDialog(); }, [cast]);
  if (!cast) return null;
  const over = cast.over !== null;
  const choices: { value: CastCaptions; label: string }[] = [
    { value: "off", label: "None" },
    ...(cast.captions_file ? [{ value: "file" as CastCaptions, label: cast.captions_file }] : []),
    ...cast.texts.map((label, track) => ({ value: { track }, label })),
  ];
  return (
    <Dialog title={<>On <Name>{cast.device_name}</Name></>} testid="casting">
      <Line cast={cast} />
      {cast.advice && <p className="hint">{cast.advice}</p>}
      {!over && cast.volume !== null && <Volume cast={cast} loud />}
      {!over && choices.length > 1 && (
        <div className="field">
          <label htmlFor={captions}>Captions</label>
          <select id={captions} value={choices.findIndex((one) => same(one.value, cast.captions))} onChange={(event) => void actOnCast(cast, { act: "captions", captions: choices[Number(event.target.value)]!.value })}>
            {choices.map((one, at) => <option key={at} value={at}>{one.label}</option>)}
          </select>
        </div>
      )}
      {!over && cast.sounds.length > 1 && (
        <div className="field">
          <label htmlFor={sound}>Sound</label>
          <select id={sound} value={cast.sound ?? 0} onChange={(event) => void actOnCast(cast, { act: "sound", sound: Number(event.target.value) })}>
            {cast.sounds.map((label, at) => <option key={at} value={at}>{label}</option>)}
          </select>
        </div>
      )}
      <h3>Queue</h3>
      <ol className="plain queue">
        {cast.queue.map((item, at) => (
          <li key={at} className={`row ${at === cast.at && !over ? "now" : ""}`} aria-current={at === cast.at && !over ? "true" : undefined}>
            <Picture cast={cast} at={at} small />
            <span className="row-text">
              <span className="row-label"><Name>{item.name}</Name></span>
              {item.state !== "waits" && <span className="hint">{item.state === "failed" ? `Not shown: ${item.message ?? ""}` : item.state === "done" ? "Shown" : castLine(cast)}</span>}
            </span>
            {!over && at !== cast.at && <button className="icon-button" aria-label={`Show ${item.name}`} onClick={() => actOnCast(cast, { act: "show", at })}><Icon name="media" filled /></button>}
          </li>
        ))}
      </ol>
      {cast.left_out > 0 && <p className="hint">{plural(cast.left_out, "file")} left out.</p>}
      <details className="fold small">
        <summary><Icon name="right" />How it goes</summary>
        <ul className="plain stack">
          {cast.tries.map((one, at) => <li key={at} className="hint">{one.failed ? `${one.how}: ${one.failed}` : one.how}</li>)}
          {cast.next && <li className="hint">If that fails: {cast.next}</li>}
          {cast.size !== null && <li className="hint tabular">{bytes(cast.fetched)} fetched, of {bytes(cast.size)}</li>}
          <li className="hint">{cast.real_title ? "The device shows what it is called." : "The device shows “Accord”, not what it is called."}</li>
        </ul>
      </details>
    </Dialog>
  );
}

/** A path of the machine on which the hub runs. */
const isPath = (text: string) => text.startsWith("/") || text.startsWith("file://");

/** What to cast: files of this browser's machine, an address, or a path where the hub runs. */
export function CastDialog({ device }: { device: Device }) {
  const [text, setText] = useState("");
  const [real, setReal] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const how: HowCast = { title: real ? "real" : "accord" };
  const taker: Taker = {
    able: takesCasts(device),
    words: "Drop to cast to",
    files: (chosen) => { closeDialog(); void castFiles(device, chosen, how); },
    text: (dropped) => { if (isLink(dropped)) { closeDialog(); void castNamed(device, [dropped.trim()], how); } },
  };
  const pasted = useRef(taker);
  pasted.current = taker;
  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const { clipboardData } = event;
      if (clipboardData?.files.length) return pasted.current.files(fromInput(clipboardData.files));
      const link = clipboardData?.getData("text/plain") ?? "";
      if (!(event.target as HTMLElement).closest("input,textarea") && isLink(link)) pasted.current.text(link);
    };
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, []);
  const named = text.trim();
  return (
    <Dialog title={<>Cast to <Name>{device.name}</Name></>} testid="cast">
      <DropTarget device={device} className="drop-zone" taker={taker}>
        <span className="empty-icon"><Icon name="upload" /></span>
        <p>Drop films, sounds or pictures here, or paste</p>
        <div className="pair-buttons">
          <Button icon="file" onClick={() => files.current?.click()}>Choose files</Button>
          <Button icon="folder" onClick={() => folder.current?.click()}>Choose a folder</Button>
        </div>
        <input ref={files} type="file" multiple hidden data-testid="cast-files" aria-label="Files to cast" accept="video/*,audio/*,image/*,.mkv,.flac,.srt,.vtt,.ass" onChange={(event) => taker.files(fromInput(event.target.files))} />
        <input
          ref={(input) => {
            folder.current = input;
            input?.setAttribute("webkitdirectory", "");
          }}
          type="file" multiple hidden aria-label="Folder to cast" onChange={(event) => taker.files(fromInput(event.target.files))}
        />
      </DropTarget>
      <form
        className="way"
        onSubmit={(event) => {
          event.preventDefault();
          closeDialog();
          void castNamed(device, [named], how);
        }}
      >
        <Field label="Address or path" hint={isLink(named) ? "The device fetches it itself, and is told the whole address." : "An address (https://…), or the full path of a file or folder where Accord runs: that one is not copied first."}>
          {(field, hint) => <input id={field} aria-describedby={hint} required dir="ltr" autoComplete="off" spellCheck={false} placeholder="https:// or /home/…" value={text} onChange={(event) => setText(event.target.value)} />}
        </Field>
        <div className="form-end"><Button type="submit" tone="primary" icon="cast" disabled={!isLink(named) && !isPath(named)}>Cast it</Button></div>
      </form>
      <Switch on={real} label="Show what it is called" hint="Else the device shows “Accord”. You are asked once for that." onChange={setReal} />
      <p className="hint">Only this device can fetch what you cast, only as long as it plays. In your network it travels in clear.</p>
    </Dialog>
  );
}
