//! A KDE Connect device of protocol version 8 on the library `kdeconnect-proto`, for tests: what it hears goes to standard
//! output as lines of JSON, what it is to do comes on standard input.
//!
//! Usage: `peer-v8 NAME`, in a folder of its own. Lines: `links`, `pair ID`, `accept ID`, `unpair ID`, `send ID PACKET`.

use std::collections::HashMap;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kdeconnect_proto::config::DeviceConfig;
use kdeconnect_proto::device::{Device, DeviceType, Link};
use kdeconnect_proto::error::Result;
use kdeconnect_proto::io::TokioIoImpl;
use kdeconnect_proto::packet::{NetworkPacket, NetworkPacketType as Kind};
use kdeconnect_proto::plugin::Plugin;
use kdeconnect_proto::trust::TrustHandler;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

/// Hears and says everything that a phone would.
struct Phone;

#[kdeconnect_proto::async_trait]
impl Plugin for Phone {
    fn supported_incoming_packets(&self) -> Vec<Kind> {
        vec![
            Kind::Ping,
            Kind::ShareRequest,
            Kind::Clipboard,
            Kind::Battery,
            Kind::Notification,
            Kind::NotificationRequest,
            Kind::NotificationReply,
            Kind::NotificationAction,
            Kind::Mpris,
            Kind::MprisRequest,
            Kind::RunCommand,
            Kind::RunCommandRequest,
            Kind::FindmyphoneRequest,
        ]
    }
    fn supported_outgoing_packets(&self) -> Vec<Kind> {
        self.supported_incoming_packets()
    }
    async fn on_packet_received(&self, packet: &NetworkPacket, _: &Link) -> Result<()> {
        println!("{}", serde_json::json!({ "packet": packet }));
        Ok(())
    }
    async fn on_start(&self, link: &Link) -> Result<()> {
        println!("{}", serde_json::json!({ "started": link.info.device_id }));
        Ok(())
    }
}

/// Certificates of paired devices, one file each.
struct Trust {
    folder: PathBuf,
    known: HashMap<String, Vec<u8>>,
}

impl Trust {
    fn open(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let read = |file: fs::DirEntry| Some((file.file_name().into_string().ok()?, fs::read(file.path()).ok()?));
        let known = fs::read_dir(folder).unwrap().flatten().filter_map(read).collect();
        Self { folder: folder.to_owned(), known }
    }
}

#[kdeconnect_proto::async_trait]
impl TrustHandler for Trust {
    async fn trust_device(&mut self, id: String, certificate: Vec<u8>) {
        fs::write(self.folder.join(&id), &certificate).unwrap();
        println!("{}", serde_json::json!({ "trusted": id }));
        self.known.insert(id, certificate);
    }
    async fn untrust_device(&mut self, id: &str) {
        let _ = fs::remove_file(self.folder.join(id));
        println!("{}", serde_json::json!({ "untrusted": id }));
        self.known.remove(id);
    }
    async fn get_certificate(&mut self, id: &str) -> Option<&[u8]> {
        self.known.get(id).map(Vec::as_slice)
    }
}

fn make_certificate() {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, uuid::Uuid::new_v4().simple().to_string());
    name.push(DnType::OrganizationName, "KDE");
    name.push(DnType::OrganizationalUnitName, "KDE Connect");
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    let key = KeyPair::generate().unwrap();
    fs::write("certificate.pem", params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write("key.pem", key.serialize_pem()).unwrap();
}

#[tokio::main]
async fn main() {
    if !Path::new("certificate.pem").exists() {
        make_certificate();
    }
    let config = DeviceConfig {
        name: std::env::args().nth(1).unwrap_or_else(|| "peer".to_owned()),
        device_type: DeviceType::Phone,
        cert: fs::read("certificate.pem").unwrap(),
        private_key: fs::read("key.pem").unwrap(),
    };
    let device = Arc::new(Device::new(config, vec![Box::new(Phone)], Trust::open(Path::new("trusted")), TokioIoImpl));
    let started = device.clone();
    std::thread::spawn(move || started.start_arced());
    println!("{}", serde_json::json!({ "ready": true }));
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        let mut words = line.splitn(3, ' ');
        let (word, id, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
        match word {
            "links" => {
                let links = device.links().lock().await;
                let links: Vec<_> = links
                    .iter()
                    .map(|(id, link)| serde_json::json!({ "id": id, "name": link.info.device_name, "state": format!("{:?}", link.pair_state) }))
                    .collect();
                println!("{}", serde_json::json!({ "links": links }));
            }
            "pair" => device.pair_with(id).await,
            "accept" => device.accept_pair(id).await,
            "unpair" => device.unpair_with(id).await,
            "send" => match (serde_json::from_str::<NetworkPacket>(rest), device.links().lock().await.get(id)) {
                (Ok(packet), Some(link)) => link.send(packet).await,
                (packet, link) => {
                    println!("{}", serde_json::json!({ "not sent": format!("{:?} {}", packet.err(), link.is_some()) }))
                }
            },
            other => println!("{}", serde_json::json!({ "unknown": other })),
        }
    }
}
