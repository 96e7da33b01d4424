//! When a value is good enough, and which value to write when it is not.
//!
//! Invariant: a value that a rule gives as target satisfies that rule, and never takes away what the machine has beyond
//! what is wanted. Not here: where values are read.

use super::tuner::IO_URING_DISABLED;
use crate::edge::machine::cpu_list;

/// How a current value is compared with the wanted one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// The same, field by field.
    Exactly,
    /// A maximum or a size: more is fine, field by field.
    AtLeast,
    /// Less is fine.
    AtMost,
    /// A range of numbers that holds the wanted one.
    Covers,
    /// The same processors, as a list: `0-3,8`.
    CpuList,
    /// The same processors, as a mask: `00000001,0000000f`.
    CpuMask,
}

impl Rule {
    /// The rule for a sysctl's name or a file's path.
    pub fn of(name: &str) -> Self {
        match name {
            "net.core.rmem_max"
            | "net.core.wmem_max"
            | "net.ipv4.udp_mem"
            | "net.core.optmem_max"
            | "net.core.netdev_max_backlog"
            | "net.core.netdev_budget"
            | "net.core.netdev_budget_usecs"
            | "net.core.somaxconn"
            | "net.ipv4.tcp_max_syn_backlog"
            | "net.netfilter.nf_conntrack_max"
            | "fs.nr_open"
            | "fs.file-max" => Self::AtLeast,
            "vm.swappiness" | "net.ipv4.tcp_fin_timeout" | IO_URING_DISABLED => Self::AtMost,
            // 2 answers every SYN with a cookie: for tests of the kernel, but no gap.
            "net.ipv4.tcp_syncookies" => Self::AtLeast,
            "net.ipv4.ip_local_port_range" => Self::Covers,
            path if path.ends_with("/smp_affinity_list") => Self::CpuList,
            path if path.ends_with("/xps_cpus") || path.ends_with("/rps_cpus") => Self::CpuMask,
            _ => Self::Exactly,
        }
    }

    /// Whether `current` is as good as `wanted`.
    pub fn is_met(self, current: &str, wanted: &str) -> bool {
        match self {
            Self::CpuList => matches!((cpu_list(current), cpu_list(wanted)), (Some(is), Some(want)) if is == want),
            Self::CpuMask => mask_digits(current) == mask_digits(wanted),
            Self::Exactly => self.each_field(current, wanted).unwrap_or_else(|| same_words(current, wanted)),
            _ => self.each_field(current, wanted).unwrap_or(false),
        }
    }

    /// What to write where `current` is not as good as `wanted`: fields that are good enough already stay.
    pub fn target(self, current: &str, wanted: &str) -> String {
        let (Some(is), Some(want)) = (numbers(current), numbers(wanted)) else { return wanted.to_owned() };
        if is.len() != want.len() || !matches!(self, Self::AtLeast | Self::AtMost | Self::Covers) {
            return wanted.to_owned();
        }
        let fields = is.iter().zip(&want).enumerate();
        let target =
            fields.map(|(at, (is, want))| if self.field_is_met(at, *is, *want) { is } else { want }.to_string());
        target.collect::<Vec<_>>().join(" ")
    }

    /// The comparison in words, to stand before the wanted value.
    pub fn words(self) -> &'static str {
        match self {
            Self::AtLeast => "at least ",
            Self::AtMost => "at most ",
            Self::Covers => "all of ",
            Self::Exactly | Self::CpuList | Self::CpuMask => "",
        }
    }

    /// As programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exactly => "exactly",
            Self::AtLeast => "at_least",
            Self::AtMost => "at_most",
            Self::Covers => "covers",
            Self::CpuList => "cpu_list",
            Self::CpuMask => "cpu_mask",
        }
    }

    /// `None` when these are not numbers, or not equally many.
    fn each_field(self, current: &str, wanted: &str) -> Option<bool> {
        let (is, want) = (numbers(current)?, numbers(wanted)?);
        let mut fields = is.iter().zip(&want).enumerate();
        (is.len() == want.len()).then(|| fields.all(|(at, (is, want))| self.field_is_met(at, *is, *want)))
    }

    fn field_is_met(self, at: usize, is: u64, want: u64) -> bool {
        match self {
            Self::AtLeast => is >= want,
            Self::AtMost => is <= want,
            Self::Covers if at == 0 => is <= want,
            Self::Covers => is >= want,
            Self::Exactly | Self::CpuList | Self::CpuMask => is == want,
        }
    }
}

/// The kernel separates fields by tabs, people by spaces.
fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split_whitespace().map(|field| field.parse().ok()).collect()
}

/// Whether two values are the same but for the white space between their fields.
pub fn same_words(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// A mask's digits without what is only notation: commas, leading zeros, upper case.
fn mask_digits(mask: &str) -> String {
    let digits: String = mask.trim().to_ascii_lowercase().chars().filter(|&digit| digit != ',').collect();
    digits.trim_start_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_of_a_maximum_is_fine_and_less_is_not() {
        let rule = Rule::of("net.core.rmem_max");
        assert!(rule.is_met("67108864", "67108864") && rule.is_met("134217728", "67108864"));
        assert!(!rule.is_met("4194304", "67108864"));
        assert!(rule.is_met("9223372036854775807", "2097152"), "what fs.file-max is under systemd");
        assert!(!rule.is_met("many", "1"));
        assert!(Rule::of("vm.swappiness").is_met("1", "10") && !Rule::of("vm.swappiness").is_met("60", "10"));
    }

    #[test]
    fn fields_are_compared_one_by_one_as_numbers() {
        let rule = Rule::of("net.ipv4.udp_mem");
        assert!(rule.is_met("575802\t767736\t1151604", "262144 393216 524288"));
        assert!(!rule.is_met("9999999\t393215\t524288", "262144 393216 524288"));
        assert!(!rule.is_met("262144\t393216", "262144 393216 524288"), "a field is missing");
        assert!(!rule.is_met("99999", "100000"), "numbers, not texts");
    }

    #[test]
    fn a_range_may_be_wider_but_not_narrower() {
        let rule = Rule::of("net.ipv4.ip_local_port_range");
        assert!(rule.is_met("1024\t65535", "10240 65535") && rule.is_met("10240\t65535", "10240 65535"));
        assert!(!rule.is_met("32768\t60999", "10240 65535"));
        assert!(!rule.is_met("1024\t60999", "10240 65535"));
    }

    #[test]
    fn everything_else_is_equal_or_a_gap() {
        let rule = Rule::of("kernel.numa_balancing");
        assert!(rule.is_met("0", "0") && !rule.is_met("1", "0"));
        let governor = Rule::of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        assert!(governor.is_met("performance", "performance") && !governor.is_met("powersave", "performance"));
    }

    #[test]
    fn processors_are_compared_by_what_is_meant() {
        let list = Rule::of("/proc/irq/38/smp_affinity_list");
        assert!(list.is_met("0-1", "0,1") && !list.is_met("0-1", "0") && !list.is_met("all", "all"));
        let mask = Rule::of("/sys/class/net/eth0/queues/tx-0/xps_cpus");
        assert!(mask.is_met("00000000,0000000F", "f") && mask.is_met("0", "00000000,00000000"));
        assert!(!mask.is_met("1,00000000", "1"));
    }

    #[test]
    fn the_target_takes_nothing_away() {
        assert_eq!(Rule::AtLeast.target("9999999\t1\t524289", "262144 393216 524288"), "9999999 393216 524289");
        assert_eq!(Rule::Covers.target("1024\t60999", "10240 65535"), "1024 65535");
        assert_eq!(Rule::AtMost.target("60", "10"), "10");
        assert_eq!(Rule::Exactly.target("2", "1"), "1");
        assert_eq!(Rule::AtLeast.target("1 2", "1 2 3"), "1 2 3");
    }

    proptest::proptest! {
        #[test]
        fn a_target_meets_its_rule(
            current in proptest::collection::vec(0u64..100, 1..4), wanted in proptest::collection::vec(0u64..100, 1..4),
        ) {
            let text = |fields: &[u64]| fields.iter().map(u64::to_string).collect::<Vec<_>>().join("\t");
            for rule in [Rule::Exactly, Rule::AtLeast, Rule::AtMost, Rule::Covers] {
                let target = rule.target(&text(&current), &text(&wanted));
                proptest::prop_assert!(rule.is_met(&target, &text(&wanted)), "{:?} {}", rule, target);
            }
        }
    }
}
