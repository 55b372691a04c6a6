// One notification: what it says, how old it is, and what can be done with it.
import { type MouseEvent, useState } from "react";
import type { Notification } from "../api/types";
import { plural, visible } from "../format";
import { choose, copyCode, dismiss, replyTo } from "../notices";
import { useHub } from "../store";
import { Ago, Button, Name } from "../ui/bits";
import { Icon } from "../ui/icons";

/** The app's picture, or its first letter. Only pictures that the hub itself encoded are shown. */
export function AppPicture({ of }: { of: Notification }) {
  const [broken, setBroken] = useState(false);
  if (of.icon?.startsWith("data:image/png;base64,") && !broken) return <img className="app-picture" src={of.icon} alt="" onError={() => setBroken(true)} />;
  const letter = [...visible(of.app).trim()][0];
  return <span className="app-picture" aria-hidden="true">{letter ? letter.toLocaleUpperCase() : <Icon name="bell" />}</span>;
}

/** `482913` → `482 913`, as people read it out. */
export const spaced = (code: string) => (/^\d{6}$/.test(code) ? `${code.slice(0, 3)} ${code.slice(3)}` : /^\d{8}$/.test(code) ? `${code.slice(0, 4)} ${code.slice(4)}` : code);

export function NotificationItem({ of: one, app }: { of: Notification; app?: boolean }) {
  const [shown, setShown] = useState(false);
  const [replying, setReplying] = useState(false);
  const name = (one.hidden ? "" : one.title) || one.app || "notification";
  const covered = one.hidden && !shown;
  const drop = async ({ currentTarget }: MouseEvent) => {
    const all = [...document.querySelectorAll<HTMLElement>("main [data-dismiss]")];
    const at = all.indexOf(currentTarget as HTMLElement);
    if (await dismiss(one)) (all[at + 1] ?? all[at - 1])?.focus();
  };
  return (
    <li className="notification" data-testid="notification" data-notification={one.id}>
      <div className="notification-text">
        <p className="meta">{app && <><Name>{one.app}</Name> · </>}<Ago time={one.posted} /></p>
        {covered ? (
          <p className="covered"><Icon name="hidden" /><span>Your rules hide what it says.</span><button className="link" aria-label={`Show what ${one.app} says`} onClick={() => setShown(true)}>Show</button></p>
        ) : (
          <>
            {one.title && <p className="row-label"><Name>{one.title}</Name></p>}
            {one.body && <p className="notification-body"><bdi>{visible(one.body)}</bdi></p>}
            {one.code && (
              <p className="one-time"><span className="one-time-code" aria-label={`Code ${[...one.code].join(" ")}`} role="img">{spaced(one.code)}</span><Button icon="copy" onClick={() => copyCode(one)} testid="copy-code">Copy code</Button></p>
            )}
          </>
        )}
        <Whereabouts of={one} />
        {!covered && (one.reply || one.actions.length > 0) && !replying && (
          <div className="notification-actions">
            {one.reply && <Button tone="plain" icon="reply" label={`Reply to ${name}`} onClick={() => setReplying(true)}>Reply</Button>}
            {one.actions.map((action) => <Button key={action} tone="plain" label={`${action}: ${name}`} onClick={() => choose(one, action)}>{visible(action)}</Button>)}
          </div>
        )}
        {replying && <Reply name={name} onCancel={() => setReplying(false)} onSend={async (text) => void ((await replyTo(one, text)) && setReplying(false))} />}
      </div>
      <button data-dismiss className="icon-button" aria-label={`Dismiss ${visible(name)}`} onClick={drop}><Icon name="close" /></button>
    </li>
  );
}

/** Which devices have it too, or will. */
function Whereabouts({ of: one }: { of: Notification }) {
  const devices = useHub((hub) => hub.devices);
  const names = (ids: string[]) => ids.map((id) => devices.find((device) => device.id === id)?.name ?? "a device that is gone");
  const list = (ids: string[]) => (ids.length > 3 ? plural(ids.length, "device") : names(ids).map(visible).join(", "));
  if (one.sent_to.length + one.waits_for.length === 0) return null;
  return (
    <p className="hint whereabouts">
      {one.sent_to.length > 0 && <span><Icon name="devices" />Also on <bdi>{list(one.sent_to)}</bdi></span>}
      {one.waits_for.length > 0 && <span><Icon name="clock" />Waits for <bdi>{list(one.waits_for)}</bdi></span>}
    </p>
  );
}

function Reply({ name, onSend, onCancel }: { name: string; onSend: (text: string) => Promise<unknown>; onCancel: () => void }) {
  const [draft, setDraft] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    await onSend(draft);
    setBusy(false);
  };
  return (
    <form className="reply" onSubmit={(event) => { event.preventDefault(); if (!busy) void send(); }} onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), onCancel())}>
      <input autoFocus aria-label={`Reply to ${visible(name)}`} placeholder="Your reply" dir="auto" autoComplete="off" maxLength={4000} required value={draft} onChange={(event) => setDraft(event.target.value)} />
      <Button type="submit" tone="primary" icon="send" busy={busy} disabled={!draft.trim()}>Send</Button>
      <Button tone="plain" onClick={onCancel}>Cancel</Button>
    </form>
  );
}
