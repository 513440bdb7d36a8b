//! Clients and what they report.

use async_trait::async_trait;
use fissure_checker::op::{Call, Outcome};
use std::net::SocketAddr;

/// Why an operation did not complete `ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorInfo {
    /// Short machine-readable cause, such as `timeout`, `refused`, `not-leader`, `cas-mismatch`.
    pub code: String,
    /// The error in words.
    pub text: String,
}

impl ErrorInfo {
    /// An error from its code and its text.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }
}

/// What a client knows after it asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It took effect; the call with its reads filled in.
    Ok(Call),
    /// It certainly did not take effect.
    Fail(ErrorInfo),
    /// Nobody knows. The process is retired: the run closes this client and opens another under a new process number.
    Info(ErrorInfo),
}

impl Completion {
    /// The outcome without its data.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Completion::Ok(_) => Outcome::Ok,
            Completion::Fail(_) => Outcome::Fail,
            Completion::Info(_) => Outcome::Info,
        }
    }
}

/// A client's connection, as the kernel knows it: joins operations to the packets that were hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// SO_COOKIE of the client's socket.
    pub cookie: u64,
    /// The client's end.
    pub local: SocketAddr,
    /// The server's end.
    pub remote: SocketAddr,
}

/// Asks one process's questions. Used by one process at a time; dropped (which closes its connection) after an `info`.
#[async_trait]
pub trait Client: Send {
    /// Performs `call`. Must be cancel-safe in this sense only: the run drops the client after a time-out and records
    /// `info`. An implementation never turns an error that it does not understand into `fail`.
    async fn invoke(&mut self, call: &Call) -> Completion;

    /// The connection that carries this client's operations now; `None` before the first, or if it has none.
    fn connection(&self) -> Option<Connection>;

    /// Whether it can be asked again. `false` (a lost connection) makes the run open another for the same process.
    fn is_usable(&self) -> bool {
        true
    }
}
