//! The stream of palettes and frames that a subscription is.
//!
//! Invariant: events of one room come in the order the server wrote them; between rooms there is no order. After an
//! error about the connection nothing follows. Frames show the newest state: a slow reader sees gaps in the window
//! numbers, not a backlog.

use crate::control::{Control, read_error};
use crate::error::Error;
use crate::inbox::Inbox;
use futures_util::stream::{self, BoxStream, FusedStream, SelectAll, Stream, StreamExt};
use quinn::{ConnectionError, RecvStream};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use uproar_wire::RoomId;
use uproar_wire::frame::{Frame, Palette};
use uproar_wire::hello::{RoomStatus, Welcome};
use uproar_wire::stream::RoomMessage;

/// Bytes taken from the connection at once.
const CHUNK_MAX: usize = 64 * 1024;

/// What is new in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomEvent {
    /// What the emoji ids of the room's frames mean from here on.
    Palette(RoomId, Palette),
    /// The picture of the window that just closed, or of the one before it right after subscribing.
    Frame(Frame),
}

/// The rooms of one connection, as they change. A stream; poll it steadily, or the server skips frames.
pub struct Subscription {
    statuses: Vec<(RoomId, RoomStatus)>,
    /// Streams the server opens, one a room; its end is the connection's.
    opened: BoxStream<'static, Result<RecvStream, ConnectionError>>,
    rooms: SelectAll<BoxStream<'static, Result<RoomEvent, Error>>>,
    ended: Option<ConnectionError>,
    finished: bool,
    /// Kept for as long as rooms are watched: letting go of it tells the server that nobody listens.
    _control: Arc<Control>,
}

impl Subscription {
    pub(crate) fn new(connection: quinn::Connection, control: Arc<Control>, welcome: Welcome) -> Self {
        let opened = stream::unfold(connection, |connection| async move {
            let next = connection.accept_uni().await;
            Some((next, connection))
        });
        Self {
            statuses: welcome.rooms,
            opened: opened.boxed(),
            rooms: SelectAll::new(),
            ended: None,
            finished: false,
            _control: control,
        }
    }

    /// What became of each room of the hello; at least one is subscribed. Later ones are answered where they are asked
    /// for.
    pub fn rooms(&self) -> &[(RoomId, RoomStatus)] {
        &self.statuses
    }

    /// Only the frames.
    pub fn frames(self) -> impl Stream<Item = Result<Frame, Error>> + Send + Unpin {
        self.filter_map(|event| {
            std::future::ready(match event {
                Ok(RoomEvent::Frame(frame)) => Some(Ok(frame)),
                Ok(RoomEvent::Palette(..)) => None,
                Err(error) => Some(Err(error)),
            })
        })
    }

    fn poll_opened(&mut self, cx: &mut Context<'_>) {
        while self.ended.is_none() {
            match self.opened.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(receive))) => self.rooms.push(room_events(receive).boxed()),
                Poll::Ready(Some(Err(error))) => self.ended = Some(error),
                Poll::Ready(None) => self.ended = Some(ConnectionError::LocallyClosed),
                Poll::Pending => return,
            }
        }
    }
}

impl Stream for Subscription {
    type Item = Result<RoomEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.finished {
            return Poll::Ready(None);
        }
        self.poll_opened(cx);
        match self.rooms.poll_next_unpin(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(event)),
            // Frames that came before the end are handed out before it.
            Poll::Ready(None) => match self.ended.take() {
                Some(ConnectionError::LocallyClosed) => {
                    self.finished = true;
                    Poll::Ready(None)
                }
                Some(error) => {
                    self.finished = true;
                    Poll::Ready(Some(Err(error.into())))
                }
                None => Poll::Pending,
            },
            Poll::Pending => Poll::Pending,
        }
    }
}

impl FusedStream for Subscription {
    fn is_terminated(&self) -> bool {
        self.finished
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("rooms", &self.statuses).finish_non_exhaustive()
    }
}

/// Reads one room's stream until it or the connection ends; the connection's end is reported once, by its owner.
fn room_events(receive: RecvStream) -> impl Stream<Item = Result<RoomEvent, Error>> + Send {
    stream::unfold(Some((receive, Inbox::default())), |state| async move {
        let (mut receive, mut inbox) = state?;
        loop {
            match inbox.poll_message() {
                Ok(Some(message)) => return Some((Ok(event(message)), Some((receive, inbox)))),
                Ok(None) => {}
                Err(error) => return Some((Err(error.into()), None)),
            }
            match receive.read_chunk(CHUNK_MAX, true).await {
                Ok(Some(chunk)) => inbox.handle_chunk(chunk.bytes),
                Ok(None) | Err(quinn::ReadError::ConnectionLost(_)) => return None,
                Err(error) => return Some((Err(read_error(error)), None)),
            }
        }
    })
}

fn event(message: RoomMessage) -> RoomEvent {
    match message {
        RoomMessage::Palette(palette) => RoomEvent::Palette(RoomId(palette.room), palette),
        RoomMessage::Frame(frame) => RoomEvent::Frame(frame),
    }
}
