// Adding what is not found by itself, or wants a secret: fields as the bridge wants them, and afterwards whether it is
// reached, or why not. A secret is sent once, to the hub of this machine, and never shown again.
import { type FormEvent, useEffect, useId, useState } from "react";
import { consenting, pair, wantedToPair } from "../actions";
import { CallFailed, post, SLOW_MS } from "../api/client";
import type { AddField, AddForm, Device } from "../api/types";
import { sentence, visible, words } from "../format";
import { to } from "../router";
import { hub, know, set, signedOut, useHub } from "../store";
import { Button, Field, Name } from "../ui/bits";
import { Icon } from "../ui/icons";
import { announce, closeDialog, Dialog } from "../ui/overlay";
import { describe, ReachLine } from "./device-bits";
import { Why } from "./why";

/** How long it may take until it is asked why it is not reached. */
const REACHED_MS = 8_000;

export function FormWay({ form }: { form: AddForm }) {
  const [inputs, setInputs] = useState<Record<string, string>>({});
  const [trouble, setTrouble] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [added, setAdded] = useState<string | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setTrouble(null);
    const given = Object.fromEntries(form.fields.flatMap(({ id, secret }) => {
      const text = secret ? inputs[id] : inputs[id]?.trim();
      return text ? [[id, text]] : [];
    }));
    try {
      const device = await consenting(() => post<Device>("/add", { bridge: form.bridge, way: form.way, inputs: given }, SLOW_MS));
      set({ devices: know(hub().devices, device) });
      setInputs({});
      setAdded(device.id);
      announce(`${device.name} was added.`);
    } catch (error) {
      if (!signedOut(error)) setTrouble(error instanceof CallFailed ? sentence(error.message) : "It was not added.");
    } finally {
      setBusy(false);
    }
  };
  if (added) return <Added id={added} />;
  const ready = form.fields.every((one) => one.optional || inputs[one.id]?.trim());
  return (
    <form className="way add-form" onSubmit={submit} data-testid="add-form">
      {form.steps.length > 0 && <ol className="steps">{form.steps.map((step) => <li key={step}><span>{visible(step)}</span></li>)}</ol>}
      {form.fields.map((field) => <Asked key={field.id} of={field} value={inputs[field.id] ?? ""} onChange={(text) => setInputs((now) => ({ ...now, [field.id]: text }))} />)}
      {trouble && <p className="difference" role="alert" data-testid="add-trouble"><Icon name="warning" /><span><bdi>{visible(trouble)}</bdi></span></p>}
      <p className="hint">{form.entry ? <>You are asked before anything is sent there. What it learns is under <a href={to("privacy", form.entry)} onClick={closeDialog}>Privacy</a>.</> : "Nothing is sent anywhere by this."}</p>
      <div className="form-end"><Button type="submit" tone="primary" disabled={!ready} busy={busy}>Add</Button></div>
    </form>
  );
}

/** One field; a secret is covered, and looked at on request. */
function Asked({ of, value, onChange }: { of: AddField; value: string; onChange: (text: string) => void }) {
  const [seen, setSeen] = useState(false);
  const file = useId();
  const label = of.optional ? `${of.label} (optional)` : of.label;
  const MOST = 4 << 20;
  return (
    <Field label={label} hint={of.help}>
      {(field, hint) => of.long ? (
        <>
          <textarea id={field} aria-describedby={hint} rows={5} spellCheck={false} autoComplete="off" dir="ltr" required={!of.optional} value={value} onChange={(event) => onChange(event.target.value)} />
          <input id={file} type="file" aria-label={`${of.label} from a file`} onChange={(event) => {
            const chosen = event.target.files?.[0];
            if (chosen && chosen.size <= MOST) void chosen.text().then(onChange, () => undefined);
          }} />
        </>
      ) : (
        <div className={of.secret ? "secret" : undefined}>
          <input id={field} aria-describedby={hint} type={of.secret && !seen ? "password" : "text"} dir="ltr" spellCheck={false} autoCapitalize="off" autoComplete={of.secret ? "new-password" : "off"} required={!of.optional} maxLength={4096} value={value} onChange={(event) => onChange(event.target.value)} />
          {of.secret && <Button label={`${seen ? "Cover" : "Show"} ${of.label}`} onClick={() => setSeen(!seen)}>{seen ? "Cover" : "Show"}</Button>}
        </div>
      )}
    </Field>
  );
}

/** What was added: until it is reached, and if it is not, why. */
function Added({ id }: { id: string }) {
  const device = useHub((state) => state.devices.find((one) => one.id === id) ?? state.devices.find((one) => one.faces.some((face) => face.id === id)));
  const others = useHub((state) => state.devices.filter((one) => one.trust === "paired" && one.bridge === device?.bridge && one.id !== device.id).length);
  const [late, setLate] = useState(false);
  const reached = device !== undefined && device.reach !== "offline";
  useEffect(() => {
    if (reached) return undefined;
    const timer = setTimeout(() => setLate(true), REACHED_MS);
    return () => clearTimeout(timer);
  }, [reached]);
  if (!device) return <p>It is not here any more.</p>;
  return (
    <div className="way" data-testid="added" data-reach={device.reach}>
      <div className="pairing center">
        <span className={`big-icon ${reached ? "good" : late ? "bad" : ""}`}>{reached ? <Icon name="check" /> : late ? <Icon name="warning" /> : <span className="spinner" aria-hidden="true" />}</span>
        <p className="strong" role="status">{reached ? <><Name>{device.name}</Name> is here</> : late ? <><Name>{device.name}</Name> was added, but is not reached</> : <>Reaching <Name>{device.name}</Name>…</>}</p>
        {reached && others > 0 && <p className="hint">Its devices appear under Home as it tells of them.</p>}
      </div>
      {!reached && late && <><ReachLine device={device} /><Why device={device} /></>}
      <div className="form-end"><a className="button" href={to("devices", device.id)} onClick={closeDialog}>Its page</a><a className="button primary" href={to("home")} onClick={closeDialog}>Home</a></div>
    </div>
  );
}

/** A device that was found, and wants something before it is added. */
export function NeedsDialog({ device: id }: { device: string }) {
  const device = useHub((state) => state.devices.find((one) => one.id === id));
  const [inputs, setInputs] = useState<Record<string, string>>({});
  if (!device) return <Dialog title="It is gone" testid="needs"><p>The device was not seen for a while. Switch it on, and look again.</p></Dialog>;
  const wanted = wantedToPair(device);
  return (
    <Dialog title={<>Add <Name>{device.name}</Name></>} testid="needs">
      <form className="way add-form" onSubmit={(event) => {
        event.preventDefault();
        const given = Object.fromEntries(wanted.flatMap(({ id: name }) => (inputs[name]?.trim() ? [[name, inputs[name]!.trim()]] : [])));
        closeDialog();
        void pair({ device: device.id, inputs: given });
      }}>
        <p className="hint" dir="auto">{describe(device)}</p>
        {wanted.map((one) => <Asked key={one.id} of={{ id: one.id, label: words(one.id), help: HELP[one.id] ?? "", secret: one.id !== "address" && one.id !== "name", optional: false, long: false }} value={inputs[one.id] ?? ""} onChange={(text) => setInputs({ ...inputs, [one.id]: text })} />)}
        <div className="form-end"><Button onClick={closeDialog}>Cancel</Button><Button type="submit" tone="primary" disabled={!wanted.every((one) => inputs[one.id]?.trim())}>Add</Button></div>
      </form>
    </Dialog>
  );
}
const HELP: Record<string, string> = { token: "32 letters and digits that belong to this device. It is kept sealed on this machine, and sent nowhere.", pin: "As the device shows it.", password: "As you set it on the device." };
