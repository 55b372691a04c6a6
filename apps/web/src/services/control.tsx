// What every card is made of: values with their age, and controls that say when nobody confirmed them.
import { type ReactNode, useId, useState } from "react";
import { attempt, consenting } from "../actions";
import { callService } from "../api/client";
import type { Action, Data, Device, Effect, Property, Service, Value } from "../api/types";
import { unitSign, visible, words } from "../format";
import { announce, confirm } from "../ui/overlay";
import { Ago, Button, Field, Name, Switch, useNow } from "../ui/bits";
import type { IconName } from "../ui/icons";
import { isStale, property, shown } from "./model";
import { keyOf, useWantedFor, want, wantSoon } from "./wanted";

export interface CardProps { device: Device; service: Service; able: boolean }

/** How old a value is, and whether it is only believed; `quiet`: only when that is worth knowing. */
export function Age({ value, quiet }: { value: Value; quiet?: boolean }) {
  const stale = isStale(value, useNow());
  if (quiet && !stale && value.source !== "assumed") return null;
  return (
    <span className={`age ${stale ? "stale" : ""}`}>
      {value.source === "assumed" ? "assumed, " : stale ? "last known " : ""}<Ago time={value.seen} />
    </span>
  );
}

/** A number of a property with its unit, as it is shown and spoken. */
export const amount = (of: Property, value: number) => `${(Math.round(value * 100) / 100).toLocaleString()} ${unitSign(of.unit)}`.trim();

/** Whether it has to be asked about, and what the owner said: what opens, unlocks or loses something is asked each time. */
async function agreed(device: Device, service: Service, name: string, effect: Effect | undefined) {
  const asked = (effect === "security" && !device.trusted_effects) || effect === "destructive";
  const part = service.label ? ` (${service.label})` : "";
  const yes = !asked || (await confirm({
    title: `${name} ${device.name}${part}?`,
    body: <p><Name>{device.name}</Name> does it at once. {effect === "security" ? "It opens, unlocks or runs something there, so you are asked each time." : "It cannot be undone."}</p>,
    yes: name.replace(/ of$/, ""),
  }));
  return { asked, yes };
}

/** Tells a service to do something. */
export async function act(device: Device, service: Service, { id, effect }: Action, inputs: Record<string, Data> = {}, done?: string) {
  const { asked, yes } = await agreed(device, service, words(id), effect);
  if (!yes) return false;
  return attempt(async () => {
    await consenting(() => callService(device, service, { verb: "act", action: id, inputs }, asked));
    announce(done ?? `${words(id)}: done.`);
  }, device.name);
}

/** Sets a property. */
export async function write(device: Device, service: Service, id: string, data: Data) {
  const { asked, yes } = await agreed(device, service, `Set ${words(id).toLowerCase()} of`, property(service, id)?.effect);
  if (!yes) return false;
  return attempt(() => consenting(() => callService(device, service, { verb: "write", property: id, data }, asked)), device.name);
}

/** A property as it is shown: what was asked for until the device says something itself. */
export interface Shown<T extends Data = Data> {
  of: Property | undefined;
  value: Value | undefined;
  now: T | undefined;
  /** `wanted`: asked for, not yet said by the device; `late`: it took it and did not say so in time. */
  state: "said" | "wanted" | "late";
  set: (data: T) => Promise<boolean>;
  /** As `set`, after a moment in which nothing else was asked. */
  setSoon: (data: T) => void;
  /** Shows `data` while `run` brings it about in another way. */
  by: (data: T, run: () => Promise<boolean>) => Promise<boolean>;
}

export function useProperty<T extends Data = Data>(device: Device, service: Service, id: string): Shown<T> {
  const key = keyOf(device.id, service, id);
  const wanted = useWantedFor(key);
  const of = property(service, id);
  const value = service.values?.[id];
  const near = of?.range && of.format !== "enum" ? Math.max(of.range.step, 1e-6) / 2 : 0;
  const put = (data: T) => write(device, service, id, data);
  return {
    of, value,
    now: (wanted?.data !== undefined && !wanted.late ? wanted.data : value?.data) as T | undefined,
    state: wanted ? (wanted.late ? "late" : "wanted") : device.writes.some((one) => one.state === "unconfirmed" && one.service === service.id && one.instance === service.instance && one.property === id) ? "late" : "said",
    set: (data) => want(key, data, near, () => put(data)),
    setSoon: (data) => wantSoon(key, data, near, () => put(data)),
    by: (data, run) => want(key, data, near, run),
  };
}

/** What is worth saying beside a property: that it was not confirmed, that it is on its way, or its age. */
export function Standing({ of: { state, value }, quiet }: { of: Pick<Shown, "state" | "value">; quiet?: boolean }) {
  if (state === "late") return <span className="age stale">not confirmed</span>;
  if (state === "wanted") return <span className="age pending"><span className="pending-dot" aria-hidden="true" />on its way</span>;
  return value ? <Age value={value} quiet={quiet === true} /> : <span className="age">not said yet</span>;
}

export function ActionButton({ device, service, of, able, label, icon, done }: CardProps & { of: Action; label: string; icon?: IconName; done?: string }) {
  return <Button {...(icon ? { icon } : {})} disabled={!able} onClick={() => act(device, service, of, {}, done)}>{label}</Button>;
}

/** Fields for what an action takes, and a button that does it. */
export function ActionForm({ device, service, of, able, label }: CardProps & { of: Action; label?: string }) {
  const [inputs, setInputs] = useState<Record<string, string>>({});
  const typed = (input: Property): Data => {
    const raw = inputs[input.id] ?? "";
    return input.format === "bool" ? raw === "true" : input.format === "text" ? raw : Number(raw || (input.values?.[0]?.[0] ?? 0));
  };
  return (
    <form
      className="action-form"
      onSubmit={(event) => {
        event.preventDefault();
        void act(device, service, of, Object.fromEntries(of.inputs.map((input) => [input.id, typed(input)]))).then((done) => done && setInputs({}));
      }}
    >
      {of.inputs.map((input) => (
        <Field key={input.id} label={words(input.id)}>
          {(field) => <Input id={field} of={input} value={inputs[input.id] ?? ""} onChange={(text) => setInputs({ ...inputs, [input.id]: text })} />}
        </Field>
      ))}
      <Button type="submit" disabled={!able}>{label ?? words(of.id)}</Button>
    </form>
  );
}

export function Input({ id, of, value, disabled, onChange }: { id: string; of: Property; value: string; disabled?: boolean; onChange: (text: string) => void }) {
  const change = (event: { target: { value: string } }) => onChange(event.target.value);
  if (of.format === "enum" || of.format === "bool") {
    const options = of.format === "enum" ? (of.values ?? []).map(([number, name]) => [String(number), name] as const) : ([["false", "No"], ["true", "Yes"]] as const);
    return <select id={id} value={value} disabled={disabled} onChange={change}>{options.map(([key, name]) => <option key={key} value={key}>{words(name)}</option>)}</select>;
  }
  // A code is asked for by some alarms, and not by others.
  if (of.format === "text") return <input id={id} dir="auto" autoComplete="off" type={of.id === "code" ? "password" : "text"} required={of.id !== "code"} value={value} disabled={disabled} onChange={change} />;
  return <input id={id} type="number" required step={of.range?.step || "any"} min={of.range?.min} max={of.range?.max} value={value} disabled={disabled} onChange={change} />;
}

/** A number within limits: shown while it is dragged, written when it is let go. */
export function Slider(props: { label: string; now: number | undefined; min: number; max: number; step: number; say: (value: number) => string; disabled: boolean; onSet: (value: number) => unknown; quiet?: boolean }) {
  const id = useId();
  const [held, setHeld] = useState<number | null>(null);
  const at = held ?? props.now;
  const release = () => {
    if (held !== null && held !== props.now) props.onSet(held);
    setHeld(null);
  };
  return (
    <div className={`slider ${props.quiet ? "quiet" : ""}`}>
      <label htmlFor={id}>{props.label}</label>
      <input
        id={id} type="range" min={props.min} max={props.max} step={props.step || "any"} value={at ?? props.min} disabled={props.disabled}
        aria-valuetext={at === undefined ? "not said yet" : props.say(at)}
        onChange={(event) => setHeld(Number(event.target.value))} onPointerUp={release} onPointerCancel={() => setHeld(null)} onKeyUp={release} onBlur={release}
      />
      <output htmlFor={id} className="hint tabular">{at === undefined ? "–" : props.say(at)}</output>
    </div>
  );
}

/** One property: a control where it can be written, else its value. */
export function PropertyRow({ device, service, of, able, label = words(of.id), quiet }: CardProps & { of: Property; label?: string; quiet?: boolean }) {
  const at = useProperty(device, service, of.id);
  const { value, now, set } = at;
  if (!of.write || of.format === "bytes") {
    return (
      <div className="property">
        <span className="hint"><Name>{label}</Name></span>
        <span>{value ? <><bdi>{visible(shown(of, value))}</bdi> <Age value={value} /></> : <span className="hint">not said yet</span>}</span>
      </div>
    );
  }
  const age = <Standing of={at} quiet />;
  if (of.format === "bool") return <Switch on={now === true} label={<Name>{label}</Name>} hint={age} disabled={!able} onChange={set} />;
  if (of.range && of.format !== "enum") {
    const { min, max, step } = of.range;
    return (
      <div className="slider-row">
        <Slider label={label} quiet={quiet === true} now={typeof now === "number" ? now : undefined} min={min} max={max} step={step} say={(at) => amount(of, at)} disabled={!able} onSet={set} />
        {age}
      </div>
    );
  }
  return <TextProperty of={of} label={label} value={now} age={age} able={able} onSet={set} />;
}

function TextProperty({ of, label, value, age, able, onSet }: { of: Property; label: string; value: Data | undefined; age: ReactNode; able: boolean; onSet: (data: Data) => unknown }) {
  const [draft, setDraft] = useState<string | null>(null);
  const known = value === undefined ? "" : String(value);
  const set = (text: string) => {
    setDraft(null);
    void onSet(of.format === "text" ? text : Number(text));
  };
  return (
    <form className="action-form" onSubmit={(event) => { event.preventDefault(); if (draft !== null) set(draft); }}>
      <Field label={label} hint={age}>
        {(field) => <Input id={field} of={of} value={draft ?? known} disabled={!able} onChange={of.format === "enum" ? set : setDraft} />}
      </Field>
      {of.format !== "enum" && of.format !== "bool" && <Button type="submit" disabled={!able || draft === null || draft === known}>Set</Button>}
    </form>
  );
}
