// One thing of the house on the page Home: its icon switches it, its name opens everything about it, and what is told most
// often lies on it.
import { memo } from "react";
import type { Service } from "../api/types";
import { age, NOW, visible, words } from "../format";
import { openDialog } from "../ui/overlay";
import { Name, useNow } from "../ui/bits";
import { Spark } from "../ui/chart";
import { Icon, type IconName, KindIcon, ownIcon, serviceIcon } from "../ui/icons";
import { act, useProperty } from "../services/control";
import { useHistory } from "../services/history";
import { barOf, categoryOf, isLit, lampColor, readingsOf, SENSORS, stateLine, type Tile, wordOf } from "../services/house";
import { action, choice, flag, isStale, number, obeys, shown } from "../services/model";
import { firstOf, iconOf, isMore, weatherOf } from "../services/more";
import { Feature } from "./tile-feature";

const NONE = { id: "none", instance: 0, properties: [], actions: [], events: [] };
/** The property that a tile's icon turns. */
const TURNS: Record<string, string> = { light: "on", "on-off": "on", fan: "on", humidifier: "on", siren: "on", valve: "open", media: "playing" };
/** What its line tells beside, while it is asked for. */
const LEVEL: Record<string, string> = { climate: "target", cover: "position", "door-lock": "locked", valve: "position" };

export const tileName = ({ device, part }: Tile) => (part && part !== device.name ? `${device.name}: ${part}` : device.name);

export const TileCard = memo(function TileCard({ tile, room }: { tile: Tile; room?: boolean }) {
  const { device, service } = tile;
  const here = service ?? NONE;
  const able = obeys(device) && device.reach !== "offline";
  const turned = here.id === "more" ? switchOf(here) : TURNS[here.id];
  const turn = useProperty<boolean>(device, here, turned ?? "");
  const level = useProperty<number | boolean>(device, here, barOf(here)?.of.id ?? LEVEL[here.id] ?? "");
  const mode = useProperty<number>(device, here, here.id === "climate" ? "mode" : "");
  const power = useProperty<boolean>(device, tile.power ?? NONE, "on");
  const wanted = (id: string): unknown => {
    for (const one of [turn, level, mode, power]) if (one.of?.id === id && one.state === "wanted") return one.now;
    return undefined;
  };
  const lit = isLit(tile, wanted);
  const states = [turn, level, mode, power].map((one) => (one.of ? one.state : "said"));
  const waits = states.includes("wanted");
  const late = states.includes("late");
  const word = wordOf(tile);
  const now = useNow();
  const old = word !== null && isStale(word, now);
  const away = device.reach === "offline";
  const readings = service && (SENSORS.includes(service.id) || isMore(service)) ? readingsOf(service) : [];
  const first = readings[0];
  const name = tileName(tile);
  const says = first && !isMore(here) ? words(first.label) : stateLine(tile, wanted);
  const line = [away ? "Not reachable" : says, late && "not confirmed", room && device.room].filter(Boolean).join(" · ");
  const lamp = here.id === "light" && lit ? lampColor(here) : null;
  // What a switch feeds, as large as what a sensor says.
  const feeds = here.id === "on-off" ? tile.beside.find((one) => one.id === "electricity" && number(one, "power") !== undefined) : undefined;
  const extra = chips(tile, feeds);
  const told = word && age(word.seen, Math.max(now, Date.now()));
  return (
    <article className={`ht ${lit ? "lit" : ""} ${away ? "away" : ""} ${old ? "old" : ""} ${first?.loud ? "loud" : ""}`} data-testid="tile" data-device={device.id} data-service={here.id} data-kind={categoryOf(tile)} data-runs={here.id === "climate" && !away ? choice(here, "running") : undefined} aria-label={visible(name)}
      style={lamp ? ({ "--lamp": lamp } as React.CSSProperties) : undefined}>
      <div className="ht-top">
        <TileIcon tile={tile} able={able} lit={lit} turn={turn} power={power} />
        <button type="button" className="ht-text" aria-haspopup="dialog" title={visible(name)} onClick={() => openDialog({ kind: "thing", device: device.id, tile: tile.key })}>
          <span className="ht-name"><Name>{name}</Name></span>
          <span className="ht-line">
            {waits && <span className="pending-dot" role="img" aria-label="On its way: " />}<bdi className={late ? "late" : ""}>{visible(line)}</bdi>
            {word && line && "\u00a0· "}{word && <span className={`ht-age ${old || word.source === "assumed" ? "stale" : ""}`} title={`${old ? "Old: " : ""}${new Date(word.seen).toLocaleString()}`}><span className="hidden-visually">{old ? "last known, " : "told "}</span>{word.source === "assumed" && "assumed, "}{told}{told !== NOW && <span className="hidden-visually"> ago</span>}</span>}
          </span>
        </button>
      </div>
      {first ? <Measured tile={tile} service={service!} first={first} /> : feeds && <Measured tile={tile} service={feeds} first={readingsOf(feeds)[0]!} />}
      {!away && <Feature tile={tile} able={able} name={name} />}
      {extra.length > 0 && <ul className="ht-chips">{extra.map((one) => <li key={one.key} className={one.loud ? "loud" : one.old ? "old" : ""}><Icon name={one.icon} /><span className="hidden-visually">{one.label}: </span>{one.text}</li>)}</ul>}
    </article>
  );
});

/** The one thing that it is, when that is something to switch. */
function switchOf(service: Service): string | undefined {
  const first = firstOf(service);
  return first?.format === "bool" && first.write ? first.id : undefined;
}

type Turn = ReturnType<typeof useProperty<boolean>>;
/** What a tile is shown as: what its owner chose, else what it is. */
export function pictureOf({ device, service, power }: Tile): IconName {
  const own = ownIcon(device.icon);
  if (own) return own;
  if (!service) return "other";
  if (service.id === "door-lock") return flag(service, "locked") === false ? "unlock" : "lock";
  if (service.id === "climate") return RUNS[choice(service, "running") ?? ""] ?? "thermostat";
  if (service.id === "on-off" && device.kind in serviceKinds) return serviceKinds[device.kind]!;
  if (power && (device.kind === "tv" || device.kind === "speaker")) return device.kind;
  if (isMore(service)) return weatherOf(service)?.icon ?? serviceKinds[device.kind] ?? iconOf(service);
  return serviceIcon[service.id] ?? "other";
}

function TileIcon({ tile, able, lit, turn, power }: { tile: Tile; able: boolean; lit: boolean; turn: Turn; power: Turn }) {
  const { device, service } = tile;
  const picture = service || ownIcon(device.icon) ? <Icon name={pictureOf(tile)} filled={lit && service?.id === "light" && !ownIcon(device.icon)} /> : <KindIcon kind={device.kind} icon={device.icon} />;
  const name = tileName(tile);
  const toggle = (of: Turn) => <button type="button" className="ht-icon" role="switch" aria-checked={of.now === true} aria-label={name} disabled={!able} onClick={() => of.set(!of.now)}>{picture}</button>;
  if (power.of?.write) return toggle(power);
  if (service?.id === "media") {
    const of = action(service, turn.now ? "pause" : "play") ?? action(service, "play-pause");
    if (of) return <button type="button" className="ht-icon" role="switch" aria-checked={turn.now === true} aria-label={`Play ${name}`} disabled={!able} onClick={() => turn.by(!turn.now, () => act(device, service, of))}>{picture}</button>;
  }
  return turn.of?.write ? toggle(turn) : <span className="ht-icon still">{picture}</span>;
}
const serviceKinds: Partial<Record<Tile["device"]["kind"], IconName>> = { light: "light", plug: "plug", switch: "switch", fan: "fan", appliance: "appliance", air: "air", valve: "valve", climate: "thermostat" };
/** What heating and cooling does right now. */
const RUNS: Record<string, IconName> = { heating: "flame", cooling: "climate", drying: "drop", fan: "fan" };

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
  const weather = service && weatherOf(service);
  const air = weather ? weather.rest.slice(0, 2).flatMap((of): Chip[] => {
    const value = service.values?.[of.id];
    return value ? [{ key: of.id, icon: of.id.includes("wind") ? "air" : of.id.includes("humidity") ? "drop" : "thermometer", label: words(of.id), text: shown(of, value), loud: false, old: isStale(value, Date.now()) }] : [];
  }) : [];
  const all = beside.flatMap((one): Chip[] => {
    if (one.id === "button" || one === shownBefore || isMore(one)) return [];
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
  const some = [...air, ...all].slice(0, 3);
  const left = more + air.length + all.length - some.length;
  if (left > 0) some.push({ key: "more", icon: "plus", label: "More", text: `${left}`, loud: false, old: false });
  return some;
}
