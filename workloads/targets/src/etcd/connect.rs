//! One connection that we opened and know, under etcd's client.
//!
//! tonic's channel would dial again by itself when its connection is lost, and operations would travel over a socket
//! that nobody recorded. Here its connector hands out the one socket once; after that it answers [`ConnectionGone`].

use super::process::CLIENT_PORT;
use etcd_client::{Channel, Client};
use fissure_workloads::Connection;
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::{Endpoint, Uri};

/// The channel's only connection was lost before the request was sent.
#[derive(Debug, Error)]
#[error("the connection was lost, and the request was not sent")]
pub(super) struct ConnectionGone;

/// A client and the connection that carries it.
pub(super) struct Link {
    /// etcd's client.
    pub(super) client: Client,
    /// The connection, as the kernel knows it.
    pub(super) connection: Connection,
    open: Arc<AtomicBool>,
}

impl Link {
    /// Opens a TCP connection to `addr` and speaks etcd's protocol over it.
    ///
    /// # Errors
    /// When no connection was made within `timeout`; nothing was asked of etcd then.
    pub(super) async fn open(addr: IpAddr, timeout: Duration) -> io::Result<Self> {
        tokio::time::timeout(timeout, Self::dial(addr))
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")))
    }

    async fn dial(addr: IpAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(SocketAddr::new(addr, CLIENT_PORT)).await?;
        stream.set_nodelay(true)?;
        let cookie = rustix::net::sockopt::socket_cookie(&stream)?;
        let connection = Connection { cookie, local: stream.local_addr()?, remote: stream.peer_addr()? };
        let open = Arc::new(AtomicBool::new(true));
        let socket = Mutex::new(Some(TokioIo::new(Watched { stream, open: Arc::clone(&open) })));
        let connector = tower::service_fn(move |_: Uri| {
            let once = socket.lock().ok().and_then(|mut socket| socket.take());
            std::future::ready(once.ok_or(ConnectionGone))
        });
        let endpoint = Endpoint::from_shared(super::process::url(addr, CLIENT_PORT)).map_err(io::Error::other)?;
        let channel = endpoint.connect_with_connector(connector).await.map_err(io::Error::other)?;
        let client = Client::from_channel(Channel::Tonic(channel), None).await.map_err(io::Error::other)?;
        Ok(Self { client, connection, open })
    }

    /// Whether the connection stood when last seen.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

/// The stream, telling when the protocol gave it up (end of stream, error, or shutdown: it is dropped then).
struct Watched {
    stream: TcpStream,
    open: Arc<AtomicBool>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.open.store(false, Ordering::Release);
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
