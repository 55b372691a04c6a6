//! Measures the engine alone over loopback TCP, without encryption and without the gate:
//! `cargo run --release -p accord-files --features plain --example pump [FOLDER]`.
//! The folder should be on a memory file system, so that the disk is not what is measured.

#![allow(clippy::disallowed_types, clippy::print_stdout, reason = "a measurement over loopback with made-up files")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use accord_files::engine::plain::{receive_into, send_paths};
use accord_files::engine::send::SendEnd;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let base = std::env::args().nth(1).map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from).join("accord-pump");
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir_all(base.join("many"))?;
    std::fs::write(base.join("big"), vec![7; 1 << 30])?;
    for index in 0..10_000 {
        std::fs::write(base.join("many").join(index.to_string()), vec![index as u8; 4096])?;
    }
    for round in 0..5 {
        for (name, bytes) in [("big", 1_u64 << 30), ("many", 4096 * 10_000)] {
            let seconds = once(&base.join(name), &base.join(format!("inbox {name} {round}")), round).await?;
            println!("{name:5} {seconds:7.3} s {:8.0} MB/s", bytes as f64 / seconds / 1e6);
        }
        let begun = Instant::now();
        std::fs::copy(base.join("big"), base.join("copy"))?;
        println!("cp    {:7.3} s", begun.elapsed().as_secs_f64());
    }
    std::fs::remove_dir_all(&base)
}

async fn once(source: &Path, inbox: &Path, round: u8) -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let ours = TcpStream::connect(listener.local_addr()?).await?;
    let (theirs, _) = listener.accept().await?;
    for stream in [&ours, &theirs] {
        stream.set_nodelay(true)?;
    }
    let begun = Instant::now();
    let receive = tokio::spawn({
        let inbox = inbox.to_owned();
        async move {
            let (reader, writer) = theirs.into_split();
            receive_into(&inbox, reader, writer, Arc::default()).await
        }
    });
    let (reader, writer) = ours.into_split();
    let sent = send_paths([round; 16], &[source.to_owned()], reader, writer, Arc::default()).await;
    let seconds = begun.elapsed().as_secs_f64();
    assert!(matches!(sent, SendEnd::Done { failed_count: 0, .. }), "{sent:?}");
    let _ = receive.await;
    std::fs::remove_dir_all(inbox)?;
    Ok(seconds)
}
