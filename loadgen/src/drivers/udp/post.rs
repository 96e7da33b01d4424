//! Hands a run of datagrams to the kernel: up to 64 in one call, or up to 64 trains.

use super::agenda::{Departure, Run};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use uproar::edge::sys::datagram_sender::{DatagramSender, Outgoing, Sent};

/// Datagrams of a train; older kernels take no more.
const TRAIN_MAX: usize = 64;
/// Bytes of a train: what one datagram could have at most, headers of both kinds of addresses aside.
const TRAIN_BYTES_MAX: usize = 65_000;

/// Whoever takes datagrams.
pub(super) trait Post {
    /// Offers datagrams, one socket's; says what became of the first ones, counted in datagrams.
    fn send(&mut self, socket: usize, run: Run<'_>) -> Sent;

    /// How many datagrams of a run, from the first on, are taken or refused as one.
    fn first_train(&self, run: Run<'_>) -> usize;
}

/// The kernel.
pub(super) struct Kernel {
    sockets: Vec<UdpSocket>,
    sender: DatagramSender,
    trains: bool,
}

impl Kernel {
    /// Sends from connected sockets; datagrams of equal length that stand together as a train, if wanted.
    pub(super) fn new(sockets: Vec<UdpSocket>, trains: bool) -> Self {
        Self { sockets, sender: DatagramSender::default(), trains }
    }

    fn train_max(&self) -> usize {
        if self.trains { TRAIN_MAX } else { 1 }
    }
}

impl Post for Kernel {
    fn send(&mut self, socket: usize, run: Run<'_>) -> Sent {
        let fd = self.sockets[socket].as_raw_fd();
        let train_max = self.train_max();
        let outgoing = trains(run, train_max).map(|train| Outgoing {
            bytes: train.bytes,
            segment_len: (train.datagrams > 1).then_some(train.segment_len),
            remote: None,
            local_ip: None,
            ecn: 0,
        });
        match self.sender.send(fd, outgoing) {
            Sent::Some(count) if self.trains => {
                Sent::Some(trains(run, train_max).take(count).map(|train| train.datagrams).sum())
            }
            sent => sent,
        }
    }

    fn first_train(&self, run: Run<'_>) -> usize {
        trains(run, self.train_max()).next().map_or(0, |train| train.datagrams)
    }
}

/// Datagrams of equal length; the last one may be shorter.
struct Train<'a> {
    bytes: &'a [u8],
    segment_len: usize,
    datagrams: usize,
}

/// Cuts a run into trains of at most `train_max` datagrams.
fn trains(run: Run<'_>, train_max: usize) -> impl Iterator<Item = Train<'_>> {
    let mut left = run;
    std::iter::from_fn(move || {
        let segment_len = left.departures.first()?.len();
        let datagrams = train_len(left.departures, segment_len, train_max.min(TRAIN_BYTES_MAX / segment_len));
        let (train, rest) = left.departures.split_at(datagrams);
        let len = segment_len * (datagrams - 1) + train[datagrams - 1].len();
        let (bytes, bytes_left) = left.bytes.split_at(len);
        left = Run { bytes: bytes_left, departures: rest };
        Some(Train { bytes, segment_len, datagrams })
    })
}

fn train_len(departures: &[Departure], segment_len: usize, max: usize) -> usize {
    if max == 1 {
        return 1;
    }
    let equal = departures.iter().take(max).take_while(|departure| departure.len() == segment_len).count();
    let has_shorter_last = equal < max && departures.get(equal).is_some_and(|next| next.len() < segment_len);
    equal + usize::from(has_shorter_last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many datagrams each train has, for datagrams of so many records.
    fn cut(records: &[u16], train_max: usize) -> Vec<usize> {
        let departures: Vec<_> = records.iter().map(|records| Departure::of(*records)).collect();
        let bytes = vec![0; departures.iter().map(Departure::len).sum()];
        let run = Run { bytes: &bytes, departures: &departures };
        let cut: Vec<_> = trains(run, train_max).collect();
        assert_eq!(cut.iter().map(|train| train.bytes.len()).sum::<usize>(), bytes.len());
        cut.iter().map(|train| train.datagrams).collect()
    }

    #[test]
    fn a_train_has_datagrams_of_one_length_and_a_shorter_last_one() {
        assert_eq!(cut(&[64, 64, 64, 3, 64, 64, 65], TRAIN_MAX), [4, 2, 1]);
    }

    #[test]
    fn what_is_refused_as_one_is_what_leaves_as_one() {
        let departures = [64, 64, 3, 64].map(Departure::of);
        let bytes = vec![0; departures.iter().map(Departure::len).sum()];
        let first =
            |trains| Kernel::new(Vec::new(), trains).first_train(Run { bytes: &bytes, departures: &departures });
        assert_eq!([first(true), first(false)], [3, 1]);
    }

    #[test]
    fn a_train_is_no_longer_than_the_kernel_takes() {
        assert_eq!(cut(&[1; 130], TRAIN_MAX), [64, 64, 2]);
        assert_eq!(cut(&[1; 3], 1), [1, 1, 1]);
        let longest = cut(&[296; 60], TRAIN_MAX);
        assert_eq!(longest, [54, 6]);
        assert!(longest[0] * 1200 <= TRAIN_BYTES_MAX);
    }
}
