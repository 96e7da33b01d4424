//! A shard that stands still for good, without a panic: whoever supervises the process is not told that all is well.

use crate::fault::Fault;
use crate::support::{Server, Supervisor};

#[test]
fn a_shard_that_stands_still_starves_the_watchdog() {
    for shard in [1, 0] {
        let (supervisor, fault) = (Supervisor::new(), Fault::none());
        let environment = [supervisor.variable(), "WATCHDOG_USEC=400000".to_owned()];
        let launcher = [&fault.launcher()[..], &environment.each_ref().map(String::as_str)].concat();
        let mut server = Server::start_by(&launcher, &["--shards", "2", "--window", "100ms"]);
        assert_eq!(supervisor.next()[0], "READY=1");
        supervisor.await_beats(2);
        fault.stop_shard(shard);
        supervisor.waiting();
        // A whole interval has passed by then: one that beats on would have beaten.
        server.await_log("stuck: not every shard has turned");
        let beats = supervisor.waiting();
        assert!(beats.len() <= 1, "only the answer that was on its way: {beats:?}");
        server.send_sigkill();
        assert_eq!(server.wait_for_end().code, None);
        assert_eq!(supervisor.waiting(), Vec::<Vec<String>>::new());
    }
}
