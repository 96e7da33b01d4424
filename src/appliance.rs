//! Every step of start-up and shut-down, in order, each with the reason for its place. In between: `supervisor`, and
//! what may change meanwhile: `reload`.

mod inputs;
mod reload;
mod supervisor;

pub use inputs::check;

use crate::config::{Config, ConfigSource, Loaded};
use crate::edge::announcement::Announcement;
use crate::edge::board::{Board, Files};
use crate::edge::certificate::Expiry;
use crate::edge::checks::{self, Gap, Gaps, Plan};
use crate::edge::clock::WallClock;
use crate::edge::control::{self, Control, ShardEvent};
use crate::edge::key_file::{KeyFileError, Missing};
use crate::edge::last_words;
use crate::edge::life;
use crate::edge::listen::{self, ListenError, ShardSockets};
use crate::edge::log::Log;
use crate::edge::machine::Machine;
use crate::edge::mesh::{self, MeshEnds};
use crate::edge::opening;
use crate::edge::placement;
use crate::edge::process::ProcessReader;
use crate::edge::shard_loop::{ShardEnd, ShardLoop, ShardStart};
use crate::edge::sys::{descriptor, ring};
use crate::edge::tls::IdentityError;
use crate::ids::ShardId;
use crate::limits::{EXECUTOR_IO_MEMORY, FILES_TO_START, FILES_TO_START_A_SHARD, PREEMPT_AFTER};
use crate::metrics::ProcessMetrics;
use crate::quic::{Keys, QuicConfig, QuicSettings};
use crate::room::Room;
use crate::shard::{ReadProcess, ShardConfig, ShardSettings, WebConfig};
use glommio::{LocalExecutorBuilder, Placement};
use inputs::Inputs;
use reload::{InForce, Prepared, quic_settings, shard_settings};
use std::io;
use std::sync::{Arc, mpsc};
use supervisor::Supervisor;

/// What an executor is made of is a ring and its memory.
const EXECUTOR_REMEDY: &str = "the kernel gave its executor no ring or no memory; raise LimitMEMLOCK= (ulimit -l) or the memory of the control group";

/// Why the appliance did not start, or did not end well. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The kernel offers no io_uring to this process.
    #[error("io_uring is not available: {source}; {remedy}")]
    NoRing {
        /// The kernel's reason.
        source: io::Error,
        /// What to change.
        remedy: &'static str,
    },
    /// Too few open files are allowed for the shards alone.
    #[error(
        "open files: {limit} are allowed, and with shards = {shards} at least {least} are needed before anybody connects; \
         raise LimitNOFILE= (ulimit -n)"
    )]
    TooFewFiles {
        /// What the process may have.
        limit: u64,
        /// Shards asked for.
        shards: usize,
        /// What they need.
        least: u64,
    },
    /// A port cannot be served.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There are no keys.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The certificate does not fit its key, or is of a kind that TLS 1.3 does not know.
    #[error("quic.certificate and quic.private_key: {}; use a chain and the key of its first certificate", tls_text(.0))]
    Tls(#[from] rustls::Error),
    /// The cryptography of this build lacks what QUIC begins with.
    #[error("quic: {0}; use a build with aws-lc")]
    NoInitialCipherSuite(#[from] quinn_proto::crypto::rustls::NoInitialCipherSuite),
    /// The node is strict, and the machine is not as it should be.
    #[error(transparent)]
    Gaps(#[from] Gaps),
    /// The configuration asks for the impossible.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A shard ended on its own.
    #[error("shard {shard}: {reason}; the process ends so that no half of it serves on")]
    Shard {
        /// Which one.
        shard: ShardId,
        /// What it ended with.
        reason: String,
    },
    /// A second signal came before the drain was over.
    #[error("stopped before the drain was over; taps of the last window are lost")]
    Stopped,
    /// The kernel refused something else.
    #[error("{what}: {source}")]
    Kernel {
        /// What was asked of it.
        what: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

impl ServeError {
    /// Whether an operator has to change the configuration, or a file that it names: another start alone will not do.
    pub fn is_of_configuration(&self) -> bool {
        match self {
            Self::Config(_) | Self::Identity(_) | Self::Tls(_) => true,
            Self::Gaps(gaps) => gaps.are_of_configuration(),
            Self::Keys(KeyFileError::NoRandom) => false,
            // A disk may have room again.
            Self::Keys(KeyFileError::Unmade { source, .. }) => {
                !matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Keys(_) => true,
            _ => false,
        }
    }
}

/// What TLS says of a certificate and its key, in words.
fn tls_text(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".into(),
        error => error.to_string(),
    }
}

/// What the main thread waits for.
enum Event {
    /// A shard has said something.
    Shard(ShardEvent),
    /// The configuration has been read again.
    Read(Result<Box<Prepared>, ServeError>),
}

/// Serves what was `loaded` from `source` until the process is told to stop. SIGHUP has `source` read again, and may set the
/// level of `log`. A shard that panics and cannot say so ends the process with `failure`.
///
/// # Errors
/// When the server cannot start, when a shard fails, and when it is told to stop before everything was delivered.
pub fn serve(loaded: Loaded, source: ConfigSource, log: &Log, failure: u8) -> Result<(), ServeError> {
    let Loaded { config, doubts } = loaded;
    // While signals still end the process: a file may take its time.
    let Inputs { rooms, keys, clock, base, certificate } = Inputs::load(&config, Missing::Make)?;
    let configuration_gaps = inputs::gaps(&config, &doubts, &certificate);
    // Before any thread: threads inherit which signals are blocked.
    let signals = descriptor::signals(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP]).map_err(kernel("signals"))?;
    // Before glommio, which ends the process when there is none.
    ring::probe().map_err(|source| ServeError::NoRing { remedy: ring::remedy(&source), source })?;
    raise_open_files();

    let usable = placement::usable_cores();
    let cores = placement::place(config.shards, &usable);
    let files = check_open_files(cores.len())?;
    let expiry = certificate.expiry();
    let read_process = process_reader(expiry.clone(), log)?;

    // Sockets exist before shards: what arrives from now on waits in the kernel.
    let sockets = listen::open(&config, cores.len())?;
    let listening = sockets.listening;
    let locks = sockets.locks;
    opening::log(&config, &cores, rooms.len());
    // Now that the kernel has shown what it gives, and before anybody is served.
    let plan = Plan { config: &config, cores: &cores, usable: &usable, clamps: &sockets.clamps };
    let machine_gaps = checks::gaps(&Machine::at("/"), &plan);
    checks::judge(machine_gaps, configuration_gaps, config.strict)?.iter().for_each(Gap::warn);
    let core_locks = placement::claim(&cores);

    let (events, happened) = mpsc::channel();
    let panicked = events.clone();
    last_words::on_panic(failure, log, move |shard| tell(&panicked, ShardEvent::Panicked(shard)));
    let heard = events.clone();
    let (commander, control) = control::line(signals, move |event| tell(&heard, event)).map_err(kernel("pipe"))?;
    let mut control = Some(control);
    let quic = quic_settings(&config, &certificate);
    let settings = shard_settings(&config, sockets.quic_port, &certificate);
    let announcement = Announcement::of(&config);
    let web = WebConfig { page: config.web.page, origins: Arc::new(config.web.allowed_origins()) };
    let in_force = InForce::new(source, config.clone(), &rooms, certificate, expiry, base, sockets.quic_port);
    let board = Arc::new(Board::new(cores.len(), config.http.connections_max).with_files(files));
    let shared = Shared {
        config: Arc::new(config),
        rooms,
        keys,
        clock,
        settings,
        web,
        quic,
        read_process,
        board,
        shards: cores.len(),
    };
    let meshes = mesh::channels(cores.len());
    for (((id, &core), sockets), mesh) in ShardId::all(cores.len()).zip(&cores).zip(sockets.shards).zip(meshes) {
        // Shard 0 coordinates, so it hears the signals.
        spawn(core, shared.start(id, sockets, mesh, control.take())?, events.clone())?;
    }
    // The shards are on their cores; whatever this thread still does stays off them.
    placement::keep_off(&cores, &usable);

    let mut supervisor = Supervisor::new(cores.len(), (events, happened), commander, in_force, log);
    supervisor.wait_for_start()?;
    announcement.start(&listening).map_err(kernel("standard output"))?;
    opening::log_ready(&listening);
    let total = supervisor.run()?;
    drop((locks, core_locks));
    announcement.end(&total);
    Ok(())
}

/// What shards have in common when they start.
struct Shared {
    shards: usize,
    config: Arc<Config>,
    rooms: Vec<Arc<Room>>,
    keys: Keys,
    clock: Arc<WallClock>,
    settings: ShardSettings,
    web: WebConfig,
    quic: QuicSettings,
    read_process: ReadProcess,
    board: Arc<Board>,
}

impl Shared {
    /// What one of them starts with.
    fn start(
        &self,
        id: ShardId,
        sockets: ShardSockets,
        mesh: MeshEnds,
        control: Option<Control>,
    ) -> Result<ShardStart, ServeError> {
        let config = &self.config;
        let shard = ShardConfig {
            id,
            shards: self.shards,
            window_ms: config.window.as_millis() as u64,
            top_k: config.top_k,
            settings: self.settings.clone(),
            rooms: self.rooms.clone(),
            admin_names: config.listen.admin_names.clone(),
            web: self.web.clone(),
            quic: QuicConfig {
                shard: id,
                shards: self.shards,
                reset_key: self.keys.reset,
                token_key: self.keys.token,
                clock: self.clock.clone(),
                hello_timeout: crate::limits::HELLO_TIMEOUT,
                prefetch: crate::edge::sys::prefetch::prefetch,
                webtransport: config.web.webtransport.then(|| self.web.origins.clone()),
                settings: self.quic.clone(),
            },
            read_process: self.read_process.clone(),
            rng_seed: random()?,
        };
        Ok(ShardStart { shard, config: config.clone(), sockets, mesh, board: self.board.clone(), control })
    }
}

/// What a shard that is scraped reads of the process.
fn process_reader(expiry: Expiry, log: &Log) -> Result<ReadProcess, ServeError> {
    let process = ProcessReader::new().map_err(kernel("page size and clock ticks"))?;
    let lost_lines = log.lost_lines();
    Ok(Arc::new(move || ProcessMetrics {
        certificate_expires: expiry.read(),
        log_lines_lost: lost_lines(),
        ..process.read()
    }))
}

/// Tells the main thread. When that is gone, the process is ending anyway.
fn tell(events: &mpsc::Sender<Event>, event: ShardEvent) {
    let _ = events.send(Event::Shard(event));
}

/// Tells the main thread how a shard's thread ended, also if it never came to its shard. Of panics later than that
/// it hears by [`last_words`].
struct ThreadWatch {
    shard: ShardId,
    events: mpsc::Sender<Event>,
    has_ended: bool,
}

impl ThreadWatch {
    fn tell(&self, event: ShardEvent) {
        tell(&self.events, event);
    }

    fn end(mut self, ended: io::Result<ShardEnd>) {
        self.has_ended = true;
        self.tell(ShardEvent::Ended(self.shard, ended));
    }
}

impl Drop for ThreadWatch {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => self.tell(ShardEvent::Panicked(self.shard)),
            false if self.has_ended => {}
            false => self.tell(ShardEvent::Ended(self.shard, Err(io::Error::other(EXECUTOR_REMEDY)))),
        }
    }
}

fn spawn(core: usize, start: ShardStart, events: mpsc::Sender<Event>) -> Result<(), ServeError> {
    let id = start.shard.id;
    // Made here, as the thread may end before it runs anything of ours.
    let watch = ThreadWatch { shard: id, events, has_ended: false };
    LocalExecutorBuilder::new(Placement::Fixed(core))
        .name(&last_words::thread_name(id))
        .preempt_timer(PREEMPT_AFTER)
        .io_memory(EXECUTOR_IO_MEMORY)
        .spawn(move || async move {
            let ended = match ShardLoop::start(start).await {
                Ok(shard) => {
                    watch.tell(ShardEvent::Started);
                    shard.run().await
                }
                Err(error) => Err(error),
            };
            watch.end(ended);
        })
        .map(drop)
        .map_err(|error| ServeError::Shard { shard: id, reason: error.to_string() })
}

/// Every connection is a descriptor; the soft limit of most systems is too low for a server.
fn raise_open_files() {
    if let Err(error) = descriptor::raise_open_files() {
        tracing::warn!(
            event = life::OPEN_FILES_NOT_RAISED,
            remedy = "raise the limit with `ulimit -n` or LimitNOFILE=",
            "the limit of open files stays as it is: {error}"
        );
    }
}

/// Later, glommio would panic. Says what is left for connections.
fn check_open_files(shards: usize) -> Result<Files, ServeError> {
    let limit = descriptor::open_files_max().map_err(kernel("open files"))?;
    let least = FILES_TO_START + FILES_TO_START_A_SHARD * shards as u64;
    if limit < least { Err(ServeError::TooFewFiles { limit, shards, least }) } else { Ok(Files::of(limit, shards)) }
}

fn random<const N: usize>() -> Result<[u8; N], ServeError> {
    let mut bytes = [0; N];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| ServeError::Kernel { what: "random numbers", source: io::Error::other("the system has none") })?;
    Ok(bytes)
}

fn kernel(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::Kernel { what, source }
}
