//! Watches one room, and cheers once: `cargo run -p uproar-client --example watch_room -- 127.0.0.1:7443 1 ca.pem`.
//! Without a certificate file it believes any server, which is for loopback only.

use futures_util::StreamExt;
use std::error::Error;
use std::net::SocketAddr;
use uproar_client::{Client, RoomEvent, Trust};
use uproar_wire::RoomId;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let server: SocketAddr = args.next().as_deref().unwrap_or("127.0.0.1:7443").parse()?;
    let room = RoomId(args.next().as_deref().unwrap_or("1").parse()?);
    let trust = match args.next() {
        Some(file) => Trust::roots_from_pem(&std::fs::read(file)?)?,
        None => Trust::DangerAnyCertificate,
    };

    let client = Client::connect(server, "localhost", trust).await?;
    let mut subscription = client.subscribe(&[room]).await?;

    let mut names = Vec::new();
    while let Some(event) = subscription.next().await {
        match event? {
            RoomEvent::Palette(_, palette) => {
                println!("{}", palette.name);
                if names.is_empty()
                    && let Some((emoji, _)) = palette.active().next()
                {
                    client.react(room, &[(emoji, 1)]).await?;
                }
                // Also of those that are retired, as frames name them for a while.
                names = palette.emoji.into_iter().map(|emoji| emoji.glyph).collect();
            }
            RoomEvent::Frame(frame) => {
                let top = frame
                    .top
                    .iter()
                    .filter_map(|entry| Some(format!("{} {}", names.get(usize::from(entry.emoji))?, entry.count)));
                println!("window {}: {} taps; {}", frame.window, frame.total, top.collect::<Vec<_>>().join(", "));
            }
        }
    }
    Ok(())
}
