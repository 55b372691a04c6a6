// One transfer, live; and offers from others, which wait for the owner.
import { answerOffer, cancelTransfer, clearTransfer, copy, retryTransfer } from "../actions";
import type { Transfer, TransferState } from "../api/types";
import { bytes, duration, plural, rate, roughly, visible } from "../format";
import { to } from "../router";
import { useHub } from "../store";
import { Ago, Button, Name, Progress, useCountdown } from "../ui/bits";
import { Icon } from "../ui/icons";
import { safeLink } from "./notice";

export const isOffer = (one: Transfer) => one.direction === "in" && one.state === "offered";
export const isActive = (one: Transfer) => ["connecting", "offered", "running", "paused"].includes(one.state) && !isOffer(one);

const stateWords: Record<TransferState, string> = {
  connecting: "Reaching the device", offered: "Waiting for an answer", running: "Running", paused: "Paused until the device is back",
  done: "Done", failed: "Failed", refused: "Refused", cancelled: "Cancelled",
};

export function summary(one: Transfer): string {
  if (one.kind === "text") return "Text";
  if (one.kind === "url") return "Link";
  const first = one.items[0];
  if (one.files_total <= 1 && first) return visible(first.name);
  return plural(one.files_total, "file");
}

export function Offers({ device }: { device?: string }) {
  const transfers = useHub((hub) => hub.transfers);
  const offers = transfers.filter((one) => isOffer(one) && (!device || one.device === device));
  if (offers.length === 0) return null;
  return (
    <section className="offers" aria-label="Offers that wait for you">
      {offers.map((offer) => <Offer key={offer.id} offer={offer} />)}
    </section>
  );
}

function Offer({ offer }: { offer: Transfer }) {
  const left = useCountdown(offer.deadline);
  const atLeast = offer.exact === false ? "at least " : "";
  const what = offer.kind === "text" ? "a text" : offer.kind === "url" ? "a link" : atLeast + plural(offer.files_total, "file");
  return (
    <article className="card offer" tabIndex={-1} aria-label={`${offer.device_name} wants to send ${what}`} data-testid="offer" data-transfer={offer.id}>
      <div className="ask-head">
        <span className="kind"><Icon name="inbox" /></span>
        <div>
          <h2 className="card-title"><Name>{offer.device_name}</Name> wants to send {what}</h2>
          <p className="meta tabular">{[offer.bytes_total > 0 ? atLeast + bytes(offer.bytes_total) : atLeast && "size not known", offer.deadline && left > 0 && `refused in ${roughly(left)} if you do not answer`].filter(Boolean).join(" · ")}</p>
        </div>
      </div>
      {offer.kind === "files" ? <Items transfer={offer} /> : offer.text && <p className="message" tabIndex={offer.text.length > 400 ? 0 : undefined} dir="auto">{offer.text}</p>}
      <div className="even">
        <Button onClick={() => answerOffer(offer, "refuse")} testid="refuse">Refuse</Button>
        <Button onClick={() => answerOffer(offer, "always")} testid="accept-always">Accept always</Button>
        <Button onClick={() => answerOffer(offer, "accept")} testid="accept">Accept</Button>
      </div>
    </article>
  );
}

function Items({ transfer }: { transfer: Transfer }) {
  const shown = transfer.items.slice(0, 4);
  const more = transfer.files_total - shown.length;
  return (
    <ul className="items">
      {shown.map((item, at) => (
        <li key={at}><Icon name={item.folder ? "folder" : "file"} /><Name>{item.name}</Name>{item.size !== null && <span className="hint tabular">{bytes(item.size)}</span>}</li>
      ))}
      {more > 0 && shown.every((item) => !item.folder) && <li className="hint">and {plural(more, "more", "more")}</li>}
    </ul>
  );
}

export function TransferRow({ transfer: one }: { transfer: Transfer }) {
  const link = one.kind === "url" && one.text ? safeLink(one.text) : undefined;
  const active = isActive(one);
  const bad = one.state === "failed" || one.state === "refused";
  const name = summary(one);
  return (
    <article className={`card transfer ${one.state}`} aria-label={name} data-testid="transfer" data-transfer={one.id} data-state={one.state}>
      <span className={`kind small ${bad ? "bad" : one.state === "done" ? "good" : ""}`}>
        <Icon name={one.state === "done" ? "check" : bad ? "warning" : one.kind === "text" ? "text" : one.kind === "url" ? "link" : one.direction === "in" ? "download" : "upload"} />
      </span>
      <div className="transfer-main">
        <h3 className="card-title"><Name>{name}</Name></h3>
        <p className="meta tabular">
          {!active && <span className={bad ? "bad-text" : one.state === "done" ? "hidden-visually" : ""}>{stateWords[one.state]} · </span>}
          {one.direction === "in" ? "From" : "To"} <a href={to("devices", one.device)}><Name>{one.device_name}</Name></a>
          {!active && one.kind === "files" && (one.state === "done" ? <> · {bytes(one.bytes_total)}</> : one.bytes_done > 0 && <> · {bytes(one.bytes_done)} of {bytes(one.bytes_total)}</>)}
          {" · "}<Ago time={one.finished ?? one.created} />
        </p>
        {active && (
          <>
            <Progress label={`${name}, ${one.direction === "in" ? "from" : "to"} ${one.device_name}`} done={one.bytes_done} total={one.bytes_total} />
            <p className="numbers tabular">
              <span>{one.state === "running" ? (one.rate !== null ? rate(one.rate) : "Starting…") : stateWords[one.state]}</span>
              {one.state === "running" && one.remaining_s !== null && <span>{duration(one.remaining_s)} left</span>}
              <span>{bytes(one.bytes_done)} of {bytes(one.bytes_total)}</span>
              {one.files_total > 1 && <span>{one.files_done.toLocaleString()} of {plural(one.files_total, "file")}</span>}
            </p>
          </>
        )}
        {one.message && <p className={bad ? "bad-text" : "hint"} dir="auto">{one.message}</p>}
        {one.text && one.kind === "text" && <p className="message" tabIndex={one.text.length > 400 ? 0 : undefined} dir="auto">{one.text}</p>}
        {one.text && one.kind === "url" && (
          <p className="message" dir="auto">{link ? <a href={link} target="_blank" rel="noreferrer noopener">{one.text}</a> : one.text}</p>
        )}
        {one.saved_to && <p className="saved"><code><bdi>{one.saved_to}</bdi></code></p>}
        {one.skipped.length > 0 && (
          <details className="fold small"><summary><Icon name="right" />{plural(one.skipped.length, "item")} not transferred</summary>
            <ul className="skipped" tabIndex={0}>{one.skipped.slice(0, 200).map((item, at) => <li key={at}><Name>{item}</Name></li>)}</ul>
          </details>
        )}
      </div>
      <div className="transfer-actions">
        {one.text && <Button icon="copy" tone="plain" label={`Copy the ${one.kind === "url" ? "link" : "text"}`} onClick={() => copy(one.text ?? "", one.kind === "url" ? "Link" : "Text")}>Copy</Button>}
        {one.saved_to && <Button icon="copy" tone="plain" label={`Copy path of ${name}`} onClick={() => copy(one.saved_to ?? "", "Path")}>Copy path</Button>}
        {active && <Button onClick={() => cancelTransfer(one)} testid="cancel" label={`Cancel ${name}`}>Cancel</Button>}
        {!active && one.state !== "done" && one.direction === "out" && <Button icon="retry" onClick={() => retryTransfer(one)} testid="retry" label={`Retry ${name}`}>Retry</Button>}
      </div>
      {!active && <button className="icon-button transfer-clear" aria-label={`Clear ${name} from this list`} onClick={() => clearTransfer(one)}><Icon name="close" /></button>}
    </article>
  );
}
