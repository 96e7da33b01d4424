//! `uproar tune` as an operator meets it: the real program on a directory that looks like a machine.
//!
//! Invariant: the machine that runs the tests is only looked at. Not here: comparing values and finding files, which is
//! tested beside the code in `src/tune`.

mod files;
mod refused;
mod scripts;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use uproar::tune::profile::{self, Profile};

/// Four processors, an interface with two queues, and a kernel with its defaults, as far as the profiles ask for it.
const MACHINE: &[(&str, &str)] = &[
    ("/proc/sys/kernel/random/boot_id", "b0075"),
    ("/proc/sys/net/core/rmem_max", "4194304"),
    ("/proc/sys/net/core/wmem_max", "4194304"),
    ("/proc/sys/net/core/optmem_max", "131072"),
    ("/proc/sys/net/core/netdev_max_backlog", "1000"),
    ("/proc/sys/net/core/netdev_budget", "300"),
    ("/proc/sys/net/core/netdev_budget_usecs", "8000"),
    ("/proc/sys/net/core/somaxconn", "4096"),
    ("/proc/sys/net/ipv4/udp_mem", "300000\t393215\t524288"),
    ("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999"),
    ("/proc/sys/vm/swappiness", "60"),
    ("/proc/sys/fs/file-max", "9223372036854775807"),
    (
        "/proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t1\t3\t0\t0\t0\t00000000",
    ),
    ("/proc/interrupts", " CPU0\n 50: 1 MSI eth0-TxRx-0\n 51: 1 MSI eth0-TxRx-1"),
    ("/proc/irq/50/smp_affinity_list", "0-3"),
    ("/proc/irq/51/smp_affinity_list", "0-3"),
    ("/sys/devices/system/cpu/online", "0-3"),
    ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"),
    ("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance"),
    ("/sys/class/net/lo/mtu", "65536"),
    ("/sys/class/net/lo/gro_flush_timeout", "0"),
    ("/sys/class/net/eth0/gro_flush_timeout", "0"),
    ("/sys/class/net/eth0/napi_defer_hard_irqs", "0"),
    ("/sys/class/net/eth0/device/msi_irqs/50", "msix"),
    ("/sys/class/net/eth0/device/msi_irqs/51", "msix"),
    ("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0"),
    ("/sys/class/net/eth0/queues/rx-1/rps_cpus", "0"),
    ("/sys/class/net/eth0/queues/tx-0/xps_cpus", "0"),
    ("/sys/class/net/eth0/queues/tx-1/xps_cpus", "0"),
];

/// A directory that looks like a machine.
struct Machine(tempfile::TempDir);

/// What the program or a script answered.
struct Answer {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for (path, text) in MACHINE {
            machine.holds(path, text);
        }
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn holds(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap().trim_end().to_owned()
    }

    /// `uproar tune` with these words, on this machine.
    fn tune(&self, words: &str) -> Answer {
        let root = ["--root", self.0.path().to_str().unwrap()];
        uproar(words.split_whitespace().chain(root))
    }

    /// Writes the script of these words down, and runs it.
    fn run_script(&self, words: &str) -> Answer {
        let script = self.tune(&format!("script {words}"));
        assert_eq!(script.code, Some(0), "{}", script.error);
        let file = self.path("script.sh");
        std::fs::write(&file, &script.out).unwrap();
        assert!(sh(&["-n"], &file).code == Some(0), "sh cannot read:\n{}", script.out);
        let answer = sh(&[], &file);
        std::fs::remove_file(file).unwrap();
        answer
    }

    /// Every file and what is in it.
    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.0.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    files.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

fn uproar<'a>(words: impl IntoIterator<Item = &'a str>) -> Answer {
    answer(Command::new(env!("CARGO_BIN_EXE_uproar")).arg("tune").args(words))
}

fn sh(flags: &[&str], file: &Path) -> Answer {
    answer(Command::new("sh").args(flags).arg(file))
}

fn answer(command: &mut Command) -> Answer {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: status.code(), out: text(stdout), error: text(stderr) }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {}{}", answer.out, answer.error))
}

#[test]
fn check_names_each_gap_with_its_remedy() {
    let machine = Machine::new();
    let before = machine.everything();
    let answer = machine.tune("check --profile edge");
    assert_eq!(answer.code, Some(1), "{}", answer.error);
    for line in [
        "net.core.rmem_max is 4194304, wanted at least 67108864\n",
        "    remedy: sysctl -w net.core.rmem_max=67108864\n",
        "net.core.netdev_max_backlog is 1000, wanted at least 16384\n",
        "    remedy: sysctl -w net.ipv4.udp_mem=\"300000 393216 524288\"\n",
        "    remedy: echo performance > /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor\n",
        "    remedy: echo 1 > /proc/irq/51/smp_affinity_list\n",
        "    remedy: echo a > /sys/class/net/eth0/queues/tx-1/xps_cpus\n",
        "    remedy: ethtool -N eth0 rx-flow-hash udp4 sdfn; ethtool -N eth0 rx-flow-hash udp6 sdfn\n",
    ] {
        assert!(answer.out.contains(line), "no {line:?} in:\n{}", answer.out);
    }
    for met in ["netdev_budget_usecs", "cpu1/cpufreq", "fs.file-max", "optmem_max", "rps_cpus"] {
        assert!(!answer.out.contains(met), "{met} in:\n{}", answer.out);
    }
    assert_eq!(machine.everything(), before, "looking changes nothing");
}

#[test]
fn apply_closes_the_gaps_and_revert_restores_every_byte() {
    for profile in Profile::ALL {
        let machine = Machine::new();
        let before = machine.everything();
        for _ in 0..2 {
            let applied = machine.tune(&format!("apply --profile {profile}"));
            assert_eq!(applied.code, Some(0), "{profile}: {}", applied.error);
            let checked = machine.tune(&format!("check --profile {profile}"));
            assert_eq!(checked.code, Some(0), "{profile}: {}", checked.out);
        }
        assert_ne!(machine.everything(), before);
        for _ in 0..2 {
            let reverted = machine.tune("revert");
            assert_eq!(reverted.code, Some(0), "{profile}: {}", reverted.error);
            assert_eq!(machine.everything(), before, "{profile}");
        }
    }
}

#[test]
fn what_the_machine_lacks_is_unsupported_and_no_gap() {
    let machine = Machine::new();
    let listed = json(&machine.tune("list --profile edge --interface lo --json"));
    let tuner = |name: &str| {
        let tuners = listed["tuners"].as_array().unwrap();
        tuners.iter().find(|tuner| tuner["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    for name in ["kernel.numa_balancing", "net.netfilter.nf_conntrack_max", "/sys/class/net/IF/gro_flush_timeout"] {
        let tuner = tuner(name);
        assert_eq!((&tuner["supported"], &tuner["gap"]), (&false.into(), &false.into()), "{tuner}");
        assert!(tuner["unsupported"].as_str().is_some_and(|why| !why.is_empty()), "{tuner}");
    }
    let known = tuner("net.core.somaxconn");
    assert_eq!((&known["supported"], &known["current"]), (&true.into(), &"4096".into()));
    assert_eq!(machine.tune("apply --profile edge --interface lo").code, Some(0));
    assert_eq!(machine.read("/sys/class/net/lo/gro_flush_timeout"), "0");
    assert_eq!(machine.read("/sys/class/net/eth0/gro_flush_timeout"), "0", "the other interface is not touched");
}

#[test]
fn programs_get_what_people_get() {
    let machine = Machine::new();
    let checked = machine.tune("check --profile dev --json");
    assert_eq!(checked.code, Some(1));
    let gaps = json(&checked);
    assert_eq!(gaps["profile"], "dev");
    let names: Vec<_> =
        gaps["tuners"].as_array().unwrap().iter().map(|tuner| tuner["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["net.core.rmem_max", "net.core.wmem_max", "net.core.netdev_max_backlog"]);
    let applied = json(&machine.tune("apply --profile dev --json"));
    let first = serde_json::json!({ "name": "net.core.rmem_max", "from": "4194304", "to": "8388608" });
    assert_eq!(applied["changed"][0], first);
    assert_eq!(json(&machine.tune("revert --json"))["changed"].as_array().unwrap().len(), 3);
}

#[test]
fn values_may_be_kept_elsewhere() {
    let machine = Machine::new();
    let before = machine.everything();
    let elsewhere = tempfile::tempdir().unwrap();
    let state_dir = format!("--state-dir {}", elsewhere.path().display());
    assert_eq!(machine.tune(&format!("apply --profile dev {state_dir}")).code, Some(0));
    assert!(!machine.path("/var").exists());
    assert!(machine.tune("revert").out.contains("0 restored"), "not where the values are");
    assert_eq!(machine.tune(&format!("revert {state_dir}")).code, Some(0));
    assert_eq!(machine.everything(), before);
}

#[test]
fn wrong_usage_exits_with_2() {
    let machine = Machine::new();
    for words in ["check --profile laptop", "list --interface eth7", "check --irq-mode many", "", "dance"] {
        assert_eq!(machine.tune(words).code, Some(2), "{words:?}");
    }
    assert_eq!(uproar(["check", "--root", "/nonexistent"]).code, Some(2), "not a machine without gaps");
    assert!(machine.tune("list --interface eth7").error.contains("eth0, lo"), "says which there are");
}

#[test]
fn this_machine_can_be_looked_at() {
    for profile in Profile::ALL {
        let listed = uproar(["list", "--profile", profile.name()]);
        assert_eq!(listed.code, Some(0), "{}", listed.error);
        for setting in profile::parse(profile.sysctl_file()).unwrap() {
            assert!(listed.out.contains(&setting.name) && listed.out.contains(&setting.reason), "{}", setting.name);
        }
        let checked = uproar(["check", "--json", "--profile", profile.name()]);
        let gaps = json(&checked)["tuners"].as_array().unwrap().len();
        assert_eq!(checked.code, Some(if gaps == 0 { 0 } else { 1 }));
    }
}

#[test]
fn what_no_file_can_set_is_named_where_there_are_several_queues() {
    let machine = Machine::new();
    let applied = machine.tune("apply --profile edge");
    let checked = machine.tune("check --profile edge");
    for answer in [&applied, &checked] {
        assert_eq!(answer.code, Some(0), "left to the operator, and no failure");
        assert!(answer.out.contains("the hash of eth0 on ports is left to you\n"), "{}", answer.out);
    }
    assert!(checked.out.contains("no gaps to profile edge in what files can set"), "{}", checked.out);
    let left = &json(&machine.tune("check --json"))["left"];
    assert!(left[0]["undo"].as_str().is_some_and(|undo| undo.contains("udp4 sd;")), "{left}");
    assert!(!machine.tune("revert").out.contains("ethtool"), "not what revert undoes");
    std::fs::remove_dir_all(machine.path("/sys/class/net/eth0/queues/rx-1")).unwrap();
    for words in ["apply --profile edge", "script --profile edge", "apply --profile dev"] {
        let answer = machine.tune(words);
        assert!(!answer.out.contains("rx-flow-hash"), "{words}: {}", answer.out);
    }
}
