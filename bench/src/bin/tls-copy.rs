//! The yardstick: copies one file over TCP with TLS 1.3 and does nothing else. No hashes, no names, no resume.
//!
//! `tls-copy receive --listen 10.0.0.2:9000 FILE` takes one file; `tls-copy send --to 10.0.0.2:9000 FILE` sends it
//! and ends when the last byte is written on the other side.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]
#![allow(clippy::disallowed_types, reason = "the yardstick copies over a bare socket, between namespaces of its own")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme, Stream,
};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    Receive {
        #[arg(long)]
        listen: SocketAddr,
        file: PathBuf,
    },
    Send {
        #[arg(long)]
        to: SocketAddr,
        file: PathBuf,
    },
}

const CHUNK: usize = 1 << 20;

fn main() -> Result<()> {
    match Options::parse().role {
        Role::Receive { listen, file } => receive(listen, file),
        Role::Send { to, file } => send(to, file),
    }
}

/// The suite that the program itself prefers, so that the yardstick measures the work around it.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(provider)
}

fn receive(listen: SocketAddr, file: PathBuf) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["yardstick".into()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
    println!("ready");
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let mut connection = ServerConnection::new(Arc::new(config))?;
    connection.set_buffer_limit(Some(2 * CHUNK));
    let mut stream = Stream::new(&mut connection, &mut socket);
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let mut left = u64::from_be_bytes(length);
    let mut out = File::create(&file).with_context(|| format!("making {}", file.display()))?;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let mut filled = 0;
        while filled < CHUNK && (filled as u64) < left {
            let got = stream.read(&mut buffer[filled..])?;
            anyhow::ensure!(got > 0, "the sender stopped {left} bytes early");
            filled += got;
        }
        out.write_all(&buffer[..filled])?;
        left -= filled as u64;
    }
    stream.write_all(b"ok")?;
    Ok(())
}

fn send(to: SocketAddr, file: PathBuf) -> Result<()> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnyone))
        .with_no_client_auth();
    let mut socket = TcpStream::connect(to).with_context(|| format!("connecting to {to}"))?;
    socket.set_nodelay(true)?;
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from("yardstick")?)?;
    connection.set_buffer_limit(Some(2 * CHUNK));
    let mut stream = Stream::new(&mut connection, &mut socket);
    let mut input = File::open(&file).with_context(|| format!("opening {}", file.display()))?;
    stream.write_all(&input.metadata()?.len().to_be_bytes())?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let got = input.read(&mut buffer)?;
        if got == 0 {
            break;
        }
        stream.write_all(&buffer[..got])?;
    }
    let mut done = [0; 2];
    stream.read_exact(&mut done)?;
    Ok(())
}

/// A yardstick has nothing to protect.
#[derive(Debug)]
struct TrustAnyone;

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
