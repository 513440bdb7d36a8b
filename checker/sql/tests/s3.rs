//! An object store: the same answers as from the disk, and errors that say what to set. Against `moto_server` on a free
//! port of this machine, started here and stopped whatever happens.
//!
//! `FISSURE_PYTHON` is a Python that has `moto[server]` and `boto3`; `cargo xtask test` makes one.

mod common;

use common::{Moment, write};
use fissure_history::journal::Journal;
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION, Table, seal};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

const BUCKET: &str = "fissure-test";

const SECRET: &str = "hunter2-is-the-secret";

/// How long the server may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(120);

fn python() -> PathBuf {
    std::env::var_os("FISSURE_PYTHON").expect("FISSURE_PYTHON: `cargo xtask test` sets it").into()
}

/// The server; killed when this is dropped.
struct Server {
    child: Child,
    endpoint: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it on a port that the system chooses, and says which one. After `open_calls` calls it looks at credentials.
    fn start(open_calls: u32) -> Self {
        let script = "import os, sys\n\
             from moto.server import ThreadedMotoServer\n\
             server = ThreadedMotoServer('127.0.0.1', port=0, verbose=False)\n\
             server.start()\n\
             print(server.get_host_and_port()[1], flush=True)\n\
             sys.stdin.read()\n\
             os._exit(0)\n";
        let mut child = Command::new(python())
            .args(["-c", script])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", open_calls.to_string())
            // It ends when its input does: also if this process is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the server says its port");
        let server = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < START_MAX, "the server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Puts a folder into the bucket, below a prefix, and gives the keys of a user who may read it.
    fn upload(&self, folder: &Path) -> (String, String) {
        let script = "import boto3, json, os, pathlib, sys\n\
             endpoint, folder, bucket = sys.argv[1:]\n\
             options = dict(endpoint_url=endpoint, region_name='us-east-1', aws_access_key_id='x', aws_secret_access_key='y')\n\
             s3 = boto3.client('s3', **options)\n\
             s3.create_bucket(Bucket=bucket)\n\
             for path in sorted(pathlib.Path(folder).rglob('*')):\n\
             \x20   if path.is_file() and not path.is_symlink():\n\
             \x20       s3.upload_file(str(path), bucket, 'some/store/' + str(path.relative_to(folder)))\n\
             iam = boto3.client('iam', **options)\n\
             iam.create_user(UserName='reader')\n\
             policy = dict(Version='2012-10-17', Statement=[dict(Effect='Allow', Action='s3:*', Resource='*')])\n\
             iam.put_user_policy(UserName='reader', PolicyName='read', PolicyDocument=json.dumps(policy))\n\
             key = iam.create_access_key(UserName='reader')['AccessKey']\n\
             print(key['AccessKeyId'], key['SecretAccessKey'])\n";
        let folder = folder.to_str().unwrap();
        let output = Command::new(python()).args(["-c", script, &self.endpoint, folder, BUCKET]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (id, secret) = text.trim().split_once(' ').unwrap();
        (id.to_owned(), secret.to_owned())
    }
}

/// Runs this test program again, to ask within an environment of its own.
fn ask(target: &str, sql: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "asks_what_it_was_told", "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.env("ASK_TARGET", target).env("ASK_SQL", sql).envs(environment.iter().copied());
    // The metadata service of clouds must not be asked: nobody answers here.
    command.env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9");
    command.output().unwrap()
}

/// The answer, or what is said of the error.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let begin = text.find("<<<").unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    text[begin + 3..text.find(">>>").unwrap()].to_owned()
}

#[test]
#[ignore = "asks for the other test, in a process of its own, because the environment is one for all threads"]
fn asks_what_it_was_told() {
    let (target, sql) = (std::env::var("ASK_TARGET").unwrap(), std::env::var("ASK_SQL").unwrap());
    let answer = || {
        let target = fissure_sql::Target::parse(&target)?;
        let session = fissure_sql::Session::open_all(&[target], &fissure_sql::Limits::default())?;
        let batches = session.query(&sql)?;
        let text = fissure_sql::format(&batches, fissure_sql::Format::Csv)?;
        Ok(format!("{text}{}", session.notes().join("\n")))
    };
    let text = answer().unwrap_or_else(|error: fissure_sql::SqlError| {
        format!("error: {error}\nhelp: {}", error.help().unwrap_or_default())
    });
    println!("<<<{text}>>>");
}

fn add_run(store: &Path, seed: u64) -> RunDir {
    let dir = RunDir::create(store, "cut", seed, UNIX_EPOCH + Duration::from_secs(seed)).unwrap();
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        scenario: "cut".to_owned(),
        seed,
        started_ns: 10,
        ..Manifest::default()
    };
    manifest.write(dir.path()).unwrap();
    let journal = Journal::create(&dir).unwrap();
    for op_id in 0..seed * 10 {
        let moment = Moment { op_id, process: 0, t_ns: 1_000 + 10 * op_id as i64 };
        write(&journal.recorder(), moment, Some(moment.t_ns + 5), None);
    }
    journal.finish().unwrap();
    seal(&dir).unwrap();
    let findings = "{\"findings\": [{\"id\": \"L-0\", \"checker\": \"c\", \"anomaly\": \"a\", \"summary\": \"s\"}]}";
    std::fs::write(dir.file("results.json"), findings).unwrap();
    dir
}

#[test]
fn a_store_in_a_bucket_gives_the_answers_of_the_store_on_the_disk() {
    let store = tempfile::tempdir().unwrap();
    let first = add_run(store.path(), 1);
    let damaged = add_run(store.path(), 2);
    add_run(store.path(), 3);
    let part = damaged.table_dir(Table::Ops).join("part-00000.parquet");
    let bytes = std::fs::read(&part).unwrap();
    std::fs::write(&part, &bytes[..bytes.len() - 9]).unwrap();
    // More calls than the test makes: credentials are not looked at here.
    let server = Server::start(1_000_000);
    server.upload(store.path());
    let environment = [
        ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    let there = format!("s3://{BUCKET}/some/store");
    let here = store.path().to_str().unwrap();
    for sql in [
        "select run, scenario, seed, count(*) as n, sum(value) as s from ops group by run, scenario, seed order by run",
        "select run, id, summary from findings order by run",
        "select run, seed, started_ns from runs order by run",
        "select count(*) as n from ops where seed = 3 and value > 1100",
        "select second, f, outcome, count from latency order by run, second",
    ] {
        let answer = said(&ask(&there, sql, &environment));
        assert_eq!(answer, said(&ask(here, sql, &[])), "{sql}");
        assert!(!answer.contains("error") && answer.lines().count() > 1, "{answer}");
        assert!(answer.contains("-s2 is left out") && answer.contains("bytes"), "{answer}");
    }
    // One run, and one file.
    let name = first.name();
    let one = said(&ask(&format!("{there}/{name}"), "select count(*) as n from ops", &environment));
    assert_eq!(one, "n\n10\n");
    let file = format!("{there}/{name}/history/ops/part-00000.parquet");
    assert_eq!(said(&ask(&file, "select max(op_id) as m from ops", &environment)), "m\n9\n");

    let missing = said(&ask("s3://no-such-bucket/x", "select 1", &environment));
    assert!(missing.contains("no such bucket") && missing.contains("AWS_ENDPOINT_URL"), "{missing}");
    let empty = said(&ask(&format!("s3://{BUCKET}/elsewhere"), "select 1", &environment));
    assert!(empty.contains("there is nothing"), "{empty}");
    let file = said(&ask(&format!("{there}/none.parquet"), "select 1", &environment));
    assert!(file.contains("no such object"), "{file}");
    let plain = said(&ask(&there, "select 1", &[environment[0], environment[2], environment[3]]));
    assert!(plain.contains("AWS_ALLOW_HTTP=true"), "{plain}");
}

#[test]
fn wrong_credentials_are_said_and_never_shown() {
    let store = tempfile::tempdir().unwrap();
    add_run(store.path(), 1);
    // As many calls as the upload makes; from then on credentials are looked at.
    let files = walk(store.path());
    let server = Server::start(u32::try_from(files).unwrap() + 4);
    let (id, secret) = server.upload(store.path());
    let target = format!("s3://{BUCKET}/some/store");
    let with = |id: &str, secret: &str| {
        let environment = [
            ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        said(&ask(&target, "select count(*) as n from ops", &environment))
    };
    assert_eq!(with(&id, &secret), "n\n10\n", "the right ones are accepted");
    for (id, secret) in [(id.as_str(), SECRET), ("AKIAWRONGWRONGWRONG0", SECRET)] {
        let text = with(id, secret);
        assert!(text.contains("refuses these credentials") && text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
        assert!(!text.contains(SECRET) && !text.contains(id), "{text}");
    }
}

/// Files below a folder, as the upload counts them.
fn walk(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => walk(&entry.path()),
            kind => usize::from(kind.is_file()),
        })
        .sum()
}

#[test]
fn a_store_that_is_not_there_is_said_in_bounded_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let closed = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", gone.local_addr().unwrap())
    };
    let common = [("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    // One refuses connections; one takes them and never answers, with a short time-out from the environment.
    for (endpoint, timeout) in [(closed.as_str(), "30s"), (silent.as_str(), "1s")] {
        let environment = [&common[..], &[("AWS_ENDPOINT_URL", endpoint), ("AWS_TIMEOUT", timeout)]].concat();
        let started = Instant::now();
        let text = said(&ask("s3://bucket/store", "select 1", &environment));
        assert!(text.contains("cannot be reached") && text.contains("AWS_ENDPOINT_URL"), "{text}");
        assert!(started.elapsed() < Duration::from_secs(120), "{endpoint}");
    }
    let no_credentials = said(&ask("s3://bucket/store", "select 1", &[("AWS_ALLOW_HTTP", "true")]));
    assert!(no_credentials.contains("AWS_ACCESS_KEY_ID"), "{no_credentials}");
}

/// The server's pipe ends with this process: a server never outlives a test that was killed.
#[test]
fn the_server_ends_with_its_input() {
    let mut server = Server::start(1);
    drop(server.child.stdin.take());
    let status = server.child.wait().unwrap();
    assert!(status.success(), "{status}");
    let mut rest = String::new();
    if let Some(out) = server.child.stdout.as_mut() {
        out.read_to_string(&mut rest).unwrap();
    }
}
