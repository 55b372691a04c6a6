// What a camera sees, or the map of a robot: looked at once the owner wants it, and again while it is in sight. Nothing of it is
// kept. A device is asked for nothing before that.
import { useEffect, useState } from "react";
import { consenting } from "../actions";
import { CallFailed, lookAt } from "../api/client";
import { words } from "../format";
import { signedOut } from "../store";
import { Button, Name } from "../ui/bits";
import { Icon } from "../ui/icons";
import { ActionButton, type CardProps, PropertyRow } from "./control";
import { title } from "./model";

const AGAIN_MS = 10_000;
/** What the owner looks at on this page: it is shown at once when it comes into sight again. */
const lookedAt = new Set<string>();

interface Seen { address: string; at: Date }

/** The content as an address that an `img` takes. */
const asAddress = (content: Blob) => new Promise<string>((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result as string);
  reader.onerror = () => reject(new Error("the picture cannot be read"));
  reader.readAsDataURL(content);
});

/** Resolves once somebody sees this page. */
const inSight = () => new Promise<void>((resolve) => {
  if (document.visibilityState === "visible") return resolve();
  document.addEventListener("visibilitychange", function look() {
    if (document.visibilityState !== "visible") return;
    document.removeEventListener("visibilitychange", look);
    resolve();
  });
});

export function Picture(props: CardProps) {
  const { device, service, able } = props;
  const key = `${device.id} ${service.instance}`;
  const [looking, setLooking] = useState(lookedAt.has(key));
  const [seen, setSeen] = useState<Seen | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const { id } = device;
  const { instance } = service;
  useEffect(() => {
    if (!looking || !able) return;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      await inSight();
      if (over) return;
      try {
        const address = await asAddress(await consenting(() => lookAt(id, instance)));
        if (over) return;
        lookedAt.add(key);
        setSeen({ address, at: new Date() });
        setTrouble(null);
      } catch (error) {
        if (over || signedOut(error)) return;
        setTrouble((error as Error).message);
        // The owner said no, here or before.
        if (error instanceof CallFailed && ["undecided", "refused"].includes(error.code)) return setLooking(false);
      }
      timer = setTimeout(() => void look(), AGAIN_MS);
    };
    void look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [looking, able, key, id, instance]);
  const stop = () => {
    lookedAt.delete(key);
    setLooking(false);
  };
  const at = seen && clockTime(seen.at);
  return (
    <div className="picture">
      {seen ? <img className={trouble || !looking || !able ? "old" : ""} src={seen.address} alt={`What ${device.name} shows, ${at}`} />
        : <div className="picture-none"><Icon name="camera" />{looking && able && !trouble && <span role="status">Looking…</span>}</div>}
      {trouble && <p className="difference" role="alert"><Icon name="warning" /><Name>{trouble}</Name></p>}
      <div className="card-end">
        {at && <span className="hint tabular">{looking && able ? "As of" : "Last seen at"} {at}</span>}
        {seen && <a className="button" href={seen.address} download={`${device.name} ${at}`.replace(/[^\p{L}\p{N} _-]/gu, "-")}>Save</a>}
        {looking && able ? <Button label={`Stop looking at ${title(service)}`} onClick={stop}>Stop</Button>
          : <Button icon="camera" tone="primary" disabled={!able} label={`Look at ${title(service)}`} onClick={() => { setTrouble(null); setLooking(true); }}>Look</Button>}
      </div>
      {service.properties.map((one) => <PropertyRow key={one.id} {...props} of={one} />)}
      {service.actions.length > 0 && <div className="card-end">{service.actions.map((one) => <ActionButton key={one.id} {...props} of={one} label={words(one.id)} />)}</div>}
    </div>
  );
}

const clockTime = (at: Date) => at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
