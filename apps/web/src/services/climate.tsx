// Heating and cooling: what it is, what it shall be, and what it does about it.
import { type PointerEvent, useId, useRef, useState } from "react";
import { words } from "../format";
import { Segments } from "../ui/bits";
import { Icon, type IconName } from "../ui/icons";
import { type CardProps, PropertyRow, Standing, useProperty } from "./control";
import { pressed, pressStep } from "./house";
import { betweenTwo, choice, number, writable } from "./model";

const SHOWN = ["temperature", "target", "target-low", "target-high", "mode", "running", "humidity"];
const RUNS: Record<string, IconName> = { heating: "flame", cooling: "climate", drying: "drop", fan: "fan", idle: "clock" };

export function Climate(props: CardProps) {
  const { device, service, able } = props;
  const mode = useProperty<number>(device, service, "mode");
  const running = choice(service, "running");
  const now = number(service, "temperature");
  const humidity = number(service, "humidity");
  const options = mode.of?.values ?? [];
  const two = betweenTwo(service, mode.now);
  const rest = service.properties.filter((one) => !SHOWN.includes(one.id));
  return (
    <>
      <p className="climate-now">
        {now !== undefined && <span>Now <strong className="tabular">{now.toFixed(1)} °C</strong></span>}
        {humidity !== undefined && <span className="tabular">{Math.round(humidity)} % humid</span>}
        {running && <span className={`runs ${running}`}><Icon name={RUNS[running] ?? "clock"} />{words(running)}</span>}
        <Standing of={{ state: "said", value: service.values?.temperature ?? service.values?.target }} />
      </p>
      {two ? (
        <div className="two-targets">
          <Target {...props} id="target-low" label="Not below" />
          <Target {...props} id="target-high" label="Not above" />
        </div>
      ) : writable(service, "target") ? <Target {...props} id="target" label="Target" dial /> : null}
      {mode.of && (mode.of.write
        ? <Segments label="Mode" value={mode.now === undefined ? null : String(mode.now)} disabled={!able} options={options.map(([at, name]) => ({ value: String(at), label: words(name) }))} onChange={(to) => mode.set(Number(to))} />
        : <PropertyRow {...props} of={mode.of} />)}
      {mode.state !== "said" && <Standing of={mode} />}
      {rest.filter((one) => one.role === "primary").map((one) => <PropertyRow key={one.id} {...props} of={one} />)}
      {rest.some((one) => one.role !== "primary") && <details className="fold small"><summary><Icon name="right" />Details</summary>{rest.filter((one) => one.role !== "primary").map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</details>}
    </>
  );
}

/** A temperature that is wanted: a dial to drag and step, or the steps alone. Several steps are said as one. */
export function Target({ device, service, able, id, label, dial }: CardProps & { id: string; label: string; dial?: boolean }) {
  const at = useProperty<number>(device, service, id);
  const range = at.of?.range ?? { min: 5, max: 35, step: 0.5 };
  const { min, max } = range;
  // Tenths of a degree are nothing that a finger finds.
  const step = pressStep(range.step);
  const clamp = (to: number) => Number(Math.min(max, Math.max(min, Math.round((to - min) / step) * step + min)).toFixed(2));
  const move = (by: -1 | 1) => at.now !== undefined && at.setSoon(pressed(at.now, by, range));
  const says = at.now === undefined ? "–" : at.now.toFixed(step < 1 || !Number.isInteger(at.now) ? 1 : 0);
  const middle = (
    <div className="dial-middle">
      <span className="hint">{label}</span>
      <span className="dial-number tabular">{says}<small>°C</small></span>
      {at.state !== "said" && <Standing of={at} />}
    </div>
  );
  return (
    <div className={`target ${dial ? "with-dial" : ""}`}>
      {dial ? <Dial label={label} now={at.now} actual={number(service, "temperature")} min={min} max={max} step={step} clamp={clamp} disabled={!able} onSet={at.setSoon} running={choice(service, "running")}>{middle}</Dial> : middle}
      <div className="steps-two" role="group" aria-label={label}>
        <button type="button" className="step" disabled={!able || at.now === undefined || at.now <= min} aria-label={`${label}: ${step} °C less`} onClick={() => move(-1)}><Icon name="minus" /></button>
        <button type="button" className="step" disabled={!able || at.now === undefined || at.now >= max} aria-label={`${label}: ${step} °C more`} onClick={() => move(1)}><Icon name="plus" /></button>
      </div>
    </div>
  );
}

const FROM = 135;
const SWEEP = 270;
const point = (part: number, radius: number): [number, number] => {
  const angle = ((FROM + part * SWEEP) * Math.PI) / 180;
  return [100 + radius * Math.cos(angle), 100 + radius * Math.sin(angle)];
};
const arc = (from: number, to: number, radius = 82) => {
  const [a, b] = [point(from, radius), point(to, radius)];
  return `M${a[0]} ${a[1]}A${radius} ${radius} 0 ${(to - from) * SWEEP > 180 ? 1 : 0} 1 ${b[0]} ${b[1]}`;
};

/** A three-quarter circle from the least to the most, dragged or moved by keys. */
function Dial(props: { label: string; now: number | undefined; actual: number | undefined; min: number; max: number; step: number; clamp: (to: number) => number; disabled: boolean; running: string | undefined; onSet: (to: number) => void; children: React.ReactNode }) {
  const { now, min, max, step, clamp } = props;
  const [held, setHeld] = useState<number | null>(null);
  const box = useRef<SVGSVGElement>(null);
  const id = useId();
  const at = held ?? now;
  const part = (value: number) => Math.min(1, Math.max(0, (value - min) / (max - min)));
  const read = (event: PointerEvent): number | null => {
    const { left, top, width } = box.current!.getBoundingClientRect();
    const x = ((event.clientX - left) / width) * 200 - 100;
    const y = ((event.clientY - top) / width) * 200 - 100;
    const angle = ((Math.atan2(y, x) * 180) / Math.PI - FROM + 720) % 360;
    // In the gap below: whichever end is nearer.
    return clamp(min + (angle <= SWEEP ? angle / SWEEP : angle < SWEEP + (360 - SWEEP) / 2 ? 1 : 0) * (max - min));
  };
  const keys = (event: React.KeyboardEvent) => {
    if (at === undefined) return;
    const to = { ArrowUp: at + step, ArrowRight: at + step, ArrowDown: at - step, ArrowLeft: at - step, PageUp: at + 5 * step, PageDown: at - 5 * step, Home: min, End: max }[event.key];
    if (to === undefined || props.disabled) return;
    event.preventDefault();
    props.onSet(clamp(to));
  };
  const heat = props.actual !== undefined && at !== undefined ? [Math.min(part(props.actual), part(at)), Math.max(part(props.actual), part(at))] as const : null;
  const [x, y] = point(at === undefined ? 0 : part(at), 82);
  const mark = props.actual === undefined ? null : [point(part(props.actual), 70), point(part(props.actual), 94)] as const;
  return (
    <div className={`dial ${props.running ?? ""} ${props.disabled ? "off" : ""}`}>
      <svg ref={box} viewBox="0 0 200 186" aria-hidden="true"
        onPointerDown={(event) => {
          if (props.disabled) return;
          const { left, top, width } = event.currentTarget.getBoundingClientRect();
          // The middle is for reading; only the ring is held.
          if (Math.hypot(event.clientX - left - width / 2, event.clientY - top - width / 2) < width * 0.3) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setHeld(read(event));
        }}
        onPointerMove={(event) => held !== null && setHeld(read(event))}
        onPointerUp={() => { if (held !== null) { props.onSet(held); setHeld(null); } }} onPointerCancel={() => setHeld(null)}>
        <path className="dial-ground" d={arc(0, 1)} />
        {at !== undefined && <path className="dial-set" d={arc(0, Math.max(0.001, part(at)))} />}
        {heat && heat[1] - heat[0] > 0.002 && <path className="dial-gap" d={arc(heat[0], heat[1])} />}
        {mark && <path className="dial-actual" d={`M${mark[0][0]} ${mark[0][1]}L${mark[1][0]} ${mark[1][1]}`} />}
        {at !== undefined && <circle className="dial-thumb" cx={x} cy={y} r="10" />}
      </svg>
      <div className="dial-keys" role="slider" tabIndex={props.disabled ? -1 : 0} aria-disabled={props.disabled} aria-label={props.label} aria-valuemin={min} aria-valuemax={max} aria-valuenow={at ?? min} aria-valuetext={at === undefined ? "not said yet" : `${at} °C`} id={id} onKeyDown={keys} />
      {held === null ? props.children : <div className="dial-middle"><span className="hint">{props.label}</span><span className="dial-number tabular">{held.toFixed(step < 1 ? 1 : 0)}<small>°C</small></span></div>}
    </div>
  );
}
