// A radio that is not there, for the real zigbee2mqtt: a bulb that does as it is told, and a door that opens and closes.
// Loaded before it; everything else is zigbee2mqtt itself.
const path = require("node:path"), zh = path.join(process.cwd(), "node_modules/zigbee-herdsman/dist");
const { Adapter } = require(path.join(zh, "adapter/adapter.js")), Zcl = require(path.join(zh, "zspec/zcl"));
const st = {}, BULB = "0x00158d0000000001", DOOR = "0x00158d0000000002";
for (const i of [BULB, DOOR]) st[i] = { "0/0": 3, "6/0": 0, "8/0": 128, "768/7": 300, "768/8": 2, "768/16394": 16 };
class Radio extends Adapter {
  constructor(...a) { super(...a); this.manufacturerID = 0; this.hasZdoMessageOverhead = false; global.radio = this; }
  async start() { return "resumed"; } async stop() {} async reset() {} async permitJoin() {} async addInstallCode() {}
  async getCoordinatorIEEE() { return "0x00124b0000000000"; }
  async getCoordinatorVersion() { return { type: "fake", meta: { revision: 1 } }; }
  async supportsBackup() { return false; } async backup() { throw new Error("none"); }
  async getNetworkParameters() { return { panID: 6754, extendedPanID: "0xdddddddddddddddd", channel: 11, nwkUpdateID: 0 }; }
  async sendZdo() { return [0, {}]; } waitFor() { return { promise: new Promise(() => {}), cancel() {} }; }
  wrap(nwk, ep, f) { return { clusterID: f.cluster.ID, header: f.header, data: f.toBuffer(), address: nwk, endpoint: ep,
    linkquality: 120, groupID: 0, wasBroadcast: false, destinationEndpoint: 1 }; }
  frame(tsn, name, c, p) { return Zcl.Frame.create(Zcl.FrameType.GLOBAL, Zcl.Direction.SERVER_TO_CLIENT, true, undefined, tsn, name, c, p, {}); }
  report(nwk, ep, c, p) { this.t = ((this.t ?? 0) + 1) & 255; this.emit("zclPayload", this.wrap(nwk, ep, this.frame(this.t, "report", c, p))); }
  async sendZclFrameToEndpoint(ieee, nwk, ep, f, timeout, noReply) {
    const c = f.cluster.ID, h = f.header, s = st[ieee] ??= {};
    console.log("RADIO", ieee, f.cluster.name, f.command.name, JSON.stringify(f.payload));   // what a test asserts on
    const re = (n, p) => this.wrap(nwk, ep, this.frame(h.transactionSequenceNumber, n, c, p));
    if (h.frameControl.frameType !== Zcl.FrameType.SPECIFIC) {
      if (f.command.name === "read") return re("readRsp", f.payload.map(({ attrId }) => { const v = s[`${c}/${attrId}`];
        const a = Object.values(f.cluster.attributes).find((x) => x.ID === attrId);
        return v === undefined ? { attrId, status: 0x86 } : { attrId, status: 0, dataType: a?.type ?? 0x20, attrData: v }; }));
      if (f.command.name === "configReport") return re("configReportRsp", [{ status: 0 }]);
    } else {
      if (c === 6) s["6/0"] = h.commandIdentifier === 2 ? 1 - s["6/0"] : h.commandIdentifier;
      if (c === 8 && f.payload.level !== undefined) s["8/0"] = f.payload.level;
      if (c === 768 && f.payload.colortemp !== undefined) s["768/7"] = f.payload.colortemp;
    }
    return noReply ? undefined : re("defaultRsp", { cmdId: h.commandIdentifier, statusCode: 0 });
  }
  async sendZclFrameToGroup() {} async sendZclFrameToAll() {} async setChannelInterPAN() {} async restoreChannelInterPAN() {}
  async sendZclFrameInterPANToIeeeAddr() {} async sendZclFrameInterPANBroadcast() {}
}
Adapter.create = async (...a) => new Radio(...a);
let open = 0; setInterval(() => global.radio?.report(0x2222, 1, 6, [{ attrId: 0, dataType: 0x10, attrData: (open = 1 - open) }]), 1000);
