// A lamp: on, brightness, white or colour, effects. What a lamp does not have is not shown.
import { type PointerEvent, useRef, useState } from "react";
import { words } from "../format";
import { Segments } from "../ui/bits";
import { Icon } from "../ui/icons";
import { type CardProps, PropertyRow, Slider, Standing, useProperty } from "./control";
import { hsColor, kelvinColor, lampColor } from "./house";
import { choice, property, title, writable } from "./model";

export function Light(props: CardProps) {
  const { device, service, able } = props;
  const on = useProperty<boolean>(device, service, "on");
  const level = useProperty<number>(device, service, "level");
  const white = writable(service, "color-temperature");
  const color = writable(service, "hue") && writable(service, "saturation");
  const [chosen, setChosen] = useState<"white" | "color" | null>(null);
  const mode = choice(service, "color-mode");
  // A lamp that does not say which of both holds says only the one that does.
  const colored = mode === "color" || (mode === undefined && service.values?.hue !== undefined && service.values["color-temperature"] === undefined);
  const shown = chosen ?? (color && (!white || colored) ? "color" : "white");
  const effect = writable(service, "effect");
  const rest = service.properties.filter((one) => one.role !== "primary" && one.id !== "color-mode");
  return (
    <>
      <div className="light-head">
        <button type="button" className="orb" role="switch" aria-checked={on.now === true} aria-label={`${title(service)} on`} disabled={!able || !writable(service, "on")} onClick={() => on.set(!on.now)}
          style={{ "--lamp": (on.now && lampColor(service)) || "var(--lamp-warm)" } as React.CSSProperties}>
          <Icon name="light" filled={on.now === true} />
        </button>
        <div className="light-words">
          <p className="big tabular">{on.now === undefined ? "–" : on.now ? (level.now === undefined ? "On" : `${Math.round(level.now)} %`) : "Off"}</p>
          <Standing of={on.state !== "said" ? on : level.state !== "said" ? level : on} />
        </div>
      </div>
      {level.of?.write && <Slider label="Brightness" now={level.now} min={level.of.range?.min ?? 0} max={level.of.range?.max ?? 100} step={level.of.range?.step ?? 1} say={(at) => `${Math.round(at)} %`} disabled={!able} onSet={(to) => level.set(to)} />}
      {white && color && <Segments label="White or colour" value={shown} disabled={!able} options={[{ value: "white", label: "White" }, { value: "color", label: "Colour" }]} onChange={setChosen} />}
      {white && shown === "white" && <Warmth {...props} />}
      {color && shown === "color" && <Color {...props} />}
      {effect && <PropertyRow {...props} of={effect} label="Effect" />}
      {rest.length > 0 && <details className="fold small"><summary><Icon name="right" />Details</summary>{rest.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</details>}
    </>
  );
}

function Warmth({ device, service, able }: CardProps) {
  const at = useProperty<number>(device, service, "color-temperature");
  const { min, max, step } = at.of?.range ?? { min: 2000, max: 6500, step: 1 };
  const stops = [0, 0.25, 0.5, 0.75, 1].map((part) => kelvinColor(min + part * (max - min)));
  return (
    <div className="toned" style={{ "--track": `linear-gradient(to right, ${stops.join(", ")})` } as React.CSSProperties}>
      <Slider label="Warmth" now={at.now} min={min} max={max} step={step || 1} say={(kelvin) => `${Math.round(kelvin)} K${kelvin < 3300 ? ", warm" : kelvin > 5000 ? ", cold" : ""}`} disabled={!able} onSet={(to) => at.set(to)} />
      {at.state !== "said" && <Standing of={at} />}
    </div>
  );
}

function Color({ device, service, able }: CardProps) {
  const hue = useProperty<number>(device, service, "hue");
  const saturation = useProperty<number>(device, service, "saturation");
  const [held, setHeld] = useState<[number, number] | null>(null);
  const wheel = useRef<HTMLDivElement>(null);
  const [h, s] = held ?? [hue.now ?? 0, saturation.now ?? 0];
  const place = (event: PointerEvent): [number, number] => {
    const box = wheel.current!.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 2 - 1;
    const y = ((event.clientY - box.top) / box.height) * 2 - 1;
    return [Math.round(((Math.atan2(y, x) * 180) / Math.PI + 450) % 360), Math.round(Math.min(1, Math.hypot(x, y)) * 100)];
  };
  const release = (event: PointerEvent) => {
    if (!held) return;
    setHeld(null);
    // Where it is now: the last move may not be drawn yet.
    const [toHue, toSaturation] = place(event);
    // The one after the other: a lamp that is told both at once may take one of them alone.
    void (async () => {
      if (toHue !== hue.now && !(await hue.set(toHue))) return;
      if (toSaturation !== saturation.now) await saturation.set(toSaturation);
    })();
  };
  const angle = ((h - 90) * Math.PI) / 180;
  const max = property(service, "hue")?.range?.max ?? 360;
  return (
    <div className="colors">
      {/* By pointer; the sliders below do the same by keyboard. */}
      <div className={`wheel ${able ? "" : "off"}`} ref={wheel} aria-hidden="true" data-testid="wheel"
        onPointerDown={(event) => { if (!able) return; event.currentTarget.setPointerCapture(event.pointerId); setHeld(place(event)); }}
        onPointerMove={(event) => held && setHeld(place(event))}
        onPointerUp={release} onPointerCancel={() => setHeld(null)}>
        <span className="wheel-thumb" style={{ left: `${50 + (s / 2) * Math.cos(angle)}%`, top: `${50 + (s / 2) * Math.sin(angle)}%`, background: hsColor(h, s) }} />
      </div>
      <div className="color-lines">
        <div className="toned rainbow"><Slider label="Hue" now={hue.now === undefined && !held ? undefined : h} min={0} max={max} step={1} say={(to) => `${Math.round(to)}°, ${colorName(to)}`} disabled={!able} onSet={(to) => hue.set(to)} /></div>
        <div className="toned" style={{ "--track": `linear-gradient(to right, #fff, ${hsColor(h, 100)})` } as React.CSSProperties}>
          <Slider label="Saturation" now={saturation.now === undefined && !held ? undefined : s} min={0} max={100} step={1} say={(to) => `${Math.round(to)} %`} disabled={!able} onSet={(to) => saturation.set(to)} />
        </div>
        {(hue.state !== "said" || saturation.state !== "said") && <Standing of={hue.state !== "said" ? hue : saturation} />}
        <div className="swatches" role="group" aria-label="Colours">
          {SWATCHES.map(([name, toHue, toSaturation]) => (
            <button key={name} type="button" className="swatch" disabled={!able} aria-label={words(name)} title={words(name)} style={{ background: hsColor(toHue, toSaturation) }}
              onClick={async () => { if (await hue.set(toHue)) await saturation.set(toSaturation); }} />
          ))}
        </div>
      </div>
    </div>
  );
}

const SWATCHES: [string, number, number][] = [["red", 0, 100], ["orange", 28, 100], ["yellow", 52, 90], ["green", 125, 90], ["cyan", 185, 90], ["blue", 225, 95], ["violet", 275, 85], ["pink", 325, 70]];
const NAMES = ["red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet", "magenta", "pink"];
/** A word for a hue, for those who do not see it. */
export const colorName = (hue: number) => NAMES[Math.round(hue / 30) % 12]!;
