// This machine's screen on another one: captured by this browser, passed on by the hub to that device alone. And where the
// page is that a television opens to become such a screen.
import { useEffect, useSyncExternalStore, useState } from "react";
import { attempt, consenting, copy } from "../actions";
import { CallFailed, del, get, id, post, SLOW_MS } from "../api/client";
import type { Device, Receiver, ScreenShare, ScreenShares, ShownScreen } from "../api/types";
import { sentence } from "../format";
import { announce, toast } from "../ui/overlay";
import { Button, Name } from "../ui/bits";
import { Icon } from "../ui/icons";

interface Shown { screen: ScreenShare; link: RTCPeerConnection; stream: MediaStream }

let shown: Shown | null = null;
const listeners = new Set<() => void>();
const useShown = () => useSyncExternalStore((listener) => (listeners.add(listener), () => listeners.delete(listener)), () => shown);
function put(now: Shown | null) {
  shown = now;
  listeners.forEach((listener) => listener());
}

/** Enough for text at 720p or film at 1080p, and not more than a television decodes at once. */
const BITS = 6_000_000;
const PICTURES = 30;

export const showsScreens = (device: Device) =>
  device.services.some((one) => one.id === "screen" && one.actions.some((action) => action.id === "show"));

async function capture(): Promise<MediaStream> {
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (!devices?.getDisplayMedia) {
    throw new CallFailed("unsupported", "This browser captures no screen here. Open this page at localhost, on the computer whose screen is to be seen.");
  }
  try {
    return await devices.getDisplayMedia({ video: { frameRate: { max: PICTURES }, width: { max: 1920 }, height: { max: 1080 } }, audio: true });
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotAllowedError") throw new CallFailed("cancelled", "No screen was chosen.");
    throw error;
  }
}

export async function showScreen(device: Device) {
  await attempt(async () => {
    const stream = await capture();
    const link = new RTCPeerConnection();
    const picture = stream.getVideoTracks()[0];
    let told: ShownScreen | null = null;
    try {
      for (const track of stream.getTracks()) {
        if (track.kind === "video") track.contentHint = "detail";
        link.addTransceiver(track, { direction: "sendonly", streams: [stream], ...(track.kind === "video" ? { sendEncodings: [{ maxBitrate: BITS, maxFramerate: PICTURES }] } : {}) });
      }
      await link.setLocalDescription();
      const offer = link.localDescription?.sdp ?? "";
      told = await consenting(() => post<ShownScreen>("/screens", { device: device.id, offer }, SLOW_MS));
      if (shown) await hideScreen();
      await link.setRemoteDescription({ type: "answer", sdp: told.answer });
      // The browser has a button of its own to end it, also while the owner was still asked here.
      if (picture?.readyState === "ended") throw new Error("You ended the sharing before it began.");
      put({ screen: told.screen, link, stream });
      announce(`Your screen is shown on ${device.name}.`);
      picture?.addEventListener("ended", () => void hideScreen());
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      link.close();
      if (told) await del(`/screens/${id(told.screen.id)}`).catch(() => undefined);
      throw error;
    }
  });
}

function release(): ScreenShare | null {
  const was = shown;
  if (!was) return null;
  put(null);
  was.stream.getTracks().forEach((track) => track.stop());
  was.link.close();
  return was.screen;
}

export async function hideScreen() {
  const was = release();
  if (!was) return;
  announce("Your screen is not shown any more.");
  await del(`/screens/${id(was.id)}`).catch(() => undefined);
}

/** Over everything, as long as it lasts. */
export function ScreenBar() {
  const now = useShown();
  useEffect(() => {
    if (!now) return;
    const look = setInterval(() => {
      get<ScreenShares>("/screens").then((all) => {
        const one = all.screens.find((screen) => screen.id === now.screen.id);
        if (shown !== now || (one && !one.over)) return;
        release();
        toast(sentence(`Your screen is not shown any more: ${one?.over ?? "it is over"}`), { tone: "bad" });
      }, () => undefined);
    }, 2000);
    return () => clearInterval(look);
  }, [now]);
  if (!now) return null;
  return (
    <div className="sharing-bar" role="status" data-testid="sharing">
      <Icon name="tv" />
      <span>Your screen is seen on <strong><Name>{now.screen.device_name}</Name></strong>.</span>
      <Button onClick={hideScreen} icon="stop" testid="stop-sharing">Stop</Button>
    </div>
  );
}

/** On a device's page. */
export function ScreenCard({ device }: { device: Device }) {
  const now = useShown();
  if (!showsScreens(device)) return null;
  const here = now?.screen.device === device.id;
  return (
    <section className="card" aria-labelledby="screen">
      <h2 id="screen" className="card-title">Your screen</h2>
      <p className="hint">A screen, window or tab that you choose. It goes from this browser to Accord, and from there to this device alone.</p>
      {here
        ? <Button onClick={hideScreen} icon="stop">Stop showing it</Button>
        : <Button onClick={() => showScreen(device)} icon="tv" disabled={device.reach === "offline"} testid="show-screen">Show this screen</Button>}
    </section>
  );
}

/** Where a television finds the page. */
export function ReceiverPlace() {
  const [place, setPlace] = useState<Receiver | null>(null);
  useEffect(() => {
    let over = false;
    const look = () => void get<Receiver>("/receiver").then((now) => {
      if (over) return;
      setPlace(now);
      if (!now.open) setTimeout(look, 500);
    }, () => undefined);
    look();
    return () => void (over = true);
  }, []);
  const first = place?.urls[0];
  if (!place?.open || !first) return <p className="hint" role="status">{place?.open ? "This computer is in no network now." : "Opening the page…"}</p>;
  return (
    <div className="way center" data-testid="receiver">
      {place.qr_svg && <img className="qr" alt={`The address ${first} as a QR code`} src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(place.qr_svg)}`} width={160} height={160} />}
      <div className="ticket"><code>{first}</code></div>
      <Button icon="copy" onClick={() => copy(first, "Address")}>Copy</Button>
    </div>
  );
}
