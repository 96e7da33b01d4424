//! Question: what do frames without alignment cost, against the same frames with aligned numbers?
//!
//! A frame lies five bytes into a stream message, which lies anywhere in a receive buffer. Aligned numbers would
//! force the receiver to copy the archive to an aligned place first; unaligned ones are read where they are, if
//! reading them is as cheap. The workspace builds rkyv with `unaligned`; the aligned twin below spells the numbers
//! as rend's aligned ones, which gives the sizes of rkyv's feature `aligned`.
//!
//! `cargo bench -p uproar-wire` measures; without `--bench` (as `cargo test --benches` runs it) each step runs a few
//! hundred times only. Times are those of the best round: the machine's noise only ever adds. Not here: encoding of
//! palettes, which happens once a subscriber.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use rkyv::rancor::Failure;
use rkyv::rend::{u16_le, u32_le, u64_le};
use std::hint::black_box;
use std::time::Instant;
use uproar_wire::frame::{ArchivedFrame, Frame, TopEntry, access_frame};

/// Many, and each of about a millisecond, so that some of them are not interrupted on a busy machine.
const ROUNDS: u32 = 500;
const TOP: usize = 8;

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
struct AlignedPlace([u8; 4096]);

fn main() {
    let steps = if std::env::args().any(|arg| arg == "--bench") { 20_000 } else { 1 };
    let frame = sample();
    let aligned_frame = aligned(&frame);

    let mut archive = Vec::with_capacity(4096);
    let encode_ns = measure(steps, || {
        archive.clear();
        black_box(&frame).encode(&mut archive);
    });
    let mut aligned_archive = Vec::with_capacity(4096);
    let encode_aligned_ns = measure(steps, || {
        let mut bytes = std::mem::take(&mut aligned_archive);
        bytes.clear();
        let encoded = rkyv::api::high::to_bytes_in::<_, Failure>(black_box(&aligned_frame), bytes);
        aligned_archive = encoded.expect("memory suffices");
    });

    let as_received = behind_prefix(&archive);
    let access_ns = measure(steps, || sum(access_frame(black_box(&as_received[5..])).expect("an archive")));
    let mut place = AlignedPlace([0; 4096]);
    place.0[..aligned_archive.len()].copy_from_slice(&aligned_archive);
    let access_aligned_ns =
        measure(steps, || sum_aligned(access_aligned(black_box(&place.0[..aligned_archive.len()]))));
    let aligned_as_received = behind_prefix(&aligned_archive);
    let copy_access_aligned_ns = measure(steps, || {
        let received = black_box(&aligned_as_received[5..]);
        let copy = &mut place.0[..received.len()];
        copy.copy_from_slice(received);
        sum_aligned(access_aligned(black_box(copy)))
    });
    assert_eq!(
        sum(access_frame(&archive).expect("an archive")),
        sum_aligned(access_aligned(&place.0[..aligned_archive.len()])),
        "both forms carry the same frame"
    );

    println!("a frame of {TOP} emoji              unaligned   aligned");
    println!("bytes                           {:>9} {:>9}", archive.len(), aligned_archive.len());
    println!("encode, ns                      {encode_ns:>9.1} {encode_aligned_ns:>9.1}");
    println!("validate and read, ns           {access_ns:>9.1} {access_aligned_ns:>9.1}");
    println!("the same, as it was received, ns{access_ns:>9.1} {copy_access_aligned_ns:>9.1}");
}

/// Nanoseconds of one step.
fn measure<T>(steps: u32, mut step: impl FnMut() -> T) -> f64 {
    let mut best_ns = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..steps {
            black_box(step());
        }
        best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / f64::from(steps));
    }
    best_ns
}

fn sample() -> Frame {
    let top = (0..TOP as u16).map(|index| TopEntry {
        count: 1_000_000 >> index,
        emoji: index * 3,
        share: 5000 >> index,
        intensity: 200 >> index,
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

/// The archive where it lies in a stream message.
fn behind_prefix(archive: &[u8]) -> Vec<u8> {
    [&[0; 5], archive].concat()
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
