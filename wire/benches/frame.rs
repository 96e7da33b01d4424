//! What do a frame's encoding and validation cost beside copying and touching its bytes, and what does it cost them that
//! its numbers are not aligned?
//!
//! A frame lies five bytes into a stream message, which lies anywhere in a receive buffer. Aligned numbers would
//! force the receiver to copy the archive to an aligned place first; unaligned ones are read where they are, if
//! reading them is as cheap. The workspace builds rkyv with `unaligned`; the aligned twin below spells the numbers
//! as rend's aligned ones, which gives the sizes of rkyv's feature `aligned`.
//!
//! `cargo bench -p uproar-wire --bench frame`; tests run each case once. The fastest sample is the figure to quote: the
//! machine's noise only ever adds. Not here: encoding of palettes, which happens once a subscriber.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rkyv::rancor::Failure;
use rkyv::rend::{u16_le, u32_le, u64_le};
use std::fmt;
use uproar_wire::frame::{ArchivedFrame, Frame, TOP_MAX, TopEntry, access_frame};

/// Bytes before a frame in its stream message.
const PREFIX_LEN: usize = 5;

/// [`Frame`], its numbers aligned.
#[derive(rkyv::Archive, rkyv::Serialize)]
#[rkyv(attr(repr(C)))]
struct AlignedFrame {
    room: u32_le,
    window_ms: u32_le,
    window: u64_le,
    start_ms: u64_le,
    total: u64_le,
    intensity: u8,
    top: Vec<AlignedTopEntry>,
}

/// [`TopEntry`], its numbers aligned.
#[derive(rkyv::Archive, rkyv::Serialize)]
#[rkyv(attr(repr(C)))]
struct AlignedTopEntry {
    count: u64_le,
    emoji: u16_le,
    share: u16_le,
    intensity: u8,
}

/// Where an aligned archive can be read.
#[repr(align(8))]
struct AlignedPlace {
    bytes: [u8; 4096],
    len: usize,
}

impl AlignedPlace {
    fn holding(archive: &[u8]) -> Self {
        let mut place = Self { bytes: [0; 4096], len: 0 };
        place.hold(archive);
        place
    }

    fn hold(&mut self, archive: &[u8]) {
        self.len = archive.len();
        self.bytes[..self.len].copy_from_slice(archive);
    }

    fn read(&self) -> u64 {
        sum_aligned(access_aligned(&self.bytes[..self.len]))
    }
}

/// How many emoji the frame names, and how long its archive is.
#[derive(Clone, Copy)]
struct Case {
    top: usize,
    bytes: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} emoji, {} bytes", self.top, self.bytes)
    }
}

/// What frames name unless configured otherwise, and the largest.
const TOPS: [usize; 2] = [8, TOP_MAX];

fn cases() -> impl Iterator<Item = Case> {
    TOPS.into_iter().map(|top| Case { top, bytes: archive(top).len() })
}

fn aligned_cases() -> impl Iterator<Item = Case> {
    TOPS.into_iter().map(|top| Case { top, bytes: aligned_archive(top).len() })
}

fn main() {
    divan::main();
}

mod encode {
    use super::*;

    #[divan::bench(args = cases())]
    fn floor_copy(bencher: Bencher<'_, '_>, case: Case) {
        let archive = archive(case.top);
        let mut out = Vec::with_capacity(4096);
        bencher.counter(BytesCount::new(case.bytes)).bench_local(|| {
            out.clear();
            out.extend_from_slice(black_box(&archive));
            black_box(&out).len()
        });
    }

    #[divan::bench(args = cases())]
    fn unaligned(bencher: Bencher<'_, '_>, case: Case) {
        let frame = sample(case.top);
        let mut out = Vec::with_capacity(4096);
        bencher.counter(BytesCount::new(case.bytes)).bench_local(|| {
            out.clear();
            black_box(&frame).encode(&mut out);
            black_box(&out).len()
        });
    }

    #[divan::bench(args = aligned_cases())]
    fn aligned(bencher: Bencher<'_, '_>, case: Case) {
        let frame = super::aligned(&sample(case.top));
        let mut out = Vec::with_capacity(4096);
        bencher.counter(BytesCount::new(case.bytes)).bench_local(|| {
            out.clear();
            encode_aligned(black_box(&frame), &mut out);
            black_box(&out).len()
        });
    }
}

/// Validates an archive and reads every number that a viewer shows.
mod validate_and_read {
    use super::*;

    #[divan::bench(args = cases())]
    fn floor_xor(bencher: Bencher<'_, '_>, case: Case) {
        let received = behind_prefix(&archive(case.top));
        bencher
            .counter(BytesCount::new(case.bytes))
            .bench_local(|| black_box(&received[PREFIX_LEN..]).iter().fold(0, |sum, byte| sum ^ byte));
    }

    #[divan::bench(args = cases())]
    fn unaligned(bencher: Bencher<'_, '_>, case: Case) {
        let received = behind_prefix(&archive(case.top));
        let read = |archive| sum(access_frame(archive).expect("an archive"));
        let aligned = AlignedPlace::holding(&aligned_archive(case.top));
        assert_eq!(read(&received[PREFIX_LEN..]), aligned.read(), "both forms carry the same frame");
        bencher.counter(BytesCount::new(case.bytes)).bench_local(|| read(black_box(&received[PREFIX_LEN..])));
    }

    /// As if every frame happened to lie at an aligned place.
    #[divan::bench(args = aligned_cases())]
    fn aligned_in_place(bencher: Bencher<'_, '_>, case: Case) {
        let place = AlignedPlace::holding(&aligned_archive(case.top));
        bencher.counter(BytesCount::new(case.bytes)).bench_local(|| black_box(&place).read());
    }

    #[divan::bench(args = aligned_cases())]
    fn aligned_as_received(bencher: Bencher<'_, '_>, case: Case) {
        let received = behind_prefix(&aligned_archive(case.top));
        let mut place = AlignedPlace::holding(&[]);
        bencher.counter(BytesCount::new(case.bytes)).bench_local(|| {
            place.hold(black_box(&received[PREFIX_LEN..]));
            black_box(&place).read()
        });
    }
}

fn sample(top: usize) -> Frame {
    let top = (0..top as u16).map(|index| TopEntry {
        count: 1_000_000 >> (index / 4),
        emoji: index * 3,
        share: 5000 - 70 * index,
        intensity: 200 - index as u8,
    });
    Frame {
        room: 7,
        window_ms: 2000,
        window: 901_234_567,
        start_ms: 1_802_469_134_000,
        total: 2_000_000,
        intensity: 220,
        top: top.collect(),
    }
}

fn aligned(frame: &Frame) -> AlignedFrame {
    let entry = |entry: &TopEntry| AlignedTopEntry {
        count: entry.count.into(),
        emoji: entry.emoji.into(),
        share: entry.share.into(),
        intensity: entry.intensity,
    };
    AlignedFrame {
        room: frame.room.into(),
        window_ms: frame.window_ms.into(),
        window: frame.window.into(),
        start_ms: frame.start_ms.into(),
        total: frame.total.into(),
        intensity: frame.intensity,
        top: frame.top.iter().map(entry).collect(),
    }
}

fn archive(top: usize) -> Vec<u8> {
    let mut out = Vec::new();
    sample(top).encode(&mut out);
    out
}

fn aligned_archive(top: usize) -> Vec<u8> {
    let mut out = Vec::new();
    encode_aligned(&aligned(&sample(top)), &mut out);
    out
}

fn encode_aligned(frame: &AlignedFrame, out: &mut Vec<u8>) {
    let encoded = rkyv::api::high::to_bytes_in::<_, Failure>(frame, std::mem::take(out));
    *out = encoded.expect("memory suffices");
}

/// The archive where it lies in a stream message.
fn behind_prefix(archive: &[u8]) -> Vec<u8> {
    [&[0; PREFIX_LEN], archive].concat()
}

fn access_aligned(archive: &[u8]) -> &ArchivedAlignedFrame {
    rkyv::access::<ArchivedAlignedFrame, Failure>(archive).expect("an aligned archive")
}

/// Touches every number that a viewer shows.
fn sum(frame: &ArchivedFrame) -> u64 {
    let entries = frame.top.iter().map(|entry| {
        entry.count.to_native()
            + u64::from(entry.emoji.to_native())
            + u64::from(entry.share.to_native())
            + u64::from(entry.intensity)
    });
    let head = u64::from(frame.room.to_native()) + u64::from(frame.window_ms.to_native()) + u64::from(frame.intensity);
    head + frame.window.to_native() + frame.start_ms.to_native() + frame.total.to_native() + entries.sum::<u64>()
}

/// [`sum`] of the aligned twin.
fn sum_aligned(frame: &ArchivedAlignedFrame) -> u64 {
    let entries = frame.top.iter().map(|entry| {
        entry.count.to_native()
            + u64::from(entry.emoji.to_native())
            + u64::from(entry.share.to_native())
            + u64::from(entry.intensity)
    });
    let head = u64::from(frame.room.to_native()) + u64::from(frame.window_ms.to_native()) + u64::from(frame.intensity);
    head + frame.window.to_native() + frame.start_ms.to_native() + frame.total.to_native() + entries.sum::<u64>()
}
