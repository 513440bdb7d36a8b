//! One process's questions to one etcd node.

use super::{
    EtcdOptions, Reads,
    connect::Link,
    error::{Refusal, classify, classify_connect},
    txn::{self, Cell, Effect, Key, Snapshot},
};
use async_trait::async_trait;
use etcd_client::{
    Client as Etcd, Compare, CompareOp, GetOptions, GetResponse, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use fissure_workloads::{Call, Client, Completion, Connection, Mop};
use std::{net::IpAddr, time::Duration};

/// Longest wait for a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Attempts of an optimistic transaction before it fails with `conflict`; the first included.
const ATTEMPTS: usize = 4;

/// A client to one node.
pub(super) struct EtcdClient {
    addr: IpAddr,
    reads: Reads,
    link: Link,
}

impl EtcdClient {
    pub(super) fn new(addr: IpAddr, options: &EtcdOptions, link: Link) -> Self {
        Self { addr, reads: options.reads, link }
    }

    async fn perform(&mut self, call: &Call) -> Result<Call, Refusal> {
        if !self.link.is_open() {
            // Lost while idle: another connection, under another cookie, before anything is asked.
            self.link = Link::open(self.addr, CONNECT_TIMEOUT).await.map_err(|error| classify_connect(&error))?;
        }
        let (etcd, reads) = (&mut self.link.client, self.reads);
        match call {
            Call::Read { key, .. } => read(etcd, reads, *key).await,
            Call::Write { key, value } => write(etcd, *key, *value).await,
            Call::Cas { key, expected, value } => cas(etcd, *key, *expected, *value).await,
            Call::Txn(mops) if !txn::is_supported(mops) => Err(unsupported(call)),
            Call::Txn(mops) if txn::is_read_only(mops) => read_only(etcd, reads, mops).await,
            Call::Txn(mops) => optimistic(etcd, reads, mops).await,
            other => Err(unsupported(other)),
        }
    }
}

fn unsupported(call: &Call) -> Refusal {
    Refusal::definite("unsupported", format!("clients of etcd do not know this `{}`", call.f()))
}

#[async_trait]
impl Client for EtcdClient {
    async fn invoke(&mut self, call: &Call) -> Completion {
        match self.perform(call).await {
            Ok(call) => Completion::Ok(call),
            Err(refusal) => refusal.completion(),
        }
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.link.connection.clone())
    }
}

async fn read(etcd: &mut Etcd, reads: Reads, key: i64) -> Result<Call, Refusal> {
    let name = Key::Register(key).name();
    let response = etcd.get(name, Some(get_options(reads))).await.map_err(|e| classify(&e).of_a_read())?;
    let cell = cell(&response)?;
    Ok(Call::Read { key, value: Some(cell.values.last().copied()) })
}

async fn write(etcd: &mut Etcd, key: i64, value: i64) -> Result<Call, Refusal> {
    etcd.put(Key::Register(key).name(), value.to_string(), None).await.map_err(|e| classify(&e))?;
    Ok(Call::Write { key, value })
}

async fn cas(etcd: &mut Etcd, key: i64, expected: i64, value: i64) -> Result<Call, Refusal> {
    let name = Key::Register(key).name();
    let request = Txn::new()
        .when([Compare::value(name.as_str(), CompareOp::Equal, expected.to_string())])
        .and_then([TxnOp::put(name.as_str(), value.to_string(), None)]);
    match etcd.txn(request).await.map_err(|e| classify(&e))?.succeeded() {
        true => Ok(Call::Cas { key, expected, value }),
        false => Err(Refusal::definite("cas-mismatch", format!("key {key} did not hold {expected}"))),
    }
}

async fn read_only(etcd: &mut Etcd, reads: Reads, mops: &[Mop]) -> Result<Call, Refusal> {
    let snapshot = read_snapshot(etcd, reads, &txn::keys(mops)).await?;
    Ok(Call::Txn(txn::apply(mops, &snapshot).mops))
}

/// Reads, then writes if nothing changed since; see [`txn`]. A condition that did not hold is certain: the whole
/// operation may be tried again, and fails with `conflict` in the end. Nothing but the last request can be in doubt.
async fn optimistic(etcd: &mut Etcd, reads: Reads, mops: &[Mop]) -> Result<Call, Refusal> {
    let keys = txn::keys(mops);
    let mut snapshot = read_snapshot(etcd, reads, &keys).await?;
    for _ in 0..ATTEMPTS {
        let Effect { mops, writes } = txn::apply(mops, &snapshot);
        let unchanged: Vec<Compare> = (snapshot.iter())
            .map(|(key, cell)| Compare::mod_revision(key.name(), CompareOp::Equal, cell.mod_revision))
            .collect();
        let puts: Vec<TxnOp> =
            writes.iter().map(|(key, values)| TxnOp::put(key.name(), txn::encode(values), None)).collect();
        // The answer to a condition that did not hold brings the state that broke it: no extra round trip.
        let request = Txn::new().when(unchanged).and_then(puts).or_else(gets(Reads::Linearizable, &keys));
        let response = etcd.txn(request).await.map_err(|e| classify(&e))?;
        if response.succeeded() {
            return Ok(Call::Txn(mops));
        }
        snapshot = snapshot_of(&keys, &response)?;
    }
    Err(Refusal::definite("conflict", format!("other transactions were faster {ATTEMPTS} times")))
}

async fn read_snapshot(etcd: &mut Etcd, reads: Reads, keys: &[Key]) -> Result<Snapshot, Refusal> {
    let request = Txn::new().and_then(gets(reads, keys));
    let response = etcd.txn(request).await.map_err(|e| classify(&e).of_a_read())?;
    snapshot_of(keys, &response)
}

fn gets(reads: Reads, keys: &[Key]) -> Vec<TxnOp> {
    keys.iter().map(|key| TxnOp::get(key.name(), Some(get_options(reads)))).collect()
}

fn get_options(reads: Reads) -> GetOptions {
    match reads {
        Reads::Linearizable => GetOptions::new(),
        Reads::Serializable => GetOptions::new().with_serializable(),
    }
}

fn snapshot_of(keys: &[Key], response: &TxnResponse) -> Result<Snapshot, Refusal> {
    let answers = response.op_responses();
    if answers.len() != keys.len() {
        return Err(unexpected(format!("{} answers to {} reads", answers.len(), keys.len())));
    }
    (keys.iter().zip(&answers))
        .map(|(key, answer)| match answer {
            TxnOpResponse::Get(response) => Ok((*key, cell(response)?)),
            other => Err(unexpected(format!("{other:?} in answer to a read"))),
        })
        .collect()
}

fn cell(response: &GetResponse) -> Result<Cell, Refusal> {
    let Some(kv) = response.kvs().first() else { return Ok(Cell::default()) };
    let values = txn::decode(kv.value())
        .ok_or_else(|| unexpected(format!("{:?} holds {:?}", lossy(kv.key()), lossy(kv.value()))))?;
    Ok(Cell { values, mod_revision: kv.mod_revision() })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An answer that etcd should never give. Not `fail`: what is not understood is `info`.
fn unexpected(text: String) -> Refusal {
    Refusal::unsure("unexpected-answer", text)
}
