// What lies on a tile of the page Home: what is told most often to each kind of thing.
import { useId, useState } from "react";
import type { Property } from "../api/types";
import { visible, words } from "../format";
import { openDialog } from "../ui/overlay";
import { Name } from "../ui/bits";
import { Icon } from "../ui/icons";
import { act, amount, useProperty } from "../services/control";
import { barOf, pressed, pressStep, type Tile } from "../services/house";
import { action, betweenTwo, choice, flag, number, property, text } from "../services/model";
import { firstOf } from "../services/more";
import { CoverButtons } from "../services/things";

/** What is told most often, on the tile itself. */
export function Feature({ tile, able, name }: { tile: Tile; able: boolean; name: string }) {
  const { device, service } = tile;
  if (!service) return null;
  const bar = barOf(service);
  if (bar) return <Bar tile={tile} of={bar.of} label={`${bar.label} of ${name}`} able={able} />;
  switch (service.id) {
    case "climate": {
      const two = betweenTwo(service);
      if (two) return <><Degrees tile={tile} id="target-low" label={`Not below, ${name}`} able={able} small="from" /><Degrees tile={tile} id="target-high" label={`Not above, ${name}`} able={able} small="to" /></>;
      return property(service, "target")?.write ? <Degrees tile={tile} id="target" label={`Target of ${name}`} able={able} /> : null;
    }
    case "cover": case "valve": return <CoverButtons device={device} service={service} able={able} small />;
    case "alarm": return <AlarmButtons tile={tile} able={able} name={name} />;
    case "more": {
      const first = firstOf(service);
      return first?.write && first.format === "enum" ? <Choice tile={tile} of={first} label={name} able={able} /> : null;
    }
    case "door-lock": {
      const locked = flag(service, "locked");
      const of = action(service, locked === false ? "lock" : "unlock");
      return of && of.inputs.length === 0 ? <LockButton tile={tile} name={name} able={able && locked !== undefined} of={of} /> : null;
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
          {(tile.power ? (["previous", "play", "next"] as const) : (["previous", "next"] as const)).map((id) => {
            if (id === "play") return <PlayButton key={id} tile={tile} able={able} name={name} />;
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

function LockButton({ tile, name, able, of }: { tile: Tile; name: string; able: boolean; of: NonNullable<ReturnType<typeof action>> }) {
  const { device, service } = tile;
  const locked = useProperty<boolean>(device, service!, "locked");
  const run = () => act(device, service!, of, {}, `${device.name} was asked to ${of.id}.`);
  return <div className="ht-buttons"><button type="button" className="ht-button wide" disabled={!able || locked.state === "wanted"} aria-label={`${words(of.id)} ${name}`} onClick={() => void (of.id === "lock" ? locked.by(true, run) : run())}>{words(of.id)}{of.effect === "security" && !device.trusted_effects && "…"}</button></div>;
}

/** Plays and stops for a while, where the icon switches the player itself. */
function PlayButton({ tile, able, name }: { tile: Tile; able: boolean; name: string }) {
  const { device, service } = tile;
  const at = useProperty<boolean>(device, service!, "playing");
  const of = action(service!, at.now ? "pause" : "play") ?? action(service!, "play-pause");
  return of ? <button type="button" className="ht-button" disabled={!able} aria-label={`${at.now ? "Pause" : "Play"}, ${name}`} onClick={() => void at.by(!at.now, () => act(device, service!, of))}><Icon name={at.now ? "pause" : "media"} filled /></button> : null;
}

/** Arms it as it is armed at home and for leaving; what wants a code is asked for it over the page. */
function AlarmButtons({ tile, able, name }: { tile: Tile; able: boolean; name: string }) {
  const { device, service } = tile;
  const state = choice(service!, "state");
  const ids = state === undefined || state === "disarmed" ? ["arm-home", "arm-away"] : ["disarm"];
  const all = ids.flatMap((id) => action(service!, id) ?? []);
  if (all.length === 0) return null;
  return (
    <div className="ht-buttons" role="group" aria-label={name}>
      {all.map((of) => (
        <button key={of.id} type="button" className="ht-button wide" disabled={!able} aria-label={`${words(of.id)}, ${name}`} {...(of.inputs.length > 0 ? { "aria-haspopup": "dialog" as const } : {})}
          onClick={() => (of.inputs.length > 0 ? openDialog({ kind: "thing", device: device.id, tile: tile.key }) : void act(device, service!, of, {}, `${device.name} was asked to ${words(of.id).toLowerCase()}.`))}>
          {{ "arm-home": "Home", "arm-away": "Away" }[of.id] ?? words(of.id)}{(of.inputs.length > 0 || (of.effect === "security" && !device.trusted_effects)) && "…"}
        </button>
      ))}
    </div>
  );
}

/** One of a few words, chosen on the tile. */
function Choice({ tile, of, label, able }: { tile: Tile; of: Property; label: string; able: boolean }) {
  const at = useProperty<number>(tile.device, tile.service!, of.id);
  return (
    <select className="ht-select" aria-label={visible(label)} disabled={!able} value={at.now === undefined ? "" : String(at.now)} onChange={(event) => void at.set(Number(event.target.value))}>
      {at.now === undefined && <option value="">Not said yet</option>}
      {(of.values ?? []).map(([number, name]) => <option key={number} value={number}>{visible(words(name))}</option>)}
    </select>
  );
}

/** A number as a bar that is dragged: shown while it moves, asked for when it is let go. */
function Bar({ tile, of, label, able }: { tile: Tile; of: Property; label: string; able: boolean }) {
  const { device, service } = tile;
  const at = useProperty<number>(device, service!, of.id);
  const on = useProperty<boolean>(device, service!, "on");
  const [held, setHeld] = useState<number | null>(null);
  const key = useId();
  const { min, max, step } = of.range ?? { min: 0, max: 100, step: 1 };
  const value = held ?? at.now;
  const part = value === undefined ? 0 : ((value - min) / (max - min || 1)) * 100;
  const release = () => {
    if (held !== null && held !== at.now) void at.set(held);
    setHeld(null);
  };
  return (
    <div className={`bar ${on.now === false && of.id !== "target" ? "dark" : ""}`} style={{ "--at": Math.min(1, Math.max(0, part / 100)) } as React.CSSProperties}>
      <label className="hidden-visually" htmlFor={key}>{visible(label)}</label>
      <input id={key} type="range" min={min} max={max} step={step || "any"} value={value ?? min} disabled={!able} aria-valuetext={value === undefined ? "not said yet" : amount(of, value)}
        onChange={(event) => setHeld(Number(event.target.value))} onPointerUp={release} onPointerCancel={() => setHeld(null)} onKeyUp={release} onBlur={release} />
      {held !== null && <output htmlFor={key} className="bar-says tabular">{amount(of, held)}</output>}
    </div>
  );
}

function Degrees({ tile, id, label, able, small }: { tile: Tile; id: string; label: string; able: boolean; small?: string }) {
  const { device, service } = tile;
  const at = useProperty<number>(device, service!, id);
  const range = at.of?.range ?? { min: 5, max: 35, step: 0.5 };
  const step = pressStep(range.step);
  const now = small ? undefined : number(service!, "temperature");
  const to = (by: -1 | 1) => at.now !== undefined && at.setSoon(pressed(at.now, by, range));
  return (
    <div className={`ht-buttons degrees ${small ? "small" : ""}`} role="group" aria-label={visible(label)}>
      <button type="button" className="ht-button" disabled={!able || at.now === undefined || at.now <= range.min} aria-label={visible(`${label}: ${step} °C less`)} onClick={() => to(-1)}><Icon name="minus" /></button>
      <span className="ht-number tabular" role="status" aria-label={at.now === undefined ? "not said yet" : `${small === "from" ? "Not below" : small === "to" ? "Not above" : "Target"} ${at.now} °C`}>{small && <small>{small} </small>}{at.now === undefined ? "–" : at.now.toFixed(1)}<small className="unit"> °C</small>{now !== undefined && <small className="hint ht-actual">now {now.toFixed(1)}</small>}</span>
      <button type="button" className="ht-button" disabled={!able || at.now === undefined || at.now >= range.max} aria-label={visible(`${label}: ${step} °C more`)} onClick={() => to(1)}><Icon name="plus" /></button>
    </div>
  );
}
