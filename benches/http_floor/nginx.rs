//! nginx as it would stand in: one process that reads the request and its body and answers `204` to anything.
//!
//! Its configuration leaves out whatever costs time (no access log, no limit of requests on a connection) and reads as
//! much at once as the appliance. Not here: installing it; without it the bench runs without it.

use crate::exchange::RECEIVE_LEN;
use crate::process::{self, Process};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Times that a start is looked at, each after [`LOOK`].
const LOOKS: usize = 1000;
const LOOK: Duration = Duration::from_millis(10);

/// A running nginx and its files.
pub(crate) struct Nginx {
    /// Ends before its directory goes.
    pub(crate) process: Process,
    pub(crate) port: SocketAddr,
    _directory: TempDir,
}

impl Nginx {
    /// Starts it on `core`; `None` when it is not on the `PATH`.
    pub(crate) fn start(core: usize) -> Option<Self> {
        let paths = std::env::var_os("PATH")?;
        let program = std::env::split_paths(&paths).map(|path| path.join("nginx")).find(|program| program.is_file())?;
        let directory = tempfile::tempdir().expect("a temporary directory");
        // It cannot tell which port the kernel chose, so one is chosen for it.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration(directory.path(), port)).expect("the temporary directory is ours");
        let (prefix, file) = (directory.path().display().to_string(), file.display().to_string());
        // It opens its default log before it has read where errors go.
        let process = Process::start(program, &["-p", &prefix, "-c", &file, "-e", "stderr"], Some(core));
        wait_until_it_answers(port);
        Some(Self { process, port, _directory: directory })
    }
}

fn configuration(directory: &Path, port: SocketAddr) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("    {what}_temp_path {}/{what};\n", directory.display()))
        .concat();
    format!(
        "daemon off;\n\
         master_process off;\n\
         error_log stderr crit;\n\
         pid {directory}/nginx.pid;\n\
         events {{ use epoll; worker_connections 4096; }}\n\
         http {{\n{temporary}    \
             access_log off;\n    \
             keepalive_requests 1000000000;\n    \
             keepalive_timeout 1h;\n    \
             client_header_buffer_size {RECEIVE_LEN};\n    \
             server {{ listen {port} backlog=4096; location / {{ return 204; }} }}\n\
         }}\n",
        directory = directory.display()
    )
}

fn wait_until_it_answers(port: SocketAddr) {
    for _ in 0..LOOKS {
        if TcpStream::connect(port).is_ok() {
            return;
        }
        process::wait(LOOK);
    }
    panic!("nginx does not listen on {port}");
}
