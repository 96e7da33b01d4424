//! nginx with the nchan module, as it would stand in: one process, one channel, its events published by HTTP.
//!
//! Its configuration leaves out whatever costs time (no access log), and keeps one message, as the appliance keeps its
//! newest frame. Not here: installing it; without it the bench says so and runs without it.

use crate::message;
use crate::process::{self, Process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const MODULE: &str = "ngx_nchan_module.so";
/// Where streams are asked for.
pub(crate) const PATH: &str = "/room/stream";
/// What an event has beside its data: nchan's own number of a message, a unix time and a count.
const AROUND: &str = "id: 1790000000:0\ndata: \n\n";
/// Starts that are tried, each on a port of its own.
const STARTS: usize = 3;
/// Times that a start is looked at, each after [`LOOK`].
const LOOKS: usize = 1000;
const LOOK: Duration = Duration::from_millis(10);

/// A running nginx and its files.
pub(crate) struct Nchan {
    /// Ends before its directory goes.
    pub(crate) process: Process,
    pub(crate) port: SocketAddr,
    publication: Vec<u8>,
    publisher: BufReader<TcpStream>,
    _directory: TempDir,
}

impl Nchan {
    /// Starts it on `core`; `None`, and says so, when nginx or the module is missing.
    pub(crate) fn start(connections: usize, event_bytes: usize, core: usize) -> Option<Self> {
        let Some((program, module)) = installed() else {
            eprintln!("nginx with nchan is not installed (nginx, libnginx-mod-nchan): left out");
            return None;
        };
        let started = (0..STARTS).find_map(|_| Self::try_start(&program, &module, connections, event_bytes, core));
        Some(started.unwrap_or_else(|| panic!("nginx has ended {STARTS} times, and has said why")))
    }

    /// `None` when it has ended, as it does where somebody else has taken its port meanwhile.
    fn try_start(program: &Path, module: &Path, connections: usize, event_bytes: usize, core: usize) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // It cannot tell which port the kernel chose, so one is chosen for it.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let file = directory.path().join("nginx.conf");
        let text = configuration(directory.path(), module, port, connections);
        std::fs::write(&file, text).expect("the temporary directory is ours");
        let (prefix, file) = (directory.path().display().to_string(), file.display().to_string());
        // It opens its default log before it has read where errors go.
        let mut process = Process::start(program, &["-p", &prefix, "-c", &file, "-e", "stderr"], Some(core));
        let publisher = BufReader::new(connect(&mut process, port)?);
        let data = "x".repeat(event_bytes - AROUND.len());
        let head = format!("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", data.len());
        Some(Self { process, port, publication: (head + &data).into_bytes(), publisher, _directory: directory })
    }

    /// Publishes one message, which goes to everybody.
    pub(crate) fn publish(&mut self) {
        self.publisher.get_mut().write_all(&self.publication).expect("nginx reads");
        let mut line = String::new();
        self.publisher.read_line(&mut line).expect("nginx answers");
        assert!(line.contains(" 201 ") || line.contains(" 202 "), "not published: {line}");
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            self.publisher.read_line(&mut line).expect("nginx answers");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.publisher.read_exact(&mut body).expect("nginx answers");
    }
}

/// The program and the module, which must fit each other and therefore come from where the program says.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let paths = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&paths).map(|path| path.join("nginx")).find(|program| program.is_file())?;
    let about = Command::new(&program).arg("-V").output().ok()?;
    let about = String::from_utf8_lossy(&about.stderr).into_owned();
    let directory = about.split(' ').find_map(|option| option.strip_prefix("--modules-path="))?;
    let module = Path::new(directory.trim()).join(MODULE);
    module.is_file().then_some((program, module))
}

fn configuration(directory: &Path, module: &Path, port: SocketAddr, connections: usize) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("    {what}_temp_path {}/{what};\n", directory.display()))
        .concat();
    format!(
        "load_module {module};\n\
         daemon off;\n\
         master_process off;\n\
         error_log stderr crit;\n\
         pid {directory}/nginx.pid;\n\
         events {{ use epoll; worker_connections {workers}; }}\n\
         http {{\n{temporary}    \
             access_log off;\n    \
             keepalive_requests 1000000000;\n    \
             keepalive_timeout 1h;\n    \
             server {{\n        \
                 listen {port} backlog=4096;\n        \
                 location = {PATH} {{ nchan_subscriber eventsource; nchan_channel_id room; \
                     nchan_subscriber_first_message newest; }}\n        \
                 location = /publish {{ nchan_publisher; nchan_channel_id room; nchan_message_buffer_length 1; }}\n    \
             }}\n\
         }}\n",
        module = module.display(),
        directory = directory.display(),
        // With few left it closes those that wait for a request, as the publisher's does.
        workers = 2 * connections + 256,
    )
}

/// None when the process has ended: whoever listens there then is somebody else.
fn connect(process: &mut Process, port: SocketAddr) -> Option<TcpStream> {
    for _ in 0..LOOKS {
        let connected = TcpStream::connect(port);
        if process.has_ended() {
            return None;
        }
        if let Ok(connection) = connected {
            connection.set_nodelay(true).expect("a connection takes options");
            return Some(connection);
        }
        process::wait(LOOK);
    }
    panic!("nginx does not listen on {port}");
}

const _: () = assert!(AROUND.len() > message::END_LEN);
