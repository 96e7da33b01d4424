//! A full disk. The server writes its log (which the loopback tests play), its listening lines and, once, its key file; nothing
//! else.

use crate::fault::Fault;
use crate::support::{Server, Viewer};

const ROOM: u32 = 1;
const TWO_SHARDS: [&str; 4] = ["--shards", "2", "--window", "100ms"];

#[test]
fn listening_lines_that_cannot_be_written_are_a_reason_not_to_start() {
    let launcher = ["/bin/sh", "-c", r#"exec "$@" >/dev/full"#, "sh"];
    let ended = Server::begin_by(&launcher, &TWO_SHARDS).wait_for_end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("error: standard output: No space left on device"), "{}", ended.log);
}

#[test]
fn a_key_file_that_cannot_be_made_is_named_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let config = tempfile::NamedTempFile::new().unwrap();
    let key_file = directory.path().join("keys");
    std::fs::write(config.path(), format!("[quic]\nkey_file = {:?}\n", key_file.display().to_string())).unwrap();
    let args = [&TWO_SHARDS[..], &["--config", config.path().to_str().unwrap()]].concat();
    let fault = Fault::none();
    fault.fill_disk();
    let ended = Server::begin_by(&fault.launcher(), &args).wait_for_end();
    assert_eq!((ended.code, ended.drained), (Some(1), None), "{}", ended.log);
    assert!(ended.log.contains("error: quic.key_file = "), "{}", ended.log);
    assert!(ended.log.contains("No space left on device"), "{}", ended.log);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "a server that is started again and again");
}

#[test]
fn a_disk_that_fills_while_serving_goes_unnoticed() {
    let directory = tempfile::tempdir().unwrap();
    let config = tempfile::NamedTempFile::new().unwrap();
    let key_file = directory.path().join("keys");
    std::fs::write(config.path(), format!("[quic]\nkey_file = {:?}\n", key_file.display().to_string())).unwrap();
    let fault = Fault::none();
    let server = fault.start(&[&TWO_SHARDS[..], &["--config", config.path().to_str().unwrap()]].concat());
    fault.fill_disk();
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    viewer.see_taps(ROOM, |viewer| viewer.tap(ROOM, &[(0, 1)]));
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
