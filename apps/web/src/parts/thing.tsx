// Everything about one tile, over the page: its card, what is measured beside it, and why it is not reached.
import { changeDevice } from "../actions";
import { kindName, visible } from "../format";
import { to } from "../router";
import { useHub } from "../store";
import { cardOf } from "../services/cards";
import { tilesOf } from "../services/house";
import { obeys, title } from "../services/model";
import { isMore } from "../services/more";
import { Button, Name } from "../ui/bits";
import { Icon, serviceIcon } from "../ui/icons";
import { closeDialog, Dialog, openDialog } from "../ui/overlay";
import { ReachLine } from "./device-bits";
import { tileName } from "./tile";
import { Why } from "./why";

export function ThingDialog({ device: id, tile: key }: { device: string; tile: string }) {
  const device = useHub((hub) => hub.devices.find((one) => one.id === id));
  const tile = device && tilesOf(device).find((one) => one.key === key);
  if (!device || !tile) return <Dialog title="It is gone" testid="thing"><p>This device, or what it offered, is not here any more.</p></Dialog>;
  const able = obeys(device) && device.reach !== "offline";
  const Card = tile.service && cardOf(tile.service.id);
  return (
    <Dialog title={<Name>{tileName(tile)}</Name>} testid="thing" wide>
      <div className="thing-head">
        <ReachLine device={device} />
        <span className="hint"><Name>{[device.room ?? "No room yet", kindName[device.kind]].join(" · ")}</Name></span>
      </div>
      {device.reach === "offline" && <Why device={device} />}
      {Card && tile.service && <section className="thing" data-service={tile.service.id} aria-label={visible(title(tile.service))}>{isMore(tile.service) && tile.service.properties.length === 0 && tile.service.actions.length === 0 ? <p className="hint">It says nothing that can be shown here.</p> : <Card device={device} service={tile.service} able={able} />}</section>}
      {!tile.service && tile.beside.length === 0 && <p className="hint">It has not said what it can do.</p>}
      {tile.beside.map((service) => {
        const Beside = cardOf(service.id);
        return (
          <section key={`${service.id} ${service.instance}`} className="thing beside" data-service={service.id} aria-label={visible(title(service))}>
            <h3 className="card-title"><Icon name={serviceIcon[service.id] ?? "other"} /><Name>{title(service)}</Name></h3>
            <Beside device={device} service={service} able={able} />
          </section>
        );
      })}
      <div className="card-end thing-end">
        <Button icon="star" tone="plain" onClick={() => changeDevice(device, { favourite: !device.favourite }, device.favourite ? "Not a favourite any more." : "It is a favourite now.")}>{device.favourite ? "Remove favourite" : "Favourite"}</Button>
        <Button icon="text" tone="plain" onClick={() => openDialog({ kind: "rename", device })}>Name and room…</Button>
        <a className="button" href={to("devices", device.id)} onClick={closeDialog}>All of it{tile.more > 0 && ` (${tile.more} more)`}</a>
      </div>
    </Dialog>
  );
}
