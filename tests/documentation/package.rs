//! The Debian package has what its documents name, where they name it.
//!
//! Not here: that each file of the package exists, and what its units run, which `packages` tests.

use crate::page::{Page, files, pages, read, root};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Where the documents are installed, as they lie in the repository.
const DOCUMENTS: &str = "usr/share/doc/uproar";
/// What only those have who have the source: code, tests, and how to change them.
const SOURCE: [&str; 15] = [
    ".ci",
    ".cargo",
    "Cargo.toml",
    "CONTRIBUTING.md",
    "benches",
    "client",
    "clippy.toml",
    "fuzz",
    "src",
    "tests",
    "web/tests",
    "web/install.sh",
    "wire",
    "loadgen/src",
    "web/src",
];

/// Files of the package, by where they are installed: without a slash in front.
pub(crate) fn installed() -> BTreeMap<String, PathBuf> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let mut installed = BTreeMap::new();
    for asset in package["assets"].as_array().unwrap() {
        let [pattern, directory] = [0, 1].map(|at| asset[at].as_str().unwrap());
        for source in matching(pattern) {
            let name = source.file_name().unwrap().to_str().unwrap();
            installed.insert(format!("{directory}{name}"), source.clone());
        }
    }
    for unit in package["systemd-units"].as_array().unwrap() {
        let [scripts, name] = ["unit-scripts", "unit-name"].map(|key| unit[key].as_str().unwrap());
        let source = root().join(scripts).join(format!("{name}.service"));
        installed.insert(format!("usr/lib/systemd/system/{name}.service"), source);
    }
    // Put there by cargo-deb, from `maintainer-scripts` or beside the units.
    installed.insert("usr/lib/sysusers.d/uproar.conf".into(), root().join("deploy/systemd/uproar.sysusers"));
    installed
}

/// Files of a directory by the end of their names; programs that a build makes are taken for granted.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((directory, end)) = pattern.split_once('*') else { return vec![root().join(pattern)] };
    let directory = root().join(directory);
    let here = files(&directory).into_iter().filter(|file| file.parent() == Some(directory.as_path()));
    here.filter(|file| file.to_str().unwrap().ends_with(end)).collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::Normal(name) => plain.push(name),
            _ => {}
        }
    }
    plain.to_str().unwrap().to_owned()
}

fn is_source(path: &str) -> bool {
    SOURCE.iter().any(|source| Path::new(path).starts_with(source))
}

#[test]
fn links_of_installed_documents_lead_to_installed_files() {
    let installed = installed();
    let is_there = |path: &str| installed.keys().any(|file| Path::new(file).starts_with(path));
    let mut missing = Vec::new();
    let mut followed = 0;
    for (path, source) in installed.iter().filter(|(path, _)| path.ends_with(".md") && path.starts_with(DOCUMENTS)) {
        let page = Page::parse(path.clone(), &std::fs::read_to_string(source).unwrap());
        for (line, link) in page.links.iter().filter(|(_, link)| !link.contains("://") && !link.starts_with('#')) {
            followed += 1;
            let target = plain(&Path::new(path).parent().unwrap().join(link.split('#').next().unwrap()));
            let within = target.strip_prefix(&format!("{DOCUMENTS}/")).unwrap_or(&target);
            if !is_there(&target) && !is_source(within) {
                missing.push(format!("{}:{line}: {link} is not at /{target}", source.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(followed > 60, "{followed}");
}

/// Every page is installed, but for those about the source.
#[test]
fn every_page_is_installed() {
    let installed = installed();
    for page in pages().into_iter().filter(|page| !is_source(&page.path)) {
        assert!(installed.contains_key(&format!("{DOCUMENTS}/{}", page.path)), "{} is not in the package", page.path);
    }
}

/// Paths of the package that pages name; what stands below these directories comes from it alone.
#[test]
fn paths_that_pages_name_are_those_of_the_package() {
    let installed = installed();
    let mut named = 0;
    for page in crate::page::pages_and_comments() {
        let spans = page.spans.iter().map(|span| (span.place.as_str(), span.text.as_str()));
        let blocks = page.blocks.iter().map(|block| (block.place.as_str(), block.text.as_str()));
        for (place, text) in spans.chain(blocks) {
            let words = text.split(|c: char| c.is_whitespace() || "`'\"(),;|<>=".contains(c));
            for word in words.map(|word| word.trim_start_matches("file://")) {
                let word = word.split('#').next().unwrap().trim_end_matches(['/', '.', ':']);
                let Some(path) = word.strip_prefix('/') else { continue };
                let is_ours = ["usr/share/uproar", "usr/share/doc/uproar", "usr/bin/uproar", "usr/lib/sysusers.d/"];
                if is_ours.iter().any(|ours| path.starts_with(ours)) && !path.contains('*') {
                    named += 1;
                    let is_there = installed.keys().any(|file| Path::new(file).starts_with(path));
                    assert!(is_there, "{place}: {word} is not in the package");
                }
            }
        }
    }
    assert!(named > 3, "{named}");
}

/// What operators play and configure is in the package, outside of the documentation, which small images leave out.
#[test]
fn what_operators_use_lies_outside_of_the_documentation() {
    let installed = installed();
    for (directory, place) in [
        ("loadgen/scenarios", "usr/share/uproar/scenarios"),
        ("deploy/nodes", "usr/share/uproar/nodes"),
        ("deploy/prometheus", "usr/share/uproar/prometheus"),
        ("deploy/grafana", "usr/share/uproar/grafana"),
        ("tuning", "usr/share/uproar/tuning"),
    ] {
        for file in
            files(&root().join(directory)).iter().filter(|file| file.extension().is_some_and(|end| end != "service"))
        {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(installed.contains_key(&format!("{place}/{name}")), "{directory}/{name} is not in /{place}");
        }
    }
}
