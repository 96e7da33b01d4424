//! `uproar tune` as an operator meets it: the real program on a directory that looks like a machine.
//!
//! Invariant: the machine that runs the tests is only looked at. Not here: comparing values and finding files, which is
//! tested beside the code in `src/tune`.

use std::collections::BTreeMap;
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
fn the_script_does_the_same_and_can_be_reverted() {
    for profile in Profile::ALL {
        let (by_script, by_program) = (Machine::new(), Machine::new());
        let before = by_script.everything();
        let ran = by_script.run_script(&format!("--profile {profile}"));
        assert_eq!(ran.code, Some(0), "{profile}: {}", ran.error);
        assert_eq!(by_program.tune(&format!("apply --profile {profile}")).code, Some(0));
        for (path, bytes) in by_program.everything() {
            let path = by_script.path(path.strip_prefix(by_program.0.path()).unwrap().to_str().unwrap());
            assert_eq!(
                String::from_utf8(std::fs::read(&path).unwrap()),
                String::from_utf8(bytes),
                "{}",
                path.display()
            );
        }
        assert_eq!(by_script.tune("revert").code, Some(0));
        assert_eq!(by_script.everything(), before, "{profile}");
    }
}

#[test]
fn a_script_run_again_changes_nothing_and_keeps_the_first_values() {
    let machine = Machine::new();
    let before = machine.everything();
    let script = machine.tune("script --profile edge");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &script.out).unwrap();
    let first = sh(&[], file.path());
    assert!(first.out.contains("/proc/sys/net/core/rmem_max: 4194304 -> 67108864\n"), "{}", first.out);
    let tuned = machine.everything();
    let second = sh(&[], file.path());
    assert_eq!((second.code, second.out.as_str()), (Some(0), ""));
    assert_eq!(machine.everything(), tuned);
    // Another way of tuning after the script's does not take the script's values for the old ones.
    machine.holds("/proc/sys/net/core/rmem_max", "1");
    assert_eq!(machine.tune("apply --profile dev").code, Some(0));
    assert_eq!(machine.tune("revert").code, Some(0));
    assert_eq!(machine.everything(), before);
}

#[test]
fn a_file_that_refuses_fails_the_run_and_stops_no_other() {
    for way in ["apply", "script"] {
        let machine = Machine::new();
        let refusing = machine.path("/proc/sys/net/core/rmem_max");
        std::fs::remove_file(&refusing).unwrap();
        // Can be read, and refuses to be written whoever asks.
        std::os::unix::fs::symlink("/proc/version", &refusing).unwrap();
        let answer =
            if way == "apply" { machine.tune("apply --profile dev") } else { machine.run_script("--profile dev") };
        assert_eq!(answer.code, Some(1), "{way}: {}", answer.out);
        assert!(answer.error.contains("rmem_max"), "{way}: {}", answer.error);
        assert_eq!(machine.read("/proc/sys/net/core/netdev_max_backlog"), "16384", "{way}");
        let reverted = machine.tune("revert");
        assert_eq!(reverted.code, Some(0), "{way}: what was never changed needs no restoring: {}", reverted.error);
        assert_eq!(machine.read("/proc/sys/net/core/netdev_max_backlog"), "1000", "{way}");
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
fn the_table_of_knobs_is_complete() {
    let readme = include_str!("../tuning/README.md");
    for profile in Profile::ALL {
        for file in [profile.sysctl_file(), profile.device_file()] {
            for setting in profile::parse(file).unwrap() {
                let knob = setting.name.rsplit('/').next().unwrap();
                let row = readme.lines().find(|line| line.starts_with(&format!("| `{knob}` ")));
                let row = row.unwrap_or_else(|| panic!("tuning/README.md has no row for {knob}"));
                assert_eq!(row.matches(" | ").count(), 5, "knob, value, why, how measured, undo, source: {row}");
            }
        }
    }
}

#[test]
fn files_that_say_the_same_agree() {
    let wanted = |file, name: &str| {
        let settings = profile::parse(file).unwrap();
        settings.into_iter().find(|setting| setting.name.ends_with(name)).unwrap_or_else(|| panic!("no {name}")).value
    };
    let nic = include_str!("../tuning/nic.sh");
    for name in ["gro_flush_timeout", "napi_defer_hard_irqs"] {
        for profile in [Profile::Edge, Profile::Fanout] {
            let line = format!("put \"$net/{name}\" {}\n", wanted(profile.device_file(), name));
            assert!(nic.contains(&line), "tuning/nic.sh has no {line}");
        }
    }
    let limits = include_str!("../tuning/limits.conf");
    for line in limits.lines().filter(|line| line.contains("nofile") && !line.starts_with('#')) {
        let files: u64 = line.split_whitespace().next_back().unwrap().parse().unwrap();
        for profile in [Profile::Edge, Profile::Fanout, Profile::Loadgen] {
            let most: u64 = wanted(profile.sysctl_file(), "fs.nr_open").parse().unwrap();
            assert!(files <= most, "a session with more than fs.nr_open cannot begin: {line}");
        }
    }
}

#[test]
fn scripts_are_posix_sh() {
    for file in ["nic.sh", "governor.sh"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning").join(file);
        let answer = sh(&["-n"], &path);
        assert_eq!((answer.code, answer.error.as_str()), (Some(0), ""), "{file}");
    }
}
