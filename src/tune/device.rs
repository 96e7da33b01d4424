//! From a setting of devices to files: which files of this machine it means, and what each should hold.
//!
//! A setting names a file with `*` for a number, `IF` for the interface and `IRQ` for each interrupt of its queues; the
//! values `spread` and `rest` stand for processors that depend on the file. Invariant: a setting that means no file says
//! why. Not here: how processors are chosen ([`super::queues`]).

use super::queues::{self, Interface, IrqMode};
use crate::edge::machine::Machine;

/// A file and what it should hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Below the machine's root.
    pub path: String,
    /// The value.
    pub wanted: String,
}

/// The machine's devices as a setting sees them.
#[derive(Clone, Debug)]
pub struct Devices<'a> {
    /// Where they are.
    pub machine: &'a Machine,
    /// The interface that carries the traffic, if one was named or there is a default route.
    pub interface: Option<Interface>,
    /// Which processors take its interrupts.
    pub mode: IrqMode,
}

impl Devices<'_> {
    /// The files that `pattern = value` means.
    ///
    /// # Errors
    /// Why it means none on this machine.
    pub fn places(&self, pattern: &str, value: &str) -> Result<Vec<Place>, String> {
        if pattern.contains("/IRQ/") {
            return self.interrupt_places(pattern, value);
        }
        let pattern = if pattern.contains("/IF/") { self.with_interface(pattern, value)? } else { pattern.to_owned() };
        let paths = expand(self.machine, &pattern);
        let queues = paths.len();
        let places: Vec<_> = paths
            .into_iter()
            .filter(|(path, _)| offers(self.machine, path, value))
            .map(|(path, number)| Place { wanted: self.processors(value, number, queues), path })
            .collect();
        if places.is_empty() { Err("this machine has none that can be set so".to_owned()) } else { Ok(places) }
    }

    fn interrupt_places(&self, pattern: &str, value: &str) -> Result<Vec<Place>, String> {
        let interface = self.interface_with_queues()?;
        let interrupts = queues::interrupts(self.machine, &interface.name);
        let place = |interrupt: &queues::Interrupt| {
            let path = pattern.replace("/IRQ/", &format!("/{}/", interrupt.number));
            let spread = || queues::list(&queues::processors_of_queue(self.machine, self.mode, interrupt.queue));
            Place { path, wanted: if value == "spread" { spread() } else { value.to_owned() } }
        };
        let places: Vec<_> = interrupts.iter().map(place).collect();
        let none = || format!("{} has no interrupts of its own", interface.name);
        if places.is_empty() { Err(none()) } else { Ok(places) }
    }

    fn with_interface(&self, pattern: &str, value: &str) -> Result<String, String> {
        let interface = if value == "rest" { self.interface_with_queues()? } else { self.interface_with_device()? };
        Ok(pattern.replace("/IF/", &format!("/{}/", interface.name)))
    }

    fn interface_with_device(&self) -> Result<&Interface, String> {
        let interface = self.interface.as_ref().ok_or("no default route tells the interface: name it (--interface)")?;
        let without = || format!("{} has no hardware queues", interface.name);
        if interface.has_device { Ok(interface) } else { Err(without()) }
    }

    fn interface_with_queues(&self) -> Result<&Interface, String> {
        let interface = self.interface_with_device()?;
        interface.queues_unsupported(self.mode).map_or(Ok(interface), Err)
    }

    fn processors(&self, value: &str, queue: usize, queues: usize) -> String {
        match value {
            "spread" => queues::mask(&queues::processors_sending(self.machine, queue, queues)),
            "rest" => queues::mask(&queues::processors_without_interrupts(self.machine, self.mode)),
            value => value.to_owned(),
        }
    }
}

/// The files that a path with at most one `*` means, each with the number that stands there, in the order of numbers.
fn expand(machine: &Machine, pattern: &str) -> Vec<(String, usize)> {
    let Some((before, after)) = pattern.split_once('*') else {
        return machine.path(pattern).exists().then(|| (pattern.to_owned(), 0)).into_iter().collect();
    };
    let (directory, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let numbers = machine.list(directory).into_iter().filter_map(|name| name.strip_prefix(prefix)?.parse().ok());
    let mut found: Vec<(String, usize)> = numbers
        .map(|number: usize| (format!("{before}{number}{after}"), number))
        .filter(|(path, _)| machine.path(path).exists())
        .collect();
    found.sort_by_key(|(_, number)| *number);
    found
}

/// Whether a governor is among those that the driver offers; every other file takes what it is given.
fn offers(machine: &Machine, path: &str, value: &str) -> bool {
    let Some(directory) = path.strip_suffix("/scaling_governor") else { return true };
    let offered = machine.read(&format!("{directory}/scaling_available_governors"));
    offered.map_or(true, |offered| offered.split_whitespace().any(|governor| governor == value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::machine::with_files as machine;

    fn devices<'a>(machine: &'a Machine, interface: &str) -> Devices<'a> {
        let interface = Interface::choose(machine, Some(interface)).unwrap();
        Devices { machine, interface, mode: IrqMode::Mq }
    }

    fn texts(places: Vec<Place>) -> Vec<String> {
        places.into_iter().map(|place| format!("{} = {}", place.path, place.wanted)).collect()
    }

    const GOVERNOR: &str = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";

    #[test]
    fn a_star_means_every_number_in_order() {
        let path = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        let paths = [path(0), path(10), path(2)];
        let mut files: Vec<_> = paths.iter().map(|path| (path.as_str(), "powersave")).collect();
        files.push(("/sys/devices/system/cpu/cpufreq/boost", "1"));
        files.push(("/sys/devices/system/cpu/cpu3/online", "0"));
        files.push(("/sys/class/net/lo/mtu", "1"));
        let (_root, machine) = machine(&files);
        let places = devices(&machine, "lo").places(GOVERNOR, "performance").unwrap();
        assert_eq!(texts(places), [0, 2, 10].map(|cpu| format!("{} = performance", path(cpu))));
    }

    #[test]
    fn a_governor_that_the_driver_does_not_offer_is_unsupported() {
        let (_root, machine) = machine(&[
            ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil"),
            ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors", "schedutil userspace"),
            ("/sys/class/net/lo/mtu", "1"),
        ]);
        assert!(devices(&machine, "lo").places(GOVERNOR, "performance").is_err());
        assert!(devices(&machine, "lo").places(GOVERNOR, "userspace").is_ok());
    }

    #[test]
    fn queues_and_interrupts_get_processors_of_their_own() {
        let (_root, machine) = machine(&[
            ("/sys/devices/system/cpu/online", "0-3"),
            ("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0"),
            ("/sys/class/net/eth0/queues/rx-1/rps_cpus", "0"),
            ("/sys/class/net/eth0/queues/tx-0/xps_cpus", "0"),
            ("/sys/class/net/eth0/queues/tx-1/xps_cpus", "0"),
            ("/sys/class/net/eth0/device/msi_irqs/50", ""),
            ("/sys/class/net/eth0/device/msi_irqs/51", ""),
            ("/proc/interrupts", "50: eth0-TxRx-0\n51: eth0-TxRx-1\n"),
        ]);
        let devices = devices(&machine, "eth0");
        let xps = devices.places("/sys/class/net/IF/queues/tx-*/xps_cpus", "spread").unwrap();
        let queue = |at, mask| format!("/sys/class/net/eth0/queues/tx-{at}/xps_cpus = {mask}");
        assert_eq!(texts(xps), [queue(0, "5"), queue(1, "a")]);
        let irq = devices.places("/proc/irq/IRQ/smp_affinity_list", "spread").unwrap();
        assert_eq!(texts(irq), ["/proc/irq/50/smp_affinity_list = 0", "/proc/irq/51/smp_affinity_list = 1"]);
        let sq = Devices { mode: IrqMode::Sq, ..devices };
        let rps = sq.places("/sys/class/net/IF/queues/rx-*/rps_cpus", "rest").unwrap();
        assert!(rps.iter().all(|place| place.wanted == "e") && rps.len() == 2, "{rps:?}");
    }

    #[test]
    fn an_interface_without_a_device_or_none_at_all_says_so() {
        let flush = "/sys/class/net/IF/gro_flush_timeout";
        let (_root, machine) = machine(&[("/sys/class/net/lo/gro_flush_timeout", "0")]);
        let reason = devices(&machine, "lo").places(flush, "20000").unwrap_err();
        assert_eq!(reason, "lo has no hardware queues");
        let nowhere = Devices { machine: &machine, interface: None, mode: IrqMode::Mq };
        for (pattern, value) in [(flush, "20000"), ("/proc/irq/IRQ/smp_affinity_list", "spread")] {
            assert!(nowhere.places(pattern, value).unwrap_err().contains("--interface"), "{pattern}");
        }
    }
}
