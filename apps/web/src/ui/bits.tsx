// Small parts that every page uses.
import { type ReactNode, useCallback, useEffect, useId, useRef, useState, useSyncExternalStore } from "react";
import { ago, visible } from "../format";
import { Icon, type IconName } from "./icons";

const tickers = new Map<number, Set<() => void>>();
function onTick(step: number, tick: () => void) {
  const all = tickers.get(step) ?? new Set<() => void>();
  if (!tickers.has(step)) {
    tickers.set(step, all);
    setInterval(() => all.forEach((one) => one()), step);
  }
  all.add(tick);
  return () => void all.delete(tick);
}
/** The time now, told anew every `step` milliseconds. */
export function useNow(step = 15_000): number {
  const subscribe = useCallback((tick: () => void) => onTick(step, tick), [step]);
  return useSyncExternalStore(subscribe, () => Math.floor(Date.now() / step) * step);
}

/** A time as its age, the exact time on hover. */
export function Ago({ time }: { time: string }) {
  const now = useNow();
  return <time dateTime={time} title={new Date(time).toLocaleString()}>{ago(time, Math.max(now, Date.now()))}</time>;
}

/** Seconds left until `time`, counted down. */
export function useCountdown(time: string | null): number {
  const [left, setLeft] = useState(() => (time ? Math.max(0, Date.parse(time) - Date.now()) : 0));
  useEffect(() => {
    if (!time) return;
    const tick = () => setLeft(Math.max(0, Date.parse(time) - Date.now()));
    tick();
    const timer = setInterval(tick, 1000);
    return () => clearInterval(timer);
  }, [time]);
  return Math.ceil(left / 1000);
}

/** Text from outside: shown as text, in its own direction. */
export const Name = ({ children }: { children: string }) => <bdi className="name">{visible(children) || "—"}</bdi>;

/** A sentence of the hub: what stands between backticks is code. */
export const Words = ({ children }: { children: string }) => <bdi>{visible(children).split("`").map((part, at) => (at % 2 === 1 ? <code key={at}>{part}</code> : part))}</bdi>;

export function Button(props: {
  children: ReactNode;
  onClick?: () => unknown;
  icon?: IconName;
  tone?: "primary" | "plain" | "danger";
  type?: "button" | "submit";
  disabled?: boolean;
  busy?: boolean;
  autoFocus?: boolean;
  label?: string;
  testid?: string;
}) {
  const [running, setRunning] = useState(false);
  const alive = useRef(true);
  useEffect(() => {
    alive.current = true;
    return () => void (alive.current = false);
  }, []);
  const busy = running || props.busy;
  return (
    <button
      type={props.type ?? "button"}
      className={`button ${props.tone ?? ""}`}
      disabled={props.disabled}
      aria-disabled={busy || undefined}
      aria-label={props.label && visible(props.label)}
      data-autofocus={props.autoFocus || undefined}
      data-testid={props.testid}
      onClick={async (event) => {
        if (busy) return event.preventDefault();
        const result = props.onClick?.();
        if (result instanceof Promise) {
          setRunning(true);
          await result.catch(() => undefined);
          if (alive.current) setRunning(false);
        }
      }}
    >
      {busy ? <span className="spinner" aria-hidden="true" /> : props.icon && <Icon name={props.icon} />}
      <span>{props.children}</span>
    </button>
  );
}

export function Switch(props: { on: boolean; label: ReactNode; hint?: ReactNode; onChange: (on: boolean) => unknown; disabled?: boolean }) {
  const label = useId();
  const hint = useId();
  return (
    <div className="row">
      <div className="row-text">
        <div id={label} className="row-label">{props.label}</div>
        {props.hint && <div id={hint} className="hint">{props.hint}</div>}
      </div>
      <button
        type="button"
        role="switch"
        className="switch"
        aria-checked={props.on}
        aria-labelledby={label}
        aria-describedby={props.hint ? hint : undefined}
        disabled={props.disabled}
        onClick={() => props.onChange(!props.on)}
      >
        <span className="switch-knob" />
      </button>
    </div>
  );
}

/** Alternatives of equal weight; exactly one or none is chosen. */
export function Segments<T extends string>(props: {
  label: string;
  value: T | null;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => unknown;
  disabled?: boolean;
}) {
  return (
    <div className="segments" role="group" aria-label={props.label}>
      {props.options.map((option) => (
        <button
          key={option.value}
          type="button"
          className="segment"
          aria-pressed={props.value === option.value}
          disabled={props.disabled}
          onClick={() => props.onChange(option.value)}
        >
          {option.label}
        </button>
      ))}
    </div>
  );
}

export interface MenuItem { label: string; icon: IconName; run: () => unknown; danger?: boolean; checked?: boolean }

export function Menu({ label, items, word, icon }: { label: string; items: MenuItem[]; word?: string; icon?: IconName }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const id = useId();
  const move = (to: number) => {
    const all = [...(root.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
    all.at(((to % all.length) + all.length) % all.length)?.focus();
  };
  const close = (back: boolean) => {
    setOpen(false);
    if (back) root.current?.querySelector<HTMLElement>("button")?.focus();
  };
  useEffect(() => {
    if (!open) return;
    move(0);
    const outside = (event: Event) => !root.current?.contains(event.target as Node) && setOpen(false);
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  return (
    <div
      className="menu-root"
      ref={root}
      onBlur={(event) => event.relatedTarget && !root.current?.contains(event.relatedTarget) && setOpen(false)}
      onKeyDown={(event) => {
        if (!open) return;
        const all = [...(root.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
        const at = all.indexOf(document.activeElement as HTMLElement);
        if (event.key === "Escape") close(true);
        else if (event.key === "ArrowDown") move(at + 1);
        else if (event.key === "ArrowUp") move(at - 1);
        else if (event.key === "Home") move(0);
        else if (event.key === "End") move(-1);
        else return;
        event.preventDefault();
        event.stopPropagation();
      }}
    >
      <button className={word ? "button" : "icon-button"} aria-haspopup="menu" aria-expanded={open} aria-controls={open ? id : undefined} aria-label={label} onClick={() => setOpen(!open)}>
        <Icon name={icon ?? "more"} />{word && <span>{word}</span>}
      </button>
      {open && (
        <div className="menu" role="menu" id={id} aria-label={label}>
          {items.map((item) => (
            <button
              key={item.label}
              role={item.checked === undefined ? "menuitem" : "menuitemcheckbox"}
              aria-checked={item.checked}
              tabIndex={-1}
              className={item.danger ? "danger" : ""}
              onClick={() => {
                close(true);
                item.run();
              }}
            >
              <Icon name={item.icon} />
              <span>{item.label}</span>
              {item.checked && <Icon name="check" />}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <span className="empty-icon"><Icon name={icon} /></span>
      <p className="empty-title">{title}</p>
      {children && <div className="empty-text">{children}</div>}
    </div>
  );
}

export function Trouble({ message, retry }: { message: string; retry: () => unknown }) {
  return (
    <div className="empty bad" role="alert">
      <span className="empty-icon"><Icon name="warning" /></span>
      <p className="empty-title">This could not be read</p>
      <div className="empty-text">{message}</div>
      <Button icon="retry" onClick={retry}>Try again</Button>
    </div>
  );
}

export function Skeleton({ cards, tall }: { cards: number; tall?: boolean }) {
  return (
    <div className="grid" aria-hidden="true">
      {Array.from({ length: cards }, (_, at) => <div key={at} className={`card skeleton ${tall ? "tall" : ""}`} />)}
    </div>
  );
}

export function Progress({ label, done, total, quiet }: { label: string; done: number; total: number; quiet?: boolean }) {
  const part = total > 0 ? Math.min(1, done / total) : 0;
  return (
    <div className={`progress ${quiet ? "quiet" : ""}`} role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(part * 100)}>
      <span style={{ transform: `scaleX(${part})` }} />
    </div>
  );
}

export function PageHead({ title, children, lead }: { title: ReactNode; lead?: ReactNode; children?: ReactNode }) {
  return (
    <header className="page-head">
      <h1>{title}</h1>
      {children && <div className="page-actions">{children}</div>}
      {lead && <p className="lead">{lead}</p>}
    </header>
  );
}

export function Field(props: {
  label: string;
  hint?: ReactNode;
  children: (id: string, describedBy: string | undefined) => ReactNode;
}) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      {props.children(id, props.hint ? `${id}-hint` : undefined)}
      {props.hint && <div id={`${id}-hint`} className="hint">{props.hint}</div>}
    </div>
  );
}
