//! Frames and palettes as a reader without rkyv sees them: offsets of `docs/WIRE.md`, and nothing of the crate that
//! wrote them.

/// One frame, and the bytes of its whole message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlainFrame {
    pub(crate) room: u32,
    pub(crate) window: u64,
    pub(crate) start_ms: u64,
    pub(crate) total: u64,
    /// Emoji and count.
    pub(crate) top: Vec<(u16, u64)>,
    pub(crate) bytes: Vec<u8>,
}

/// One emoji of a palette; its id is its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlainEmoji {
    /// Empty: the emoji is retired.
    pub(crate) name: String,
    pub(crate) glyph: String,
}

/// What a room's stream has carried so far.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct RoomStream {
    /// The emoji of each palette, by how many frames came before it.
    pub(crate) palettes: Vec<(usize, u32)>,
    /// The same palettes, whole.
    pub(crate) emoji: Vec<Vec<PlainEmoji>>,
    pub(crate) frames: Vec<PlainFrame>,
}

impl RoomStream {
    /// Reads the whole messages of a stream; the rest of one that has not come whole is left.
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut stream = Self::default();
        while let Some(length) = bytes.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize)
            && let Some(message) = bytes.get(..4 + length)
        {
            match message[4] {
                1 => {
                    let emoji = read_palette(&message[5..]);
                    stream.palettes.push((stream.frames.len(), emoji.len() as u32));
                    stream.emoji.push(emoji);
                }
                2 => stream.frames.push(PlainFrame::read(message)),
                kind => panic!("no message has the kind {kind}"),
            }
            bytes = &bytes[4 + length..];
        }
        stream
    }
}

impl PlainFrame {
    /// Reads one whole message.
    pub(crate) fn read(message: &[u8]) -> Self {
        let archive = &message[5..];
        let root = archive.len() - 41;
        let list = root + 33;
        let first = (list as i64 + i64::from(u32_at(archive, list) as i32)) as usize;
        let entries = u32_at(archive, list + 4) as usize;
        let top = (0..entries).map(|entry| {
            let at = first + 13 * entry;
            (u16::from_le_bytes([archive[at + 8], archive[at + 9]]), u64_at(archive, at))
        });
        Self {
            room: u32_at(archive, root),
            window: u64_at(archive, root + 8),
            start_ms: u64_at(archive, root + 16),
            total: u64_at(archive, root + 24),
            top: top.collect(),
            bytes: message.to_vec(),
        }
    }
}

fn read_palette(archive: &[u8]) -> Vec<PlainEmoji> {
    let list = archive.len() - 20 + 12;
    let first = (list as i64 + i64::from(u32_at(archive, list) as i32)) as usize;
    let entries = (0..u32_at(archive, list + 4) as usize).map(|entry| first + 16 * entry);
    entries.map(|at| PlainEmoji { name: text_at(archive, at), glyph: text_at(archive, at + 8) }).collect()
}

fn text_at(archive: &[u8], at: usize) -> String {
    let text = if archive[at] & 0xc0 == 0x80 {
        let word = u32_at(archive, at);
        let first = (at as i64 + i64::from(u32_at(archive, at + 4) as i32)) as usize;
        &archive[first..first + (word & 0x3f | word >> 8 << 6) as usize]
    } else {
        let in_place = &archive[at..at + 8];
        &in_place[..in_place.iter().position(|&byte| byte == 0xff).unwrap_or(8)]
    };
    String::from_utf8(text.to_vec()).unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
