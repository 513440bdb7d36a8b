//! Attaching to an interface, in its namespace, and going away again.

use std::{io, path::Path, sync::Arc};

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, qdisc_add_clsact},
};
use nix::net::if_::if_nametoindex;

use crate::{
    InjectError,
    netns::NetNs,
    probe::{self, Feature, Support},
    sys,
};

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A tcx link: ends with its file descriptor.
    Tcx,
    /// A filter of the clsact qdisc, for kernels before 6.6: removed by this process, idle without a lease.
    Clsact,
}

/// What [`Injector::attach`](crate::Injector::attach) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Number of the attachment: [`InjectionEvent::host`](fissure_abi::InjectionEvent::host).
    pub host: u32,
    /// How.
    pub mechanism: Mechanism,
    /// The interface's index in its namespace.
    pub ifindex: u32,
}

/// A program on an interface.
pub(crate) struct Attachment {
    pub(crate) host: Arc<str>,
    pub(crate) attached: Attached,
    netns: NetNs,
    ifname: String,
    link: Option<SchedClassifierLink>,
    added_qdisc: bool,
}

/// The mechanism this kernel has.
pub(crate) fn mechanism() -> Mechanism {
    match probe::probe(Feature::Tcx) {
        Support::Yes => Mechanism::Tcx,
        Support::No { .. } | Support::CouldNotTell { .. } => Mechanism::Clsact,
    }
}

/// What happened inside the namespace.
struct Inside {
    link: SchedClassifierLink,
    ifindex: u32,
    added_qdisc: bool,
}

enum Failed {
    Interface(io::Error),
    Program(ProgramError),
}

impl Attachment {
    pub(crate) fn make(
        program: &mut SchedClassifier,
        number: u32,
        host: Arc<str>,
        netns: Option<&Path>,
        ifname: &str,
        mechanism: Mechanism,
    ) -> Result<Self, InjectError> {
        let namespace = NetNs::open(netns)?;
        let inside = namespace
            .inside(|| attach_here(program, ifname, mechanism))
            .map_err(|source| InjectError::NetNs { path: netns.unwrap_or(Path::new("")).into(), source })?
            .map_err(|failed| match failed {
                Failed::Interface(source) => {
                    InjectError::Interface { host: host.to_string(), ifname: ifname.into(), source }
                }
                Failed::Program(source) => InjectError::Program {
                    what: "attach",
                    program: format!("{ifname} of host {host}"),
                    source: Box::new(source),
                },
            })?;
        Ok(Self {
            host,
            attached: Attached { host: number, mechanism, ifindex: inside.ifindex },
            netns: namespace,
            ifname: ifname.into(),
            link: Some(inside.link),
            added_qdisc: inside.added_qdisc,
        })
    }
}

fn attach_here(program: &mut SchedClassifier, ifname: &str, mechanism: Mechanism) -> Result<Inside, Failed> {
    let ifindex = if_nametoindex(ifname).map_err(|errno| Failed::Interface(errno.into()))?;
    // Before whatever is there: a program that comes later may never see the packet.
    let (options, added_qdisc) = match mechanism {
        Mechanism::Tcx => (TcAttachOptions::TcxOrder(LinkOrder::first()), false),
        Mechanism::Clsact => {
            let first = NlOptions { priority: 1, ..NlOptions::default() };
            (TcAttachOptions::Netlink(first), add_clsact(ifname)?)
        }
    };
    let id = program.attach_with_options(ifname, TcAttachType::Ingress, options).map_err(Failed::Program)?;
    let link = program.take_link(id).map_err(Failed::Program)?;
    Ok(Inside { link, ifindex, added_qdisc })
}

/// Adds the clsact qdisc; `false` if there was one.
fn add_clsact(ifname: &str) -> Result<bool, Failed> {
    match qdisc_add_clsact(ifname) {
        Ok(()) => Ok(true),
        Err(TcError::AlreadyAttached) => Ok(false),
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(nix::libc::EEXIST) => Ok(false),
        Err(error) => Err(Failed::Program(error.into())),
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        if self.attached.mechanism == Mechanism::Tcx {
            // Its file descriptor is all there is of it.
            drop(link);
            return;
        }
        let (ifindex, added_qdisc) = (self.attached.ifindex, self.added_qdisc);
        let gone = self.netns.inside(move || {
            drop(link);
            if added_qdisc { sys::remove_clsact_if_unused(ifindex) } else { Ok(()) }
        });
        match gone {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => {
                log::warn!("cannot remove the clsact qdisc from {} of host {}: {error}", self.ifname, self.host);
            }
        }
    }
}
