// Settings: what this machine is called, where things land, how it looks, who is signed in.
import { useEffect, useState } from "react";
import { attempt, copy } from "../actions";
import { call, del, get, id, put } from "../api/client";
import { DEVICE_KINDS, type OwnCommand, type Session, type Settings } from "../api/types";
import { KeptHistory } from "./history-settings";
import { duration, kindName, visible } from "../format";
import { keep } from "../kept";
import { to } from "../router";
import { set, signedOut, useHub } from "../store";
import { toast } from "../ui/overlay";
import { Ago, Button, Field, Name, PageHead, Segments, Skeleton, Switch } from "../ui/bits";

export type Theme = "system" | "light" | "dark";
const theme = (): Theme => {
  const set = document.documentElement.dataset.theme;
  return set === "light" || set === "dark" ? set : "system";
};
function setTheme(wanted: Theme) {
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  keep("theme", wanted === "system" ? null : wanted);
}

export function SettingsPage() {
  const settings = useHub((hub) => hub.settings);
  const status = useHub((hub) => hub.status);
  return (
    <>
      <PageHead title="Settings" />
      {settings ? <MachineForm key={JSON.stringify(settings)} settings={settings} /> : <Skeleton cards={2} tall />}
      <section className="card" aria-labelledby="copying">
        <div className="row">
          <div className="row-text"><h2 id="copying" className="card-title">Clipboard</h2><p className="hint">What devices copy, and what goes to them by itself.</p></div>
          <a className="button" href={to("clipboard")}>Open</a>
        </div>
      </section>
      <KeptHistory />
      <OwnCommands />
      <Appearance />
      <Sessions />
      {status && (
        <section className="card facts" aria-labelledby="about">
          <h2 id="about" className="card-title">About</h2>
          <dl>
            <div><dt>Version</dt><dd>{status.version}</dd></div>
            <div><dt>Running for</dt><dd>{duration(status.uptime_s)}</dd></div>
            <div><dt>State folder</dt><dd><code><bdi>{status.state_dir}</bdi></code></dd></div>
            {status.http && <div><dt>Address</dt><dd><code>{status.http}</code></dd></div>}
            <div><dt>Ledger</dt><dd className="tabular">{status.ledger.size.toLocaleString()} records</dd></div>
            <div><dt>Ledger head</dt><dd><code>{status.ledger.root}</code> <Button tone="plain" icon="copy" onClick={() => copy(status.ledger.root, "Ledger head")}>Copy</Button></dd></div>
          </dl>
          {status.off.length > 0 && (
            <>
              <h3>Off at the moment</h3>
              <ul className="plain off-list">
                {status.off.map((off) => (
                  <li key={off.entry}><a href={`#/privacy/${encodeURIComponent(off.entry)}`}><Name>{off.title}</Name></a><span className="hint"> {off.effect}</span></li>
                ))}
              </ul>
            </>
          )}
        </section>
      )}
    </>
  );
}

function MachineForm({ settings }: { settings: Settings }) {
  const [draft, setDraft] = useState(settings);
  const changed = JSON.stringify(draft) !== JSON.stringify(settings);
  const change = (part: Partial<Settings>) => setDraft({ ...draft, ...part });
  const save = (next: Settings) =>
    attempt(async () => {
      const saved = await put<Settings | undefined>("/settings", next);
      set({ settings: saved ?? next });
      toast("Saved.");
    });
  return (
    <form
      className="card settings-form"
      aria-labelledby="machine"
      onSubmit={(event) => {
        event.preventDefault();
        void save({ ...draft, relay: draft.relay?.trim() || null });
      }}
    >
      <h2 id="machine" className="card-title">This machine</h2>
      <div className="two">
        <Field label="Name" hint="Others see it only where you agreed to share the device name.">
          {(field, hint) => <input id={field} aria-describedby={hint} required maxLength={64} dir="auto" autoComplete="off" value={draft.name} onChange={(event) => change({ name: event.target.value })} />}
        </Field>
        <Field label="Kind">
          {(field) => (
            <select id={field} value={draft.kind} onChange={(event) => change({ kind: event.target.value as Settings["kind"] })}>
              {DEVICE_KINDS.map((kind) => <option key={kind} value={kind}>{kindName[kind]}</option>)}
            </select>
          )}
        </Field>
      </div>
      <Field label="Inbox folder" hint="Received files are saved here, never anywhere else.">
        {(field, hint) => <input id={field} aria-describedby={hint} required spellCheck={false} autoComplete="off" value={draft.inbox} onChange={(event) => change({ inbox: event.target.value })} />}
      </Field>
      <Field label="Relay" hint="Of your own, for devices that cannot reach each other. None by default; using it needs your consent.">
        {(field, hint) => <input id={field} aria-describedby={hint} type="url" placeholder="None" spellCheck={false} autoComplete="off" value={draft.relay ?? ""} onChange={(event) => change({ relay: event.target.value || null })} />}
      </Field>
      <Switch on={draft.notify} label="Desktop notifications" hint="When someone wants to send something, or a decision waits." onChange={(notify) => change({ notify })} />
      <Switch on={draft.alarms} label="Alarms of the house" hint="Smoke, water, a siren: here, and on devices that may have this computer's notifications." onChange={(alarms) => change({ alarms })} />
      <div className="form-end">
        <Button disabled={!changed} onClick={() => setDraft(settings)}>Undo changes</Button>
        <Button type="submit" tone="primary" disabled={!changed}>Save</Button>
      </div>
    </form>
  );
}

/** What devices may be allowed to have run. It is written at this computer's command line alone. */
function OwnCommands() {
  const [commands, setCommands] = useState<OwnCommand[] | null>(null);
  useEffect(() => void get<{ commands: OwnCommand[] }>("/commands").then((answer) => setCommands(answer.commands), signedOut), []);
  if (!commands) return null;
  return (
    <section className="card" aria-labelledby="commands">
      <h2 id="commands" className="card-title">Commands</h2>
      {commands.length > 0 && (
        <ul className="plain">
          {commands.map((one) => <li key={one.name} className="row"><div className="row-text"><div className="row-label"><Name>{one.name}</Name></div><code className="hint"><bdi>{visible(one.argv.join(" "))}</bdi></code></div></li>)}
        </ul>
      )}
      <p className="hint">Devices that you allow it on their page may have these run. The list is written at this computer alone: <code>accord commands add "Lights out" -- hue off --all</code></p>
    </section>
  );
}

function Appearance() {
  const [now, setNow] = useState(theme);
  return (
    <section className="card" aria-labelledby="appearance">
      <div className="row">
        <div className="row-text"><h2 id="appearance" className="card-title">Appearance</h2><p className="hint">Kept in this browser.</p></div>
        <Segments
          label="Appearance"
          value={now}
          options={[{ value: "system", label: "System" }, { value: "light", label: "Light" }, { value: "dark", label: "Dark" }]}
          onChange={(wanted) => {
            setTheme(wanted);
            setNow(wanted);
          }}
        />
      </div>
    </section>
  );
}

function Sessions() {
  const [sessions, setSessions] = useState<Session[] | null>(null);
  const read = () => get<{ sessions: Session[] }>("/sessions").then((answer) => setSessions(answer.sessions), signedOut);
  useEffect(() => void read(), []);
  const signOut = () =>
    attempt(async () => {
      await call("DELETE", "/session");
      location.reload();
    });
  return (
    <section className="card" aria-labelledby="sessions">
      <h2 id="sessions" className="card-title">Signed-in browsers</h2>
      <ul className="plain">
        {(sessions ?? []).map((session) => (
          <li key={session.id} className="row">
            <div className="row-text">
              <div className="row-label">{session.current ? "This browser" : <Name>{shortAgent(session.agent)}</Name>}</div>
              <div className="hint">{session.current && <><Name>{shortAgent(session.agent)}</Name> · </>}since <Ago time={session.created} />, last used <Ago time={session.last_used} /></div>
            </div>
            {session.current ? <Button label="Sign out this browser" onClick={signOut}>Sign out</Button> : <Button label={`Sign out ${shortAgent(session.agent)}`} onClick={() => attempt(async () => { await del(`/sessions/${id(session.id)}`); await read(); })}>Sign out</Button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** `Mozilla/5.0 (X11; Linux x86_64) … Chrome/140.0` → `Chrome on Linux`. */
function shortAgent(agent: string): string {
  const browser = /Firefox/.test(agent) ? "Firefox" : /Edg\//.test(agent) ? "Edge" : /Chrom/.test(agent) ? "Chrome" : /Safari/.test(agent) ? "Safari" : null;
  const system = /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iOS" : /Windows/.test(agent) ? "Windows" : /Mac OS/.test(agent) ? "macOS" : /Linux/.test(agent) ? "Linux" : null;
  return browser ? `${browser}${system ? ` on ${system}` : ""}` : agent.slice(0, 60) || "A browser";
}
