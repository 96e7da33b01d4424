//! `watch`: servers that go and come back, and viewers that leave.

use crate::support::{Running, Server, loadgen};

fn watch(server: &Server) -> Running {
    let quic = format!("--quic=localhost:{}", server.quic.port());
    let running = Running::start(loadgen(&["watch", &quic]));
    running.await_out("window ");
    running
}

#[test]
fn a_server_that_is_killed_is_said_to_be_gone_and_is_found_again() {
    let first = Server::start();
    let running = watch(&first);
    let quic = first.quic.to_string();
    first.kill();
    running.await_err(&format!("{quic}: "));
    running.await_err("; trying again\n");
    let second = Server::at(&quic);
    running.await_err(&format!("{quic}: connected again\n"));
    let seen = running.out().len();
    crate::support::eventually("frames of the second server", || (running.out().len() > seen).then_some(()));
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
    second.await_goodbyes();
}

#[test]
fn a_viewer_that_is_told_to_end_says_goodbye() {
    for name in ["INT", "TERM", "HUP"] {
        let server = Server::start();
        let running = watch(&server);
        running.signal(name);
        let ended = running.wait();
        assert_eq!((ended.code(), ended.err.as_str()), (Some(0), ""), "SIG{name}");
        server.await_goodbyes();
    }
}

#[test]
fn a_viewer_whose_reader_has_gone_says_goodbye() {
    let server = Server::start();
    let quic = format!("--quic={}", server.quic);
    let (running, stdout, _stderr) = Running::unread(loadgen(&["watch", &quic]));
    drop(stdout);
    assert_eq!(running.wait().code(), Some(141));
    server.await_goodbyes();
}

#[test]
fn a_server_that_is_not_there_at_first_is_an_error() {
    let server = Server::start();
    let quic = format!("--quic={}", server.quic);
    server.kill();
    let ended = Running::start(loadgen(&["watch", &quic])).wait();
    assert_eq!(ended.code(), Some(1), "{ended:?}");
    assert!(ended.err.starts_with("error: "), "{ended:?}");
}
