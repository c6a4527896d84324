//! The listening sockets: who is let in, and what a connection speaks.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::agents::Agents;
use super::config::Config;
use super::counts::Counts;
use super::room::Room;
use super::series::Series;
use super::streams::{self, Speaks};
use super::{Accept, agents, http, tls};
use crate::os::guests::{Guests, Place};
use crate::os::pace::Paced;
use crate::problem::Problem;
use crate::sources::agents::scanner;
use crate::sources::agents::status::AgentRecord;

/// The file of known series in the state directory.
const SERIES: &str = "qmaster.series";

/// Maximum number of connections, where the machine allows so many files.
const PLACES: usize = 12_000;

/// Files that the process needs for other things than connections.
const OTHER_FILES: usize = 200;

/// How long a client may take to say what it speaks, and for a TLS handshake.
const FIRST: Duration = Duration::from_secs(60);

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// How long those who are being answered have when the listener stops.
const LAST: Duration = Duration::from_secs(5);

/// The most bytes of requests and, apart from them, of streams that are being received. Who sends a stream cannot be told to send
/// it again, so requests must not take its room.
const REQUESTS: usize = 96 << 20;
const STREAMS: usize = 32 << 20;

/// How many bodies are parsed at once.
const PARSED_AT_ONCE: usize = 4;

/// What all connections share.
pub(super) struct Shared {
    pub config: Config,
    pub accept: Arc<dyn Accept>,
    pub counts: Counts,
    pub series: Series,
    pub agents: Agents,
    /// The room of requests, and that of streams.
    pub room: Room,
    pub streams: Room,
    pub parsing: Semaphore,
    pub guests: Arc<Guests>,
    tls: Option<TlsAcceptor>,
    /// Whether the listener is about to stop.
    pub stopping: watch::Receiver<bool>,
}

/// Receives points at all addresses of a config.
pub struct Listener {
    runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Listener {
    /// Begins to listen; what is received goes to `accept`. The directory `state` remembers the known series.
    ///
    /// # Errors
    /// Fails if it cannot listen somewhere, if an address is open to other machines though nothing says who may come, or if
    /// the files of TLS cannot be used.
    pub fn start(config: Config, accept: Arc<dyn Accept>, state: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(PARSED_AT_ONCE)
            .thread_stack_size(2 << 20)
            .enable_all()
            .build()
            .context("runtime")?;
        let tls = config.tls.as_ref().map(|tls| tls::acceptor(tls, !config.tokens.is_empty())).transpose()?;
        let (stop, stopping) = watch::channel(false);
        let mut series = Series::default();
        series.remember(&state.join(SERIES));
        let shared = Arc::new(Shared {
            accept,
            counts: Counts::default(),
            series,
            agents: Agents::open(state.join(agents::FILE)),
            room: Room::new(REQUESTS),
            streams: Room::new(STREAMS),
            parsing: Semaphore::new(PARSED_AT_ONCE),
            guests: Arc::new(Guests::new(places())),
            tls,
            stopping,
            config,
        });
        let mut addresses = Vec::new();
        for (listener, speaks) in runtime.block_on(bind(&shared.config))? {
            let address = listener.local_addr().context("its own address")?;
            let name = match speaks {
                Speaks::Any if shared.tls.is_some() => "HTTPS and QULo's agents",
                Speaks::Any => "HTTP and QULo's agents",
                Speaks::CarbonLines => "Carbon's lines",
                Speaks::CarbonPickles => "Carbon's pickles",
            };
            addresses.push((name, address));
            runtime.spawn(enter(listener, speaks, Arc::clone(&shared)));
        }
        Ok(Self { runtime, shared, stop, addresses })
    }

    /// Describes what it listens to.
    pub fn describe(&self) -> String {
        let all: Vec<_> = self.addresses.iter().map(|(what, address)| format!("{what} at {address}")).collect();
        format!("receives {}", all.join(", "))
    }

    /// Returns the function that tells what was refused since it was called last.
    pub fn problems(&self) -> impl FnMut() -> Vec<Problem> + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            let mut problems = shared.counts.problems();
            problems.extend(shared.series.save().err().map(|error| Problem::of_source("known series", error)));
            let saved = shared.agents.save(Timestamp::now().as_second());
            problems.extend(saved.err().map(|error| Problem::of_source("agents", format!("{error:#}"))));
            problems
        }
    }

    /// Returns the function that tells which agents have said something about themselves since it was called last.
    pub fn agents(&self) -> impl FnMut() -> Vec<AgentRecord> + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.agents.fresh()
    }

    /// Accepts no more connections or requests; returns when those at hand are answered, or after a few seconds.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        let left = std::time::Instant::now() + LAST;
        // Each connection gives back its place.
        while self.shared.guests.count() > 0 && std::time::Instant::now() < left {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        // It is said once a minute if it cannot be written.
        let _ = self.shared.series.save();
        let _ = self.shared.agents.save(Timestamp::now().as_second());
    }
}

/// Returns for how many connections there is room; asks the system for as many files as it allows.
fn places() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min((PLACES + OTHER_FILES) as u64);
    let current = limit.current.unwrap_or(u64::MAX).max(most);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(allowed).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES).clamp(100, PLACES)
}

async fn bind(config: &Config) -> Result<Vec<(TcpListener, Speaks)>> {
    let mut listeners = bind_host(config).await?;
    let listen = config.listen.iter().map(|address| (*address, Speaks::Any));
    let lines = config.carbon_line.map(|address| (address, Speaks::CarbonLines));
    let pickles = config.carbon_pickle.map(|address| (address, Speaks::CarbonPickles));
    for (address, speaks) in listen.chain(lines).chain(pickles) {
        ensure_guarded(address, speaks, config)?;
        listeners.push((listen_at(address).await?, speaks));
    }
    Ok(listeners)
}

/// Listens at the addresses of the host. A name may have several, as localhost has, and its clients choose any of them; but a
/// machine may have no IPv6 though its name has an address of it.
async fn bind_host(config: &Config) -> Result<Vec<(TcpListener, Speaks)>> {
    let shown = format!("[qmaster] host {}, port {}", config.host, config.port);
    let host = (config.host.as_str(), config.port);
    let found: BTreeSet<_> = tokio::net::lookup_host(host).await.with_context(|| shown.clone())?.collect();
    let (mut listeners, mut failed) = (Vec::new(), None);
    for address in found {
        ensure_guarded(address, Speaks::Any, config)?;
        match listen_at(address).await {
            Ok(listener) => listeners.push((listener, Speaks::Any)),
            Err(error) => failed = Some(error),
        }
    }
    if listeners.is_empty() {
        return Err(failed.unwrap_or_else(|| anyhow!("{shown}: it has no address")));
    }
    Ok(listeners)
}

async fn listen_at(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// # Errors
/// Fails if an address is open to other machines though nothing says who may come.
fn ensure_guarded(address: SocketAddr, speaks: Speaks, config: &Config) -> Result<()> {
    let asks_who = speaks == Speaks::Any && config.asks_who();
    ensure!(
        asks_who || config.is_open || address.ip().to_canonical().is_loopback(),
        "[qmaster]: {address} is open to other machines, and nothing says who may come: give tokens or tls_client_ca, or \
         set access = open to let everybody in"
    );
    Ok(())
}

async fn enter(listener: TcpListener, speaks: Speaks, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|is_so| *is_so) => return,
        };
        match accepted {
            // Without a place, the client is told nothing: it would have to be waited for.
            Ok((stream, peer)) => {
                let Some(place) = shared.guests.enter(peer.ip().to_canonical()) else { continue };
                tokio::spawn(attend(stream, place, speaks, Arc::clone(&shared)));
            }
            // Usually the process is out of file descriptors.
            Err(_) => {
                shared.guests.send_away_an_idle_one();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Attends to a connection until it ends or has to go.
async fn attend(stream: TcpStream, place: Place, speaks: Speaks, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let guest = Arc::clone(&place.guest);
    tokio::select! {
        () = converse(stream, &place, speaks, &shared) => {}
        () = guest.leave.notified() => {}
    }
}

async fn converse(mut stream: TcpStream, place: &Place, speaks: Speaks, shared: &Arc<Shared>) {
    let guest = Arc::clone(&place.guest);
    // Nobody on another machine can say who he is in these protocols.
    let may_stream = shared.config.is_open || guest.address.is_loopback();
    if !matches!(speaks, Speaks::Any) {
        if may_stream {
            streams::receive(stream, &guest, speaks, shared).await;
        }
        return;
    }
    let mut first = [0];
    let mut stopping = shared.stopping.clone();
    let peeked = tokio::select! {
        peeked = tokio::time::timeout(FIRST, stream.peek(&mut first)) => peeked,
        _ = stopping.wait_for(|is_so| *is_so) => return,
    };
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    match (first[0], &shared.tls) {
        (scanner::FIRST, _) if may_stream => streams::receive(stream, &guest, speaks, shared).await,
        (scanner::FIRST, _) => shared.counts.ended("qulo", guest.address, "[qmaster] access = open would let it in"),
        (TLS_HANDSHAKE, Some(acceptor)) => {
            let paced = Paced::new(stream, Arc::clone(&guest));
            match tokio::time::timeout(FIRST, acceptor.accept(paced)).await {
                Ok(Ok(tls)) => {
                    let has_certificate = tls.get_ref().1.peer_certificates().is_some();
                    http::serve(tls, &guest, has_certificate, shared).await;
                }
                Ok(Err(error)) => shared.counts.ended("tls", guest.address, &error.to_string()),
                Err(_) => {}
            }
        }
        (_, Some(_)) => {
            // What was sent in the clear is not looked at.
            let _ =
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
            shared.counts.ended("tls", guest.address, "it does not speak TLS");
        }
        (_, None) => http::serve(Paced::new(stream, Arc::clone(&guest)), &guest, false, shared).await,
    }
}
