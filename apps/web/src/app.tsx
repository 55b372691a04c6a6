// The shell: navigation, the page, and what lies over it.
import { useEffect, useRef, useState } from "react";
import { visible } from "./format";
import { keep, kept } from "./kept";
import { go, to, useRoute } from "./router";
import { connect, reconnect, set, shareWatch, transferWatch, unseen, useHub, visitorsWaiting } from "./store";
import { announce, closeDialog, Dialog, dialogOpen, keepFocus, openDialog, Said, Toasts, useOverlay } from "./ui/overlay";
import { Button, Switch, useCountdown } from "./ui/bits";
import { Icon, type IconName, Mark } from "./ui/icons";
import { DecideDialog } from "./parts/decide";
import { CastDialog, CastingDialog, MiniPlayer, tellOfCasts } from "./parts/cast";
import { AddDialog } from "./parts/add";
import { PutDialog, RenameDialog, RoomDialog } from "./parts/naming";
import { NeedsDialog } from "./parts/needs";
import { PairingDialog } from "./parts/pairing";
import { ThingDialog } from "./parts/thing";
import { Sheets } from "./parts/prompts";
import { RecordDialog } from "./parts/record";
import { ScreenBar } from "./parts/screen";
import { SendDialog } from "./parts/send";
import { ShareDialog, SharedDialog } from "./parts/share";
import { isOffer, summary } from "./parts/transfer";
import { DevicePage } from "./pages/device";
import { DevicesPage } from "./pages/devices";
import { HomePage } from "./pages/home";
import { ClipboardPage } from "./pages/clipboard";
import { NotificationsPage, NotifyDialog } from "./pages/notifications";
import { PrivacyPage } from "./pages/privacy";
import { SettingsPage } from "./pages/settings";
import { signIn, SignInPage, tokenFromAddress } from "./pages/signin";
import { TransfersPage } from "./pages/transfers";

/** `wide`: in the navigation only where there is room; on a phone it is reached from this machine and the settings. */
const PAGES: { id: string; title: string; icon: IconName; key: string; wide?: boolean }[] = [
  { id: "devices", title: "Devices", icon: "devices", key: "d" },
  { id: "home", title: "Home", icon: "home", key: "h" },
  { id: "transfers", title: "Transfers", icon: "transfers", key: "t" },
  { id: "notifications", title: "Notifications", icon: "bell", key: "n" },
  { id: "clipboard", title: "Clipboard", icon: "clipboard", key: "c", wide: true },
  { id: "privacy", title: "Privacy", icon: "privacy", key: "p" },
  { id: "settings", title: "Settings", icon: "settings", key: "s" },
];

export function App() {
  const phase = useHub((hub) => hub.phase);
  useEffect(start, []);
  if (phase === "sign-in") return <><SignInPage /><div id="layers"><Toasts /></div><Said /></>;
  return <Shell />;
}

let started = false;
function start() {
  if (started) return;
  started = true;
  const token = tokenFromAddress();
  if (token) void signIn(token);
  else connect();
  addEventListener("hashchange", () => {
    const late = tokenFromAddress();
    if (late) void signIn(late);
  });
  addEventListener("online", reconnect);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && reconnect());
  // A file dropped beside a device must not replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  transferWatch.changed = (before, now) => {
    if (isOffer(now) && (!before || !isOffer(before))) announce(`${now.device_name} wants to send something.`);
    else if (before && before.state !== now.state && ["done", "failed", "refused"].includes(now.state)) {
      announce(`${summary(now)} ${now.direction === "in" ? "from" : "to"} ${now.device_name}: ${now.state}.`);
    }
  };
}

shareWatch.changed = (before, now) => {
  const waited = new Set(before?.visitors.filter((one) => one.state === "waiting").map((one) => one.id));
  for (const one of now.visitors) if (one.state === "waiting" && !waited.has(one.id)) announce(`${one.address} wants to fetch what you share.`);
};

tellOfCasts();

function Shell() {
  const route = useRoute();
  const offers = useHub((hub) => hub.transfers.filter(isOffer).length);
  const visitors = useHub(visitorsWaiting);
  const prompts = useHub((hub) => hub.prompts.length);
  const fresh = useHub(unseen);
  const copied = useHub((hub) => hub.clipboard?.offers.length ?? 0);
  const dialog = useOverlay((all) => all.dialog);
  const main = useRef<HTMLElement>(null);
  const layers = useRef<HTMLDivElement>(null);
  const live = useHub((hub) => hub.live);
  const page = PAGES.find((one) => one.id === route[0]) ?? PAGES[0]!;
  const shown = useHub((hub) => (route[0] === "devices" && route[1] ? hub.devices.find((one) => one.id === route[1])?.name : undefined)) ?? page.title;
  const counts: Record<string, number> = { transfers: offers + visitors, privacy: prompts, notifications: fresh, clipboard: copied };
  const address = route.join("/");
  const first = useRef(true);

  useEffect(() => {
    document.title = `${offers + visitors ? `(${offers + visitors}) ` : ""}${visible(shown)} · Accord`;
  }, [shown, offers, visitors]);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [address]);
  useShortcuts();
  useKeptPlace();

  return (
    <>
      <div id="app" className={live ? "" : "gone"} inert={dialog !== null}>
        <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the page</a>
        <nav className="side" aria-label="Main">
          <a className="brand" href={to("devices")}><Mark /><span>Accord</span></a>
          <ul>
            {PAGES.map((one) => {
              const count = counts[one.id] ?? 0;
              const word = one.id === "notifications" ? "new" : count === 1 ? "waits" : "wait";
              return (
                <li key={one.id} className={one.wide ? "wide-only" : ""}>
                  <a href={to(one.id)} aria-current={one === page ? "page" : undefined}>
                    <Icon name={one.icon} />
                    <span className="nav-word">{one.title}</span>
                    {count > 0 && <span className="badge" aria-label={`${count} ${word}`}>{count > 99 ? "99+" : count}</span>}
                  </a>
                </li>
              );
            })}
          </ul>
          <Footing />
        </nav>
        <div className="page">
          <GoneBanner />
          <ScreenBar />
          <main id="main" ref={main} tabIndex={-1}>
            {page.id === "devices" && (route[1] ? <DevicePage key={route[1]} id={route[1]} /> : <DevicesPage />)}
            {page.id === "home" && <HomePage />}
            {page.id === "transfers" && <TransfersPage />}
            {page.id === "notifications" && <NotificationsPage route={route.slice(1)} />}
            {page.id === "clipboard" && <ClipboardPage />}
            {page.id === "privacy" && <PrivacyPage route={route.slice(1)} />}
            {page.id === "settings" && <SettingsPage />}
          </main>
        </div>
        <MiniPlayer />
      </div>
      <div id="layers" ref={layers} onKeyDown={(event) => dialog && layers.current && keepFocus(event, layers.current)}>
        {dialog?.kind === "pairing" && <PairingDialog key={dialog.id} pairing={dialog.id} again={dialog.again} />}
        {dialog?.kind === "add" && <AddDialog again={dialog.again} />}
        {dialog?.kind === "send" && <SendDialog device={dialog.device} />}
        {dialog?.kind === "share" && (dialog.id ? <SharedDialog key={dialog.id} id={dialog.id} /> : <ShareDialog />)}
        {dialog?.kind === "cast" && <CastDialog device={dialog.device} />}
        {dialog?.kind === "casting" && <CastingDialog key={dialog.id} id={dialog.id} />}
        {dialog?.kind === "rename" && <RenameDialog device={dialog.device} />}
        {dialog?.kind === "thing" && <ThingDialog key={dialog.tile} device={dialog.device} tile={dialog.tile} />}
        {dialog?.kind === "needs" && <NeedsDialog key={dialog.device} device={dialog.device} />}
        {dialog?.kind === "room" && <RoomDialog name={dialog.name} />}
        {dialog?.kind === "put" && <PutDialog devices={dialog.devices} />}
        {dialog?.kind === "notify" && <NotifyDialog device={dialog.device} />}
        {dialog?.kind === "decide" && <DecideDialog entry={dialog.entry} device={dialog.device} because={dialog.because} />}
        {dialog?.kind === "record" && <RecordDialog key={dialog.seq} seq={dialog.seq} />}
        {dialog?.kind === "help" && <HelpDialog />}
        {dialog?.kind === "confirm" && (
          <Dialog title={dialog.title} role="alertdialog" onClose={() => { closeDialog(); dialog.answer(false); }} testid="confirm"
            actions={<div className="even">
              <Button onClick={() => { closeDialog(); dialog.answer(false); }}>{dialog.no}</Button>
              <Button onClick={() => { closeDialog(); dialog.answer(true); }} testid="confirm-yes">{dialog.yes}</Button>
            </div>}
          >{dialog.body}</Dialog>
        )}
        <div className="corner">
          <Toasts />
          <Sheets />
        </div>
      </div>
      <Said />
    </>
  );
}

function Footing() {
  const status = useHub((hub) => hub.status);
  const live = useHub((hub) => hub.live);
  return (
    <div className="footing">
      <span className={`dot ${live ? "live" : ""}`} />
      <span className="footing-text"><bdi>{status?.name ?? "…"}</bdi><span className="hint">{live ? "Running" : "Not answering"}</span></span>
      <button className="icon-button" aria-label="Keyboard shortcuts" onClick={() => openDialog({ kind: "help" })}>?</button>
    </div>
  );
}

function GoneBanner() {
  const live = useHub((hub) => hub.live);
  const retryAt = useHub((hub) => hub.retryAt);
  const left = useCountdown(retryAt ? new Date(retryAt).toISOString() : null);
  const was = useRef(true);
  const [back, setBack] = useState(false);
  useEffect(() => {
    if (live && !was.current) {
      announce("The hub is back.");
      setBack(true);
      const timer = setTimeout(() => setBack(false), 3000);
      was.current = live;
      return () => clearTimeout(timer);
    }
    was.current = live;
    return undefined;
  }, [live]);
  if (live && !back) return null;
  return (
    <div className={`banner ${live ? "good" : ""}`} role={live ? undefined : "alert"} data-testid="gone">
      <Icon name={live ? "check" : "warning"} />
      {live ? <p>The hub is back.</p> : (
        <>
          <p><strong>The hub does not answer.</strong> <span>What you see may be old. Start it with <code>accord up</code>.</span></p>
          <span className="hint tabular" aria-hidden="true">{left > 0 ? `Next try in ${left} s` : "Trying…"}</span>
          <Button onClick={reconnectNow}>Try now</Button>
        </>
      )}
    </div>
  );
}

function reconnectNow() {
  set({ retryAt: Date.now() });
  reconnect();
}

const keysOn = () => kept("keys") !== "off";

function HelpDialog() {
  const [on, setOn] = useState(keysOn);
  const change = (wanted: boolean) => {
    keep("keys", wanted ? null : "off");
    setOn(wanted);
  };
  return (
    <Dialog title="Keyboard" testid="help">
      <dl className="keys">
        {PAGES.map((page) => <div key={page.id}><dt><kbd>g</kbd> <kbd>{page.key}</kbd></dt><dd>{page.title}</dd></div>)}
        <div><dt><kbd>g</kbd> <kbd>l</kbd></dt><dd>Ledger</dd></div>
        <div><dt><kbd>a</kbd></dt><dd>Add a device</dd></div>
        <div><dt><kbd>/</kbd></dt><dd>Search the house, or the ledger</dd></div>
        <div><dt><kbd>w</kbd></dt><dd>To what waits for you</dd></div>
        <div><dt><kbd>Esc</kbd></dt><dd>Close, not now</dd></div>
        <div><dt><kbd>?</kbd></dt><dd>This list</dd></div>
      </dl>
      <Switch on={on} label="Use these keys" hint="Off for speech input, or when they get in the way." onChange={change} />
    </Dialog>
  );
}

/** When the focused element goes (an offer was answered, a row cleared), the focus stays with what held it. */
function useKeptPlace() {
  useEffect(() => {
    let held: HTMLElement[] = [];
    const focused = (event: FocusEvent) => {
      held = [];
      for (let at = event.target as HTMLElement | null; at && at !== document.body; at = at.parentElement) held.push(at);
    };
    const observer = new MutationObserver(() => {
      if (document.activeElement !== document.body || held[0]?.isConnected !== false) return;
      const left = held.find((one) => one.isConnected) ?? document.getElementById("main");
      held = [];
      if (left && left.tabIndex < 0) left.tabIndex = -1;
      left?.focus({ preventScroll: true });
    });
    addEventListener("focusin", focused);
    observer.observe(document.body, { childList: true, subtree: true });
    return () => {
      removeEventListener("focusin", focused);
      observer.disconnect();
    };
  }, []);
}

function useShortcuts() {
  useEffect(() => {
    let after = 0;
    const pressed = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || dialogOpen() || !keysOn() || at.closest("input,textarea,select,[role=menu]")) return;
      const going = Date.now() - after < 1200;
      after = 0;
      if (going) {
        const page = PAGES.find((one) => one.key === event.key);
        if (page) go(page.id);
        else if (event.key === "l") go("privacy", "ledger");
      } else if (event.key === "g") after = Date.now();
      else if (event.key === "a") openDialog({ kind: "add" });
      else if (event.key === "w") document.querySelector<HTMLElement>(".sheet, .prompt-pill, .offer, .visitor.waiting")?.focus();
      else if (event.key === "?") openDialog({ kind: "help" });
      else if (event.key === "/") {
        event.preventDefault();
        if (!location.hash.startsWith("#/home")) go("privacy", "ledger");
        setTimeout(() => document.querySelector<HTMLInputElement>("input[type=search]")?.focus(), 80);
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
