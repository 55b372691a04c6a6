// Notifications: what devices and this computer say now, by device and app; and the rules for it.
import { useEffect, useState } from "react";
import { attempt, consenting } from "../actions";
import { get, put } from "../api/client";
import type { Desktop, Device, Notification, NotificationRules } from "../api/types";
import { hour, sentence, visible } from "../format";
import { dismissAll, showOn } from "../notices";
import { to } from "../router";
import { readNotifications, seeNotifications, signedOut, useHub } from "../store";
import { announce, closeDialog, Dialog, openDialog } from "../ui/overlay";
import { Button, Empty, Field, Menu, Name, PageHead, Trouble } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { AppPicture, NotificationItem } from "../parts/notification";
import { RulesTab } from "./notification-rules";

export function NotificationsPage({ route }: { route: string[] }) {
  const tab = route[0] === "rules" ? "rules" : "now";
  const all = useHub((hub) => hub.notifications);
  const error = useHub((hub) => hub.notificationsError);
  const devices = useHub((hub) => hub.devices);
  const { rules, failed, read, save } = useRules();
  useEffect(() => {
    if (tab === "now") seeNotifications();
  }, [tab, all]);
  const takers = devices.filter(showsNotifications);
  const pause = (until: Date | null) => rules && save({ ...rules, paused_until: until ? until.toISOString() : null }, until ? `Paused until ${hour(until.toISOString())}.` : "Notifications go on.");
  return (
    <>
      <PageHead title="Notifications">
        {takers.length > 0 && <Button icon="send" onClick={() => openDialog({ kind: "notify" })}>Show on a device</Button>}
        <Menu label="Pause notifications" word="Pause" icon="pause" items={[
          { label: "For an hour", icon: "clock", run: () => pause(new Date(Date.now() + 3_600_000)) },
          { label: "For four hours", icon: "clock", run: () => pause(new Date(Date.now() + 4 * 3_600_000)) },
          { label: "Until tomorrow at eight", icon: "moon", run: () => pause(tomorrow()) },
          ...(isPaused(rules) ? [{ label: "Go on now", icon: "media" as const, run: () => pause(null) }] : []),
        ]} />
      </PageHead>
      <nav className="tabs" aria-label="Notifications">
        <a href={to("notifications")} aria-current={tab === "now" ? "page" : undefined}>Now</a>
        <a href={to("notifications", "rules")} aria-current={tab === "rules" ? "page" : undefined}>Rules</a>
      </nav>
      {isPaused(rules) && (
        <div className="card quiet-card" data-testid="paused">
          <Icon name="pause" />
          <p>Paused until {hour(rules!.paused_until!)}. <span className="hint">Nothing is sent to devices and nothing pops up; what devices say is listed here.</span></p>
          <Button onClick={() => pause(null)}>Go on</Button>
        </div>
      )}
      {tab === "rules" ? (
        failed && !rules ? <Trouble message={failed} retry={read} /> : rules ? <RulesTab rules={rules} save={save} /> : <Waiting />
      ) : error && !all ? <Trouble message={error} retry={readNotifications} /> : !all ? <Waiting /> : <Now all={all} paused={isPaused(rules)} />}
    </>
  );
}

const Waiting = () => <div className="stack" aria-hidden="true">{[0, 1, 2].map((at) => <div key={at} className="card skeleton" />)}</div>;
export const showsNotifications = (device: Device) => device.trust === "paired" && device.services.some((one) => one.id === "notifications" && one.actions.some((action) => action.id === "show"));
const isPaused = (rules: NotificationRules | null) => rules?.paused_until != null && Date.parse(rules.paused_until) > Date.now();
function tomorrow() {
  const at = new Date();
  at.setDate(at.getDate() + 1);
  at.setHours(8, 0, 0, 0);
  return at;
}

export type SaveRules = (next: NotificationRules, said?: string) => Promise<boolean>;

/** The owner's rules; a change shows at once, and is taken back when it cannot be kept. */
function useRules() {
  const [rules, setRules] = useState<NotificationRules | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  const live = useHub((hub) => hub.live && hub.phase === "ready");
  const read = () => get<NotificationRules>("/notifications/rules").then((now) => { setRules(now); setFailed(null); }, (error: Error) => { if (!signedOut(error)) setFailed(error.message); });
  useEffect(() => void (live && read()), [live]);
  const save: SaveRules = async (next, said) => {
    setRules(next);
    const done = await attempt(async () => {
      setRules(await consenting(() => put<NotificationRules>("/notifications/rules", next)));
      announce(said ?? "Saved.");
    });
    if (!done) await read();
    return done;
  };
  return { rules, failed, read, save };
}

function Now({ all, paused }: { all: Notification[]; paused: boolean }) {
  const desktop = useHub((hub) => hub.desktop);
  const sources = grouped(all);
  return (
    <>
      {all.length === 0 ? (
        <Empty icon="bell" title={paused ? "Nothing, while it is paused" : "Nothing to see right now"}>
          What your devices and this computer say appears here, and goes when it is dismissed anywhere. Which device may show what is under <a href={to("notifications", "rules")}>Rules</a>.
        </Empty>
      ) : (
        <>
          {sources.length > 1 && <div className="section-line above"><span className="hint">{all.length} from {sources.length} devices</span><Button icon="check" onClick={() => dismissAll(all)} testid="dismiss-all">Dismiss all</Button></div>}
          {sources.map(([device, list]) => <Source key={device ?? ""} device={device} list={list} alone={sources.length === 1} />)}
        </>
      )}
      <DesktopLine desktop={desktop} />
    </>
  );
}

/** By device, those with the newest first. */
function grouped(all: Notification[]): [string | null, Notification[]][] {
  const groups = new Map<string | null, Notification[]>();
  for (const one of [...all].sort((a, b) => b.posted.localeCompare(a.posted))) groups.set(one.device, [...(groups.get(one.device) ?? []), one]);
  return [...groups];
}

/** One device's notifications, a card per app. */
function Source({ device: id, list, alone }: { device: string | null; list: Notification[]; alone: boolean }) {
  const device = useHub((hub) => hub.devices.find((one) => (id ? one.id === id : one.trust === "own")));
  const name = id ? (list[0]!.device_name ?? device?.name ?? "A device") : "This computer";
  const apps = new Map<string, Notification[]>();
  for (const one of list) apps.set(one.app, [...(apps.get(one.app) ?? []), one]);
  const heading = `from-${id ?? "here"}`;
  return (
    <section aria-labelledby={heading} data-testid="source" data-device={id ?? ""}>
      <div className="section-line">
        <h2 id={heading} className="section-head"><KindIcon kind={device?.kind ?? "other"} />{id && device ? <a href={to("devices", id)}><Name>{name}</Name></a> : <Name>{name}</Name>} <span className="count">{list.length}</span></h2>
        {list.length > 1 && <Button tone="plain" label={`Dismiss all of ${name}`} onClick={() => dismissAll(list)} {...(alone ? { testid: "dismiss-all" } : {})}>Dismiss all</Button>}
      </div>
      {[...apps].map(([app, some]) => (
        <article key={app} className="card app-card" aria-label={`${visible(app)}, ${visible(name)}`}>
          <header>
            <AppPicture of={some[0]!} />
            <h3 className="card-title"><Name>{app || "An app"}</Name>{some.length > 1 && <span className="count">{some.length}</span>}</h3>
            {some.length > 1 && apps.size > 1 && <Button tone="plain" label={`Dismiss ${some.length} of ${app}`} onClick={() => dismissAll(some)}>Dismiss {some.length}</Button>}
          </header>
          <ul className="notification-list">{some.map((one) => <NotificationItem key={one.id} of={one} />)}</ul>
        </article>
      ))}
    </section>
  );
}

function DesktopLine({ desktop }: { desktop: Desktop | null }) {
  if (!desktop || desktop.mode === "off") return null;
  const words = {
    following: <>Accord reads along with {desktop.server ? <Name>{desktop.server}</Name> : "the notification server"} on this computer.</>,
    serving: <>No notification server runs on this computer, so Accord takes what apps say and lists it here.</>,
    none: <>This computer’s own notifications are not seen.</>,
  }[desktop.mode];
  return <p className="hint foot-note"><Icon name={desktop.message ? "warning" : "info"} /><span>{words} {desktop.message && <bdi>{sentence(visible(desktop.message))}</bdi>}</span></p>;
}

/** A notification by hand, to one device. */
export function NotifyDialog({ device }: { device?: Device | undefined }) {
  const devices = useHub((hub) => hub.devices);
  const takers = device ? [device] : devices.filter(showsNotifications);
  const [chosen, setChosen] = useState(takers[0]?.id ?? "");
  const [title, setTitle] = useState("");
  const [body, setBody] = useState("");
  return (
    <Dialog title={device ? <>Show on <Name>{device.name}</Name></> : "Show a notification"} testid="notify">
      <form
        className="way"
        onSubmit={(event) => {
          event.preventDefault();
          const target = takers.find((one) => one.id === chosen);
          closeDialog();
          if (target) void showOn(target, title.trim(), body.trim());
        }}
      >
        {!device && (
          <Field label="On">
            {(field) => <select id={field} value={chosen} onChange={(event) => setChosen(event.target.value)}>{takers.map((one) => <option key={one.id} value={one.id}>{visible(one.name)}{one.reach === "offline" ? " (away)" : ""}</option>)}</select>}
          </Field>
        )}
        <Field label="Title">{(field) => <input id={field} data-autofocus dir="auto" required maxLength={200} autoComplete="off" value={title} onChange={(event) => setTitle(event.target.value)} />}</Field>
        <Field label="Text" hint="May be left empty.">{(field, hint) => <textarea id={field} aria-describedby={hint} rows={3} dir="auto" maxLength={2000} value={body} onChange={(event) => setBody(event.target.value)} />}</Field>
        <div className="form-end"><Button onClick={closeDialog}>Cancel</Button><Button type="submit" tone="primary" icon="send" disabled={!title.trim()}>Show it</Button></div>
      </form>
    </Dialog>
  );
}
