//! What can go wrong when a node starts or runs.

use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a node did not start, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    /// No bug has this name.
    #[error("no bug is called {name:?}; known are {known}")]
    UnknownBug {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The arguments of a node are not what it takes.
    #[error("argument {argument}: {text}")]
    Argument {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        text: String,
    },
    /// Two processes want the same data directory.
    #[error("data directory {dir} is in use by another process")]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The log holds something that no crash explains: not a torn tail but damage before it.
    #[error("{path}: damaged record at byte {offset}, with more records after it")]
    CorruptLog {
        /// The log file.
        path: PathBuf,
        /// Where the damaged record starts, bytes.
        offset: u64,
    },
    /// A file of the node does not hold what it should.
    #[error("{path}: {text}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        text: String,
    },
    /// An address could not be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The Raft library refused its configuration, or stopped for good.
    #[error("raft: {text}")]
    Raft {
        /// Its own words.
        text: String,
    },
}
