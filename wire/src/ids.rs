//! Ids as types, so that swapped arguments do not compile.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// The audience a reaction belongs to: a match, a show.
    RoomId(u32)
}
id! {
    /// One emoji of a room, for as long as its node remembers the room: its place in the room's palette.
    EmojiId(u16)
}
id! {
    /// Whoever sent a reaction, as it names itself; 0 when it does not.
    ClientId(u64)
}
id! {
    /// Number of a counting window: unix time in milliseconds, divided by the window's length in milliseconds.
    WindowSeq(u64)
}
