//! What is shipped says what the code says: the package's configuration, the image, the example of several nodes.
//!
//! Not here: building packages, which takes an optimised build; and running under the image's seccomp profile, which
//! `failures` does.

use std::path::{Path, PathBuf};
use uproar::config::{Config, Overrides};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn manifest() -> toml::Table {
    read("Cargo.toml").parse().unwrap()
}

#[test]
fn the_package_brings_every_knob_with_its_default() {
    let shipped = read("deploy/debian/uproar.toml");
    let remedy = "cargo run -- config default > deploy/debian/uproar.toml";
    assert!(shipped == Config::default_toml(), "the knobs have changed: {remedy}");
}

#[test]
fn everything_in_the_package_exists() {
    let manifest = manifest();
    let package = &manifest["package"]["metadata"]["deb"];
    let mut shipped = Vec::new();
    for asset in package["assets"].as_array().unwrap() {
        let [source, directory, mode] = [0, 1, 2].map(|at| asset[at].as_str().unwrap());
        if let Some(program) = source.strip_prefix("target/release/") {
            assert_eq!((directory, mode), ("usr/bin/", "755"), "{program}");
            continue;
        }
        assert_eq!(mode, "644", "{source}");
        let files = matching(source);
        assert!(!files.is_empty(), "nothing matches {source}");
        shipped.extend(files.iter().map(|file| format!("/{directory}{}", file.file_name().unwrap().to_str().unwrap())));
    }
    for conffile in package["conf-files"].as_array().unwrap() {
        assert!(shipped.iter().any(|file| file == conffile.as_str().unwrap()), "{conffile} is not in it");
    }
    let units = &package["systemd-units"];
    let unit = format!("{}/{}.service", units["unit-scripts"].as_str().unwrap(), units["unit-name"].as_str().unwrap());
    let unit = read(&unit);
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("ExecStart");
    assert!(command.starts_with("/usr/bin/uproar serve"), "{command}");
    assert!(command.contains("--config /etc/uproar/uproar.toml") || unit.contains("UPROAR_CONFIG="), "{command}");
}

/// Files of a directory by the end of their names: `docs/*.md`.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((directory, end)) = pattern.split_once('*') else {
        return Some(root().join(pattern)).filter(|path| path.is_file()).into_iter().collect();
    };
    let entries = std::fs::read_dir(root().join(directory)).into_iter().flatten();
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.filter(|path| path.to_str().unwrap().ends_with(end)).collect()
}

#[test]
fn the_image_is_built_with_a_compiler_that_is_new_enough_and_names_the_ports() {
    let image = read("deploy/oci/Containerfile");
    let manifest = manifest();
    let wanted = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let compiler =
        image.lines().find_map(|line| line.strip_prefix("FROM docker.io/library/rust:")).expect("a compiler");
    let numbers = |text: &str| text.split(['.', '-']).map_while(|part| part.parse().ok()).collect::<Vec<u32>>();
    assert!(numbers(compiler) >= numbers(wanted), "{compiler} is older than {wanted}");

    let listen = Config::default().listen;
    let exposed = image.lines().find_map(|line| line.strip_prefix("EXPOSE ")).expect("ports");
    let ports = [(listen.reactions, "udp"), (listen.quic, "udp"), (listen.http, "tcp")];
    let ports = ports.map(|(address, protocol)| format!("{}/{protocol}", address.port()));
    assert_eq!(exposed, ports.join(" "), "all but the admin port");
    assert!(image.contains("\nSTOPSIGNAL SIGTERM\n") && image.contains(":nonroot"));
}

#[test]
fn the_example_of_several_nodes_is_valid() {
    let file = root().join("deploy/nodes/uproar.toml");
    let config =
        Config::load(Some(&file), std::iter::empty(), Overrides::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.quic.key_file.is_some() && !config.drain.duration.is_zero());
    assert_eq!(config.rooms().unwrap().len(), 1);
}
