//! A shard that stands still for good, without a panic: whoever supervises the process is not told that all is well.

use crate::fault::Fault;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use crate::support::{DEADLINE, Server};

#[test]
fn a_shard_that_stands_still_starves_the_watchdog() {
    for shard in [1, 0] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let supervisor = UnixDatagram::bind(&path).unwrap();
        supervisor.set_read_timeout(Some(DEADLINE)).unwrap();
        let environment = [format!("NOTIFY_SOCKET={}", path.display()), "WATCHDOG_USEC=400000".to_owned()];
        let fault = Fault::none();
        let launcher = [&fault.launcher()[..], &environment.each_ref().map(String::as_str)].concat();
        let mut server = Server::start_by(&launcher, &["--shards", "2", "--window", "100ms"]);
        let mut message = [0; 4096];
        while !message.starts_with(b"WATCHDOG=1") {
            supervisor.recv(&mut message).expect("it is fed while all is well");
        }
        fault.stop_shard(shard);
        server.await_log("not every shard has turned");
        supervisor.set_nonblocking(true).unwrap();
        // What was told before it stood still.
        while supervisor.recv(&mut message).is_ok() {}
        // Complaining once means that a whole interval has passed; it is silent for as long as we look.
        server.send_sigkill();
        assert_eq!(server.wait_for_end().code, None);
        assert_eq!(supervisor.recv(&mut message).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
