//! A bad link between two network namespaces: two TUN devices with a rate, a delay, random loss and a
//! bounded queue between them. For kernels without netem.
//!
//! `link-emulator --left tunA --right tunB --rate-mbit 300 --delay-ms 10 --loss 0.01` makes both devices in
//! the current namespace, prints `ready`, and forwards packets until it is killed. Move each device into its
//! namespace with `ip link set tunA netns …`; the emulator keeps its end.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;

#[derive(Parser)]
struct Options {
    #[arg(long)]
    left: String,
    #[arg(long)]
    right: String,
    /// Megabits per second, each way.
    #[arg(long)]
    rate_mbit: f64,
    /// One-way delay; half of the round trip.
    #[arg(long, default_value_t = 0.0)]
    delay_ms: f64,
    /// Probability that a packet is lost.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Bytes that may wait before packets are dropped.
    #[arg(long, default_value_t = 1_500_000)]
    queue: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let left = tun(&options.left)?;
    let right = tun(&options.right)?;
    println!("ready");
    let link = Link {
        bytes_per_s: options.rate_mbit * 1e6 / 8.0,
        delay: Duration::from_secs_f64(options.delay_ms / 1e3),
        loss: options.loss,
        queue: options.queue,
    };
    let forth = {
        let (from, to, link) = (left.try_clone()?, right.try_clone()?, link.clone());
        std::thread::spawn(move || link.carry(from, to, 0x9E37_79B9_7F4A_7C15))
    };
    link.carry(right, left, 0xD1B5_4A32_D192_ED03)?;
    forth.join().map_err(|_| anyhow::anyhow!("the other direction stopped"))?
}

#[derive(Clone)]
struct Link {
    bytes_per_s: f64,
    delay: Duration,
    loss: f64,
    queue: usize,
}

impl Link {
    fn carry(&self, mut from: File, mut to: File, seed: u64) -> Result<()> {
        let (send, receive) = mpsc::sync_channel::<(Instant, Vec<u8>)>(65_536);
        let writer = std::thread::spawn(move || {
            for (due, packet) in receive {
                let now = Instant::now();
                if due > now {
                    std::thread::sleep(due - now);
                }
                // A packet for a device that is down is lost, as on a real wire.
                let _ = to.write(&packet);
            }
        });
        let mut random = seed;
        let mut free_at = Instant::now();
        let mut buffer = vec![0; 65_536];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(error) => return Err(error).context("reading from the TUN device"),
            };
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if ((random >> 11) as f64 / (1u64 << 53) as f64) < self.loss {
                continue;
            }
            let now = Instant::now();
            let waiting = free_at.saturating_duration_since(now).as_secs_f64() * self.bytes_per_s;
            if waiting + length as f64 > self.queue as f64 {
                continue;
            }
            free_at = free_at.max(now) + Duration::from_secs_f64(length as f64 / self.bytes_per_s);
            if send.try_send((free_at + self.delay, buffer[..length].to_vec())).is_err() && writer.is_finished() {
                return Ok(());
            }
        }
    }
}

/// Attaches to a new TUN device (no packet information header).
fn tun(name: &str) -> Result<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TUN: u16 = 0x0001;
    const IFF_NO_PI: u16 = 0x1000;
    anyhow::ensure!(!name.is_empty() && name.len() < 16, "a device name has 1 to 15 characters: {name:?}");
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .context("opening /dev/net/tun (root is needed)")?;
    let mut request = [0u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&(IFF_TUN | IFF_NO_PI).to_ne_bytes());
    #[allow(
        unsafe_code,
        reason = "TUNSETIFF has no safe wrapper; the request is a 40-byte struct ifreq that outlives the call"
    )]
    let outcome = unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    if outcome != 0 {
        return Err(std::io::Error::last_os_error()).with_context(|| format!("making the TUN device {name}"));
    }
    Ok(device)
}
