//! TLS for the web UI beyond loopback: a certificate that the owner gives, or the hub's own authority,
//! which may only speak for this network's addresses and the owner's names.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use accord_store::{Vault, replace_private};

/// Days that the authority and its certificates are valid. Browsers take no longer ones from private authorities.
const AUTHORITY_DAYS: i64 = 10 * 365;
const LEAF_DAYS: i64 = 397;
const MAX_ADDRESSES: usize = 32;
/// The authority's key, as PEM, and how long it is at most.
const KEY: &str = "authority.key";
const MAX_KEY: u64 = 16 << 10;

/// Makes the TLS side of connections.
pub struct Tls {
    source: Source,
    ready: Mutex<HashMap<IpAddr, Arc<ServerConfig>>>,
}

enum Source {
    Given(Arc<ServerConfig>),
    Own { issuer: Box<Issuer<'static, KeyPair>>, authority: CertificateDer<'static>, pem: String, names: Vec<String> },
}

impl Tls {
    /// The certificate chain and key that the owner configured.
    pub fn given(certificate: &Path, key: &Path) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("the certificate {} cannot be read", certificate.display()))?;
        if chain.is_empty() {
            bail!("{} holds no certificate", certificate.display());
        }
        let key_der = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("the private key {} cannot be read", key.display()))?;
        let config = server_config(chain, key_der)
            .with_context(|| format!("{} and {} do not belong together", certificate.display(), key.display()))?;
        Ok(Self { source: Source::Given(config), ready: Mutex::default() })
    }

    /// The hub's own authority in a folder of its own, made on first use; its key is sealed there.
    pub fn own(folder: &Vault, names: &[String]) -> Result<Self> {
        let dir = folder.path();
        crate::state::private_dir(dir)?;
        let key = match folder.read(KEY, MAX_KEY)? {
            Some(found) => {
                let damaged = || format!("{} is damaged; delete it to make a new one", dir.join(KEY).display());
                let pem = std::str::from_utf8(&found.bytes).with_context(damaged)?;
                let key = KeyPair::from_pem(pem).with_context(damaged)?;
                folder.renew(KEY, &found);
                key
            }
            None => {
                let key = KeyPair::generate()?;
                folder.replace(KEY, Zeroizing::new(key.serialize_pem()).as_bytes())?;
                key
            }
        };
        let params = authority_params(&key, names)?;
        // The constraints follow the configured names; a new name makes a new certificate under the same key.
        let cert_file =
            dir.join(format!("authority-{}.pem", blake3::hash(names.join("\n").as_bytes()).to_hex().split_at(8).0));
        let pem = match std::fs::read_to_string(&cert_file) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = params.self_signed(&key)?.pem();
                replace_private(&cert_file, pem.as_bytes())?;
                pem
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", cert_file.display())),
        };
        let authority = CertificateDer::from_pem_slice(pem.as_bytes())
            .with_context(|| format!("{} is damaged; delete it to make a new one", cert_file.display()))?;
        let issuer = Box::new(Issuer::new(params, key));
        let source = Source::Own { issuer, authority, pem, names: names.to_vec() };
        Ok(Self { source, ready: Mutex::default() })
    }

    /// The authority's certificate, for installing on other devices.
    pub fn authority_pem(&self) -> Option<&str> {
        match &self.source {
            Source::Own { pem, .. } => Some(pem),
            Source::Given(_) => None,
        }
    }

    /// What to show at a connection that arrived at `local`. Browsers send no name for numeric
    /// addresses, so the certificate is chosen by address.
    pub fn config(&self, local: IpAddr) -> Result<Arc<ServerConfig>> {
        let Source::Own { issuer, authority, names, .. } = &self.source else {
            let Source::Given(config) = &self.source else { bail!("no certificate") };
            return Ok(config.clone());
        };
        let local = local.to_canonical();
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = ready.get(&local) {
            return Ok(config.clone());
        }
        if ready.len() >= MAX_ADDRESSES {
            ready.clear();
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.clone())?;
        params.subject_alt_names.push(SanType::IpAddress(local));
        params.distinguished_name.push(DnType::CommonName, "Accord hub");
        valid_for(&mut params, LEAF_DAYS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = server_config(vec![leaf.der().clone(), authority.clone()], key)?;
        ready.insert(local, config.clone());
        Ok(config)
    }
}

fn authority_params(key: &KeyPair, names: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    let tag = blake3::hash(key.public_key_raw()).to_hex();
    params.distinguished_name.push(DnType::CommonName, format!("Accord hub {}", tag.split_at(8).0));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(constraints(names));
    valid_for(&mut params, AUTHORITY_DAYS);
    Ok(params)
}

/// A stolen authority key must not be good for anybody's bank: only private addresses and own names.
fn constraints(names: &[String]) -> NameConstraints {
    let v4 = |a, b, prefix| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv4Addr::new(a, b, 0, 0).into(), prefix))
    };
    let v6 = |first, prefix| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(),
            prefix,
        ))
    };
    let mut permitted = vec![
        v4(10, 0, 8),
        v4(172, 16, 12),
        v4(192, 168, 16),
        v4(169, 254, 16),
        v4(100, 64, 10),
        v4(127, 0, 8),
        v6(0xfc00, 7),
        v6(0xfe80, 10),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv6Addr::LOCALHOST.into(), 128)),
        GeneralSubtree::DnsName("local".to_owned()),
        GeneralSubtree::DnsName("home.arpa".to_owned()),
    ];
    permitted.extend(names.iter().map(|name| GeneralSubtree::DnsName(name.clone())));
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() }
}

fn server_config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// SHA-256 of a certificate, as browsers show it.
pub fn fingerprint(pem: &str) -> Result<String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).context("the authority's certificate is damaged")?;
    let hash = <sha2::Sha256 as sha2::Digest>::digest(der.as_ref());
    Ok(hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// From yesterday, for clocks that are behind, for so many days.
fn valid_for(params: &mut CertificateParams, days: i64) {
    let date = |days: i64| {
        let date = jiff::tz::TimeZone::UTC
            .to_datetime(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days))
            .date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = date(-1);
    params.not_after = date(days);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    fn vault(dir: &tempfile::TempDir) -> Vault {
        Vault::new(dir.path(), &[7; 32]).folder("tls")
    }

    fn handshake(tls: &Tls, local: &str, called: &str) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(tls.authority_pem().unwrap().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(called.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut server = ServerConnection::new(tls.config(local.parse().unwrap()).unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn a_browser_that_installed_the_authority_trusts_this_networks_addresses_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls::own(&vault(&dir), &["hub.example".to_owned()]).unwrap();
        handshake(&tls, "192.168.1.20", "192.168.1.20").unwrap();
        handshake(&tls, "192.168.1.20", "hub.example").unwrap();
        handshake(&tls, "fd00::7", "fd00::7").unwrap();
        assert!(handshake(&tls, "192.168.1.20", "192.168.1.21").is_err());
        assert!(handshake(&tls, "93.184.215.14", "93.184.215.14").is_err(), "outside the authority's constraints");
    }

    #[test]
    fn the_authority_stays_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let first = Tls::own(&vault(&dir), &[]).unwrap().authority_pem().unwrap().to_owned();
        let again = Tls::own(&vault(&dir), &[]).unwrap();
        assert_eq!(again.authority_pem(), Some(first.as_str()));
        handshake(&again, "127.0.0.1", "127.0.0.1").unwrap();
        use std::os::unix::fs::PermissionsExt;
        let file = dir.path().join("tls/authority.key");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let is_plain = || String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains("PRIVATE KEY");
        assert!(!is_plain(), "it is sealed");
        std::fs::write(&file, &vault(&dir).read(KEY, MAX_KEY).unwrap().unwrap().bytes).unwrap();
        assert!(is_plain(), "as earlier versions left it");
        assert!(Tls::own(&vault(&dir), &[]).is_err_and(|error| error.to_string().contains("not sealed")));
        assert_eq!(Tls::own(&vault(&dir).taking_plain(), &[]).unwrap().authority_pem(), Some(first.as_str()));
        assert!(!is_plain(), "it is sealed once it was read");
    }
}
