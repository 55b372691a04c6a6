// What a device copied, which waits to be taken into this computer's clipboard.
import type { ClipboardOffer } from "../api/types";
import { bytes, visible } from "../format";
import { leaveCopied, takeCopied } from "../notices";
import { useHub } from "../store";
import { Ago, Button, Name } from "../ui/bits";
import { Icon } from "../ui/icons";

export function CopiedOffers({ device }: { device?: string }) {
  const all = useHub((hub) => hub.clipboard?.offers);
  const offers = (all ?? []).filter((one) => !device || one.device === device);
  if (offers.length === 0) return null;
  return (
    <section className="offers" aria-label="Copied on devices">
      {offers.map((offer) => <Copied key={offer.device} offer={offer} />)}
    </section>
  );
}

function Copied({ offer }: { offer: ClipboardOffer }) {
  const what = offer.kind === "image" ? "a picture" : "a text";
  return (
    <article className="card offer copied" aria-label={`${visible(offer.device_name)} copied ${what}`} tabIndex={-1} data-testid="copied" data-device={offer.device}>
      <div className="ask-head">
        <span className="kind"><Icon name="copy" /></span>
        <div>
          <h2 className="card-title"><Name>{offer.device_name}</Name> copied {what}</h2>
          <p className="meta tabular">{bytes(offer.size)} · <Ago time={offer.since} /></p>
        </div>
      </div>
      {offer.preview && <p className="message" dir="auto">{visible(offer.preview)}{offer.kind === "text" && offer.size > new TextEncoder().encode(offer.preview).length && "…"}</p>}
      <div className="even">
        <Button onClick={() => leaveCopied(offer)} testid="leave-copied">No</Button>
        <Button onClick={() => takeCopied(offer)} testid="take-copied">Take it</Button>
      </div>
    </article>
  );
}
