//! Who watches a room on this shard, and how far the pass of its newest frame has come.
//!
//! Invariant: `due` is the number of members that the running pass has not reached. What a pass touches of a member
//! that is not blocked lies side by side, two members to a cache line; everything else is in the outbox.
//!
//! Not here: what a blocked member still has to get ([`super::outbox`]).

use super::outbox::FrameMessage;
use super::pace::Pace;
use bytes::Bytes;
use uproar_wire::RoomId;

/// Where a subscription's bytes go; fan-out only hands it back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Link {
    /// The connection, as the owner of connections numbers it.
    pub conn: usize,
    /// The stream of that connection.
    pub stream: u64,
}

/// One subscription on this shard, until it ends; then the number is given out anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SubscriptionId(pub u32);

impl SubscriptionId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whether a member takes a frame directly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Its outbox is empty.
    Ready,
    /// Its stream takes no bytes; frames go to its outbox.
    Blocked,
    /// Its outbox waits for its turn; frames go there too.
    Resuming,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) link: Link,
    pub(super) id: SubscriptionId,
    /// Low bits of the last pass that reached it, or that it does not take part in.
    pass: u16,
    pub(super) state: State,
}

const _: () = assert!(size_of::<Member>() <= 24, "a pass reads members side by side");

/// Members that are not due, passed over in one turn: reading them costs about as much as one write. There are many
/// only where members left during a pass and others, still due, took their places behind it.
const SKIPS_MAX: usize = 64;

/// One step of a pass.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The member at this place is due, and now counts as reached.
    Due(usize),
    /// Nobody yet.
    Skipped,
}

/// The members of one room.
#[derive(Debug)]
pub(super) struct Audience {
    pub(super) room: RoomId,
    pub(super) members: Vec<Member>,
    /// The frame of the running pass.
    pub(super) frame: Option<FrameMessage>,
    /// Members that the running pass has not reached.
    pub(super) due: usize,
    /// Members that were due when it began.
    total: usize,
    /// How fast it may go; none: as fast as it can.
    pub(super) pace: Option<Pace>,
    /// Whether it stands in the queue of passes.
    pub(super) queued: bool,
    /// The palette that replaces that of its members, while it stands in the queue of palettes.
    pub(super) palette: Option<Bytes>,
    /// Members at places below this have not been offered it. One that takes the place of a member that left may be offered
    /// it twice.
    pub(super) palette_due: usize,
    /// Its room is gone, and its members are dropped one after the other.
    pub(super) is_disbanding: bool,
    /// Number of the running pass, or of the last one.
    pass: u16,
    /// Where the running pass goes on, and where the next one starts.
    cursor: usize,
}

impl Audience {
    pub(super) fn new(room: RoomId) -> Self {
        Self {
            room,
            members: Vec::new(),
            frame: None,
            due: 0,
            total: 0,
            pace: None,
            queued: false,
            palette: None,
            palette_due: 0,
            is_disbanding: false,
            pass: 0,
            cursor: 0,
        }
    }

    /// Seats a member and returns its place. The running pass leaves it out.
    pub(super) fn join(&mut self, link: Link, id: SubscriptionId) -> usize {
        self.members.push(Member { link, id, pass: self.pass, state: State::Ready });
        self.members.len() - 1
    }

    /// Removes the member at `place`, and says who sits there now.
    pub(super) fn part(&mut self, place: usize) -> Option<SubscriptionId> {
        self.excuse(place);
        self.members.swap_remove(place);
        self.palette_due = self.palette_due.min(self.members.len());
        self.members.get(place).map(|moved| moved.id)
    }

    /// Ends what is under way: no member gets anything any more.
    pub(super) fn disband(&mut self) {
        self.due = 0;
        self.frame = None;
        self.palette_due = 0;
        self.is_disbanding = true;
    }

    /// The next member that has not been offered the palette.
    pub(super) fn next_for_palette(&mut self) -> Option<SubscriptionId> {
        self.palette_due = self.palette_due.checked_sub(1)?;
        Some(self.members[self.palette_due].id)
    }

    /// Starts the pass of a newer frame where the last one stopped, and returns how many members that had not reached.
    /// Passes go round, so none is missed by as many in a row as their numbers take to come again.
    pub(super) fn begin_pass(&mut self, frame: FrameMessage, pace: Option<Pace>) -> usize {
        let unreached = self.due;
        self.pass = self.pass.wrapping_add(1);
        self.due = self.members.len();
        self.total = self.due;
        self.pace = pace;
        self.frame = Some(frame);
        unreached
    }

    /// Members that the running pass need not come to any more, those who left since it began included.
    pub(super) fn reached(&self) -> usize {
        self.total - self.due
    }

    /// Whether the member has been handed all that it was offered.
    pub(super) fn is_caught_up(&self, place: usize) -> bool {
        let member = &self.members[place];
        let has_palette = place >= self.palette_due;
        has_palette && member.state == State::Ready && (self.due == 0 || member.pass == self.pass)
    }

    /// Takes the member out of the running pass; says whether it was still due. No pass comes to a room that is gone, so none
    /// of its members is.
    pub(super) fn excuse(&mut self, place: usize) -> bool {
        if self.is_disbanding {
            return false;
        }
        let member = &mut self.members[place];
        let due = std::mem::replace(&mut member.pass, self.pass) != self.pass;
        self.due -= usize::from(due);
        due
    }

    /// Where members are that the pass comes to in so many turns, those included that will be found not to be due.
    pub(super) fn ahead(&self, turns: std::ops::Range<usize>) -> impl Iterator<Item = Link> {
        let count = self.members.len().max(1);
        turns.filter_map(move |turn| self.members.get((self.cursor + turn) % count)).map(|member| member.link)
    }

    /// Moves the pass on to a member that is due, or past [`SKIPS_MAX`] that are not; `None` when it is over.
    pub(super) fn next_turn(&mut self) -> Option<Turn> {
        if self.due == 0 {
            self.frame = None;
            return None;
        }
        for _ in 0..SKIPS_MAX {
            if self.cursor >= self.members.len() {
                self.cursor = 0;
            }
            let place = self.cursor;
            self.cursor += 1;
            if self.excuse(place) {
                return Some(Turn::Due(place));
            }
        }
        Some(Turn::Skipped)
    }
}
