//! Which files of a machine tuning may write at all: those that some profile names.
//!
//! Invariant: a path that is known has the parts of a profile's setting, one for one, with nothing free in it but numbers
//! and the interface's name. Not here: which of them this machine has ([`super::device`]).

use super::profile::{self, Profile};

/// Whether some profile sets this file, on whatever machine.
pub(super) fn is_known(path: &str) -> bool {
    Profile::ALL.into_iter().any(|profile| {
        let sysctls = names(profile.sysctl_file()).map(|name| format!("/proc/sys/{}", name.replace('.', "/")));
        let devices = names(profile.device_file());
        sysctls.chain(devices).any(|pattern| matches(&pattern, path))
    })
}

/// # Panics
/// Never on files that passed the tests of [`profile`]; they are part of the program.
fn names(file: &'static str) -> impl Iterator<Item = String> {
    profile::parse(file).expect("the profiles are built in and tested").into_iter().map(|setting| setting.name)
}

fn matches(pattern: &str, path: &str) -> bool {
    let (wanted, is) = (pattern.split('/'), path.split('/'));
    wanted.clone().count() == is.clone().count() && wanted.zip(is).all(|(wanted, is)| part_matches(wanted, is))
}

fn part_matches(wanted: &str, is: &str) -> bool {
    match (wanted, wanted.split_once('*')) {
        ("IF", _) => !matches!(is, "" | "." | ".."),
        ("IRQ", _) => is_number(is),
        (_, Some((before, after))) => {
            is.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(is_number)
        }
        (_, None) => wanted == is,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_profiles_set_is_known() {
        for path in [
            "/proc/sys/net/core/rmem_max",
            "/proc/sys/net/ipv4/tcp_fin_timeout",
            "/sys/devices/system/cpu/cpu12/cpufreq/scaling_governor",
            "/sys/class/net/eth0.100/gro_flush_timeout",
            "/sys/class/net/ens5/queues/tx-3/xps_cpus",
            "/proc/irq/50/smp_affinity_list",
        ] {
            assert!(is_known(path), "{path}");
        }
    }

    #[test]
    fn nothing_else_is_known() {
        for path in [
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/modprobe",
            "/proc/sys/net/core/../../kernel/core_pattern",
            "/proc/sys/net/core/rmem_max/",
            "proc/sys/net/core/rmem_max",
            "/sys/class/net/../gro_flush_timeout",
            "/sys/class/net//gro_flush_timeout",
            "/sys/class/net/a/b/gro_flush_timeout",
            "/sys/devices/system/cpu/cpu/cpufreq/scaling_governor",
            "/sys/devices/system/cpu/cpu1x/cpufreq/scaling_governor",
            "/proc/irq/all/smp_affinity_list",
            "/proc/irq/../smp_affinity_list",
            "",
        ] {
            assert!(!is_known(path), "{path}");
        }
    }
}
