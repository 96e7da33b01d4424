//! What is run by `sh`: the script that the program prints, and those of `tuning/`.
//!
//! Not here: comparing the kernel's values in Rust, which is tested in `src/tune/rule.rs`.

use super::{Machine, answer, set_mode, sh};
use std::path::Path;
use std::process::Command;
use uproar::tune::profile::Profile;

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

/// The kernel answers with another text than it was given.
#[test]
fn a_script_run_again_knows_its_values_in_the_kernels_words() {
    let machine = Machine::new();
    let script = machine.tune("script --profile edge");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &script.out).unwrap();
    assert_eq!(sh(&[], file.path()).code, Some(0));
    machine.holds("/sys/class/net/eth0/queues/tx-0/xps_cpus", "00000000,00000005");
    machine.holds("/sys/class/net/eth0/queues/tx-1/xps_cpus", "00000000,0000000A");
    machine.holds("/proc/irq/51/smp_affinity_list", "1-1");
    machine.holds("/proc/sys/net/ipv4/udp_mem", "300000\t393216\t524288");
    let second = sh(&[], file.path());
    assert_eq!((second.code, second.out.as_str(), second.error.as_str()), (Some(0), "", ""));
}

/// `eth0.100` is a name, and a pattern that `eth0x100` matches.
#[test]
fn names_are_no_patterns() {
    let machine = Machine::new();
    for name in ["eth0x100", "eth0.100"] {
        for (file, text) in [("gro_flush_timeout", "7"), ("napi_defer_hard_irqs", "0"), ("device/vendor", "1")] {
            machine.holds(&format!("/sys/class/net/{name}/{file}"), text);
        }
    }
    let before = machine.everything();
    for name in ["eth0x100", "eth0.100"] {
        assert_eq!(machine.run_script(&format!("--profile edge --interface {name}")).code, Some(0));
    }
    assert_eq!(machine.tune("revert").code, Some(0));
    assert_eq!(machine.everything(), before);
}

/// The fields that a driver hashes on are in the file that the fake `ethtool` keeps.
#[test]
fn the_hash_on_ports_says_how_to_undo_it() {
    let bin = tempfile::tempdir().unwrap();
    let ethtool = r#"#!/bin/sh
fields="$(dirname "$0")/fields"
case $1 in
-N) echo "$5" >"$fields" ;;
-n)
    echo 'UDP over IPV4 flows use these fields for computing Hash flow key:'
    case $(cat "$fields") in *s*) echo 'IP SA' ;; esac
    case $(cat "$fields") in *d*) echo 'IP DA' ;; esac
    case $(cat "$fields") in *f*) echo 'L4 bytes 0 & 1 [TCP/UDP src port]' ;; esac
    case $(cat "$fields") in *n*) echo 'L4 bytes 2 & 3 [TCP/UDP dst port]' ;; esac
    ;;
esac
"#;
    program(bin.path(), "ethtool", ethtool);
    std::fs::write(bin.path().join("fields"), "sd\n").unwrap();
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/hash_on_ports.sh");
    let run = || {
        let line = format!(". '{}'; hash_on_ports eth0 udp4", functions.display());
        answer(Command::new("sh").args(["-c", &line]).env("PATH", path_with(bin.path())))
    };
    let first = run();
    let undo = "eth0: udp4 is hashed on ports\n# undo: ethtool -N eth0 rx-flow-hash udp4 sd\n";
    assert_eq!((first.code, first.out.as_str()), (Some(0), undo), "{}", first.error);
    assert_eq!(run().out, "", "set already");
    program(bin.path(), "ethtool", &ethtool.replace("-N) echo", "-N) : echo"));
    std::fs::write(bin.path().join("fields"), "sd\n").unwrap();
    assert_eq!(run().out, "eth0: the driver does not hash udp4 on ports\n");
}

#[test]
fn an_interface_without_queues_is_left_alone_by_nic_sh() {
    let nic = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/nic.sh");
    let answer = answer(Command::new("sh").arg(nic).arg("lo"));
    assert_eq!((answer.code, answer.out.as_str()), (Some(0), "lo has no hardware queues: nothing to set\n"));
}

#[test]
fn scripts_are_posix_sh() {
    for file in ["nic.sh", "governor.sh", "hash_on_ports.sh"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning").join(file);
        let answer = sh(&["-n"], &path);
        assert_eq!((answer.code, answer.error.as_str()), (Some(0), ""), "{file}");
    }
}

/// Puts a program into a directory.
fn program(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    set_mode(&path, 0o755);
}

/// `PATH` with a directory before all others.
fn path_with(directory: &Path) -> String {
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
}
