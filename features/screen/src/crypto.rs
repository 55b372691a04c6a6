//! The ciphers of WebRTC for str0m: DTLS by `dimpl`, SRTP (RFC 3711, RFC 7714) and STUN by `ring` and `aes`, which are in the
//! house for other reasons. So no second library of C is built.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use aes::cipher::{BlockEncrypt, KeyInit, KeyIvInit, StreamCipher};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use sha2::Digest;
use str0m_proto::crypto::dtls::{DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};
use str0m_proto::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, CryptoProvider, DtlsVersion,
    Sha1HmacProvider, Sha256Provider, SrtpProvider, SupportedAeadAes128Gcm, SupportedAeadAes256Gcm,
    SupportedAes128CmSha1_80,
};

/// Bytes of a tag of AES-GCM.
const TAG: usize = 16;

/// One for all.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static ONE: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let made = || CryptoProvider {
        srtp_provider: &Ours,
        sha1_hmac_provider: &Ours,
        sha256_provider: &Ours,
        dtls_provider: &Ours,
    };
    ONE.get_or_init(|| Arc::new(made())).clone()
}

#[derive(Debug)]
struct Ours;

fn other(what: &str) -> CryptoError {
    CryptoError::Other(what.to_owned())
}

impl Sha1HmacProvider for Ours {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        // What STUN and the oldest profile of SRTP want.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        let mut tag = [0; 20];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl Sha256Provider for Ours {
    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(data).into()
    }
}

// -- SRTP -------------------------------------------------------------------------------------------

impl SrtpProvider for Ours {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &Ours
    }
    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &Ours
    }
    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &Ours
    }
    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        round::<aes::Aes128>(key, input, output);
    }
    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        round::<aes::Aes256>(key, input, output);
    }
}

/// One block for the key derivation, of which the caller uses the first sixteen bytes.
fn round<C: BlockEncrypt + KeyInit>(key: &[u8], input: &[u8], output: &mut [u8]) {
    let cipher = C::new_from_slice(key).expect("a master key of SRTP is as long as its cipher wants");
    let mut block = aes::cipher::Block::<C>::default();
    let length = block.len();
    block.copy_from_slice(&input[..length]);
    cipher.encrypt_block(&mut block);
    output[..length].copy_from_slice(&block);
}

struct Counter([u8; 16]);

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counter(…)")
    }
}

impl SupportedAes128CmSha1_80 for Ours {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        Box::new(Counter(key))
    }
}

impl Aes128CmSha1_80Cipher for Counter {
    fn encrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let output = output.get_mut(..input.len()).ok_or_else(|| other("no room"))?;
        output.copy_from_slice(input);
        ctr::Ctr128BE::<aes::Aes128>::new(&self.0.into(), iv.into()).apply_keystream(output);
        Ok(())
    }
    fn decrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.encrypt(iv, input, output)
    }
}

struct Gcm(LessSafeKey);

impl std::fmt::Debug for Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm(…)")
    }
}

impl Gcm {
    fn new(of: &'static ring::aead::Algorithm, key: &[u8]) -> Self {
        let key = UnboundKey::new(of, key).expect("the key is as long as its type says");
        Self(LessSafeKey::new(key))
    }

    fn seal(&self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        let output = output.get_mut(..input.len() + TAG).ok_or_else(|| other("no room"))?;
        let (text, tag) = output.split_at_mut(input.len());
        text.copy_from_slice(input);
        let nonce = Nonce::assume_unique_for_key(*iv);
        let made = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
        tag.copy_from_slice(made.map_err(|_| other("not sealed"))?.as_ref());
        Ok(())
    }

    fn open(&self, iv: &[u8; 12], aads: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        let mut text = input.to_vec();
        let nonce = Nonce::assume_unique_for_key(*iv);
        let opened = self.0.open_in_place(nonce, Aad::from(aads.concat()), &mut text);
        let opened = opened.map_err(|_| other("not from whom it says"))?;
        output.get_mut(..opened.len()).ok_or_else(|| other("no room"))?.copy_from_slice(opened);
        Ok(opened.len())
    }
}

impl SupportedAeadAes128Gcm for Ours {
    fn create_cipher(&self, key: [u8; 16], _encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        Box::new(Gcm::new(&AES_128_GCM, &key))
    }
}

impl SupportedAeadAes256Gcm for Ours {
    fn create_cipher(&self, key: [u8; 32], _encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(Gcm::new(&AES_256_GCM, &key))
    }
}

impl AeadAes128GcmCipher for Gcm {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.seal(iv, aad, input, output)
    }
    fn decrypt(
        &mut self,
        iv: &[u8; 12],
        aads: &[&[u8]],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptoError> {
        self.open(iv, aads, input, output)
    }
}

impl AeadAes256GcmCipher for Gcm {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.seal(iv, aad, input, output)
    }
    fn decrypt(
        &mut self,
        iv: &[u8; 12],
        aads: &[&[u8]],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptoError> {
        self.open(iv, aads, input, output)
    }
}

// -- DTLS -------------------------------------------------------------------------------------------

impl DtlsProvider for Ours {
    /// A key of its own for each connection, which its fingerprint in the offer or answer vouches for.
    fn generate_certificate(&self) -> Option<DtlsCert> {
        let key = rcgen::KeyPair::generate().ok()?;
        let mut about = rcgen::CertificateParams::default();
        about.distinguished_name = rcgen::DistinguishedName::new();
        about.distinguished_name.push(rcgen::DnType::CommonName, "screen");
        let certificate = about.self_signed(&key).ok()?.der().to_vec();
        Some(DtlsCert { certificate, private_key: key.serialize_der() })
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        // ICE made sure where the other end is, so no cookie is asked for.
        let mut config = dimpl::Config::builder().use_server_cookie(false);
        if let Some(mtu) = mtu {
            config = config.mtu(mtu);
        }
        let config = Arc::new(config.build().map_err(|error| other(&error.to_string()))?);
        let cert = DtlsCert { certificate: cert.certificate.clone(), private_key: cert.private_key.clone() };
        let dtls = match version {
            DtlsVersion::Dtls12 => dimpl::Dtls::new_12(config, cert, now),
            DtlsVersion::Dtls13 => dimpl::Dtls::new_13(config, cert, now),
            _ => dimpl::Dtls::new_auto(config, cert, now),
        };
        Ok(Box::new(Link(dtls)))
    }
}

struct Link(dimpl::Dtls);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link(…)")
    }
}

impl DtlsInstance for Link {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }
    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }
    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buffer)
    }
    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }
    fn send_application_data(&mut self, data: &[u8]) -> Result<(), DtlsImplError> {
        self.0.send_application_data(data)
    }
    fn is_active(&self) -> bool {
        self.0.is_active()
    }
    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }
    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_derivation_is_that_of_rfc_3711() {
        // Appendix B.3: the first block of the cipher key's stream.
        let key = [0xE1, 0xF9, 0x7A, 0x0D, 0x3E, 0x01, 0x8B, 0xE0, 0xD6, 0x4F, 0xA3, 0x2C, 0x06, 0xDE, 0x41, 0x39];
        let mut input = [0; 16];
        input[..14]
            .copy_from_slice(&[0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6]);
        let mut output = [0; 32];
        Ours.srtp_aes_128_ecb_round(&key, &input, &mut output);
        let wanted = [0xC6, 0x1E, 0x7A, 0x93, 0x74, 0x4F, 0x39, 0xEE, 0x10, 0x73, 0x4A, 0xFE, 0x3F, 0xF7, 0xA0, 0x87];
        assert_eq!(output[..16], wanted);
    }

    #[test]
    fn what_is_sealed_is_opened_and_what_was_changed_is_not() {
        let (key, iv) = ([7; 16], [9; 12]);
        let mut cipher = SupportedAeadAes128Gcm::create_cipher(&Ours, key, true);
        let mut sealed = [0; 5 + TAG];
        cipher.encrypt(&iv, b"aad", b"hello", &mut sealed).unwrap();
        let mut opened = [0; 5 + TAG];
        assert_eq!(cipher.decrypt(&iv, &[b"a", b"ad"], &sealed, &mut opened).unwrap(), 5);
        assert_eq!(&opened[..5], b"hello");
        sealed[0] ^= 1;
        assert!(cipher.decrypt(&iv, &[b"aad"], &sealed, &mut opened).is_err());
        assert!(cipher.decrypt(&iv, &[b"aad"], &sealed[..3], &mut opened).is_err());
    }
}
