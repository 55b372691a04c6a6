// The rules for notifications: when, how much, of which app, to and from which device. They only take away.
import { useEffect, useState } from "react";
import type { AppRule, Device, Level, NotificationDeviceRule, NotificationRules, QuietHours } from "../api/types";
import { visible } from "../format";
import { DEVICE_RULE } from "../notices";
import { readEntries, useHub } from "../store";
import { Button, Empty, Field, Name, Segments, Switch } from "../ui/bits";
import { KindIcon } from "../ui/icons";
import { Agreement } from "../parts/decide";
import type { SaveRules } from "./notifications";

interface Props { rules: NotificationRules; save: SaveRules }

const LEVELS = [{ value: "off", label: "Nothing" }, { value: "hidden", label: "App only" }, { value: "full", label: "All" }] as const satisfies readonly { value: Level; label: string }[];

export function RulesTab({ rules, save }: Props) {
  const all = useHub((hub) => hub.devices);
  useEffect(() => void readEntries(), []);
  const devices = all.filter((one) => one.trust === "paired" && one.services.some((service) => service.id === "notifications"));
  return (
    <>
      <section className="card rules" aria-labelledby="quiet">
        <h2 id="quiet" className="card-title">When and how much</h2>
        <Quiet label="Quiet hours" hint="Every day, by this computer’s clock: nothing is sent to devices, nothing pops up here." value={rules.quiet} onChange={(quiet) => save({ ...rules, quiet })} />
        <Switch on={rules.hide_content} label="Hide content everywhere" hint="Devices and popups learn which app it is, not what it says. Turn it on before you share your screen." onChange={(hide_content) => save({ ...rules, hide_content }, hide_content ? "Content is hidden." : "Content is shown.")} />
      </section>
      <section aria-labelledby="by-device">
        <h2 id="by-device" className="section-head">Devices</h2>
        {devices.length === 0 ? (
          <Empty icon="devices" title="No paired device shows notifications">Pair one under Devices. Its rules appear here.</Empty>
        ) : devices.map((device) => <OfDevice key={device.id} device={device} rules={rules} save={save} />)}
      </section>
      <Apps rules={rules} save={save} />
    </>
  );
}

function OfDevice({ device, rules, save }: Props & { device: Device }) {
  const rule = rules.devices[device.id] ?? DEVICE_RULE;
  const change = (part: Partial<NotificationDeviceRule>) => save({ ...rules, devices: { ...rules.devices, [device.id]: { ...rule, ...part } } });
  const heading = `rules-${device.id}`;
  return (
    <article className="card rules" aria-labelledby={heading} data-testid="device-rules" data-device={device.id}>
      <h3 id={heading} className="card-title with-kind"><span className="kind small"><KindIcon kind={device.kind} /></span><Name>{device.name}</Name></h3>
      <div className="rules-two">
        <div className="rules-side">
          <h4>This computer’s, shown there</h4>
          <Agreement entry="notifications/mirror" device={device} label="Your agreement" because={`Show this computer’s notifications on ${visible(device.name)}`} />
          <Segments label={`This computer’s notifications on ${device.name}`} value={rule.send} options={LEVELS} onChange={(send) => change({ send })} />
          <Switch on={rule.answers} label="It may answer them" hint="Dismiss, reply and press buttons from there." onChange={(answers) => change({ answers })} />
          <Switch on={rule.codes} label="One-time codes too" hint="Otherwise such a notification arrives without its content." onChange={(codes) => change({ codes })} />
          <Quiet label="Quiet hours there" value={rule.quiet} onChange={(quiet) => change({ quiet })} />
          <p className="hint">While it is away, up to a hundred wait for it, twelve hours at most, and arrive once.</p>
        </div>
        <div className="rules-side">
          <h4>Its own, shown here</h4>
          <Segments label={`Notifications of ${device.name} here`} value={rule.show} options={LEVELS} onChange={(show) => change({ show })} />
          <p className="hint">Reading them needs no agreement: the device decides what it tells. Answering tells it something, so that does.</p>
          <Agreement entry="notifications/answer" device={device} label="Answering from here" because={`Dismiss and answer notifications of ${visible(device.name)}`} />
        </div>
      </div>
    </article>
  );
}

function Quiet({ label, hint, value, onChange }: { label: string; hint?: string; value: QuietHours | null; onChange: (value: QuietHours | null) => unknown }) {
  const change = (part: Partial<QuietHours>) => value && onChange({ ...value, ...part });
  const time = (key: "from" | "to", word: string) => (
    <label><span>{word}</span><input type="time" aria-label={`${label}, ${word.toLowerCase()}`} value={value![key]} onChange={(event) => event.target.value && change({ [key]: event.target.value })} /></label>
  );
  return (
    <div className="quiet">
      <Switch on={value !== null} label={label} hint={hint} onChange={(on) => onChange(on ? { from: "22:00", to: "07:00", except_urgent: true } : null)} />
      {value && (
        <div className="quiet-times">
          {time("from", "From")}
          {time("to", "To")}
          <label className="check"><input type="checkbox" checked={value.except_urgent ?? false} onChange={(event) => change({ except_urgent: event.target.checked })} /><span>Urgent ones come through</span></label>
        </div>
      )}
    </div>
  );
}

/** Apps that something is set for, and those that just said something. */
function Apps({ rules, save }: Props) {
  const now = useHub((hub) => hub.notifications);
  const [name, setName] = useState("");
  const names = new Map<string, string>();
  for (const app of [...Object.keys(rules.apps), ...(now ?? []).map((one) => one.app)]) if (app.trim()) names.set(app.trim().toLowerCase(), names.get(app.trim().toLowerCase()) ?? app);
  const list = [...names.values()].sort((a, b) => a.localeCompare(b));
  const ruleOf = (app: string): [string, AppRule] => {
    const key = Object.keys(rules.apps).find((one) => one.trim().toLowerCase() === app.trim().toLowerCase()) ?? app;
    return [key, rules.apps[key] ?? { send: "full", show: "full" }];
  };
  const change = (app: string, part: Partial<AppRule>) => {
    const [key, rule] = ruleOf(app);
    const next = { ...rule, ...part };
    const apps = { ...rules.apps, [key]: next };
    if (next.send === "full" && next.show === "full") delete apps[key];
    return save({ ...rules, apps });
  };
  const choice = (app: string, rule: AppRule, key: "send" | "show", words: string) => (
    <select aria-label={`${visible(app)}, ${words}`} value={rule[key]} onChange={(event) => change(app, { [key]: event.target.value as Level })}>
      {LEVELS.map((one) => <option key={one.value} value={one.value}>{one.label}</option>)}
    </select>
  );
  return (
    <section className="card rules" aria-labelledby="by-app" data-testid="app-rules">
      <h2 id="by-app" className="card-title">Apps</h2>
      <p className="hint">For an app on every device, by its name. The least that applies counts.</p>
      {list.length > 0 && (
        <div className="app-rules" role="table" aria-labelledby="by-app">
          <div role="row" className="app-rules-head"><span role="columnheader">App</span><span role="columnheader">This computer’s to devices</span><span role="columnheader">Devices’ here</span></div>
          {list.map((app) => {
            const [, rule] = ruleOf(app);
            return (
              <div role="row" key={app.toLowerCase()}>
                <span role="rowheader" className="row-label"><Name>{app}</Name></span>
                <span role="cell">{choice(app, rule, "send", "to devices")}</span>
                <span role="cell">{choice(app, rule, "show", "here")}</span>
              </div>
            );
          })}
        </div>
      )}
      <form className="action-form" onSubmit={(event) => { event.preventDefault(); void change(name.trim(), { send: "off", show: "off" }).then((done) => done && setName("")); }}>
        <Field label="Another app">{(field) => <input id={field} dir="auto" autoComplete="off" maxLength={100} placeholder="Its name, as it shows it" value={name} onChange={(event) => setName(event.target.value)} />}</Field>
        <Button type="submit" icon="off" disabled={!name.trim()}>Silence it</Button>
      </form>
    </section>
  );
}
