// What is kept of what devices of the house say, how long, and deleting it.
import { useEffect, useState } from "react";
import { attempt } from "../actions";
import { BASE, del, get, id as encoded, put } from "../api/client";
import type { Device, HistorySettings, HistoryState } from "../api/types";
import { bytes, date, plural } from "../format";
import { forgetHistory, idsOf, isLeftOut, keptAgain } from "../services/history";
import { signedOut, useHub } from "../store";
import { Button, Field, Name, Switch } from "../ui/bits";
import { Icon } from "../ui/icons";
import { confirm, toast } from "../ui/overlay";

const SPANS: { id: "all_days" | "five_minutes_days" | "hours_days"; label: string; hint: string; max: number }[] = [
  { id: "all_days", label: "Everything that was said, in days", hint: "1 to 90.", max: 90 },
  { id: "five_minutes_days", label: "Every five minutes, in days", hint: "Least, mean and greatest; 1 to 730.", max: 730 },
  { id: "hours_days", label: "Every hour, in days", hint: "1 to 7,300, which is twenty years.", max: 7300 },
];

export function KeptHistory() {
  const [state, setState] = useState<HistoryState | null>(null);
  const read = () => get<HistoryState>("/home/history/settings").then(setState, signedOut);
  useEffect(() => void read(), []);
  if (!state) return null;
  return <Form key={JSON.stringify(state.settings)} state={state} onState={setState} read={read} />;
}

function Form({ state, onState, read }: { state: HistoryState; onState: (state: HistoryState) => void; read: () => unknown }) {
  const [draft, setDraft] = useState(state.settings);
  const devices = useHub((hub) => hub.devices);
  const changed = JSON.stringify(draft) !== JSON.stringify(state.settings);
  const change = (part: Partial<HistorySettings>) => setDraft({ ...draft, ...part });
  const shorter = SPANS.some(({ id }) => draft[id] < state.settings[id]) || draft.megabytes < state.settings.megabytes;
  const save = async () => {
    if (shorter) {
      const yes = await confirm({ title: "Keep less from now on?", body: <p>What is older than that is deleted at once and does not come back.</p>, yes: "Keep less" });
      if (!yes) return;
    }
    await attempt(async () => {
      const saved = await put<HistoryState | undefined>("/home/history/settings", draft);
      forgetHistory();
      if (saved) onState(saved);
      else await read();
      toast("Saved.");
    });
  };
  const forget = async () => {
    const yes = await confirm({ title: "Delete the whole history?", body: <p>Everything that was kept of what devices said is deleted: every temperature, every door. It does not come back.</p>, yes: "Delete it" });
    if (!yes) return;
    await attempt(async () => {
      await del("/home/history");
      forgetHistory();
      await read();
      toast("The history was deleted.");
    });
  };
  const off = [...new Set(draft.off.map((one) => devices.find((device) => idsOf(device).includes(one)) ?? one))];
  return (
    <form className="card settings-form" aria-labelledby="history" onSubmit={(event) => { event.preventDefault(); void save(); }} data-testid="history-settings">
      <h2 id="history" className="card-title">History of the house</h2>
      <p className="hint">
        {state.kept > 0 ? <>{plural(state.kept, "property", "properties")}, {bytes(state.bytes)}{state.since && <>, since {date(state.since)}</>}. </> : "Nothing is kept so far. "}
        It stays on this machine, and is sent nowhere.
      </p>
      {state.shortened && <p className="difference"><Icon name="warning" /><span>Less is kept than you wished: it would take more room than you gave it.</span></p>}
      <Switch on={draft.on} label="Keep what devices say" hint="For graphs of temperatures, power and doors. Off keeps what is there, and nothing new." onChange={(on) => change({ on })} />
      <div className="three-fields">
        {SPANS.map(({ id, label, hint, max }) => (
          <Field key={id} label={label} hint={hint}>
            {(field, said) => <input id={field} aria-describedby={said} type="number" inputMode="numeric" required min={1} max={max} step={1} value={draft[id]} onChange={(event) => change({ [id]: Number(event.target.value) })} />}
          </Field>
        ))}
        <Field label="At most, in MB" hint="16 to 16,384.">
          {(field, said) => <input id={field} aria-describedby={said} type="number" inputMode="numeric" required min={16} max={16384} step={1} value={draft.megabytes} onChange={(event) => change({ megabytes: Number(event.target.value) })} />}
        </Field>
      </div>
      {off.length > 0 && (
        <ul className="plain" aria-label="Nothing is kept of">
          {off.map((one) => {
            const id = typeof one === "string" ? one : one.id;
            const name = typeof one === "string" ? one : one.name;
            return <li key={id} className="row"><div className="row-text"><div className="row-label"><Name>{name}</Name></div><div className="hint">Nothing is kept of it.</div></div><Button label={`Keep ${name} again`} onClick={() => change({ off: typeof one === "string" ? draft.off.filter((other) => other !== one) : keptAgain(one, draft.off) })}>Keep again</Button></li>;
          })}
        </ul>
      )}
      <div className="form-end">
        {state.kept > 0 && <a className="button plain" href={`${BASE}/home/history/export?format=csv`} download="accord-history.csv"><Icon name="download" />Export</a>}
        <Button onClick={forget} disabled={state.kept === 0}>Delete the history…</Button>
        <Button disabled={!changed} onClick={() => setDraft(state.settings)}>Undo changes</Button>
        <Button type="submit" tone="primary" disabled={!changed}>Apply</Button>
      </div>
    </form>
  );
}

/** On a device's page: whether something is kept of it, and deleting that. Nothing where nothing of it is kept. */
export function DeviceHistory({ device }: { device: Device }) {
  const [state, setState] = useState<HistoryState | null>(null);
  const [kept, setKept] = useState(0);
  const read = () => Promise.all([get<HistoryState>("/home/history/settings"), get<{ kept: unknown[] }>(`/home/history/kept?device=${encoded(device.id)}`)]).then(([all, mine]) => { setState(all); setKept(mine.kept.length); }, signedOut);
  useEffect(() => void read(), [device.id]);
  if (!state) return null;
  const off = isLeftOut(device, state.settings.off);
  if (kept === 0 && !off) return null;
  const turn = () => attempt(async () => {
    await put("/home/history/settings", { ...state.settings, off: off ? keptAgain(device, state.settings.off) : [...state.settings.off, device.id] });
    await read();
  });
  const forget = async () => {
    const yes = await confirm({ title: `Delete the history of ${device.name}?`, body: <p>What was kept of what <Name>{device.name}</Name> said is deleted, and does not come back.</p>, yes: "Delete it" });
    if (!yes) return;
    await attempt(async () => {
      await del(`/home/history/of/${encoded(device.id)}`);
      forgetHistory();
      await read();
      toast("Its history was deleted.");
    });
  };
  return (
    <section className="card facts" aria-labelledby="device-history">
      <h2 id="device-history" className="card-title">History</h2>
      <Switch on={!off && state.settings.on} disabled={!state.settings.on} label="Keep what it says" hint={state.settings.on ? "On this machine alone." : "Off for all devices, under Settings."} onChange={turn} />
      {kept > 0 && <div className="card-end"><Button onClick={forget}>Delete its history…</Button></div>}
    </section>
  );
}
