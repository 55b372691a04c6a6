// What lies over the page: one dialog at a time, toasts, and the words for screen readers. Dialogs make
// the page behind inert; the sheet of consent prompts stays usable beside them.
import { type ReactNode, useEffect, useId, useRef, useSyncExternalStore } from "react";
import type { Device, StartPairing } from "../api/types";
import { visible } from "../format";
import { Icon } from "./icons";

export type DialogState =
  | { kind: "pairing"; id: string; again?: StartPairing }
  /** `again`: a device that was added in a way of its bridge, and is at another address. */
  | { kind: "add"; again?: { bridge: string; id: string } }
  | { kind: "send"; device: Device }
  | { kind: "share"; id?: string }
  | { kind: "cast"; device: Device }
  | { kind: "casting"; id: string }
  | { kind: "rename"; device: Device }
  /** One tile of the page Home, with everything that it can be told. */
  | { kind: "thing"; device: string; tile: string }
  | { kind: "room"; name: string }
  /** Several devices go to a room. */
  | { kind: "put"; devices: Device[] }
  /** What a found device wants before it pairs. */
  | { kind: "needs"; device: string }
  | { kind: "notify"; device?: Device }
  | { kind: "decide"; entry: string; device: Device; because: string }
  | { kind: "help" }
  | { kind: "record"; seq: number }
  | { kind: "confirm"; title: string; body: ReactNode; yes: string; no: string; answer: (yes: boolean) => void };

interface Toast { id: number; text: string; tone?: "bad" | undefined; action?: string | undefined; undo?: (() => void) | undefined }

interface Overlay { dialog: DialogState | null; toasts: Toast[]; said: string; shownPrompt: string | null; promptsHidden: string[] }
let overlay: Overlay = { dialog: null, toasts: [], said: "", shownPrompt: null, promptsHidden: [] };
const listeners = new Set<() => void>();
function change(next: Partial<Overlay>) {
  overlay = { ...overlay, ...next };
  for (const listener of listeners) listener();
}
export const useOverlay = <T,>(pick: (overlay: Overlay) => T) =>
  useSyncExternalStore((listener) => (listeners.add(listener), () => listeners.delete(listener)), () => pick(overlay));

let cameFrom: HTMLElement | null = null;
export function openDialog(dialog: DialogState) {
  if (!overlay.dialog) cameFrom = document.activeElement as HTMLElement | null;
  if (overlay.dialog?.kind === "confirm") overlay.dialog.answer(false);
  change({ dialog });
}
export function closeDialog() {
  if (!overlay.dialog) return;
  change({ dialog: null });
  const back = cameFrom;
  cameFrom = null;
  requestAnimationFrame(() => (back?.isConnected ? back : document.getElementById("main"))?.focus());
}
export const dialogOpen = () => overlay.dialog !== null;

export const confirm = (question: { title: string; body: ReactNode; yes: string; no?: string }) =>
  new Promise<boolean>((resolve) => {
    // A thing that was being looked at is looked at again afterwards.
    const under = overlay.dialog?.kind === "thing" ? overlay.dialog : null;
    const from = cameFrom;
    openDialog({
      kind: "confirm", no: "Cancel", ...question,
      answer: (yes) => {
        if (under && !overlay.dialog) {
          cameFrom = from;
          change({ dialog: under });
        }
        resolve(yes);
      },
    });
  });

/** Brings a prompt to the owner because of what they just did; the sheet takes the focus. */
export const showPrompt = (prompt: string) =>
  change({ shownPrompt: prompt, promptsHidden: overlay.promptsHidden.filter((other) => other !== prompt) });
export const hidePrompt = (prompt: string) =>
  change({ shownPrompt: null, promptsHidden: [...overlay.promptsHidden.filter((other) => other !== prompt), prompt] });
export const showAllPrompts = () => change({ promptsHidden: [] });

/** Says something to screen readers only, once and politely. */
export function announce(text: string) {
  change({ said: "" });
  setTimeout(() => change({ said: visible(text) }), 60);
}

let toastCount = 0;
export function toast(text: string, more: { tone?: "bad"; undo?: () => void; action?: string } = {}) {
  toastCount += 1;
  const id = toastCount;
  text = visible(text);
  change({ toasts: [...overlay.toasts.filter((other) => other.text !== text).slice(-2), { id, text, ...more }] });
  announce(text);
  const drop = () => {
    // Not while someone reads or reaches for it.
    if (document.querySelector(".toasts:is(:hover, :focus-within)")) setTimeout(drop, 2_000);
    else dropToast(id);
  };
  setTimeout(drop, more.undo || more.tone === "bad" ? 10_000 : 5_000);
}
const dropToast = (id: number) => change({ toasts: overlay.toasts.filter((one) => one.id !== id) });

export function Toasts() {
  const toasts = useOverlay((all) => all.toasts);
  if (toasts.length === 0) return null;
  return (
    <section className="toasts" aria-label="Messages">
      {toasts.map((one) => (
        <div key={one.id} className={`toast ${one.tone ?? ""}`} data-testid="toast">
          <Icon name={one.tone === "bad" ? "warning" : "check"} />
          <p dir="auto">{one.text}</p>
          {one.undo && (
            <button className="link" onClick={() => { dropToast(one.id); one.undo?.(); }}>{one.action ?? "Undo"}</button>
          )}
          <button className="icon-button small" aria-label="Dismiss" onClick={() => dropToast(one.id)}><Icon name="close" /></button>
        </div>
      ))}
    </section>
  );
}

export const Said = () => <div className="hidden-visually" role="status" aria-live="polite">{useOverlay((all) => all.said)}</div>;

const FOCUSABLE = "a[href],button:not(:disabled),input:not(:disabled),select:not(:disabled),textarea:not(:disabled),summary,[tabindex='0']";
export const focusables = (within: HTMLElement) =>
  [...within.querySelectorAll<HTMLElement>(FOCUSABLE)].filter((element) => element.offsetParent !== null || element === document.activeElement);

/** Tab goes round within `root` while a dialog is open. */
export function keepFocus(event: React.KeyboardEvent, root: HTMLElement) {
  if (event.key !== "Tab") return;
  const all = focusables(root);
  const first = all[0];
  const last = all.at(-1);
  if (!first || !last) return;
  const at = document.activeElement;
  if (event.shiftKey ? at === first || !root.contains(at) : at === last || !root.contains(at)) {
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  }
}

export function Dialog(props: {
  title: ReactNode;
  children: ReactNode;
  actions?: ReactNode;
  onClose?: () => void;
  wide?: boolean;
  role?: "dialog" | "alertdialog";
  testid?: string;
}) {
  const label = useId();
  const box = useRef<HTMLDivElement>(null);
  const close = props.onClose ?? closeDialog;
  const out = useRef(close);
  useEffect(() => void (out.current = close));
  useEffect(() => {
    const root = box.current;
    const wanted = root?.querySelector<HTMLElement>("[data-autofocus]") ?? root;
    wanted?.focus({ preventScroll: true });
    if (!root) return undefined;
    // What had the focus may be gone: whoever uses the keyboard stays in here, and gets out of here.
    const lost = () => document.activeElement === null || document.activeElement === document.body;
    const watch = new MutationObserver(() => lost() && (root.querySelector<HTMLElement>("[data-autofocus]") ?? root).focus({ preventScroll: true }));
    watch.observe(root, { childList: true, subtree: true });
    const pressed = (event: KeyboardEvent) => {
      if (!lost()) return;
      if (event.key === "Escape") out.current();
      else if (event.key === "Tab") root.focus({ preventScroll: true });
    };
    document.addEventListener("keydown", pressed);
    return () => {
      watch.disconnect();
      document.removeEventListener("keydown", pressed);
    };
  }, []);
  return (
    <div className="scrim" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <div
        ref={box}
        className={`dialog ${props.wide ? "wide" : ""}`}
        role={props.role ?? "dialog"}
        aria-modal="true"
        aria-labelledby={label}
        aria-describedby={props.role === "alertdialog" ? `${label}-body` : undefined}
        tabIndex={-1}
        data-testid={props.testid}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.stopPropagation();
            close();
          }
        }}
      >
        <header>
          <h2 id={label}>{props.title}</h2>
          <button className="icon-button" aria-label="Close" onClick={close}><Icon name="close" /></button>
        </header>
        <div id={`${label}-body`} className="dialog-body">{props.children}</div>
        {props.actions && <footer>{props.actions}</footer>}
      </div>
    </div>
  );
}
