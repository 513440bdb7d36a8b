//! The client: one question at a time over one connection, and the truth about the answer.

use crate::{
    peer,
    state::{Command, MicroOp, MicroReply, Reply},
    wire::{self, Answer, Ask, CLIENT_FRAME_BYTES_MAX, NodeStatus, Request, Response},
};
use async_trait::async_trait;
use fissure_workloads::{Call, Client, Completion, Connection, ErrorInfo, Mop};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

/// A client of one node. Opens a new connection when the last one was closed or had an answer outstanding.
#[derive(Debug)]
pub struct DemoClient {
    node: SocketAddr,
    patience: Duration,
    stream: Option<TcpStream>,
    connection: Option<Connection>,
    last_id: u64,
}

impl DemoClient {
    /// Connects to the node that serves clients at `node`. An answer that takes longer than `patience` is `info`.
    ///
    /// # Errors
    /// When no connection is made within `patience`.
    pub async fn connect(node: SocketAddr, patience: Duration) -> io::Result<Self> {
        let mut client = Self { node, patience, stream: None, connection: None, last_id: 0 };
        client.connected().await?;
        Ok(client)
    }

    /// Asks the node about itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&mut self) -> io::Result<NodeStatus> {
        self.connected().await?;
        match self.exchange(Ask::Status).await? {
            Answer::Status(status) => Ok(status),
            other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("not a status: {other:?}"))),
        }
    }

    /// Makes sure that there is a connection which the node has not closed.
    async fn connected(&mut self) -> io::Result<()> {
        if let Some(stream) = &self.stream
            && matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        {
            return Ok(());
        }
        self.stream = None;
        let stream = peer::dial(self.node, Instant::now() + self.patience).await?;
        let cookie = rustix::net::sockopt::socket_cookie(&stream)?;
        self.connection = Some(Connection { cookie, local: stream.local_addr()?, remote: stream.peer_addr()? });
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends and waits. The connection is kept only if the answer came whole and is the one to this question.
    async fn exchange(&mut self, ask: Ask) -> io::Result<Answer> {
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        self.last_id += 1;
        let request = Request { id: self.last_id, ask };
        let exchange = async {
            wire::write_frame(&mut stream, &request, CLIENT_FRAME_BYTES_MAX).await?;
            wire::read_frame::<_, Response>(&mut stream, CLIENT_FRAME_BYTES_MAX).await
        };
        let response = timeout(self.patience, exchange).await??;
        if response.id != request.id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "answer to another question"));
        }
        self.stream = Some(stream);
        Ok(response.answer)
    }
}

#[async_trait]
impl Client for DemoClient {
    async fn invoke(&mut self, call: &Call) -> Completion {
        let Some(command) = command_of(call) else {
            return Completion::Fail(ErrorInfo::new("unsupported", format!("the demo store has no `{}`", call.f())));
        };
        let read_only = command.is_read_only();
        if let Err(error) = self.connected().await {
            return Completion::Fail(ErrorInfo::new("unreachable", format!("{}: {error}", self.node)));
        }
        match self.exchange(Ask::Do(command)).await {
            Ok(answer) => completion_of(call, answer),
            Err(error) => {
                let code = if error.kind() == io::ErrorKind::TimedOut { "timeout" } else { "connection-lost" };
                let error = ErrorInfo::new(code, format!("{}: {error}", self.node));
                // A read that was not answered has no effect for anybody to see: it is as good as not done.
                if read_only { Completion::Fail(error) } else { Completion::Info(error) }
            }
        }
    }

    fn connection(&self) -> Option<Connection> {
        self.connection.clone()
    }
}

/// The call as the store takes it; `None` if the store cannot do it.
fn command_of(call: &Call) -> Option<Command> {
    Some(match call {
        Call::Read { key, .. } => Command::Read { key: *key },
        Call::Write { key, value } => Command::Write { key: *key, value: *value },
        Call::Cas { key, expected, value } => Command::Cas { key: *key, expected: *expected, value: *value },
        Call::Txn(mops) => Command::Txn { mops: mops.iter().map(micro_op_of).collect::<Option<_>>()? },
        _ => return None,
    })
}

fn micro_op_of(mop: &Mop) -> Option<MicroOp> {
    Some(match *mop {
        Mop::Append { key, value } => MicroOp::Append { key, value },
        Mop::ReadList { key, .. } => MicroOp::ReadList { key },
        Mop::Write { key, value } => MicroOp::Write { key, value },
        Mop::Read { key, .. } => MicroOp::Read { key },
        _ => return None,
    })
}

fn completion_of(call: &Call, answer: Answer) -> Completion {
    match answer {
        Answer::Fail(cause) => Completion::Fail(ErrorInfo::new(cause.code, cause.text)),
        Answer::Info(cause) => Completion::Info(ErrorInfo::new(cause.code, cause.text)),
        Answer::Ok(Reply::Mismatch { found }) => {
            let found = found.map_or("nothing".to_owned(), |found| found.to_string());
            Completion::Fail(ErrorInfo::new("cas-mismatch", format!("the register held {found}")))
        }
        answer => match filled(call, &answer) {
            Some(call) => Completion::Ok(call),
            None => Completion::Info(ErrorInfo::new("protocol", format!("unexpected answer: {answer:?}"))),
        },
    }
}

/// `call` with its reads filled in; `None` if the answer does not fit it.
fn filled(call: &Call, answer: &Answer) -> Option<Call> {
    match (call, answer) {
        (Call::Read { key, .. }, Answer::Ok(Reply::Value(value))) => {
            Some(Call::Read { key: *key, value: Some(*value) })
        }
        (Call::Write { .. } | Call::Cas { .. }, Answer::Ok(Reply::Written)) => Some(call.clone()),
        (Call::Txn(mops), Answer::Ok(Reply::Txn(replies))) if mops.len() == replies.len() => {
            mops.iter().zip(replies).map(|(mop, reply)| filled_mop(mop, reply)).collect::<Option<_>>().map(Call::Txn)
        }
        _ => None,
    }
}

fn filled_mop(mop: &Mop, reply: &MicroReply) -> Option<Mop> {
    match (mop, reply) {
        (Mop::Append { .. } | Mop::Write { .. }, MicroReply::Done) => Some(mop.clone()),
        (Mop::ReadList { key, .. }, MicroReply::List(list)) => {
            Some(Mop::ReadList { key: *key, list: Some(list.clone()) })
        }
        (Mop::Read { key, .. }, MicroReply::Value(value)) => Some(Mop::Read { key: *key, value: Some(*value) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_fill_in_what_was_read() {
        let mops = |list: Option<Vec<i64>>, value| {
            let (append, read) = (Mop::Append { key: 1, value: 5 }, Mop::Read { key: 2, value });
            Call::Txn(vec![append, Mop::ReadList { key: 1, list }, read])
        };
        let replies = vec![MicroReply::Done, MicroReply::List(vec![4, 5]), MicroReply::Value(None)];
        let completion = completion_of(&mops(None, None), Answer::Ok(Reply::Txn(replies.clone())));
        assert_eq!(completion, Completion::Ok(mops(Some(vec![4, 5]), Some(None))));

        let odd = completion_of(&mops(None, None), Answer::Ok(Reply::Txn(replies[..2].to_vec())));
        assert!(matches!(odd, Completion::Info(_)), "{odd:?}");
        let cas = Call::Cas { key: 1, expected: 1, value: 2 };
        let mismatch = completion_of(&cas, Answer::Ok(Reply::Mismatch { found: Some(3) }));
        assert_eq!(mismatch, Completion::Fail(ErrorInfo::new("cas-mismatch", "the register held 3")));
    }
}
