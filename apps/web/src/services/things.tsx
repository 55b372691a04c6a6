// Cards of the house's other things: switches, fans, covers, locks, vacuums, valves, alarms. What opens or unlocks is asked
// again, and what was asked for counts only once the device says it.
import { useState } from "react";
import type { Action } from "../api/types";
import { words } from "../format";
import { useHub } from "../store";
import { Ago, Button, Field, Name, Switch } from "../ui/bits";
import { Icon, type IconName } from "../ui/icons";
import { act, ActionButton, ActionForm, Age, type CardProps, PropertyRow, Slider, Standing, useProperty } from "./control";
import { action, choice, number, text, title } from "./model";
import { saidOf, type Weather, weatherOf } from "./more";

/** Everything that the card above did not show. */
function Rest({ shown, ...props }: CardProps & { shown: string[] }) {
  const { service } = props;
  const rest = service.properties.filter((one) => !shown.includes(one.id));
  const main = rest.filter((one) => one.role === "primary");
  const more = rest.filter((one) => one.role !== "primary");
  return (
    <>
      {main.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}
      {more.length > 0 && <details className="fold small"><summary><Icon name="right" />Details</summary>{more.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</details>}
    </>
  );
}

export function OnOff(props: CardProps) {
  const { device, service, able } = props;
  const on = useProperty<boolean>(device, service, "on");
  const power = device.services.find((one) => one.id === "electricity" && one.instance === service.instance) ?? device.services.find((one) => one.id === "electricity");
  const watts = power && number(power, "power");
  return (
    <>
      <Switch on={on.now === true} label={on.now === undefined ? "Not said yet" : on.now ? "On" : "Off"} hint={<Standing of={on} />} disabled={!able || !on.of?.write} onChange={(to) => on.set(to)} />
      {watts !== undefined && <p className="big tabular">{watts.toLocaleString(undefined, { maximumFractionDigits: 1 })} W <span className="hint">now{power?.values?.power && <> · <Age value={power.values.power} /></>}</span></p>}
      <Rest {...props} shown={["on"]} />
    </>
  );
}

export function Siren(props: CardProps) {
  const on = useProperty<boolean>(props.device, props.service, "on");
  return (
    <>
      <Switch on={on.now === true} label={on.now ? "It sounds" : "Quiet"} hint={<Standing of={on} />} disabled={!props.able || !on.of?.write} onChange={(to) => on.set(to)} />
      <Rest {...props} shown={["on"]} />
    </>
  );
}

export function Fan(props: CardProps) {
  const { device, service, able } = props;
  const on = useProperty<boolean>(device, service, "on");
  const speed = useProperty<number>(device, service, "percent");
  return (
    <>
      <Switch on={on.now === true} label={on.now === undefined ? "Not said yet" : on.now ? "On" : "Off"} hint={<Standing of={on} />} disabled={!able || !on.of?.write} onChange={(to) => on.set(to)} />
      {speed.of?.write && <Slider label="Speed" now={speed.now} min={speed.of.range?.min ?? 0} max={speed.of.range?.max ?? 100} step={speed.of.range?.step ?? 1} say={(at) => `${Math.round(at)} %`} disabled={!able} onSet={(to) => speed.set(to)} />}
      {speed.state !== "said" && <Standing of={speed} />}
      <Rest {...props} shown={speed.of?.write ? ["on", "percent"] : ["on"]} />
    </>
  );
}

export function Humidifier(props: CardProps) {
  const { device, service, able } = props;
  const on = useProperty<boolean>(device, service, "on");
  const target = useProperty<number>(device, service, "target");
  const now = number(service, "humidity");
  return (
    <>
      <Switch on={on.now === true} label={on.now === undefined ? "Not said yet" : on.now ? "On" : "Off"} hint={<Standing of={on} />} disabled={!able || !on.of?.write} onChange={(to) => on.set(to)} />
      {now !== undefined && <p className="big tabular">{Math.round(now)} % <span className="hint">humid now</span></p>}
      {target.of?.write && <Slider label="Target humidity" now={target.now} min={target.of.range?.min ?? 30} max={target.of.range?.max ?? 80} step={target.of.range?.step ?? 1} say={(at) => `${Math.round(at)} %`} disabled={!able} onSet={(to) => target.set(to)} />}
      {target.state !== "said" && <Standing of={target} />}
      <Rest {...props} shown={["on", "humidity", "target"]} />
    </>
  );
}

/** Open, stop and close; `small` on a tile. */
export function CoverButtons({ device, service, able, small }: CardProps & { small?: boolean }) {
  const position = useProperty<number>(device, service, "position");
  const which = title(service) === "Cover" ? device.name : `${device.name}, ${title(service)}`;
  const one = (id: string, icon: IconName, end?: number) => {
    const of = action(service, id);
    if (!of) return null;
    const run = () => act(device, service, of, {}, `${device.name} was asked to ${id}.`);
    const there = end !== undefined && position.now === end;
    return <button type="button" className={small ? "ht-button" : "step"} disabled={!able || there} aria-label={`${words(id)} ${which}`} onClick={() => void (end !== undefined && position.of && of.effect !== "security" ? position.by(end, run) : run())}><Icon name={icon} /></button>;
  };
  return <div className={small ? "ht-buttons" : "steps-two three"} role="group" aria-label={`Move ${which}`}>{one("open", "up", 100)}{one("stop", "stop")}{one("close", "down", 0)}</div>;
}

export function Cover(props: CardProps) {
  const { device, service, able } = props;
  const position = useProperty<number>(device, service, "position");
  const tilt = useProperty<number>(device, service, "tilt");
  const state = choice(service, "state");
  const open = position.now ?? (state === "open" ? 100 : state === "closed" ? 0 : undefined);
  return (
    <>
      <div className="cover-head">
        <div className="window" aria-hidden="true"><span style={{ height: `${100 - (open ?? 50)}%` }} /></div>
        <div>
          <p className="big tabular">{state === "opening" || state === "closing" ? `${words(state)}…` : open === undefined ? "–" : open <= 0 ? "Closed" : open >= 100 ? "Open" : `${Math.round(open)} % open`}</p>
          <Standing of={position.value || position.state !== "said" ? position : { state: "said", value: service.values?.state }} />
        </div>
        <CoverButtons {...props} />
      </div>
      {position.of?.write && <Slider label="Position" now={position.now} min={0} max={100} step={position.of.range?.step || 1} say={(at) => (at <= 0 ? "closed" : at >= 100 ? "open" : `${Math.round(at)} % open`)} disabled={!able} onSet={(to) => position.set(to)} />}
      {tilt.of?.write && <Slider label="Slats" now={tilt.now} min={tilt.of.range?.min ?? 0} max={tilt.of.range?.max ?? 100} step={tilt.of.range?.step || 1} say={(at) => `${Math.round(at)} %`} disabled={!able} onSet={(to) => tilt.set(to)} />}
      <Rest {...props} shown={["position", "tilt", "state"]} />
    </>
  );
}

export function Lock(props: CardProps) {
  const { device, service, able } = props;
  const locked = useProperty<boolean>(device, service, "locked");
  const state = choice(service, "state");
  const coded = service.actions.filter(wantsCode);
  const odd = state && !["locked", "unlocked"].includes(state) ? words(state) : null;
  const tell = (id: string, label: string, icon: IconName, to?: boolean) => {
    const of = action(service, id);
    if (!of) return null;
    if (wantsCode(of)) return null;
    if (of.inputs.length > 0) return <ActionForm {...props} of={of} label={label} />;
    const run = () => act(device, service, of, {}, `${device.name} was asked to ${id}.`);
    // What is asked again is shown as done by the device's word alone.
    return <Button icon={icon} disabled={!able || (to !== undefined && locked.now === to)} onClick={() => (to === true ? locked.by(true, run) : run())} testid={`lock-${id}`}>{label}</Button>;
  };
  return (
    <>
      <div className="lock-head">
        <span className={`kind large ${locked.now === true ? "good" : locked.now === false ? "bad" : "seen"}`}><Icon name={locked.now === false ? "unlock" : "lock"} /></span>
        <div>
          <p className="big">{odd ?? (locked.now === undefined ? "–" : locked.now ? "Locked" : "Unlocked")}</p>
          <Standing of={locked} />
        </div>
      </div>
      {coded.length > 0 && <CodeActions {...props} actions={coded} label={(of) => `${words(of.id)}${of.effect === "security" && !device.trusted_effects ? "…" : ""}`} />}
      <div className="card-end">{tell("lock", "Lock", "lock", true)}{tell("unlock", "Unlock…", "unlock", false)}{tell("open", "Open…", "door")}</div>
      {device.trusted_effects ? <p className="hint">It opens without asking again, as you chose on its page.</p> : (action(service, "unlock") || action(service, "open")) && <p className="hint">You are asked again before it opens.</p>}
      <Rest {...props} shown={["locked", "state"]} />
    </>
  );
}

export function Vacuum(props: CardProps) {
  const { device, service, able } = props;
  const state = choice(service, "state");
  const error = text(service, "error");
  const battery = device.services.find((one) => one.id === "battery");
  const percent = battery && number(battery, "percent");
  const of = (id: string) => action(service, id);
  const main = state === "cleaning" && of("pause") ? of("pause") : of("start");
  return (
    <>
      <div className="lock-head">
        <span className={`kind large ${state === "error" ? "bad" : state === "cleaning" ? "good" : ""}`}><Icon name="vacuum" /></span>
        <div>
          <p className="big">{state ? words(state) : "–"}</p>
          <p className="hint">{percent !== undefined && `Battery ${Math.round(percent)} % · `}<Standing of={{ state: "said", value: service.values?.state }} /></p>
        </div>
      </div>
      {state === "error" && error && <p className="difference"><Icon name="warning" /><Name>{error}</Name></p>}
      <div className="card-end">
        {main && <ActionButton {...props} of={main} icon={main.id === "pause" ? "pause" : "media"} label={words(main.id)} done={`${device.name} was asked to ${main.id}.`} />}
        {of("stop") && <ActionButton {...props} able={able && state !== "docked"} of={of("stop")!} icon="stop" label="Stop" />}
        {of("dock") && <ActionButton {...props} able={able && state !== "docked"} of={of("dock")!} icon="dock" label="Dock" done={`${device.name} was asked to go home.`} />}
        {of("locate") && <ActionButton {...props} of={of("locate")!} icon="locate" label="Locate" done={`${device.name} was asked to say where it is.`} />}
      </div>
      <Rest {...props} shown={["state", "error"]} />
    </>
  );
}

export function Valve(props: CardProps) {
  const { device, service, able } = props;
  const open = useProperty<boolean>(device, service, "open");
  return (
    <>
      {open.of?.write ? <Switch on={open.now === true} label={open.now === undefined ? "Not said yet" : open.now ? "Open" : "Closed"} hint={<Standing of={open} />} disabled={!able} onChange={(to) => open.set(to)} />
        : open.of && <div><p className="big">{open.now === undefined ? "–" : open.now ? "Open" : "Closed"}</p><Standing of={open} /></div>}
      <div className="card-end">
        {service.actions.filter((of) => of.id !== "toggle").map((of) => {
          const wanted = of.id === "open" ? true : of.id === "close" ? false : undefined;
          const run = () => act(device, service, of, {}, `${device.name} was asked to ${of.id}.`);
          return <Button key={of.id} disabled={!able || (wanted !== undefined && open.now === wanted)} onClick={() => (wanted === undefined || of.effect === "security" ? run() : open.by(wanted, run))}>{words(of.id)}</Button>;
        })}
      </div>
      <Rest {...props} shown={["open"]} />
    </>
  );
}

export function Alarm(props: CardProps) {
  const { device, service, able } = props;
  const state = choice(service, "state");
  const bad = state === "triggered";
  const coded = service.actions.filter(wantsCode);
  const label = (of: Action) => `${words(of.id)}${of.effect === "security" && !device.trusted_effects ? "…" : ""}`;
  return (
    <>
      <div className="lock-head">
        <span className={`kind large ${bad ? "bad" : state && state !== "disarmed" ? "good" : "seen"}`}><Icon name="alarm" /></span>
        <div><p className="big">{state ? words(state) : "–"}</p><Standing of={{ state: "said", value: service.values?.state }} /></div>
      </div>
      {coded.length > 0 && <CodeActions {...props} actions={coded} label={label} />}
      {service.actions.filter((of) => of.inputs.length > 0 && !wantsCode(of)).map((of) => <ActionForm key={of.id} {...props} of={of} />)}
      <div className="card-end">
        {service.actions.filter((of) => of.inputs.length === 0).map((of) => <ActionButton key={of.id} {...props} able={able} of={of} label={label(of)} done={`${device.name} was asked to ${words(of.id).toLowerCase()}.`} />)}
      </div>
      <Rest {...props} shown={["state"]} />
    </>
  );
}

/** Scenes and buttons that are pressed from here. */
export function Press(props: CardProps) {
  const of = action(props.service, "press");
  const name = title(props.service);
  return (
    <div className="row">
      <span className="row-text"><span className="row-label"><Name>{name}</Name></span></span>
      {of && <Button icon="run" label={`Press ${name}`} disabled={!props.able} onClick={() => act(props.device, props.service, of, {}, `${name} was pressed.`)}>Press</Button>}
    </div>
  );
}

/** A button of the house: it tells when it is pressed. */
export function PressedButton(props: CardProps) {
  const { device, service } = props;
  const last = useHub((hub) => hub.happened.get(`${device.id} ${service.id} ${service.instance}`));
  const kind = last && Object.values(last.arguments).filter((one) => typeof one === "string").join(", ");
  return (
    <>
      {last ? <p><strong>{words(last.event)}</strong>{kind && <> (<Name>{words(kind)}</Name>)</>} <span className="age"><Ago time={last.at} /></span></p> : <p className="hint">It tells when it is pressed. Nobody pressed it since this page was opened.</p>}
      <Rest {...props} shown={[]} />
    </>
  );
}

/** Actions that want a code: one field for it, and a button for each. */
function CodeActions({ device, service, able, actions, label }: CardProps & { actions: Action[]; label: (of: Action) => string }) {
  const [code, setCode] = useState("");
  // A code is asked for by some devices and not by others.
  const tell = async (of: Action) => {
    const inputs = Object.fromEntries(of.inputs.map((input) => [input.id, code]));
    if (await act(device, service, of, inputs, `${device.name} was asked to ${words(of.id).toLowerCase()}.`)) setCode("");
  };
  return (
    <div className="code-actions">
      <Field label="Code" hint="As it is typed at the device. It is sent with what you press, and not kept.">
        {(field, hint) => <input id={field} aria-describedby={hint} type="password" inputMode={/^\d*$/.test(code) ? "numeric" : "text"} autoComplete="off" maxLength={64} disabled={!able} value={code} onChange={(event) => setCode(event.target.value)} />}
      </Field>
      <div className="card-end">{actions.map((of) => <Button key={of.id} disabled={!able} onClick={() => tell(of)}>{label(of)}</Button>)}</div>
    </div>
  );
}
/** Whether all that an action wants is a code. */
const wantsCode = (of: Action) => of.inputs.length > 0 && of.inputs.every((input) => input.id === "code" && input.format === "text");

/** How much of `more` is shown before it is asked for. */
const SHOWN = 8;
function WeatherNow({ service, of: { icon, words: says, condition, temperature } }: CardProps & { of: Weather }) {
  const value = service.values?.[temperature?.id ?? condition.id];
  return (
    <div className="lock-head">
      <span className="kind large"><Icon name={icon} /></span>
      <div>
        <p className="big tabular">{temperature && saidOf(service, temperature) ? `${saidOf(service, temperature)}` : "–"}</p>
        <p>{says ? <Name>{says}</Name> : "Not said yet"} {value && <Age value={value} />}</p>
      </div>
    </div>
  );
}

/** What no card knows of a device, however much of it there is. */
export function More(props: CardProps) {
  const { service } = props;
  const weather = weatherOf(service);
  const of = (role: string) => service.properties.filter((one) => one.role === role && one !== weather?.condition && one !== weather?.temperature);
  const [main, config, details] = [of("primary"), of("config"), of("diagnostic")];
  const plain = service.actions.filter((one) => one.inputs.length === 0);
  const forms = service.actions.filter((one) => one.inputs.length > 0);
  const fold = (name: string, all: typeof main) => all.length > 0 && (
    <details className="fold small">
      <summary><Icon name="right" />{name} <span className="count">{all.length}</span></summary>
      <div className="many">{all.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</div>
    </details>
  );
  return (
    <>
      {weather && <WeatherNow {...props} of={weather} />}
      {main.length > 0 && <div className="many">{main.slice(0, SHOWN).map((one) => <PropertyRow key={one.id} {...props} of={one} />)}</div>}
      {fold("What else it says", main.slice(SHOWN))}
      {fold("Settings", config)}
      {fold("Details", details)}
      {(plain.length > 0 || forms.length > 0) && (
        <details className="fold small">
          <summary><Icon name="right" />What it can be told <span className="count">{plain.length + forms.length}</span></summary>
          <div className="stack">
            {forms.map((one) => <ActionForm key={one.id} {...props} of={one} />)}
            {plain.length > 0 && <div className="card-end">{plain.map((one) => <ActionButton key={one.id} {...props} of={one} label={words(one.id)} />)}</div>}
          </div>
        </details>
      )}
    </>
  );
}
