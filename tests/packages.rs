//! What is shipped says what the code says: the package's configuration, the image, the example of several nodes.
//!
//! Not here: building packages, which takes an optimised build; and running under the image's seccomp profile, which
//! `failures` does.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
        assert_eq!(mode, if source.ends_with(".sh") { "755" } else { "644" }, "{source}");
        let files = matching(source);
        assert!(!files.is_empty(), "nothing matches {source}");
        shipped.extend(files.iter().map(|file| format!("/{directory}{}", file.file_name().unwrap().to_str().unwrap())));
    }
    for conffile in package["conf-files"].as_array().unwrap() {
        assert!(shipped.iter().any(|file| file == conffile.as_str().unwrap()), "{conffile} is not in it");
    }
    for unit in package["systemd-units"].as_array().unwrap() {
        let [scripts, name] = ["unit-scripts", "unit-name"].map(|key| unit[key].as_str().unwrap());
        let text = read(&format!("{scripts}/{name}.service"));
        for page in text.lines().filter_map(|line| line.strip_prefix("Documentation=file://")) {
            assert!(shipped.iter().any(|file| file == page), "{name}: {page} is not in the package");
        }
    }
    let every_file_of_tuning = matching("tuning/*").into_iter().filter(|path| path.extension().unwrap() != "service");
    for file in every_file_of_tuning {
        let name = format!("/usr/share/uproar/tuning/{}", file.file_name().unwrap().to_str().unwrap());
        assert!(shipped.contains(&name), "{name} is not in the package");
    }
}

#[test]
fn the_units_run_programs_and_accounts_that_the_package_brings() {
    let server = read("deploy/systemd/uproar.service");
    let command = server.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("ExecStart");
    assert_eq!(command, "/usr/bin/uproar serve --config /etc/uproar/uproar.toml");
    let account = read("deploy/systemd/uproar.sysusers");
    assert!(account.contains("\nu uproar - ") && server.contains("\nUser=uproar\nGroup=uproar\n"));
    assert!(!server.contains("\nDynamicUser="), "an account that lasts can be given keys");
    assert!(server.contains("\nWorkingDirectory=%S/uproar\n") && server.contains("\nStateDirectory=uproar\n"));
    let tune = read("tuning/uproar-tune.service");
    assert!(tune.contains("\nExecStart=-/usr/bin/uproar tune apply"), "what has failed is not stopped");
    assert!(tune.contains("\nExecStop=/usr/bin/uproar tune revert\n"));
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

/// Cargo refuses a manifest whose targets have no files, so they must come along, also those that are not built.
#[test]
fn the_image_is_built_from_everything_that_the_manifest_names() {
    let ignored = read("deploy/oci/Containerfile.dockerignore");
    let ignored: Vec<_> = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let manifest = manifest();
    let mut needed = vec!["Cargo.toml".to_owned(), "Cargo.lock".to_owned(), "src/lib.rs".to_owned()];
    for (kind, directory) in [("bench", "benches"), ("test", "tests"), ("example", "examples"), ("bin", "src/bin")] {
        for target in manifest.get(kind).and_then(|targets| targets.as_array()).into_iter().flatten() {
            let name = target["name"].as_str().unwrap();
            let path = target.get("path").and_then(|path| path.as_str());
            needed.push(path.map_or_else(|| format!("{directory}/{name}"), str::to_owned));
        }
    }
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        needed.push(format!("{}/Cargo.toml", member.as_str().unwrap()));
    }
    // Built into the program.
    needed.extend(["tuning/edge.conf".to_owned(), "tuning/hash_on_ports.sh".to_owned()]);
    assert!(needed.len() > 20, "{needed:?}");
    for file in &needed {
        for pattern in &ignored {
            let at_any_depth = pattern.strip_prefix("**/");
            let hides = at_any_depth.map_or_else(
                || Path::new(file).starts_with(pattern),
                |name| Path::new(file).components().any(|part| part.as_os_str() == name),
            );
            assert!(!hides, "{pattern} keeps {file} from the build");
        }
    }
}

#[test]
fn whoever_stops_a_server_waits_for_its_drain() {
    let file = root().join("deploy/nodes/uproar.toml");
    let config = Config::load(Some(&file), std::iter::empty(), Overrides::default()).unwrap();
    let drain_s = (config.drain.duration + config.drain.timeout).as_secs();
    let readme = read("deploy/oci/README.md");
    let words: Vec<_> = readme.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "--stop-timeout").expect("--stop-timeout");
    assert!(words[at + 1].parse::<u64>().unwrap() > drain_s, "docker kills after {} s", words[at + 1]);
    assert!(readme.contains(&format!("{drain_s} s in")), "the README says {drain_s} s");
}

/// A directory with a `curl` that says 200 and a `birdc` that ends with `disable_code` when it is told to disable; both
/// tell the pipe `told` what they were asked.
fn bird(disable_code: i32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    assert!(Command::new("mkfifo").arg(&told).status().unwrap().success());
    let birdc = format!("#!/bin/sh\necho \"$*\" >'{}'\n[ \"$1\" = enable ] || exit {disable_code}\n", told.display());
    for (name, text) in [("curl", "#!/bin/sh\nprintf 200\n"), ("birdc", birdc.as_str())] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

#[test]
fn the_address_is_announced_at_every_look_and_taken_back_at_the_end() {
    for (disable_code, ended) in [(0, Some(0)), (3, Some(1))] {
        let directory = bird(disable_code);
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.arg(root().join("deploy/nodes/announce.sh")).env("PATH", path).stdout(Stdio::piped());
        let announcing = command.stderr(Stdio::piped()).spawn().unwrap();
        // Open for writing, too, so that the pipe does not end between two looks.
        let told = std::fs::OpenOptions::new().read(true).write(true).open(directory.path().join("told")).unwrap();
        let mut told = BufReader::new(told).lines().map(Result::unwrap);
        for _ in 0..2 {
            assert_eq!(told.next().unwrap(), "enable uproar", "a BIRD that was restarted has forgotten");
        }
        let pid = announcing.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(told.any(|line| line == "disable uproar"));
        let output = announcing.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), ended, "{said}");
        assert_eq!(said.matches(": announced").count(), 1, "only changes are said: {said}");
        assert_eq!(said.contains(": withdrawn"), ended == Some(0), "{said}");
    }
}
