// The cards for what is said and copied: notifications, the clipboard, a word.
import { useState } from "react";
import { attempt } from "../actions";
import type { Device } from "../api/types";
import { sendClipboard } from "../notices";
import { to } from "../router";
import { useHub } from "../store";
import { openDialog } from "../ui/overlay";
import { Button, Field } from "../ui/bits";
import { Icon } from "../ui/icons";
import { NotificationItem } from "../parts/notification";
import { act, type CardProps } from "./control";
import { action } from "./model";

const SHOWN = 4;

export function Notifications({ device, service, able }: CardProps) {
  const all = useHub((hub) => hub.notifications);
  const own = device.trust === "own";
  const list = (all ?? []).filter((one) => (own ? one.device === null : one.device === device.id)).sort((a, b) => b.posted.localeCompare(a.posted));
  return (
    <>
      {list.length === 0 && <p className="hint">{own ? "No app on this computer says anything right now." : "It says nothing right now, or does not tell."}</p>}
      {list.length > 0 && <ul className="notification-list">{list.slice(0, SHOWN).map((one) => <NotificationItem key={one.id} of={one} app />)}</ul>}
      <div className="card-end">
        <a className="button plain" href={to("notifications")}>{list.length > SHOWN ? `All ${list.length}` : "All notifications"}</a>
        {!own && <a className="button plain" href={to("notifications", "rules")}>Rules</a>}
        {!own && action(service, "show") && <Button icon="send" disabled={!able} onClick={() => openDialog({ kind: "notify", device })}>Show one there</Button>}
      </div>
    </>
  );
}

export function Clipboard({ device, service, able }: CardProps) {
  const clipboard = useHub((hub) => hub.clipboard);
  const set = action(service, "set");
  if (device.trust === "own") {
    return (
      <>
        <p className="hint">{clipboard && !clipboard.tool ? "It cannot be used in this session." : "Copy here and paste on a device, or the reverse."}</p>
        <div className="card-end"><a className="button" href={to("clipboard")}>Open the clipboard</a></div>
      </>
    );
  }
  return (
    <>
      <p className="hint">What you copied here, pasted there. What it copies waits above until you take it.</p>
      <Button icon="send" disabled={!able || !clipboard?.tool} onClick={() => sendClipboard(device)} testid="send-clipboard">Send my clipboard</Button>
      {clipboard && !clipboard.tool && <p className="hint"><Icon name="warning" /> This computer’s clipboard cannot be used here; write a text instead.</p>}
      {set && <details className="fold small"><summary><Icon name="right" />Write a text into its clipboard</summary><TextThere device={device} service={service} able={able} /></details>}
      <div className="card-end"><a className="button plain" href={to("clipboard")}>Clipboard rules</a></div>
    </>
  );
}

function TextThere({ device, service, able }: CardProps) {
  const [draft, setDraft] = useState("");
  const set = action(service, "set")!;
  return (
    <form className="stack" onSubmit={(event) => { event.preventDefault(); void act(device, service, set, { content: draft }, "It is on the clipboard there.").then((done) => done && setDraft("")); }}>
      <Field label="Text for its clipboard">{(field) => <textarea id={field} rows={2} dir="auto" value={draft} onChange={(event) => setDraft(event.target.value)} />}</Field>
      <div className="card-end">
        <Button tone="plain" onClick={() => attempt(async () => setDraft(await navigator.clipboard.readText()))} label="Paste what this browser copied">Paste</Button>
        <Button type="submit" disabled={!able || !draft}>Put it there</Button>
      </div>
    </form>
  );
}

/** A word to whoever is in front of the device. */
export function Ping({ device, service, able }: CardProps) {
  const [draft, setDraft] = useState("");
  const ping = action(service, "ping");
  if (!ping) return null;
  return (
    <form className="action-form" onSubmit={(event) => { event.preventDefault(); void act(device, service, ping, draft.trim() ? { text: draft.trim() } : {}, said(device)).then((done) => done && setDraft("")); }}>
      <Field label="A short text">{(field) => <input id={field} placeholder="Or nothing: a plain ping" dir="auto" maxLength={200} autoComplete="off" value={draft} onChange={(event) => setDraft(event.target.value)} />}</Field>
      <Button type="submit" icon="send" disabled={!able}>{draft.trim() ? "Say it" : "Ping"}</Button>
    </form>
  );
}
const said = (device: Device) => `${device.name} was told.`;
