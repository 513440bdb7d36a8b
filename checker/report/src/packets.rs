//! The statement that lists all packets around a finding, and how one packet is named.

use crate::input::{PacketLine, ReportInput};
use crate::words::{self, shell, shell_double};
use fissure_checker::{Finding, Operation};
use std::collections::BTreeSet;

/// SQL over the table `injections`: what the nodes of the finding's operations lost between the first invocation and
/// the last completion. The same choice as [`ReportInput::packets`], without its limit.
///
/// `None` if no operation of the finding is known, or none names a node.
pub(crate) fn sql(ops: &[(String, &Operation)]) -> Option<String> {
    let (from, to) = words::window(ops)?;
    let nodes: BTreeSet<&str> = ops.iter().filter_map(|(_, op)| op.node.as_deref()).collect();
    if nodes.is_empty() {
        return None;
    }
    let quoted: Vec<String> = nodes.iter().map(|node| format!("'{}'", node.replace('\'', "''"))).collect();
    let nodes = quoted.join(", ");
    Some(format!(
        "select * from injections where t_ns between {from} and {to} and (src_host in ({nodes}) or dst_host in ({nodes}))"
    ))
}

/// SQL over the table `faults`: what was in force at some moment between the first invocation and the last completion.
///
/// `None` if no operation of the finding is known.
pub(crate) fn faults_sql(ops: &[(String, &Operation)]) -> Option<String> {
    let (from, to) = words::window(ops)?;
    Some(format!(
        "select * from faults where outcome = 'applied' and start_ns <= {to} and (stop_ns is null or stop_ns >= {from})"
    ))
}

/// The whole command around a statement.
pub(crate) fn sql_command(input: &ReportInput, sql: &str) -> String {
    format!("fissure sql {} --limit 0 -c {}", shell(&input.run_path), shell_double(sql))
}

/// Where a packet was hit, seen from the finding: `on the connection of T1 (op 123)`, or `around n1`.
pub(crate) fn place(packet: &PacketLine, ops: &[(String, &Operation)]) -> String {
    if let Some(op_id) = packet.op_id {
        let name = ops.iter().find(|(_, op)| op.op_id == op_id).map(|(name, _)| name.as_str());
        return match name {
            Some(name) if name.starts_with("op ") => format!("on the connection of {name}"),
            Some(name) => format!("on the connection of {name} (op {op_id})"),
            None => format!("on the connection of op {op_id}"),
        };
    }
    let host = |end: &str| end.rsplit_once(':').map_or_else(|| end.to_owned(), |(host, _)| host.to_owned());
    let ends = [host(&packet.dst), host(&packet.src)];
    let at = ends.iter().find(|end| ops.iter().any(|(_, op)| op.node.as_deref() == Some(end.as_str())));
    match at {
        Some(node) => format!("around {node}"),
        None => "around the nodes involved".to_owned(),
    }
}

/// Flags of a TCP segment, else the protocol.
pub(crate) fn flags(packet: &PacketLine) -> String {
    if packet.protocol == "tcp" { words::tcp_flags(packet.tcp_flags) } else { packet.protocol.clone() }
}

/// Why there is no packet to show, or what the list is.
pub(crate) fn remark(finding: &Finding, ops: &[(String, &Operation)], input: &ReportInput) -> Option<String> {
    let total = input.packets.get(&finding.id).map_or(0, |list| list.total);
    if total > 0 {
        return None;
    }
    let Some((from, to)) = words::window(ops) else {
        return Some("This finding names no operation of the history, so no packet can be laid beside it.".to_owned());
    };
    let between = format!(
        "between {} s and {} s",
        words::seconds(from - input.started_ns),
        words::seconds(to - input.started_ns)
    );
    Some(format!(
        "No packet to or from the nodes of these operations was dropped {between}, while they ran: what led to this \
         came earlier, or was no packet."
    ))
}

/// How many packets there were, and how many of them on the operations' own connections; `shown` are known one by one.
pub(crate) fn whose(total: u64, own: usize, shown: usize) -> String {
    let all = words::count(total, "packet");
    let of_first = if (shown as u64) < total {
        format!("of the first {}, ", words::thousands(shown as u64))
    } else {
        String::new()
    };
    match own {
        own if own as u64 == total => format!("{all}, all on the operations' own connections"),
        0 => format!("{all} around the nodes involved; {of_first}none on the operations' own connections"),
        own => format!(
            "{all} around the nodes involved; {of_first}{} on the operations' own connections",
            words::thousands(own as u64)
        ),
    }
}

/// The packets that tell most, at most `number`, in order of time: those on the operations' own connections first, then
/// one for each pair of ends, then the earliest.
pub(crate) fn telling(packets: &[PacketLine], number: usize) -> Vec<&PacketLine> {
    let mut pairs = BTreeSet::new();
    let mut ranked: Vec<(u8, usize)> = packets
        .iter()
        .enumerate()
        .map(|(place, packet)| {
            let is_new = pairs.insert((&packet.src, &packet.dst, packet.fault_id));
            let rank = if packet.op_id.is_some() {
                0
            } else if is_new {
                1
            } else {
                2
            };
            (rank, place)
        })
        .collect();
    ranked.sort_unstable();
    let mut places: Vec<usize> = ranked.into_iter().take(number).map(|(_, place)| place).collect();
    places.sort_unstable();
    places.into_iter().map(|place| &packets[place]).collect()
}
