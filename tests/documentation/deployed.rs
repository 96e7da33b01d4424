//! Files that are deployed beside the server, read by the programs that they are for.
//!
//! Not here: whether the alerts ask for metrics that there are, which `loopback` tests.

use crate::checker::{checker, objection};
use crate::page::{read, root};
use std::path::Path;

#[test]
fn bird_reads_its_configuration() {
    let Some(mut bird) = checker("bird") else { return };
    assert_eq!(objection(bird.args(["-p", "-c", "deploy/nodes/bird.conf"]).current_dir(root())), None);
}

#[test]
fn prometheus_reads_its_configuration_and_alerts_fire_when_they_should() {
    for args in [&["check", "config", "scrape.yml"][..], &["test", "rules", "alerts_test.yml"]] {
        let Some(mut promtool) = checker("promtool") else { return };
        assert_eq!(objection(promtool.args(args).current_dir(root().join("deploy/prometheus"))), None);
    }
}

/// The line at the top of the rules, typed on a copy of them.
#[test]
fn addresses_of_runbooks_can_be_changed() {
    let rules = read("deploy/prometheus/alerts.yml");
    let line =
        rules.lines().find_map(|line| line.strip_prefix("#     ").filter(|line| line.starts_with("sed "))).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("alerts.yml"), &rules).unwrap();
    assert_eq!(objection(std::process::Command::new("sh").args(["-c", line]).current_dir(&directory)), None);
    let changed = std::fs::read_to_string(directory.path().join("alerts.yml")).unwrap();
    let urls =
        |text: &str, base: &str| text.lines().filter(|line| line.contains(&format!("runbook_url: {base}"))).count();
    assert_eq!(urls(&changed, "https://runbooks.example.com/uproar#alert-"), rules.matches("- alert: ").count());
    assert_eq!(urls(&changed, "file:"), 0);
}

/// With the program of this build in place of the installed one.
#[test]
fn systemd_reads_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let verify = |unit: &Path, text: &str| {
        std::fs::write(unit, text.replace("/usr/bin/uproar", env!("CARGO_BIN_EXE_uproar"))).unwrap();
        checker("systemd-analyze").map(|mut systemd| objection(systemd.args(["verify", "--man=no"]).arg(unit)))
    };
    for unit in ["deploy/systemd/uproar.service", "tuning/uproar-tune.service"] {
        let file = directory.path().join(Path::new(unit).file_name().unwrap());
        let Some(objection) = verify(&file, &read(unit)) else { return };
        assert_eq!(objection, None, "{unit}");
    }
    let wrong = verify(&directory.path().join("wrong.service"), "[Service]\nType=nothing\n").unwrap();
    assert!(wrong.is_some(), "it objects to what is wrong");
}
