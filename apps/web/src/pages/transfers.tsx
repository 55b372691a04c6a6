// Transfers: what waits for the owner, what runs, and what was.
import { clearTransfer } from "../actions";
import { bytes, plural } from "../format";
import { useHub } from "../store";
import { Button, Empty, Name, PageHead, Progress, Skeleton } from "../ui/bits";
import { Icon } from "../ui/icons";
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
      <PageHead title="Transfers" lead={inbox && <>Received files lie in <code><bdi>{inbox}</bdi></code></>} />
      <Offers />
      {active.length + preparing.length > 0 && (
        <section aria-labelledby="active">
          <h2 id="active" className="section-head">Now <span className="count">{active.length + preparing.length}</span></h2>
          <div className="stack">
            {preparing.map((one) => (
              <article key={one.id} className="card transfer">
                <span className="kind small"><Icon name="upload" /></span>
                <div className="transfer-main">
                  <h3 className="card-title">{plural(one.files, "file")}</h3>
                  <p className="meta">Preparing for <Name>{one.deviceName}</Name></p>
                  <Progress label={`Preparing ${plural(one.files, "file")} for ${one.deviceName}`} done={one.bytesDone} total={one.bytes} />
                  <p className="numbers tabular"><span>{bytes(one.bytesDone)} of {bytes(one.bytes)}</span></p>
                </div>
                <div className="transfer-actions"><Button onClick={() => one.abort.abort()}>Cancel</Button></div>
              </article>
            ))}
            {active.map((one) => <TransferRow key={one.id} transfer={one} />)}
          </div>
        </section>
      )}
      <section aria-labelledby="past">
        <div className="section-line">
          <h2 id="past" className="section-head">Before <span className="count">{past.length || ""}</span></h2>
          {past.length > 1 && <Button tone="plain" onClick={() => Promise.all(past.map(clearTransfer))}>Clear the list</Button>}
        </div>
        {past.length > 0 ? (
          <div className="stack">{past.map((one) => <TransferRow key={one.id} transfer={one} />)}</div>
        ) : (
          <Empty icon="transfers" title="Nothing was sent or received yet">Drop files onto a paired device, or press Send on its card.</Empty>
        )}
      </section>
    </>
  );
}
