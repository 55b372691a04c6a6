// One thing of the house on the page Home: its icon switches it, its name opens everything about it, and what is told most
// often lies on it.
import { memo, useId, useState } from "react";
import type { Service } from "../api/types";
import { age, visible, words } from "../format";
import { openDialog } from "../ui/overlay";
import { Name, useNow } from "../ui/bits";
import { Spark } from "../ui/chart";
import { Icon, type IconName, KindIcon, serviceIcon } from "../ui/icons";
import { act, useProperty } from "../services/control";
import { useHistory } from "../services/history";
import { categoryOf, isLit, lampColor, readingsOf, SENSORS, stateLine, type Tile, wordOf } from "../services/house";
import { action, choice, flag, isStale, number, obeys, property, text } from "../services/model";
import { CoverButtons } from "../services/things";

const NONE = { id: "none", instance: 0, properties: [], actions: [], events: [] };
/** The property that a tile's icon turns. */
const TURNS: Record<string, string> = { light: "on", "on-off": "on", fan: "on", humidifier: "on", siren: "on", valve: "open", media: "playing" };
const LEVEL: Record<string, [string, string]> = { light: ["level", "Brightness"], fan: ["percent", "Speed"], humidifier: ["target", "Target humidity"], climate: ["target", "Target"], cover: ["position", "Position"], "door-lock": ["locked", ""], valve: ["position", ""] };

export const tileName = ({ device, part }: Tile) => (part && part !== device.name ? `${device.name}: ${part}` : device.name);

export const TileCard = memo(function TileCard({ tile, room }: { tile: Tile; room?: boolean }) {
  const { device, service } = tile;
  const here = service ?? NONE;
  const able = obeys(device) && device.reach !== "offline";
  const turn = useProperty<boolean>(device, here, TURNS[here.id] ?? "");
  const level = useProperty<number | boolean>(device, here, LEVEL[here.id]?.[0] ?? "");
  const mode = useProperty<number>(device, here, here.id === "climate" ? "mode" : "");
  const wanted = (id: string): unknown => {
    for (const one of [turn, level, mode]) if (one.of?.id === id && one.state === "wanted") return one.now;
    return undefined;
  };
  const lit = isLit(tile, wanted);
  const states = [turn, level, mode].map((one) => (one.of ? one.state : "said"));
  const waits = states.includes("wanted");
  const late = states.includes("late");
  const word = wordOf(tile);
  const now = useNow();
  const old = word !== null && isStale(word, now);
  const away = device.reach === "offline";
  const sensor = service !== null && SENSORS.includes(service.id);
  const readings = service && sensor ? readingsOf(service) : [];
  const first = readings[0];
  const name = tileName(tile);
  const line = away ? "Not reachable" : first ? (room ? device.room ?? "" : words(first.label)) : [stateLine(tile, wanted), late && "not confirmed", room && device.room].filter(Boolean).join(" · ");
  const lamp = here.id === "light" && lit ? lampColor(here) : null;
  // What a switch feeds, as large as what a sensor says.
  const power = here.id === "on-off" && !away ? tile.beside.find((one) => one.id === "electricity" && readingsOf(one)[0]?.property === "power") : undefined;
  const extra = chips(tile, power);
  const told = word && (word.source === "assumed" ? "assumed" : age(word.seen, Math.max(now, Date.now())));
  return (
    <article className={`ht ${lit ? "lit" : ""} ${away ? "away" : ""} ${old ? "old" : ""} ${first?.loud ? "loud" : ""}`} data-testid="tile" data-device={device.id} data-service={here.id} data-kind={categoryOf(tile)} aria-label={visible(name)}
      style={lamp ? ({ "--lamp": lamp } as React.CSSProperties) : undefined}>
      <div className="ht-top">
        <TileIcon tile={tile} able={able} lit={lit} turn={turn} />
        <button type="button" className="ht-text" aria-haspopup="dialog" onClick={() => openDialog({ kind: "thing", device: device.id, tile: tile.key })}>
          <span className="ht-name"><Name>{name}</Name></span>
          <span className="ht-line">{waits && <span className="pending-dot" role="img" aria-label="On its way: " />}<bdi>{visible(line)}</bdi>{word && <span className={`ht-age-in ${old ? "stale" : ""}`}>{line && " · "}{told}</span>}</span>
        </button>
        {word && <span className={`ht-age ${old || late ? "stale" : ""}`} title={`${old ? "Old: " : ""}${new Date(word.seen).toLocaleString()}`}><span className="hidden-visually">{old ? "last known, " : "told "}</span>{told}<span className="hidden-visually"> ago</span></span>}
      </div>
      {first ? <Measured tile={tile} service={service!} first={first} /> : power && <Measured tile={tile} service={power} first={readingsOf(power)[0]!} />}
      {!away && <Feature tile={tile} able={able} />}
      {extra.length > 0 && <ul className="ht-chips">{extra.map((one) => <li key={one.key} className={one.loud ? "loud" : one.old ? "old" : ""}><Icon name={one.icon} /><span className="hidden-visually">{one.label}: </span>{one.text}</li>)}</ul>}
    </article>
  );
});

function TileIcon({ tile, able, lit, turn }: { tile: Tile; able: boolean; lit: boolean; turn: ReturnType<typeof useProperty<boolean>> }) {
  const { device, service } = tile;
  const icon: IconName = service?.id === "door-lock" ? (flag(service, "locked") === false ? "unlock" : "lock") : service?.id === "on-off" && device.kind !== "other" && device.kind in serviceKinds ? serviceKinds[device.kind]! : service ? (serviceIcon[service.id] ?? "other") : "other";
  const picture = service ? <Icon name={icon} filled={lit && service.id === "light"} /> : <KindIcon kind={device.kind} />;
  const name = tileName(tile);
  if (service?.id === "media") {
    const of = action(service, turn.now ? "pause" : "play") ?? action(service, "play-pause");
    if (of) return <button type="button" className="ht-icon" role="switch" aria-checked={turn.now === true} aria-label={`Play ${name}`} disabled={!able} onClick={() => turn.by(!turn.now, () => act(device, service, of))}>{picture}</button>;
  }
  if (turn.of?.write) return <button type="button" className="ht-icon" role="switch" aria-checked={turn.now === true} aria-label={name} disabled={!able} onClick={() => turn.set(!turn.now)}>{picture}</button>;
  return <span className="ht-icon still">{picture}</span>;
}
const serviceKinds: Partial<Record<Tile["device"]["kind"], IconName>> = { light: "light", plug: "plug", switch: "switch", fan: "fan", appliance: "appliance", air: "air", valve: "valve" };

/** The number of a sensor's tile, and how it was in the last hours. */
function Measured({ tile, service, first }: { tile: Tile; service: Service; first: ReturnType<typeof readingsOf>[number] }) {
  const asked = useHistory(tile.device, service, first.property, "day", first.numeric);
  return (
    <div className="ht-measure">
      <p className={`ht-number tabular ${first.loud ? "loud" : ""}`}>{first.text}{first.unit && <small> {first.unit}</small>}</p>
      {asked.state === "there" && <Spark history={asked.history} />}
    </div>
  );
}

interface Chip { key: string; icon: IconName; label: string; text: string; loud: boolean; old: boolean }
function chips({ beside, service, more }: Tile, shownBefore?: Service): Chip[] {
  const all = beside.flatMap((one): Chip[] => {
    if (one.id === "button" || one === shownBefore) return [];
    if (one.id === "battery") {
      const percent = number(one, "percent");
      const low = (flag(one, "low") ?? (percent ?? 100) <= 15) && !flag(one, "charging");
      // A full battery is no news.
      return percent === undefined && !low ? [] : low || service?.id === "vacuum" ? [{ key: `battery ${one.instance}`, icon: "battery", label: "Battery", text: percent === undefined ? "low" : `${Math.round(percent)} %`, loud: low === true, old: false }] : [];
    }
    const first = readingsOf(one)[0];
    const value = first && one.values?.[first.property];
    return first && value ? [{ key: `${one.id} ${one.instance}`, icon: serviceIcon[one.id] ?? "sensor", label: first.label, text: `${first.text} ${first.unit}`.trim(), loud: first.loud, old: isStale(value, Date.now()) }] : [];
  });
  const shown = all.slice(0, 3);
  if (more + all.length - shown.length > 0) shown.push({ key: "more", icon: "plus", label: "More", text: `${more + all.length - shown.length}`, loud: false, old: false });
  return shown;
}

/** What is told most often, on the tile itself. */
function Feature({ tile, able }: { tile: Tile; able: boolean }) {
  const { device, service } = tile;
  if (!service) return null;
  const name = tileName(tile);
  switch (service.id) {
    case "light": case "fan": case "humidifier": {
      const [id, label] = LEVEL[service.id]!;
      return property(service, id)?.write ? <Bar tile={tile} id={id} label={`${label} of ${name}`} able={able} /> : null;
    }
    case "climate": return property(service, "target")?.write ? <Degrees tile={tile} able={able} /> : null;
    case "cover": case "valve": return <CoverButtons device={device} service={service} able={able} small />;
    case "door-lock": {
      const locked = flag(service, "locked");
      const of = action(service, locked === false ? "lock" : "unlock");
      return of && of.inputs.length === 0 ? <LockButton tile={tile} able={able && locked !== undefined} of={of} /> : null;
    }
    case "vacuum": {
      const cleaning = choice(service, "state") === "cleaning";
      return (
        <div className="ht-buttons" role="group" aria-label={name}>
          {(cleaning ? ["pause", "dock"] : ["start", "dock"]).map((id) => {
            const of = action(service, id);
            const there = id === "dock" && choice(service, "state") === "docked";
            return of && <button key={id} type="button" className="ht-button" disabled={!able || there} aria-label={`${words(id)} ${name}`} onClick={() => void act(device, service, of, {}, `${device.name} was asked to ${id}.`)}><Icon name={id === "pause" ? "pause" : id === "start" ? "media" : "dock"} /></button>;
          })}
        </div>
      );
    }
    case "media": {
      const what = text(service, "title");
      return (
        <div className="ht-buttons" role="group" aria-label={name}>
          {(["previous", "next"] as const).map((id) => {
            const of = action(service, id);
            return of && <button key={id} type="button" className="ht-button" disabled={!able} aria-label={`${words(id)}, ${name}`} onClick={() => void act(device, service, of)}><Icon name={id} filled /></button>;
          })}
          {what && <span className="ht-what hint"><Name>{what}</Name></span>}
        </div>
      );
    }
    case "press": {
      const of = action(service, "press");
      return of ? <div className="ht-buttons"><button type="button" className="ht-button wide" disabled={!able} aria-label={`Press ${name}`} onClick={() => void act(device, service, of, {}, `${name} was pressed.`)}>Press</button></div> : null;
    }
    default: return null;
  }
}

function LockButton({ tile, able, of }: { tile: Tile; able: boolean; of: NonNullable<ReturnType<typeof action>> }) {
  const { device, service } = tile;
  const locked = useProperty<boolean>(device, service!, "locked");
  const run = () => act(device, service!, of, {}, `${device.name} was asked to ${of.id}.`);
  return <div className="ht-buttons"><button type="button" className="ht-button wide" disabled={!able || locked.state === "wanted"} aria-label={`${words(of.id)} ${tileName(tile)}`} onClick={() => void (of.id === "lock" ? locked.by(true, run) : run())}>{words(of.id)}{of.effect === "security" && !device.trusted_effects && "…"}</button></div>;
}

/** A level as a bar that is dragged: shown while it moves, asked for when it is let go. */
function Bar({ tile, id, label, able }: { tile: Tile; id: string; label: string; able: boolean }) {
  const { device, service } = tile;
  const at = useProperty<number>(device, service!, id);
  const on = useProperty<boolean>(device, service!, "on");
  const [held, setHeld] = useState<number | null>(null);
  const key = useId();
  const { min, max, step } = at.of?.range ?? { min: 0, max: 100, step: 1 };
  const value = held ?? at.now;
  const part = value === undefined ? 0 : ((value - min) / (max - min || 1)) * 100;
  const release = () => {
    if (held !== null && held !== at.now) void at.set(held);
    setHeld(null);
  };
  return (
    <div className={`bar ${on.now === false && id !== "target" ? "dark" : ""}`} style={{ "--part": `${part}%` } as React.CSSProperties}>
      <label className="hidden-visually" htmlFor={key}>{visible(label)}</label>
      <input id={key} type="range" min={min} max={max} step={step || "any"} value={value ?? min} disabled={!able} aria-valuetext={value === undefined ? "not said yet" : `${Math.round(value)} %`}
        onChange={(event) => setHeld(Number(event.target.value))} onPointerUp={release} onPointerCancel={() => setHeld(null)} onKeyUp={release} onBlur={release} />
      {held !== null && <output htmlFor={key} className="bar-says tabular">{Math.round(held)} %</output>}
    </div>
  );
}

function Degrees({ tile, able }: { tile: Tile; able: boolean }) {
  const { device, service } = tile;
  const at = useProperty<number>(device, service!, "target");
  const { min, max, step: told } = at.of?.range ?? { min: 5, max: 35, step: 0.5 };
  const step = told || 0.5;
  const now = number(service!, "temperature");
  const to = (steps: number) => at.now !== undefined && at.setSoon(Number(Math.min(max, Math.max(min, at.now + steps * step)).toFixed(2)));
  return (
    <div className="ht-buttons degrees" role="group" aria-label={`Target of ${tileName(tile)}`}>
      <button type="button" className="ht-button" disabled={!able || at.now === undefined || at.now <= min} aria-label={`Target of ${tileName(tile)}: ${step} °C less`} onClick={() => to(-1)}><Icon name="minus" /></button>
      <span className="ht-number tabular" role="status" aria-label={at.now === undefined ? "not said yet" : `Target ${at.now} °C`}>{at.now === undefined ? "–" : at.now.toFixed(1)}<small> °C</small>{now !== undefined && <small className="hint ht-actual">now {now.toFixed(1)}</small>}</span>
      <button type="button" className="ht-button" disabled={!able || at.now === undefined || at.now >= max} aria-label={`Target of ${tileName(tile)}: ${step} °C more`} onClick={() => to(1)}><Icon name="plus" /></button>
    </div>
  );
}
