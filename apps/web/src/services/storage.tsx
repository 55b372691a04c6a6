// The card for what lies on a device: its folders, one at a time, and fetching a file from there. Nothing is asked of the
// device before the owner opens it.
import { useEffect, useRef, useState } from "react";
import { attempt, castThere, consenting, fetchFile } from "../actions";
import { CallFailed, get, id, SLOW_MS } from "../api/client";
import type { Device, Folder, FolderEntry } from "../api/types";
import { bytes, plural, sentence, visible } from "../format";
import { useHub } from "../store";
import { announce } from "../ui/overlay";
import { Ago, Button, Menu, Name } from "../ui/bits";
import { Icon } from "../ui/icons";
import type { CardProps } from "./control";
import { action, takesCasts } from "./model";

interface Step { name: string; path: string }
type State = { now: "closed" } | { now: "asking" } | { now: "open"; folder: Folder } | { now: "failed"; message: string };

/** Rows that are shown at once; more on request. */
const PAGE = 200;
const START: Step = { name: "Start", path: "" };

export function Storage({ device, service, able }: CardProps) {
  // Players fetch themselves from what tells at which address its files are.
  const devices = useHub((hub) => hub.devices);
  const players = action(service, "address") ? devices.filter((one) => one.id !== device.id && takesCasts(one)) : [];
  const [trail, setTrail] = useState<Step[]>([START]);
  const [state, setState] = useState<State>({ now: "closed" });
  const latest = useRef(0);
  const here = useRef<HTMLDivElement>(null);
  const moved = useRef(false);

  const open = async (steps: Step[]) => {
    const mine = ++latest.current;
    setTrail(steps);
    setState({ now: "asking" });
    const at = steps.at(-1)!;
    try {
      const folder = await consenting(() => get<Folder>(`/devices/${id(device.id)}/files?path=${encodeURIComponent(at.path)}`, SLOW_MS));
      if (mine !== latest.current) return;
      moved.current = true;
      setState({ now: "open", folder });
      announce(`${at.name}: ${folder.entries.length === 0 ? "empty" : plural(folder.entries.length, "entry", "entries")}.`);
    } catch (error) {
      if (mine !== latest.current) return;
      moved.current = true;
      setState({ now: "failed", message: error instanceof CallFailed ? sentence(error.message) : "The question came to nothing." });
    }
  };

  // What had the focus is gone with the folder that it was in.
  useEffect(() => {
    if (!moved.current || state.now === "asking") return;
    moved.current = false;
    here.current?.focus({ preventScroll: true });
  }, [state]);

  if (device.trust !== "paired") return <p className="hint">Pair with it to look at its files.</p>;
  if (state.now === "closed") {
    return (
      <>
        <p className="hint">{able ? "See what lies on it, and fetch files from there. You are asked first." : "It is not connected now."}</p>
        <div className="card-end"><Button icon="folder" disabled={!able} onClick={() => open([START])} testid="browse">Look at its files</Button></div>
      </>
    );
  }
  return (
    <div className="browse" ref={here} tabIndex={-1} role="group" aria-label={`Files on ${visible(device.name)}`} aria-busy={state.now === "asking"} data-testid="storage">
      <Trail steps={trail} onOpen={open} />
      {state.now === "asking" && <p className="hint" role="status"><span className="spinner" aria-hidden="true" /> Asking it. It may have to wake up first…</p>}
      {state.now === "failed" && (
        <div className="stack" role="alert">
          <p><Icon name="warning" /> <bdi>{visible(state.message)}</bdi></p>
          <div><Button icon="retry" onClick={() => open(trail)}>Try again</Button></div>
        </div>
      )}
      {state.now === "open" && <Entries key={state.folder.path} device={device} players={players} folder={state.folder} able={able} onOpen={(entry) => open([...trail, { name: entry.name, path: entry.path }])} />}
      <div className="card-end">
        {state.now === "open" && <Button tone="plain" icon="retry" disabled={!able} onClick={() => open(trail)}>Look again</Button>}
        <Button tone="plain" icon="close" onClick={() => { latest.current += 1; setTrail([START]); setState({ now: "closed" }); }}>Close</Button>
      </div>
    </div>
  );
}

/** Where one is, and the way back. */
function Trail({ steps, onOpen }: { steps: Step[]; onOpen: (steps: Step[]) => unknown }) {
  return (
    <nav aria-label="Folders" className="crumbs">
      <ol>
        {steps.map((step, at) => (
          <li key={step.path}>
            {at > 0 && <Icon name="right" />}
            {at === steps.length - 1 ? <span aria-current="location"><Name>{step.name}</Name></span> : <button type="button" className="link" onClick={() => onOpen(steps.slice(0, at + 1))}><Name>{step.name}</Name></button>}
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Entries({ device, players, folder, able, onOpen }: { device: Device; players: Device[]; folder: Folder; able: boolean; onOpen: (entry: FolderEntry) => unknown }) {
  const [shown, setShown] = useState(PAGE);
  const left = folder.entries.length - shown;
  return (
    <>
      {folder.entries.length === 0 && <p className="hint">Nothing is in this folder.</p>}
      {folder.entries.length > 0 && (
        <ul className="plain file-list">
          {folder.entries.slice(0, shown).map((entry) => <Entry key={entry.path} device={device} players={players} entry={entry} able={able} onOpen={onOpen} />)}
        </ul>
      )}
      {left > 0 && <div><Button onClick={() => setShown(shown + 5 * PAGE)}>{`Show more (${left.toLocaleString()} left)`}</Button></div>}
      {left <= 0 && folder.more && <p className="hint">There is more in this folder than the first {folder.entries.length.toLocaleString()}.</p>}
      {folder.nameless > 0 && <p className="hint">Left out: {plural(folder.nameless, "entry whose name is", "entries whose names are")} no text.</p>}
    </>
  );
}

function Entry({ device, players, entry, able, onOpen }: { device: Device; players: Device[]; entry: FolderEntry; able: boolean; onOpen: (entry: FolderEntry) => unknown }) {
  const opens = entry.kind === "folder" || entry.kind === "link";
  const fetches = entry.kind === "file" || entry.kind === "link";
  const icon = entry.kind === "folder" ? "folder" : entry.kind === "link" ? "link" : entry.kind === "file" ? "file" : "other";
  return (
    <li className="row" data-testid="entry" data-kind={entry.kind}>
      <Icon name={icon} />
      <div className="row-text">
        {opens
          ? <button type="button" className="link" disabled={!able} onClick={() => onOpen(entry)}><Name>{entry.name}</Name></button>
          : <span className="row-label"><Name>{entry.name}</Name></span>}
        <div className="meta tabular">
          {entry.kind === "link" && "Link"}
          {entry.size !== null && bytes(entry.size)}
          {entry.modified && <>{(entry.size !== null || entry.kind === "link") && " · "}<Ago time={entry.modified} /></>}
        </div>
      </div>
      {entry.kind === "file" && able && players.length > 0 && (
        <Menu label={`Play ${entry.name} on another device`} word="Play" icon="cast" items={players.map((one) => ({ label: `On ${visible(one.name)}`, icon: "tv" as const, run: () => castThere(one, device, entry) }))} />
      )}
      {fetches && <Button icon="down" label={`Fetch ${entry.name}`} disabled={!able} onClick={() => attempt(() => fetchFile(device, entry))}>Fetch</Button>}
    </li>
  );
}
