//! Serves HTTP connections, and limits their number, their duration and what they keep from others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use super::{Dashboard, routes};
use crate::os::guests::{Guest, Place};
use crate::os::hosts::{self, Reached};
use crate::os::pace::Paced;

/// How long a request's head may take to arrive, and how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(15);

/// Maximum duration of a connection.
const LONGEST: Duration = Duration::from_secs(600);

/// Maximum size of a request's head, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// How much of an answer the kernel holds for a client, in bytes: more would hide that it takes nothing.
const SENDING: usize = 128 << 10;

/// Threads for reading the store and rendering; their number is limited where they are used.
const BLOCKING_THREADS: usize = 16;

type Routes = TowerToHyperService<axum::Router>;

/// Serves `dashboard` at `listen` until SIGTERM or SIGINT. Calls `listening` with the address once it accepts connections.
///
/// # Errors
/// Fails if it cannot listen there.
pub fn serve(dashboard: &Arc<Dashboard>, listen: &str, listening: impl FnOnce(SocketAddr)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .context("runtime")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr().context("its own address")?;
        listening(address);
        let (mut terminated, mut interrupted) =
            (signal(SignalKind::terminate()).context("signals")?, signal(SignalKind::interrupt()).context("signals")?);
        tokio::select! {
            () = accept(&listener, dashboard, address.ip().to_canonical().is_loopback()) => {}
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        Ok::<_, anyhow::Error>(())
    })?;
    // Requests in progress get a moment to finish.
    runtime.shutdown_timeout(Duration::from_secs(2));
    Ok(())
}

async fn accept(listener: &TcpListener, dashboard: &Arc<Dashboard>, is_local: bool) {
    let routes = TowerToHyperService::new(dashboard.clone().routes());
    loop {
        match listener.accept().await {
            // Without a place, the client is told nothing: it would have to be waited for.
            Ok((stream, peer)) => {
                let Some(place) = dashboard.guests.enter(peer.ip().to_canonical()) else { continue };
                tokio::spawn(attend(stream, place, routes.clone(), dashboard.clone(), is_local));
            }
            // Usually the process is out of file descriptors.
            Err(_) => {
                dashboard.guests.send_away_an_idle_one();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Attends to a connection until it ends, has lasted for too long, or has to go.
async fn attend(stream: TcpStream, place: Place, routes: Routes, dashboard: Arc<Dashboard>, is_local: bool) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SENDING);
    let guest = place.guest.clone();
    let service = service_fn(|request| answer(&guest, &routes, &dashboard, is_local, request));
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(Paced::new(stream, guest.clone())), service);
    tokio::select! {
        // An error concerns this client alone, which has gone or used up its time.
        _ = tokio::time::timeout(LONGEST, exchange) => {}
        () = guest.leave.notified() => {}
    }
}

async fn answer(
    guest: &Arc<Guest>,
    routes: &Routes,
    dashboard: &Dashboard,
    is_local: bool,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let began = Instant::now();
    guest.asks();
    let reached = Reached { program: "cloud-monitor", section: "dashboard", names: &dashboard.config.hosts };
    let checked = hosts::check(&request, is_local, reached);
    let answer = match checked {
        Ok(()) => {
            request.extensions_mut().insert(guest.clone());
            routes.call(request).await
        }
        Err(failure) => {
            let (status, message) = failure;
            dashboard.counts.request(routes::REFUSED, status.as_u16(), began.elapsed());
            Ok(routes::Failure(status, message).into_response())
        }
    };
    guest.is_answered();
    answer
}
