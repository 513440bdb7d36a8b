//! The store in one process, with links that can be cut: healthy it is linearizable, and each bug does what it says.

mod support;

use fissure_demo::Bug;
use fissure_workloads::{Call, Client, Completion, Target};
use std::time::Duration;
use support::{Local, append, drive, eventually_ok, final_list, list_in, read, read_list, write};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

fn value_of(completion: &Completion) -> Option<i64> {
    match completion {
        Completion::Ok(Call::Read { value: Some(value), .. }) => *value,
        other => panic!("not a read: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registers_and_transactions_do_what_they_say_through_every_node() {
    let local = Local::start(Bug::None, 3).await;
    for (place, name) in (0..).zip(local.names()) {
        let mut client = local.client(&name).await;
        assert_eq!(value_of(&client.invoke(&read(place)).await), None);
        eventually_ok(client.as_mut(), &write(place, 10)).await;
        let cas = |expected, value| Call::Cas { key: place, expected, value };
        assert!(matches!(client.invoke(&cas(10, 11)).await, Completion::Ok(_)));
        let mismatch = client.invoke(&cas(10, 12)).await;
        assert!(matches!(&mismatch, Completion::Fail(error) if error.code == "cas-mismatch"), "{mismatch:?}");
        assert_eq!(value_of(&client.invoke(&read(place)).await), Some(11));
        let txn = Call::Txn(vec![append(place, 1), read_list(place), append(place, 2), read_list(place)]);
        let Completion::Ok(Call::Txn(mops)) = client.invoke(&txn).await else { panic!("not ok") };
        assert_eq!((list_in(&mops[1]), list_in(&mops[3])), (vec![1], vec![1, 2]));
        let connection = client.connection().unwrap();
        assert_ne!(connection.cookie, 0);
        assert_eq!(connection.remote.port(), local.target.client_port());
    }
    local.stop().await;
}

async fn faultless(bug: Bug) {
    let local = Local::start(bug, 3).await;
    let history = drive(&local.target, &local.cluster, 3, Duration::from_secs(3), async {}).await;
    let last = final_list(local.client("n1").await.as_mut(), 1).await;
    let (appends, reads) = history.counts();
    assert!(appends > 50 && reads > 50, "{appends} appends, {reads} reads");
    assert_eq!(history.violations(&last), Vec::<String>::new(), "bug {bug}");
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_faults_every_mode_is_linearizable_on_one_list() {
    for bug in Bug::ALL {
        faultless(bug).await;
    }
}

/// Cuts the leader off again and again, each time until another leads.
async fn cut_leaders(local: &Local, rounds: usize) {
    for _ in 0..rounds {
        sleep(Duration::from_millis(700)).await;
        local.isolate(&local.leader().await);
        sleep(Duration::from_millis(4_000)).await;
        local.links.heal();
        sleep(Duration::from_millis(1_500)).await;
    }
}

async fn under_partitions(bug: Bug) -> Vec<String> {
    let local = Local::start(bug, 5).await;
    let nemesis = cut_leaders(&local, 2);
    let history = drive(&local.target, &local.cluster, 2, Duration::from_secs(13), nemesis).await;
    local.ready().await;
    let last = final_list(local.client(&local.leader().await).await.as_mut(), 1).await;
    let (appends, reads) = history.counts();
    assert!(appends > 50 && reads > 50, "{appends} appends, {reads} reads");
    local.stop().await;
    history.violations(&last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_it_stays_linearizable_while_leaders_are_cut_off() {
    assert_eq!(under_partitions(Bug::None).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_reads_shows_stale_reads_and_nothing_else_while_leaders_are_cut_off() {
    let found = under_partitions(Bug::StaleReads).await;
    assert!(!found.is_empty());
    assert!(found.iter().all(|violation| violation.starts_with("stale read")), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ack_before_replicated_loses_acknowledged_writes_while_leaders_are_cut_off() {
    let found = under_partitions(Bug::AckBeforeReplicated).await;
    assert!(found.iter().any(|violation| violation.starts_with("acknowledged append")), "{found:#?}");
}

/// A cut-off leader and a node of the majority that has elected another one.
async fn deposed(local: &Local) -> (String, Box<dyn Client>, Box<dyn Client>) {
    let old = local.leader().await;
    let other = local.names().into_iter().find(|name| *name != old).unwrap();
    let (mut at_old, mut at_other) = (local.client(&old).await, local.client(&other).await);
    eventually_ok(at_old.as_mut(), &write(1, 1)).await;
    local.isolate(&old);
    eventually_ok(at_other.as_mut(), &write(1, 2)).await;
    (old, at_old, at_other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_serves_the_past_only_with_stale_reads() {
    for bug in [Bug::None, Bug::StaleReads] {
        let local = Local::start(bug, 3).await;
        let (old, mut at_old, _) = deposed(&local).await;
        assert!(local.target.primaries(&local.cluster).await[1..].contains(&old), "the old leader comes last");
        let during = at_old.invoke(&read(1)).await;
        match bug {
            Bug::StaleReads => assert_eq!(value_of(&during), Some(1)),
            _ => assert!(matches!(during, Completion::Fail(_)), "{during:?}"),
        }
        local.links.heal();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !matches!(at_old.invoke(&read(1)).await, Completion::Ok(Call::Read { value: Some(Some(2)), .. })) {
            assert!(std::time::Instant::now() < deadline, "the old leader never caught up");
            sleep(Duration::from_millis(50)).await;
        }
        local.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_acknowledges_only_with_ack_before_replicated_and_then_forgets() {
    for bug in [Bug::None, Bug::AckBeforeReplicated] {
        let local = Local::start(bug, 3).await;
        let (_, mut at_old, mut at_other) = deposed(&local).await;
        let during = at_old.invoke(&write(7, 70)).await;
        match bug {
            Bug::AckBeforeReplicated => assert!(matches!(during, Completion::Ok(_)), "{during:?}"),
            _ => assert!(matches!(during, Completion::Info(_)), "{during:?}"),
        }
        let reading = at_old.invoke(&read(7)).await;
        assert!(matches!(reading, Completion::Fail(_)), "its reads still ask a quorum: {reading:?}");
        local.links.heal();
        let after = eventually_ok(at_other.as_mut(), &read(7)).await;
        assert_eq!(after, Call::Read { key: 7, value: Some(None) });
        let at_old_after = eventually_ok(local.client("n1").await.as_mut(), &read(1)).await;
        assert_eq!(at_old_after, Call::Read { key: 1, value: Some(Some(2)) });
        local.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_torn_only_with_non_atomic_txn() {
    for bug in [Bug::None, Bug::NonAtomicTxn] {
        let local = Local::start(bug, 3).await;
        let mut writers = Vec::new();
        for (writer, name) in (0..).zip(local.names()) {
            let mut client = local.client(&name).await;
            writers.push(tokio::spawn(async move {
                let mut torn = 0;
                for round in 0..60 {
                    let value = 1_000 * writer + 10 * round;
                    let mops = vec![read_list(1), append(1, value), append(2, value), read_list(2), read_list(1)];
                    if let Completion::Ok(Call::Txn(mops)) = client.invoke(&Call::Txn(mops)).await {
                        let (one, two, after) = (list_in(&mops[0]), list_in(&mops[3]), list_in(&mops[4]));
                        torn += usize::from(two != after || after.len() != one.len() + 1);
                    }
                }
                torn
            }));
        }
        let mut torn = 0;
        for writer in writers {
            torn += writer.await.unwrap();
        }
        assert_eq!(torn > 0, bug == Bug::NonAtomicTxn, "{torn} torn transactions with bug {bug}");
        local.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_missed_the_log_is_brought_up_by_a_snapshot_and_keeps_it() {
    let mut local = Local::start_with(Bug::None, 3, Some(20)).await;
    let leader = local.leader().await;
    let lagging = local.names().into_iter().find(|name| *name != leader).unwrap();
    local.isolate(&lagging);
    let mut client = local.client(&leader).await;
    for value in 0..150 {
        eventually_ok(client.as_mut(), &write(value % 7, value)).await;
    }
    local.links.heal();
    let snapshot = local.cluster.node(&lagging).unwrap().data_dir.join("snapshot.json");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while local.nodes[&lagging].status().applied < Some(150) {
        assert!(std::time::Instant::now() < deadline, "{:?}", local.nodes[&lagging].status());
        sleep(Duration::from_millis(50)).await;
    }
    assert!(snapshot.exists());
    for name in local.names() {
        local.nodes.remove(&name).unwrap().shutdown().await.unwrap();
        sleep(Duration::from_millis(100)).await;
        local.start_node(&name).await;
    }
    local.ready().await;
    let mut client = local.client(&lagging).await;
    for key in 0..7 {
        let expected = (0..150).filter(|value| value % 7 == key).max();
        assert_eq!(eventually_ok(client.as_mut(), &read(key)).await, Call::Read { key, value: Some(expected) });
    }
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bytes_end_their_connection_and_nothing_else() {
    let local = Local::start(Bug::None, 1).await;
    let node = &local.cluster.nodes[0];
    for port in [local.target.client_port, local.target.peer_port] {
        for bytes in
            [&b"\xff\xff\xff\xff rubbish"[..], b"\0\0\0\x04null", b"\0\0\0\x02[[", b"GET / HTTP/1.1\r\n\r\n", b""]
        {
            let mut stream = TcpStream::connect((node.addr, port)).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.len() < 500);
        }
    }
    let many = Call::Txn(vec![read_list(1); 300]);
    let refused = local.client("n1").await.invoke(&many).await;
    assert!(matches!(&refused, Completion::Fail(error) if error.code == "bad-request"), "{refused:?}");
    eventually_ok(local.client("n1").await.as_mut(), &write(1, 1)).await;
    local.stop().await;
}
