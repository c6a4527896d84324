//! Serves HTTP connections, and limits their number and their duration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

/// Maximum number of connections that are served at once; others wait in the kernel's queue.
const CONNECTIONS: usize = 1000;

/// How long a request's head may take to arrive, and how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(15);

/// Maximum duration of a connection.
const LONGEST: Duration = Duration::from_secs(600);

/// Maximum size of a request's head, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// Serves `routes` at `listen` until SIGTERM or SIGINT. Calls `listening` with the address once it accepts connections.
///
/// # Errors
/// Fails if it cannot listen there.
pub fn serve(routes: Router, listen: &str, listening: impl FnOnce(SocketAddr)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(3)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .context("runtime")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        listening(listener.local_addr().context("its own address")?);
        let (mut terminated, mut interrupted) =
            (signal(SignalKind::terminate()).context("signals")?, signal(SignalKind::interrupt()).context("signals")?);
        tokio::select! {
            () = accept(&listener, routes) => {}
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        Ok::<_, anyhow::Error>(())
    })?;
    // Requests in progress get a moment to finish.
    runtime.shutdown_timeout(Duration::from_secs(2));
    Ok(())
}

async fn accept(listener: &TcpListener, routes: Router) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    // An error concerns this client alone, which has gone or used up its time.
                    let _ = tokio::time::timeout(LONGEST, exchange(stream, routes)).await;
                    drop(permit);
                });
            }
            // Usually the process is out of file descriptors: let some connections end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn exchange(stream: TcpStream, routes: Router) -> Result<(), hyper::Error> {
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await
}
