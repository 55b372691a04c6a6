// A card per standard service, made from what the service says it has; any other service gets the general
// one. A new bridge needs nothing here as long as it speaks the catalogue's words (core/model/src/catalogue.rs).
import { type ReactNode, useMemo, useState } from "react";
import type { Device, Service } from "../api/types";
import { clock, words } from "../format";
import { openDialog, toast } from "../ui/overlay";
import { Button, Field, Name, Progress, useNow } from "../ui/bits";
import { Icon, serviceIcon } from "../ui/icons";
import { DropTarget } from "../parts/send";
import { act, ActionButton, ActionForm, Age, type CardProps, PropertyRow, Slider, Standing, useProperty, write } from "./control";
import { ELSEWHERE, action, flag, grouped, groupTitle, isStale, number, obeys, property, text, title, writable } from "./model";
import { Input } from "./input";
import { Clipboard, Notifications, Ping } from "./notices";
import { Contacts, Messages } from "./people";
import { Storage } from "./storage";
import { Climate } from "./climate";
import { Light } from "./light";
import { Picture } from "./picture";
import { Sensor } from "./sensors";
import { Alarm, Cover, Fan, Humidifier, Lock, More, OnOff, Press, PressedButton, Siren, Vacuum, Valve } from "./things";

/** Everything the device offers, a card each. */
export function Services({ device }: { device: Device }) {
  const able = obeys(device) && device.reach !== "offline";
  // This machine's own keyboard is in front of whoever may use it.
  const services = device.services.filter((service) => !ELSEWHERE.includes(service.id) && !(device.trust === "own" && service.id === "input"));
  return (
    <div className="services">
      {grouped(services).map((group) => {
        const first = group[0]!;
        const Card = cards[first.id] ?? General;
        const name = groupTitle(group);
        return (
          <section key={`${first.id}-${first.instance}`} className={`card service ${WIDE.includes(first.id) ? "wide" : ""}`} aria-label={name} data-service={first.id}>
            <h2 className="card-title"><Icon name={serviceIcon[first.id] ?? "other"} /><Name>{name}</Name></h2>
            {group.map((service) => <Card key={service.instance} device={device} service={service} able={able} />)}
          </section>
        );
      })}
    </div>
  );
}

const WIDE = ["files", "storage", "media", "notifications", "messages", "more", "picture"];
const cards: Record<string, (props: CardProps) => ReactNode> = {
  files: Files, storage: Storage, battery: Battery, media: Player, notifications: Notifications, clipboard: Clipboard, ringer: Ringer,
  "screen-lock": ScreenLock, volume: Volume, command: Command, ping: Ping, input: Input, signal: Signal, calls: Calls,
  messages: Messages, contacts: Contacts,
  light: Light, climate: Climate, "on-off": OnOff, fan: Fan, humidifier: Humidifier, cover: Cover, "door-lock": Lock, vacuum: Vacuum, valve: Valve, alarm: Alarm,
  siren: Siren, press: Press, picture: Picture, button: PressedButton, more: More,
  ...Object.fromEntries(["temperature", "humidity", "pressure", "illuminance", "occupancy", "contact", "water-leak", "smoke", "gas", "vibration", "tamper", "carbon-monoxide", "air-quality", "electricity"].map((id) => [id, Sensor])),
};
/** The card of a service, without its frame. */
export const cardOf = (id: string) => cards[id] ?? General;

const NotYet = () => <p className="hint">It has not said anything yet.</p>;

function Files({ device, service, able }: CardProps) {
  if (device.trust === "own") return <p className="hint">Paired devices can send files, folders, text and links to this machine. You are asked first.</p>;
  if (device.trust !== "paired") return <p className="hint">It takes files, folders, text and links. Pair with it first.</p>;
  return (
    <>
      <DropTarget device={device} className="drop-zone slim">
        <p>Drop files here, or</p>
        <Button icon="send" onClick={() => openDialog({ kind: "send", device })}>Send something</Button>
      </DropTarget>
      {writable(service, "pin") && <details className="fold small"><summary><Icon name="right" />It asks for a PIN</summary><Pin device={device} service={service} able={able} /></details>}
    </>
  );
}

/** The PIN that the device asks for before it takes files. It is never read back. */
function Pin({ device, service, able }: CardProps) {
  const [draft, setDraft] = useState("");
  return (
    <form className="action-form" onSubmit={(event) => { event.preventDefault(); void write(device, service, "pin", draft).then((done) => { if (done) { setDraft(""); toast("The PIN is used from now on. Send again."); } }); }}>
      <Field label="PIN" hint="As its app shows or asks it. Kept until Accord restarts, and told to this device alone.">
        {(field, hint) => <input id={field} aria-describedby={hint} type="password" required maxLength={64} autoComplete="off" spellCheck={false} value={draft} onChange={(event) => setDraft(event.target.value)} />}
      </Field>
      <Button type="submit" disabled={!able || !draft}>Use it</Button>
    </form>
  );
}

function Battery({ service }: CardProps) {
  const percent = number(service, "percent");
  const value = service.values?.percent;
  if (percent === undefined || !value) return <NotYet />;
  const low = (flag(service, "low") ?? percent <= 15) && !flag(service, "charging");
  return (
    <div className={`battery ${low ? "low" : ""}`}>
      <p className="big tabular">{Math.round(percent)} % <span className="hint">{flag(service, "charging") ? "charging" : low ? "low" : ""}</span></p>
      <Progress quiet label="Battery" done={percent} total={100} />
      <Age value={value} />
    </div>
  );
}

function Player({ device, service, able }: CardProps) {
  const at = useProperty<boolean>(device, service, "playing");
  const playing = at.now;
  const track = text(service, "title");
  const said = service.values?.playing ?? service.values?.title;
  // That it plays is only its word; some say where they can be believed.
  const stands = playing === true && flag(service, "moving") === false;
  const on = title(service);
  const tell = (id: string, icon: "previous" | "next" | "stop") => {
    const of = action(service, id);
    return of && <button className="icon-button" disabled={!able} aria-label={`${words(id)}, ${on}`} onClick={() => act(device, service, of)}><Icon name={icon} filled /></button>;
  };
  const toggle = action(service, playing ? "pause" : "play") ?? action(service, "play-pause");
  const shuffle = service.values?.shuffle && writable(service, "shuffle");
  const volume = property(service, "volume");
  return (
    <div className="player" role="group" aria-label={on}>
      <Artwork service={service} />
      <div className="player-what">
        <p className="row-label">{track ? <Name>{track}</Name> : "Nothing is playing"}</p>
        <p className="meta">
          {playing !== undefined && <>{stands ? "Says that it plays, but stands still" : playing ? "Playing" : "Paused"} </>}{at.state !== "said" ? <Standing of={at} /> : said && <Age value={said} />}
          {[text(service, "artist"), text(service, "album"), service.label].map((one) => one && <span key={one}> · <Name>{one}</Name></span>)}
        </p>
      </div>
      <div className="player-buttons">
        {tell("previous", "previous")}
        {toggle && (
          <button className="icon-button round" disabled={!able} aria-label={`${playing ? "Pause" : "Play"}, ${on}`} onClick={() => at.by(!playing, () => act(device, service, toggle))}>
            <Icon name={playing ? "pause" : "media"} filled />
          </button>
        )}
        {tell("next", "next")}
        {tell("stop", "stop")}
        {shuffle && <Shuffle device={device} service={service} able={able} />}
      </div>
      <Position device={device} service={service} able={able} playing={playing === true && !stands} />
      {volume && <div className="player-line sink"><Icon name="volume" /><PropertyRow quiet device={device} service={service} able={able} of={volume} label={`Volume, ${on}`} /></div>}
    </div>
  );
}

function Shuffle({ device, service, able }: CardProps) {
  const { now, set } = useProperty<boolean>(device, service, "shuffle");
  return <button className="icon-button" aria-pressed={now === true} disabled={!able} aria-label={`Shuffle, ${title(service)}`} onClick={() => set(!now)}><Icon name="shuffle" /></button>;
}

/** The picture of what plays, once the player gave one. Named a PNG, so that nothing but a picture is ever read into it. */
function Artwork({ service }: { service: Service }) {
  const bytes = service.values?.artwork?.data;
  const [broken, setBroken] = useState<unknown>(null);
  const address = useMemo(() => {
    if (!Array.isArray(bytes) || bytes.length === 0) return null;
    return `data:image/png;base64,${btoa((bytes as number[]).reduce((text, byte) => text + String.fromCharCode(byte), ""))}`;
  }, [bytes]);
  if (!address || broken === bytes) return <span className="kind"><Icon name="note" /></span>;
  return <img className="kind artwork" src={address} alt="" onError={() => setBroken(bytes)} />;
}

/** Where the player is now: what it said last, and the time since while it plays. */
function Position({ device, service, able, playing }: CardProps & { playing: boolean }) {
  const now = useNow(1000);
  const said = number(service, "position");
  const value = service.values?.position;
  const { now: at, set } = useProperty<number>(device, service, "position");
  const length = number(service, "length") ?? property(service, "position")?.range?.max;
  if (at === undefined || !value || isStale(value, now)) return null;
  const moved = playing && at === said ? Math.max(0, (now - Date.parse(value.seen)) / 1000) : 0;
  const here = length ? Math.min(length, at + moved) : at + moved;
  const of = writable(service, "position");
  if (!length || !of) return <p className="hint tabular player-line">{clock(here)}{length && ` of ${clock(length)}`}</p>;
  return (
    <div className="player-line">
      <Slider quiet label={`Position, ${title(service)}`} now={here} min={0} max={length} step={1} say={(where) => `${clock(where)} of ${clock(length)}`} disabled={!able}
        onSet={set} />
    </div>
  );
}

function Ringer({ device, service, able }: CardProps) {
  const ring = action(service, "ring");
  const stop = action(service, "stop");
  return (
    <>
      <p className="hint">Lets it make a noise, so that you find it.</p>
      <div className="card-end">
        {stop && <ActionButton device={device} service={service} able={able} of={stop} label="Stop" />}
        {ring && <ActionButton device={device} service={service} able={able} of={ring} icon="bell" label="Ring" done={`${device.name} was asked to ring.`} />}
      </div>
    </>
  );
}

function ScreenLock({ device, service, able }: CardProps) {
  const locked = flag(service, "locked");
  const lock = action(service, "lock");
  return (
    <>
      {locked === undefined ? <NotYet /> : <p>{locked ? "Locked" : "Unlocked"} {service.values?.locked && <Age value={service.values.locked} />}</p>}
      {lock && <div className="card-end"><ActionButton device={device} service={service} able={able && locked !== true} of={lock} icon="lock" label="Lock" done={`${device.name} was asked to lock.`} /></div>}
    </>
  );
}

function Volume({ device, service, able }: CardProps) {
  const level = property(service, "level");
  const { now: muted, set } = useProperty<boolean>(device, service, "muted");
  const name = service.label ?? "Volume";
  return (
    <div className="sink">
      {writable(service, "muted") ? (
        <button className="icon-button" aria-pressed={muted === true} aria-label={`Mute ${name}`} disabled={!able} onClick={() => set(!muted)}>
          <Icon name={muted ? "mute" : "volume"} />
        </button>
      ) : <Icon name="volume" />}
      {level && <PropertyRow device={device} service={service} able={able} of={level} label={name} />}
      {writable(service, "default") && flag(service, "default") !== undefined && (flag(service, "default")
        ? <p className="hint sink-line">Sound comes from here</p>
        : <button className="link sink-line" disabled={!able} aria-label={`Use ${name} for sound`} onClick={() => write(device, service, "default", true)}>Use this one</button>)}
    </div>
  );
}

function Signal({ service }: CardProps) {
  const bars = number(service, "bars");
  const network = text(service, "network");
  const value = service.values?.bars;
  if (bars === undefined || !value) return <NotYet />;
  return (
    <p className="signal">
      <span className="bars" role="img" aria-label={`${bars} of 4 bars`}>{[1, 2, 3, 4].map((bar) => <i key={bar} className={bar <= bars ? "on" : ""} />)}</span>
      {network && <Name>{network}</Name>} <Age value={value} />
    </p>
  );
}

function Calls({ device, service, able }: CardProps) {
  const mute = action(service, "mute");
  return (
    <>
      <p className="hint">When it rings, a notification here says who calls.</p>
      {mute && <div className="card-end"><ActionButton device={device} service={service} able={able} of={mute} icon="mute" label="Mute the ringing" done={`${device.name} was asked to be quiet.`} /></div>}
    </>
  );
}

/** One command of the device's owner. */
function Command({ device, service, able }: CardProps) {
  const run = action(service, "run");
  const name = title(service);
  return (
    <div className="row">
      <span className="row-text"><span className="row-label"><Name>{name}</Name></span></span>
      {run && <Button icon="run" label={`Run ${name}`} disabled={!able} onClick={() => act(device, service, run, {}, `${name} was started.`)}>Run</Button>}
    </div>
  );
}

/** Any service, from its description alone. */
function General({ device, service, able }: CardProps) {
  const main = service.properties.filter((one) => one.role === "primary");
  const more = service.properties.filter((one) => one.role !== "primary");
  const actions = service.actions.filter((one) => one.id !== "toggle" || !writable(service, "on"));
  const plain = actions.filter((one) => one.inputs.length === 0);
  const props = { device, service, able };
  return (
    <>
      {main.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}
      {actions.filter((one) => one.inputs.length > 0).map((one) => <ActionForm key={one.id} {...props} of={one} />)}
      {plain.length > 0 && <div className="card-end">{plain.map((one) => <ActionButton key={one.id} {...props} of={one} label={words(one.id)} />)}</div>}
      {more.length > 0 && <details className="fold small"><summary><Icon name="right" />Details</summary>{more.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</details>}
      {main.length + more.length + actions.length === 0 && <p className="hint">{service.events.length > 0 ? `It tells when something happens: ${service.events.map((one) => words(one.id).toLowerCase()).join(", ")}.` : "It offers this, and says nothing more."}</p>}
    </>
  );
}
