//! What does reading a reaction datagram cost beside touching its bytes?
//!
//! `parse` checks the shape, as the appliance does before it counts; `parse_and_read` then reads every record, as
//! counting does. The floor XORs the datagram's bytes. Everything is in the first cache, which a datagram just received
//! is not: that cost belongs to the kernel's copy (bench `udp_floor`). `cargo bench --bench datagram`; tests run each
//! case once.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use uproar::ingest::datagram::split_train;
use uproar_wire::reaction::{RECORDS_MAX, ReactionBatch, Record, encode};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// One tap, a phone's few seconds, as many as fit.
const RECORDS: [usize; 3] = [1, 16, RECORDS_MAX];

fn main() {
    divan::main();
}

#[divan::bench(args = RECORDS)]
fn floor_xor(bencher: Bencher<'_, '_>, records: usize) {
    let bytes = datagram(records);
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench_local(|| black_box(&bytes[..]).iter().fold(0, |sum, byte| sum ^ byte));
}

#[divan::bench(args = RECORDS)]
fn parse(bencher: Bencher<'_, '_>, records: usize) {
    let bytes = datagram(records);
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench_local(|| ReactionBatch::parse(black_box(&bytes)).expect("a datagram").room);
}

#[divan::bench(args = RECORDS)]
fn parse_and_read(bencher: Bencher<'_, '_>, records: usize) {
    let bytes = datagram(records);
    assert_eq!(taps(&bytes), expected_taps(records), "every record is read");
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| taps(black_box(&bytes)));
}

/// A receive that the kernel coalesced: cars of one record, split and read one by one.
#[divan::bench(args = [2, 64])]
fn split_and_read_train(bencher: Bencher<'_, '_>, cars: usize) {
    let car = datagram(1);
    let train = car.repeat(cars);
    let read = |train| split_train(train, car.len()).map(taps).sum::<u64>();
    assert_eq!(read(&train), expected_taps(1) * cars as u64, "every car is read");
    bencher.counter(BytesCount::of_slice(&train)).bench_local(|| read(black_box(&train)));
}

fn taps(datagram: &[u8]) -> u64 {
    let batch = ReactionBatch::parse(datagram).expect("a datagram");
    batch.records().map(|record| u64::from(record.count)).sum()
}

fn datagram(records: usize) -> Vec<u8> {
    let record = |index: usize| Record { emoji: EmojiId(index as u16 % 12), count: 1 + index as u16 };
    let records: Vec<Record> = (0..records).map(record).collect();
    let mut bytes = Vec::new();
    encode(RoomId(7), ClientId(0x1122_3344_5566_7788), &records, &mut bytes);
    bytes
}

fn expected_taps(records: usize) -> u64 {
    (1..=records as u64).sum()
}
