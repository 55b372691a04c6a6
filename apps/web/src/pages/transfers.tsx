// Transfers: what waits for the owner, what runs, and what was.
import { clearTransfer } from "../actions";
import { bytes, plural } from "../format";
import { to } from "../router";
import { useHub } from "../store";
import { openDialog } from "../ui/overlay";
import { Button, Empty, Name, PageHead, Progress, Skeleton } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { reachName } from "../parts/device-bits";
import { DropTarget } from "../parts/send";
import { takesFiles } from "../services/model";
import { ShareCards, ShareTile } from "../parts/share";
import { isActive, isOffer, Offers, TransferRow } from "../parts/transfer";

export function TransfersPage() {
  const phase = useHub((hub) => hub.phase);
  const transfers = useHub((hub) => hub.transfers);
  const preparing = useHub((hub) => hub.preparing);
  const inbox = useHub((hub) => hub.inbox);
  if (phase === "starting") return <><PageHead title="Transfers" /><Skeleton cards={3} /></>;
  const active = transfers.filter(isActive);
  const past = transfers.filter((one) => !isActive(one) && !isOffer(one));
  return (
    <>
      <PageHead title="Transfers" lead={inbox && <>Received files are saved in <code><bdi>{inbox}</bdi></code></>} />
      <Offers />
      <ShareCards />
      {active.length + preparing.length > 0 && (
        <section aria-labelledby="active">
          <h2 id="active" className="section-head">Now <span className="count">{active.length + preparing.length}</span></h2>
          <div className="stack">
            {preparing.map((one) => (
              <article key={one.id} className="card transfer">
                <span className="kind small"><Icon name="upload" /></span>
                <div className="transfer-main">
                  <h3 className="card-title">{plural(one.files, "file")}</h3>
                  <p className="meta">Getting ready for <Name>{one.what}</Name></p>
                  <Progress label={`Preparing ${plural(one.files, "file")} for ${one.what}`} done={one.bytesDone} total={one.bytes} />
                  <p className="numbers tabular"><span>{bytes(one.bytesDone)} of {bytes(one.bytes)}</span></p>
                </div>
                <div className="transfer-actions"><Button label={`Cancel ${plural(one.files, "file")} for ${one.what}`} onClick={() => one.abort.abort()}>Cancel</Button></div>
              </article>
            ))}
            {active.map((one) => <TransferRow key={one.id} transfer={one} />)}
          </div>
        </section>
      )}
      <SendTo />
      <section aria-labelledby="past">
        <div className="section-line">
          <h2 id="past" className="section-head">Earlier <span className="count">{past.length || ""}</span></h2>
          {past.length > 1 && <Button tone="plain" onClick={() => Promise.all(past.map(clearTransfer))}>Clear the list</Button>}
        </div>
        {past.length > 0 ? (
          <div className="stack">{past.map((one) => <TransferRow key={one.id} transfer={one} />)}</div>
        ) : (
          <Empty icon="transfers" title="Nothing was sent or received yet">What you send, and what your paired devices send you, is listed here.</Empty>
        )}
      </section>
    </>
  );
}

/** Every paired device as a place to drop things, and a button for those who do not drag. */
function SendTo() {
  const devices = useHub((hub) => hub.devices);
  const paired = devices.filter(takesFiles).sort((a, b) => Number(b.favourite) - Number(a.favourite) || a.name.localeCompare(b.name));
  return (
    <section aria-labelledby="send-to">
      <h2 id="send-to" className="section-head">Send {paired.length > 0 && <span className="hint">Drop files on a device, or choose it.</span>}</h2>
      {paired.length === 0 && <p className="hint">No device is paired yet. <a href={to("devices")}>Pair one</a>, then drop files on it here.</p>}
        <ul className="tiles">
          {paired.map((device) => (
            <li key={device.id}>
              <DropTarget device={device}>
                <button className="tile" onClick={() => openDialog({ kind: "send", device })}>
                  <span className="kind small"><KindIcon kind={device.kind} /></span>
                  <span className="tile-text"><span className="row-label"><span className="hidden-visually">Send to </span><Name>{device.name}</Name></span><span className="hint">{reachName[device.reach]}</span></span>
                </button>
              </DropTarget>
            </li>
          ))}
          <li><ShareTile /></li>
        </ul>
    </section>
  );
}
