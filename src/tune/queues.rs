//! An interface's queues: which interrupts they raise, and which processors take them.
//!
//! Invariant: the same machine and mode give the same processors to the same queue. The modes are those of Seastar's
//! perftune (`scripts/perftune.py` of `scylladb/seastar`), and so are the names by which interrupts of queues are known.
//! Not here: writing any of it.

use crate::edge::machine::{Machine, cpu_list};
use std::fmt::Write as _;
use std::str::FromStr;

/// Which processors take an interface's interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IrqMode {
    /// All of them, one queue each: for interfaces with about as many queues as shards.
    #[default]
    Mq,
    /// The first processor and its siblings; the others share the protocol's work by RPS.
    SqSplit,
    /// The first processor alone; the others share the protocol's work by RPS.
    Sq,
    /// Whoever the kernel chooses.
    NoIrqRestrictions,
}

impl FromStr for IrqMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "mq" => Ok(Self::Mq),
            "sq_split" => Ok(Self::SqSplit),
            "sq" => Ok(Self::Sq),
            "no_irq_restrictions" => Ok(Self::NoIrqRestrictions),
            _ => Err("no such mode; there are mq, sq_split, sq, no_irq_restrictions".to_owned()),
        }
    }
}

/// An interface, as far as tuning goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// As the kernel calls it.
    pub name: String,
    /// Whether a device stands behind it; loopback, bridges and tunnels have none.
    pub has_device: bool,
    /// Queues for arrivals.
    pub receive_queues: usize,
}

/// The interface that was named does not exist.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no interface {name:?}; there are: {}", known.join(", "))]
pub struct UnknownInterface {
    name: String,
    known: Vec<String>,
}

impl Interface {
    /// The interface called `name`, or without a name the one of the default IPv4 route; `None` without such a route.
    ///
    /// # Errors
    /// When there is no interface of that name.
    pub fn choose(machine: &Machine, name: Option<&str>) -> Result<Option<Self>, UnknownInterface> {
        let known = machine.list(NET);
        let Some(name) = name.map(str::to_owned).or_else(|| default_route(machine)) else { return Ok(None) };
        if !known.contains(&name) {
            return Err(UnknownInterface { name, known });
        }
        let has_device = machine.path(&format!("{NET}/{name}/device")).exists();
        let queues = machine.list(&format!("{NET}/{name}/queues"));
        let receive_queues = queues.iter().filter(|queue| queue.starts_with("rx-")).count();
        Ok(Some(Self { name, has_device, receive_queues }))
    }

    /// Why its queues are left alone in this mode, if they are.
    pub fn queues_unsupported(&self, mode: IrqMode) -> Option<String> {
        let name = &self.name;
        if !self.has_device {
            Some(format!("{name} has no hardware queues"))
        } else if mode == IrqMode::Mq && self.receive_queues < 2 {
            Some(format!("{name} has one queue, and nothing to spread in mode mq"))
        } else {
            None
        }
    }
}

/// One interrupt of one queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupt {
    /// Its number in `/proc/irq`.
    pub number: usize,
    /// The queue's.
    pub queue: usize,
}

/// The interrupts of an interface's queues, by queue; all of its interrupts if no name says which are for queues.
pub fn interrupts(machine: &Machine, interface: &str) -> Vec<Interrupt> {
    let device = format!("{NET}/{interface}/device");
    let mut numbers: Vec<usize> = numbers_in(machine, &format!("{device}/msi_irqs"));
    let is_virtio = machine.read(&format!("{device}/modalias")).is_ok_and(|alias| alias.starts_with("virtio:"));
    if numbers.is_empty() && is_virtio {
        // A virtio device sits on a PCI device, and that one has the interrupts.
        numbers = numbers_in(machine, &format!("{device}/../msi_irqs"));
    }
    let names = machine.read("/proc/interrupts").unwrap_or_default();
    let queue_of = |number: &usize| {
        let line = names.lines().find_map(|line| line.trim_start().strip_prefix(&format!("{number}:")))?;
        queue_in_name(line.split_whitespace().next_back()?)
    };
    let mut found: Vec<_> =
        numbers.iter().filter_map(|number| Some(Interrupt { number: *number, queue: queue_of(number)? })).collect();
    if found.is_empty() {
        found = numbers.iter().zip(0..).map(|(&number, queue)| Interrupt { number, queue }).collect();
    }
    found.sort_by_key(|interrupt| (interrupt.queue, interrupt.number));
    found
}

/// The processors that take the interrupts of a queue, by the mode; empty where the machine does not say which it has.
pub fn processors_of_queue(machine: &Machine, mode: IrqMode, queue: usize) -> Vec<usize> {
    let taking = taking_interrupts(machine, mode);
    match mode {
        IrqMode::NoIrqRestrictions => taking,
        _ if taking.is_empty() => taking,
        _ => vec![taking[queue % taking.len()]],
    }
}

/// The processors that share the protocol's work by RPS: in the modes that keep interrupts on few, all others.
pub fn processors_without_interrupts(machine: &Machine, mode: IrqMode) -> Vec<usize> {
    match mode {
        IrqMode::Mq | IrqMode::NoIrqRestrictions => Vec::new(),
        IrqMode::Sq | IrqMode::SqSplit => {
            let taking = taking_interrupts(machine, mode);
            online(machine).into_iter().filter(|cpu| !taking.contains(cpu)).collect()
        }
    }
}

/// The processors that send through queue `queue` of `queues`: each sends through one, and each queue has some.
pub fn processors_sending(machine: &Machine, queue: usize, queues: usize) -> Vec<usize> {
    let online = online(machine);
    if online.is_empty() || queues >= online.len() {
        return online.get(queue % online.len().max(1)).copied().into_iter().collect();
    }
    online.into_iter().enumerate().filter(|(at, _)| at % queues == queue).map(|(_, cpu)| cpu).collect()
}

/// As the kernel writes masks: hexadecimal, 32 processors a group, the highest first.
pub fn mask(cpus: &[usize]) -> String {
    let groups = cpus.iter().max().map_or(1, |highest| highest / 32 + 1);
    let mut words = vec![0u32; groups];
    for &cpu in cpus {
        words[cpu / 32] |= 1 << (cpu % 32);
    }
    let mut text = format!("{:x}", words[groups - 1]);
    for word in words[..groups - 1].iter().rev() {
        // Writing to a String does not fail.
        let _ = write!(text, ",{word:08x}");
    }
    text
}

/// As the kernel reads lists.
pub fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

const NET: &str = "/sys/class/net";

/// What stands before the queue's number in an interrupt's name, by driver: Intel, Broadcom, ena, Mellanox, virtio, MANA.
const QUEUE_MARKS: [&str; 8] = ["-TxRx-", "-fp-", "-Tx-Rx-", "mlx4-", "mlx5_comp", "-input.", "-output.", "mana_q"];

fn queue_in_name(name: &str) -> Option<usize> {
    let (before, after) = QUEUE_MARKS.iter().find_map(|mark| name.split_once(mark))?;
    let digits = after.find(|letter: char| !letter.is_ascii_digit()).map_or(after, |end| &after[..end]);
    // Intel's flow director has an interrupt with a queue's name.
    (!before.ends_with("fdir")).then(|| digits.parse().ok())?
}

fn online(machine: &Machine) -> Vec<usize> {
    machine.read("/sys/devices/system/cpu/online").ok().and_then(|text| cpu_list(&text)).unwrap_or_default()
}

fn taking_interrupts(machine: &Machine, mode: IrqMode) -> Vec<usize> {
    let online = online(machine);
    let Some(&first) = online.first() else { return online };
    match mode {
        IrqMode::Mq | IrqMode::NoIrqRestrictions => online,
        IrqMode::Sq => vec![first],
        IrqMode::SqSplit => {
            let path = format!("/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list");
            machine.read(&path).ok().and_then(|text| cpu_list(&text)).unwrap_or_else(|| vec![first])
        }
    }
}

fn numbers_in(machine: &Machine, directory: &str) -> Vec<usize> {
    machine.list(directory).iter().filter_map(|name| name.parse().ok()).collect()
}

/// The interface of the default route with the best metric; columns as in proc_net(5).
fn default_route(machine: &Machine) -> Option<String> {
    let routes = machine.read("/proc/net/route").ok()?;
    let defaults = routes.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        let metric: u32 = fields.get(6)?.parse().ok()?;
        is_default.then(|| (metric, fields[0].to_owned()))
    });
    defaults.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::machine::with_files as machine;

    const ONLINE: (&str, &str) = ("/sys/devices/system/cpu/online", "0-3\n");

    #[test]
    fn queues_are_read_out_of_the_names_that_drivers_give() {
        for (name, queue) in [
            ("i40e-eth0-TxRx-11", Some(11)),
            ("eth0-fp-3", Some(3)),
            ("ens5-Tx-Rx-0", Some(0)),
            ("mlx4-6@0000:03:00.0", Some(6)),
            ("mlx5_comp23@pci:0000:3b:00.0", Some(23)),
            ("virtio2-input.1", Some(1)),
            ("virtio2-output.1", Some(1)),
            ("mana_q7@pci:7870:00:00.0", Some(7)),
            ("i40e-0000:01:00.0:fdir-TxRx-0", None),
            ("virtio2-config", None),
            ("nvme0q1", None),
        ] {
            assert_eq!(queue_in_name(name), queue, "{name}");
        }
    }

    #[test]
    fn interrupts_belong_to_queues_and_others_are_left_out() {
        let (_root, machine) = machine(&[
            ("/sys/class/net/eth0/device/msi_irqs/30", ""),
            ("/sys/class/net/eth0/device/msi_irqs/9", ""),
            ("/sys/class/net/eth0/device/msi_irqs/31", ""),
            (
                "/proc/interrupts",
                "  CPU0\n 9: 1 PCI-MSI 0-edge eth0-TxRx-1\n 30: 2 x eth0-TxRx-0\n 31: 0 x eth0\n130: 1 a-TxRx-7",
            ),
        ]);
        let expected = [Interrupt { number: 30, queue: 0 }, Interrupt { number: 9, queue: 1 }];
        assert_eq!(interrupts(&machine, "eth0"), expected);
        assert_eq!(interrupts(&machine, "eth1"), []);
    }

    #[test]
    fn without_known_names_every_interrupt_of_the_device_counts() {
        let (_root, machine) = machine(&[
            ("/sys/class/net/eth0/device/msi_irqs/40", ""),
            ("/sys/class/net/eth0/device/msi_irqs/41", ""),
            ("/proc/interrupts", " 40: 1 x odd\n 41: 1 x names\n"),
        ]);
        let expected = [Interrupt { number: 40, queue: 0 }, Interrupt { number: 41, queue: 1 }];
        assert_eq!(interrupts(&machine, "eth0"), expected);
    }

    #[test]
    fn modes_give_interrupts_to_more_or_fewer_processors() {
        let siblings = ("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n");
        let (_root, machine) = machine(&[ONLINE, siblings]);
        let of = |mode| (0..5).map(|queue| list(&processors_of_queue(&machine, mode, queue))).collect::<Vec<_>>();
        assert_eq!(of(IrqMode::Mq), ["0", "1", "2", "3", "0"]);
        assert_eq!(of(IrqMode::SqSplit), ["0", "2", "0", "2", "0"]);
        assert_eq!(of(IrqMode::Sq), ["0"; 5]);
        assert_eq!(of(IrqMode::NoIrqRestrictions), ["0,1,2,3"; 5]);
        let rest = |mode| mask(&processors_without_interrupts(&machine, mode));
        assert_eq!([rest(IrqMode::Mq), rest(IrqMode::NoIrqRestrictions)], ["0", "0"]);
        assert_eq!([rest(IrqMode::SqSplit), rest(IrqMode::Sq)], ["a", "e"]);
    }

    #[test]
    fn every_processor_sends_through_one_queue_and_every_queue_is_used() {
        let (_root, machine) = machine(&[ONLINE]);
        let masks =
            |queues| (0..queues).map(|queue| mask(&processors_sending(&machine, queue, queues))).collect::<Vec<_>>();
        assert_eq!(masks(1), ["f"]);
        assert_eq!(masks(2), ["5", "a"]);
        assert_eq!(masks(4), ["1", "2", "4", "8"]);
        assert_eq!(masks(6), ["1", "2", "4", "8", "1", "2"]);
        let nowhere = Machine::at("/nonexistent");
        assert!(
            processors_sending(&nowhere, 0, 2).is_empty() && processors_of_queue(&nowhere, IrqMode::Mq, 0).is_empty()
        );
    }

    #[test]
    fn masks_have_groups_of_32() {
        assert_eq!(mask(&[]), "0");
        assert_eq!(mask(&[0, 31]), "80000001");
        assert_eq!(mask(&[0, 33, 64]), "1,00000002,00000001");
    }

    #[test]
    fn the_interface_is_the_one_named_or_that_of_the_default_route() {
        let (_root, machine) = machine(&[
            ("/sys/class/net/lo/mtu", ""),
            ("/sys/class/net/eth0/queues/rx-0/rps_cpus", ""),
            ("/sys/class/net/eth0/queues/rx-1/rps_cpus", ""),
            ("/sys/class/net/eth0/queues/tx-0/xps_cpus", ""),
            ("/sys/class/net/eth0/device/vendor", ""),
            (
                "/proc/net/route",
                "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                 lo\t00000000\t010200C0\t3\t0\t0\t500\t00000000\neth0\t00000000\t010200C0\t3\t0\t0\t100\t00000000\n\
                 eth1\t000200C0\t00000000\t1\t0\t0\t0\t00FFFFFF\n",
            ),
        ]);
        let eth0 = Interface { name: "eth0".into(), has_device: true, receive_queues: 2 };
        assert_eq!(Interface::choose(&machine, None), Ok(Some(eth0.clone())));
        assert_eq!(eth0.queues_unsupported(IrqMode::Mq), None);
        let lo = Interface::choose(&machine, Some("lo")).unwrap().unwrap();
        assert!(lo.queues_unsupported(IrqMode::Sq).unwrap().contains("no hardware queues"));
        let error = Interface::choose(&machine, Some("eth7")).unwrap_err();
        assert_eq!(error.to_string(), "no interface \"eth7\"; there are: eth0, lo");
        assert_eq!(Interface::choose(&Machine::at("/nonexistent"), None), Ok(None));
    }
}
