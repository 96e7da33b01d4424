//! Replays the corpora of the fuzz targets with the targets' own checks (`fuzz/`), without libFuzzer.
//!
//! Invariant: each check has a corpus, and each corpus a check. Not here: finding new inputs.

#[path = "../fuzz/src/lib.rs"]
pub mod checks;

use std::fs;
use std::path::{Path, PathBuf};

/// Places at which each file is also cut off.
const CUTS: usize = 12;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Says which file a check fails on.
struct Failing<'a>(&'a Path);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this happens with {}", self.0.display());
        }
    }
}

fn replay(target: &str) {
    let (_, check) = checks::CHECKS.into_iter().find(|(name, _)| *name == target).expect("a check of this name");
    let files = entries(&corpus(target));
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    for file in files {
        let _failing = Failing(&file);
        let bytes = fs::read(&file).unwrap();
        check(&bytes);
        // And what is left of it where a connection breaks.
        (0..bytes.len()).step_by(bytes.len() / CUTS + 1).for_each(|len| check(&bytes[..len]));
    }
}

macro_rules! replays {
    ($($target:ident),+) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })+

        #[test]
        fn every_target_has_a_check_a_corpus_and_a_file() {
            let names = [$(stringify!($target)),+];
            assert_eq!(checks::CHECKS.map(|(name, _)| name), names);
            let folders: Vec<_> = names.into_iter().map(corpus).collect();
            assert_eq!(entries(corpus("").as_path()), folders);
            let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
            assert_eq!(entries(&targets), names.map(|name| targets.join(format!("{name}.rs"))));
        }
    };
}

replays!(hello, http_json, http_request, reaction_datagram, room_stream, shard_http, webtransport);
