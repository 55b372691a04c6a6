//! Any bytes, and documents put together of pieces that devices and attackers write: nothing panics, and what is read stays
//! on the host that said it. The same entries as in `fuzz/`.

use accord_upnp::core::{description, didl, directory, discovery, gena, soap};
use proptest::prelude::*;

const PIECES: &[&str] = &[
    "NOTIFY * HTTP/1.1\r\n",
    "HTTP/1.1 200 OK\r\n",
    "NT: urn:schemas-upnp-org:device:MediaRenderer:1\r\n",
    "ST: urn:schemas-upnp-org:device:MediaRenderer:2\r\n",
    "NTS: ssdp:alive\r\n",
    "NTS: ssdp:byebye\r\n",
    "USN: uuid:a::urn:x\r\n",
    "LOCATION: http://10.0.0.2:80/d.xml\r\n",
    "LOCATION: http://10.0.0.3/../..\r\n",
    "CACHE-CONTROL: max-age=99999999999\r\n",
    "Content-Length: 10\r\n",
    "Transfer-Encoding: chunked\r\n",
    "ffffffff\r\n",
    "0\r\n\r\n",
    "\r\n",
    "\0",
    "<root>",
    "</root>",
    "<device>",
    "</device>",
    "<deviceType>urn:schemas-upnp-org:device:MediaRenderer:1</deviceType>",
    "<UDN>uuid:a</UDN>",
    "<serviceList>",
    "</serviceList>",
    "<service><serviceType>urn:schemas-upnp-org:service:AVTransport:1</serviceType>",
    "<controlURL>../x</controlURL>",
    "<controlURL>http://10.0.0.9/x</controlURL>",
    "<URLBase>http://10.0.0.2:81</URLBase>",
    "</service>",
    "<!DOCTYPE a [<!ENTITY b 'b'>]>",
    "<![CDATA[",
    "]]>",
    "&amp;",
    "&own;",
    "&#x1f;",
    "<GetPositionInfoResponse>",
    "</GetPositionInfoResponse>",
    "<RelTime>0:00:05.1/3</RelTime>",
    "<RelTime>2147483647:99:99</RelTime>",
    "<TrackMetaData>&lt;DIDL-Lite&gt;&lt;title&gt;</TrackMetaData>",
    "<UPnPError><errorCode>701</errorCode></UPnPError>",
    "<actionList><action><name>Play</name></action></actionList>",
    "\u{202e}",
    "NOTIFY /x/1 HTTP/1.1\r\n",
    "NT: upnp:event\r\nNTS: upnp:propchange\r\nSID: uuid:1\r\nSEQ: 0\r\n",
    "<propertyset><property><LastChange>",
    "</LastChange></property></propertyset>",
    "&lt;Event&gt;&lt;InstanceID val=\"0\"&gt;",
    "&lt;Volume channel=\"Master\" val=\"7\"/&gt;",
    "&lt;/InstanceID&gt;&lt;/Event&gt;",
    "<DIDL-Lite>",
    "</DIDL-Lite>",
    "<container id=\"0\"><title>a</title></container>",
    "<item id=\"1\"><title>a</title>",
    "</item>",
    "<res protocolInfo=\"http-get:*:audio/mpeg:DLNA.ORG_OP=01\" duration=\"-1:00:00\" size=\"-1\">http://10.0.0.2/a.mp3</res>",
    "<res protocolInfo=\"http-get:*:audio/mpeg:*\">http://10.0.0.9/a.mp3</res>",
];

fn documents() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..16),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in prop_oneof![documents(), prop::collection::vec(any::<u8>(), 0..600)]) {
        discovery::fuzz(&bytes);
        description::fuzz(&bytes);
        soap::fuzz(&bytes);
        gena::fuzz(&bytes);
        directory::fuzz(&bytes);
        didl::track(&String::from_utf8_lossy(&bytes));
    }
}
