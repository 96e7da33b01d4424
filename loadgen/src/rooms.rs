//! Rooms of a match that the server does not have are made over its admin port, and deleted after the match.
//!
//! Invariant: a room that was there is neither replaced nor deleted.

use crate::exchange::{Connection, ExchangeError};
use crate::interrupt::Interrupt;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use uproar_wire::RoomId;

/// What is tapped in rooms that are made: the first of these, and numbers beyond them.
const GLYPHS: [(&str, &str); 16] = [
    ("clap", "👏"),
    ("fire", "🔥"),
    ("heart", "❤️"),
    ("six", "6️⃣"),
    ("wicket", "🏏"),
    ("wow", "😮"),
    ("cry", "😭"),
    ("party", "🎉"),
    ("trophy", "🏆"),
    ("laugh", "😂"),
    ("angry", "😡"),
    ("pray", "🙏"),
    ("flag", "🏳️"),
    ("bat", "🦇"),
    ("duck", "🦆"),
    ("goat", "🐐"),
];

/// Why rooms cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RoomsError {
    /// Nobody answers.
    #[error("rooms cannot be made: {0}; is the admin port there? see --admin")]
    Exchange(#[from] ExchangeError),
    /// The server does not want to.
    #[error("rooms cannot be made: {what} was answered with {status}: {body}")]
    Refused {
        /// The request.
        what: String,
        /// Its status.
        status: u16,
        /// What the server says.
        body: String,
    },
    /// The run was interrupted before all were made.
    #[error("interrupted")]
    Interrupted,
}

/// The rooms that were made.
#[derive(Debug)]
pub struct Made {
    admin: SocketAddr,
    rooms: Vec<RoomId>,
}

impl Made {
    /// None yet.
    pub fn none(admin: SocketAddr) -> Self {
        Self { admin, rooms: Vec::new() }
    }

    /// Makes those of `rooms` that are not there, each with so many emoji. `progress` is told of each.
    ///
    /// # Errors
    /// When the admin port does not answer or refuses, and [`RoomsError::Interrupted`]; what was made until then is remembered.
    pub async fn make_missing(
        &mut self,
        rooms: &[RoomId],
        emoji: u16,
        mut progress: impl FnMut(),
        interrupt: &Interrupt,
    ) -> Result<(), RoomsError> {
        let admin = self.admin;
        let mut connection = Connection::new(admin);
        let there = there(&mut connection, admin).await?;
        for room in rooms.iter().filter(|room| !there.contains(&room.0)) {
            // Between requests, so that no room is made which is not remembered.
            if interrupt.is_raised() {
                return Err(RoomsError::Interrupted);
            }
            let body = specification(*room, emoji);
            let what = format!("PUT /v1/rooms/{room}");
            let head = format!("{what} HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n");
            let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            let (status, body) = connection.exchange(request.as_bytes()).await?;
            expect(&what, &[200, 201], (status, body))?;
            // With 200 another part of the crowd was faster, and will delete it.
            if status == 201 {
                self.rooms.push(*room);
            }
            progress();
        }
        Ok(())
    }

    /// Deletes them.
    ///
    /// # Errors
    /// When the admin port does not answer or refuses.
    pub async fn delete(self) -> Result<(), RoomsError> {
        let mut connection = Connection::new(self.admin);
        for room in self.rooms {
            let what = format!("DELETE /v1/rooms/{room}");
            let request = format!("{what} HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
            // Somebody else may have been faster.
            expect(&what, &[204, 404], connection.exchange(request.as_bytes()).await?)?;
        }
        Ok(())
    }
}

async fn there(connection: &mut Connection, admin: SocketAddr) -> Result<BTreeSet<u32>, RoomsError> {
    let what = "GET /v1/rooms";
    let request = format!("{what} HTTP/1.1\r\nHost: {admin}\r\n\r\n");
    let body = expect(what, &[200], connection.exchange(request.as_bytes()).await?)?;
    let refused = |body: &[u8]| RoomsError::Refused {
        what: what.to_owned(),
        status: 200,
        body: String::from_utf8_lossy(body).into_owned(),
    };
    let rooms: Vec<serde_json::Value> = serde_json::from_slice(&body).map_err(|_| refused(&body))?;
    Ok(rooms.iter().filter_map(|room| room["id"].as_u64()).filter_map(|id| id.try_into().ok()).collect())
}

fn expect(what: &str, statuses: &[u16], (status, body): (u16, Vec<u8>)) -> Result<Vec<u8>, RoomsError> {
    if statuses.contains(&status) {
        return Ok(body);
    }
    Err(RoomsError::Refused { what: what.to_owned(), status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn specification(room: RoomId, emoji: u16) -> String {
    let palette: Vec<_> = (0..usize::from(emoji))
        .map(|id| match GLYPHS.get(id) {
            Some((name, glyph)) => json!({ "name": name, "glyph": glyph }),
            None => json!({ "name": format!("emoji {id}"), "glyph": format!("#{id}") }),
        })
        .collect();
    json!({ "name": format!("Room {room}"), "palette": palette }).to_string()
}
