//! The files of `tuning/` agree with one another and with the unit.
//!
//! Not here: whether their values are good, which only measuring says.

use super::Machine;
use uproar::tune::profile::{self, Profile};
use uproar::tune::saved::STATE_DIR;

#[test]
fn the_table_of_knobs_is_complete() {
    let readme = include_str!("../../tuning/README.md");
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
    let limits = include_str!("../../tuning/limits.conf");
    for line in limits.lines().filter(|line| line.contains("nofile") && !line.starts_with('#')) {
        let files: u64 = line.split_whitespace().next_back().unwrap().parse().unwrap();
        for profile in [Profile::Edge, Profile::Fanout, Profile::Loadgen] {
            let most: u64 = wanted(profile.sysctl_file(), "fs.nr_open").parse().unwrap();
            assert!(files <= most, "a session with more than fs.nr_open cannot begin: {line}");
        }
    }
    let locked = limits.lines().filter(|line| line.contains(" memlock ") && !line.starts_with('#'));
    assert!(
        locked.clone().count() == 2 && locked.clone().all(|line| line.ends_with(" unlimited")),
        "as the unit has it"
    );
    assert!(include_str!("../../deploy/systemd/uproar.service").contains("\nLimitMEMLOCK=infinity\n"));
    let unit = include_str!("../../tuning/uproar-tune.service");
    assert!(STATE_DIR == "/var/lib/uproar-tune" && unit.contains("\nStateDirectory=uproar-tune\n"));
}

/// As sysctl.d reads them: set as they are, whatever was there.
#[test]
fn no_sysctl_profile_decides_who_may_use_io_uring() {
    for profile in Profile::ALL {
        let names: Vec<_> = profile::parse(profile.sysctl_file()).unwrap().into_iter().map(|set| set.name).collect();
        assert!(!names.iter().any(|name| name.contains("io_uring")), "{profile}: {names:?}");
    }
}

/// A node that does everything takes one profile: no setting of `edge` is missing in `fanout`, or wanted higher.
#[test]
fn fanout_is_enough_for_a_node_that_takes_taps_too() {
    let machine = Machine::new();
    assert_eq!(machine.tune("apply --profile fanout").code, Some(0));
    for profile in ["fanout", "edge"] {
        let left = machine.tune(&format!("check --profile {profile}"));
        assert_eq!(left.code, Some(0), "{profile}: {}", left.out);
    }
    assert_eq!(machine.tune("check --profile loadgen").code, Some(1), "what no profile but that one sets is missed");
    let names = |profile: Profile| {
        let settings = profile::parse(profile.sysctl_file()).unwrap().into_iter();
        settings.map(|setting| setting.name).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(names(Profile::Fanout).is_superset(&names(Profile::Edge)));
}
