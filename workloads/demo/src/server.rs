//! The two ports of a node: clients on one, other nodes on the other. Hostile bytes end a connection, never the node.

use crate::{
    engine::Engine,
    peer::{self, PeerAnswer, PeerAsk, PeerRequest},
    wire::{self, Answer, Request, Response},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

const CONNECTIONS_MAX: usize = 1024;
/// How long a node keeps a silent connection from another node.
const PEER_IDLE_MAX: Duration = Duration::from_secs(15);

/// Which port.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    Clients,
    Peers,
}

/// Accepts connections until the task is aborted.
pub(crate) async fn accept_loop(listener: TcpListener, engine: Engine, port: Port) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, remote)) => {
                peer::tune(&stream);
                let engine = engine.clone();
                connections.spawn(async move {
                    let ended = match port {
                        Port::Clients => serve_client(stream, &engine).await,
                        Port::Peers => serve_peer(stream, &engine).await,
                    };
                    if let Err(error) = ended {
                        tracing::debug!(%remote, ?port, %error, "connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(?port, %error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_client(mut stream: TcpStream, engine: &Engine) -> io::Result<()> {
    loop {
        let body = wire::read_frame_bytes(&mut stream, wire::CLIENT_FRAME_BYTES_MAX).await?;
        let response = match serde_json::from_slice::<Request>(&body) {
            Ok(request) => Response { id: request.id, answer: engine.answer(request.ask).await },
            Err(error) => Response { id: 0, answer: Answer::fail("bad-request", error.to_string()) },
        };
        wire::write_frame(&mut stream, &response, wire::CLIENT_FRAME_BYTES_MAX).await?;
    }
}

async fn serve_peer(mut stream: TcpStream, engine: &Engine) -> io::Result<()> {
    loop {
        let frame = wire::read_frame(&mut stream, wire::PEER_FRAME_BYTES_MAX);
        let request: PeerRequest = timeout(PEER_IDLE_MAX, frame).await??;
        let answer = match request.ask {
            PeerAsk::Append(rpc) => PeerAnswer::Append(engine.raft.append_entries(rpc).await),
            PeerAsk::Vote(rpc) => PeerAnswer::Vote(engine.raft.vote(rpc).await),
            PeerAsk::Snapshot(rpc) => PeerAnswer::Snapshot(engine.raft.install_snapshot(rpc).await),
            PeerAsk::Forward { command, deadline_ms } => {
                PeerAnswer::Forward(engine.answer_forwarded(command, Duration::from_millis(deadline_ms)).await)
            }
        };
        if !engine.peers.reaches(&request.from) {
            // A cut link swallows the answer too; the connection is of no more use to who waits for it.
            tokio::time::sleep(PEER_IDLE_MAX).await;
            return Ok(());
        }
        wire::write_frame(&mut stream, &answer, wire::PEER_FRAME_BYTES_MAX).await?;
    }
}
