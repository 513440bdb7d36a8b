//! What etcd's errors say about an operation.
//!
//! Definite are only: a request that was not sent, and the errors that the server returns before it proposes anything
//! (read in the sources of etcd 3.4 and 3.5). Everything else may have happened.

use super::connect::ConnectionGone;
use etcd_client::Error;
use fissure_workloads::{Completion, ErrorInfo};
use std::{error::Error as StdError, io};
use tonic::{Code, Status};

/// An error of a request, and whether it is certain that the request had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Code and text for the history.
    pub(super) info: ErrorInfo,
    /// Whether the request certainly had no effect.
    pub(super) definite: bool,
}

impl Refusal {
    /// Nothing happened.
    pub(super) fn definite(code: &str, text: impl Into<String>) -> Self {
        Self { info: ErrorInfo::new(code, text), definite: true }
    }

    /// Nobody knows.
    pub(super) fn unsure(code: &str, text: impl Into<String>) -> Self {
        Self { info: ErrorInfo::new(code, text), definite: false }
    }

    /// What it means for a request that only reads: it changed nothing, whatever became of it.
    pub(super) fn of_a_read(self) -> Self {
        Self { definite: true, ..self }
    }

    /// The completion it makes of its operation.
    pub(super) fn completion(self) -> Completion {
        match self.definite {
            true => Completion::Fail(self.info),
            false => Completion::Info(self.info),
        }
    }
}

/// gRPC code, message, code in the history, whether the server did nothing.
const KNOWN: [(Code, &str, &str, bool); 14] = [
    // Before the proposal: the node has too much to apply, or the request is not one.
    (Code::ResourceExhausted, "etcdserver: too many requests", "too-many-requests", true),
    (Code::InvalidArgument, "etcdserver: request is too large", "too-large", true),
    (Code::InvalidArgument, "etcdserver: too many operations in txn request", "too-many-operations", true),
    (Code::InvalidArgument, "etcdserver: duplicate key given in txn request", "duplicate-key", true),
    (Code::InvalidArgument, "etcdserver: key is not provided", "no-key", true),
    // At the proposal or when it is applied; applied as "no change" in both cases.
    (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", "no-space", true),
    // The proposal may be in the log already, or be applied by others.
    (Code::Unavailable, "etcdserver: request timed out", "timeout", false),
    (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure", "timeout", false),
    (Code::Unavailable, "etcdserver: request timed out, possibly due to connection lost", "timeout", false),
    (Code::Unavailable, "etcdserver: leader changed", "leader-changed", false),
    (Code::Unavailable, "etcdserver: no leader", "no-leader", false),
    (Code::Unavailable, "etcdserver: server stopped", "stopped", false),
    (Code::Unavailable, "etcdserver: not leader", "not-leader", false),
    (Code::DataLoss, "etcdserver: corrupt cluster", "corrupt-cluster", false),
];

/// What an error of etcd's client means.
pub(super) fn classify(error: &Error) -> Refusal {
    match error {
        Error::GRpcStatus(status) => classify_status(status),
        // Built from our arguments, before anything is sent.
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => {
            Refusal::definite("invalid", error.to_string())
        }
        Error::TransportError(inner) if was_not_sent(inner) => {
            Refusal::definite("connection-closed", error.to_string())
        }
        Error::TransportError(_) | Error::IoError(_) => Refusal::unsure("connection-lost", error.to_string()),
        _ => Refusal::unsure("unknown", error.to_string()),
    }
}

fn classify_status(status: &Status) -> Refusal {
    if was_not_sent(status) {
        return Refusal::definite("connection-closed", ConnectionGone.to_string());
    }
    let known = KNOWN.iter().find(|(code, message, ..)| *code == status.code() && *message == status.message());
    match known {
        Some((.., code, definite)) => Refusal { info: ErrorInfo::new(*code, status.message()), definite: *definite },
        None => Refusal::unsure(code_name(status.code()), format!("{}{}", status.message(), causes(status))),
    }
}

/// The connector's refusal to dial again is the only proof that a request was not sent.
fn was_not_sent(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|error| error.is::<ConnectionGone>())
}

fn causes(error: &(dyn StdError + 'static)) -> String {
    chain(error).skip(1).map(|cause| format!(": {cause}")).collect()
}

/// An error, its cause, the cause's cause, …
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// What a failed attempt to connect means: nothing was asked.
pub(super) fn classify_connect(error: &io::Error) -> Refusal {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::TimedOut => "connect-timeout",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        _ => "connect",
    };
    Refusal::definite(code, error.to_string())
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "unavailable",
        Code::Cancelled => "cancelled",
        Code::DeadlineExceeded => "timeout",
        Code::ResourceExhausted => "resource-exhausted",
        Code::InvalidArgument => "invalid-argument",
        Code::Internal => "internal",
        Code::DataLoss => "data-loss",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: Code, message: &str) -> (String, bool) {
        let refusal = classify(&Error::GRpcStatus(Status::new(code, message)));
        (refusal.info.code, refusal.definite)
    }

    #[test]
    fn only_refusals_before_the_proposal_are_definite() {
        assert_eq!(
            outcome(Code::ResourceExhausted, "etcdserver: too many requests"),
            ("too-many-requests".into(), true)
        );
        assert_eq!(outcome(Code::InvalidArgument, "etcdserver: request is too large"), ("too-large".into(), true));
        assert_eq!(outcome(Code::Unavailable, "etcdserver: request timed out"), ("timeout".into(), false));
        assert_eq!(outcome(Code::Unavailable, "etcdserver: leader changed"), ("leader-changed".into(), false));
        assert_eq!(outcome(Code::Unavailable, "etcdserver: no leader"), ("no-leader".into(), false));
    }

    #[test]
    fn codes_without_their_very_message_prove_nothing() {
        // The client's own library uses the same codes for answers that it could not read.
        assert_eq!(outcome(Code::ResourceExhausted, "message too large"), ("resource-exhausted".into(), false));
        assert_eq!(outcome(Code::InvalidArgument, "?"), ("invalid-argument".into(), false));
        assert_eq!(outcome(Code::Unknown, "etcdserver: too many requests"), ("unknown".into(), false));
        assert_eq!(outcome(Code::Unavailable, "tcp connect error"), ("unavailable".into(), false));
    }

    #[tokio::test]
    async fn a_request_after_the_connection_was_lost_was_not_sent() {
        // A server that hangs up, on a loopback address of its own: the port is etcd's.
        let pid = std::process::id().to_le_bytes();
        let addr = std::net::Ipv4Addr::new(127, pid[0] | 0x80, pid[1], 251);
        let listener = tokio::net::TcpListener::bind((addr, 2379)).await.unwrap();
        let hang_up = async { drop(listener.accept().await.unwrap()) };
        let open = super::super::connect::Link::open(addr.into(), std::time::Duration::from_secs(5));
        let mut link = tokio::join!(open, hang_up).0.unwrap();
        for _ in 0..200 {
            match link.is_open() {
                true => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                false => break,
            }
        }
        assert!(!link.is_open());
        let refusal = classify(&link.client.put("k", "v", None).await.unwrap_err());
        assert_eq!((refusal.info.code.as_str(), refusal.definite), ("connection-closed", true));
    }

    #[test]
    fn a_lost_connection_leaves_a_write_open_and_a_read_failed() {
        let refusal = classify(&Error::IoError(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert!(matches!(refusal.clone().completion(), Completion::Info(info) if info.code == "connection-lost"));
        assert!(matches!(refusal.of_a_read().completion(), Completion::Fail(_)));
    }

    #[test]
    fn no_connection_means_nothing_was_asked() {
        for (kind, code) in
            [(io::ErrorKind::ConnectionRefused, "refused"), (io::ErrorKind::TimedOut, "connect-timeout")]
        {
            let refusal = classify_connect(&io::Error::from(kind));
            assert_eq!((refusal.info.code.as_str(), refusal.definite), (code, true));
        }
    }
}
