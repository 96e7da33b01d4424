//! Kernels and files that are not as one would like, and a real kernel.
//!
//! Invariant: a real kernel is only written to in namespaces of their own. Not here: which file is meant by a setting.

use super::{Machine, answer, set_mode, sh};
use std::process::Command;
use uproar::tune::saved::{FILE, STATE_DIR};

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
fn a_value_that_the_kernel_bends_is_a_failure_that_says_so() {
    for way in ["apply", "script"] {
        let machine = Machine::new();
        let bending = machine.path("/proc/sys/net/core/rmem_max");
        std::fs::remove_file(&bending).unwrap();
        // Takes everything and answers nothing.
        std::os::unix::fs::symlink("/dev/null", &bending).unwrap();
        let answer =
            if way == "apply" { machine.tune("apply --profile dev") } else { machine.run_script("--profile dev") };
        assert_eq!(answer.code, Some(1), "{way}: {}", answer.out);
        assert!(answer.error.contains("rmem_max: the kernel made  of 8388608"), "{way}: {}", answer.error);
    }
}

#[test]
fn saved_values_that_others_could_have_written_are_not_used() {
    let machine = Machine::new();
    assert_eq!(machine.tune("apply --profile dev").code, Some(0));
    let (directory, file) = (machine.path(STATE_DIR), machine.path(STATE_DIR).join(FILE));
    let tuned = machine.everything();
    let refused = |why: &str| {
        let script = machine.tune("script --profile edge");
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), &script.out).unwrap();
        for answer in [machine.tune("revert"), machine.tune("apply --profile edge"), sh(&[], path.path())] {
            assert_eq!(answer.code, Some(1), "{why}: {}", answer.out);
            assert!(!answer.error.is_empty(), "{why}");
        }
        assert_eq!(machine.everything(), tuned, "{why}");
    };
    set_mode(&directory, 0o777);
    refused("a directory that everybody writes");
    set_mode(&directory, 0o700);
    set_mode(&file, 0o666);
    refused("a file that everybody writes");
    set_mode(&file, 0o600);
    let moved = machine.path(STATE_DIR).with_extension("moved");
    std::fs::rename(&file, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &file).unwrap();
    let answer = machine.tune("revert");
    assert_eq!(answer.code, Some(1), "a link: {}", answer.out);
    std::fs::remove_file(&file).unwrap();
    std::fs::rename(&moved, &file).unwrap();
    std::fs::write(&file, "# boot b0075\n/proc/sys/kernel/core_pattern = |/tmp/x\n").unwrap();
    machine.holds("/proc/sys/kernel/core_pattern", "core");
    assert_eq!(machine.tune("revert").code, Some(1));
    assert_eq!(machine.read("/proc/sys/kernel/core_pattern"), "core", "no profile sets it");
}

/// In a network namespace of its own, and only files that each namespace has for itself: the machine stays as it is.
#[test]
fn a_real_kernel_takes_the_values_and_gives_them_back() {
    let allowed = Command::new("unshare").args(["-rn", "true"]).output().is_ok_and(|output| output.status.success());
    if !allowed {
        eprintln!("skipped: this machine does not allow user and network namespaces");
        return;
    }
    const OWN: [&str; 2] = ["/proc/sys/net/ipv4/ip_local_port_range", "/proc/sys/net/ipv4/tcp_fin_timeout"];
    let of_this_namespace = || OWN.map(|path| std::fs::read_to_string(path).unwrap());
    let before = of_this_namespace();
    let machine = Machine(tempfile::tempdir().unwrap());
    machine.holds("/proc/sys/kernel/random/boot_id", "b0075");
    for path in OWN {
        std::fs::create_dir_all(machine.path(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(path, machine.path(path)).unwrap();
    }
    let script = r#"
        set -u
        values() { cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv4/tcp_fin_timeout; }
        tune() { "$uproar" tune "$@" --profile loadgen --root "$root"; }
        echo '32768 60999' >/proc/sys/net/ipv4/ip_local_port_range && echo 60 >/proc/sys/net/ipv4/tcp_fin_timeout || exit 10
        before=$(values)
        tune check >/dev/null && exit 11
        tune apply && tune check || exit 12
        [ "$(values)" != "$before" ] || exit 13
        tune revert || exit 14
        [ "$(values)" = "$before" ] || exit 15
        tune script >"$root/script.sh" && sh "$root/script.sh" && tune check || exit 16
        [ -z "$(sh "$root/script.sh")" ] || exit 17
        tune revert || exit 18
        [ "$(values)" = "$before" ] || exit 19
    "#;
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", script]);
    command.env("uproar", env!("CARGO_BIN_EXE_uproar")).env("root", machine.0.path());
    let answer = answer(&mut command);
    assert_eq!(answer.code, Some(0), "{}{}", answer.out, answer.error);
    assert_eq!(of_this_namespace(), before);
}
