//! Frames and messages: a length (4 bytes, big endian), then that many bytes of JSON.
//!
//! A frame is never larger than the bound its reader gives, and memory for it is taken as its bytes arrive, not as its
//! header promises.

use crate::state::{Command, Reply};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest frame between a client and a node, bytes.
pub(crate) const CLIENT_FRAME_BYTES_MAX: usize = 4 << 20;
/// Largest frame between nodes, bytes.
pub(crate) const PEER_FRAME_BYTES_MAX: usize = 32 << 20;
/// Most micro-operations in one transaction.
pub(crate) const MOPS_MAX: usize = 256;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Comes back in the response.
    pub(crate) id: u64,
    pub(crate) ask: Ask,
}

/// What a client may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Execute a command.
    #[serde(rename = "do")]
    Do(Command),
    /// Describe yourself.
    #[serde(rename = "status")]
    Status,
}

/// What a node sends back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Response {
    /// Of the request; 0 if it could not be read.
    pub(crate) id: u64,
    pub(crate) answer: Answer,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It was executed.
    #[serde(rename = "ok")]
    Ok(Reply),
    /// It certainly was not, and will not be.
    #[serde(rename = "fail")]
    Fail(Cause),
    /// It may have been, or may yet be.
    #[serde(rename = "info")]
    Info(Cause),
    /// Answer to [`Ask::Status`].
    #[serde(rename = "status")]
    Status(NodeStatus),
}

impl Answer {
    pub(crate) fn fail(code: &str, text: impl Into<String>) -> Self {
        Answer::Fail(Cause { code: code.to_owned(), text: text.into() })
    }

    pub(crate) fn info(code: &str, text: impl Into<String>) -> Self {
        Answer::Info(Cause { code: code.to_owned(), text: text.into() })
    }

    /// `fail` for a command that cannot have had an effect, `info` for every other.
    pub(crate) fn lost(read_only: bool, code: &str, text: impl Into<String>) -> Self {
        if read_only { Self::fail(code, text) } else { Self::info(code, text) }
    }
}

/// Why a request was not `ok`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) code: String,
    pub(crate) text: String,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its Raft id: 1 for the first name in order.
    pub id: u64,
    /// `leader`, `candidate`, `follower`, `learner` or `shutdown`: what it believes, which need not be so.
    pub state: String,
    /// Raft term of its vote.
    pub term: u64,
    /// Name of the node that it believes leads.
    pub leader: Option<String>,
    /// Index of the last log entry applied to its state.
    pub applied: Option<u64>,
}

impl NodeStatus {
    /// Whether it believes that it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.state == "leader"
    }
}

/// Writes one frame.
pub(crate) async fn write_frame<W, T>(writer: &mut W, message: &T, bytes_max: usize) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
    T: Serialize,
{
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    let header = u32::try_from(length).ok().filter(|_| length <= bytes_max);
    let header = header.ok_or_else(|| io::Error::other(format!("message of {length} bytes exceeds {bytes_max}")))?;
    frame[..4].copy_from_slice(&header.to_be_bytes());
    writer.write_all(&frame).await
}

/// Reads the bytes of one frame.
///
/// # Errors
/// `UnexpectedEof` if the stream ended, `InvalidData` if the frame is too large.
pub(crate) async fn read_frame_bytes<R>(reader: &mut R, bytes_max: usize) -> io::Result<Vec<u8>>
where
    R: AsyncRead + Unpin,
{
    let length = reader.read_u32().await?;
    if length as usize > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {length} bytes exceeds {bytes_max}")));
    }
    let mut body = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut body).await?;
    if body.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

/// Reads one frame and what it says.
///
/// # Errors
/// As [`read_frame_bytes`]; `InvalidData` also if it does not hold a `T`.
pub(crate) async fn read_frame<R, T>(reader: &mut R, bytes_max: usize) -> io::Result<T>
where
    R: AsyncRead + Unpin,
    T: DeserializeOwned,
{
    let body = read_frame_bytes(reader, bytes_max).await?;
    serde_json::from_slice(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MicroOp;
    use proptest::prelude::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_frame_comes_back_as_it_went() {
        let mops = vec![MicroOp::Append { key: 1, value: 2 }, MicroOp::ReadList { key: 1 }];
        let request = Request { id: 9, ask: Ask::Do(Command::Txn { mops }) };
        let mut bytes = Vec::new();
        block_on(write_frame(&mut bytes, &request, CLIENT_FRAME_BYTES_MAX)).unwrap();
        let read: Request = block_on(read_frame(&mut &bytes[..], CLIENT_FRAME_BYTES_MAX)).unwrap();
        assert_eq!(read, request);
    }

    #[test]
    fn a_frame_over_the_bound_is_neither_read_nor_written() {
        let header = u32::MAX.to_be_bytes();
        let error = block_on(read_frame_bytes(&mut &header[..], CLIENT_FRAME_BYTES_MAX)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        block_on(write_frame(&mut Vec::new(), &"long", 3)).unwrap_err();
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = block_on(read_frame::<_, Request>(&mut &bytes[..], 32));
        }
    }
}
