//! The owner of a lab that a test kills: builds a lab, starts processes in it, says what it built, and waits.
//!
//! `fissure-lab-owner own <with|without> <run folder>` owns, `fissure-lab-owner lab-reaper <journal>` watches.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use fissure_lab::{Lab, LabConfig, LabError, ProcessSpec, reaper_main};

fn main() -> Result<(), LabError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["lab-reaper", journal] => reaper_main(Path::new(journal)),
        ["own", reaper, run_dir] => own(reaper == "with", Path::new(run_dir)),
        _ => {
            eprintln!("usage: own <with|without> <run folder> | lab-reaper <journal>");
            std::process::exit(64);
        }
    }
}

fn own(with_reaper: bool, run_dir: &Path) -> Result<(), LabError> {
    let reaper: Vec<OsString> =
        if with_reaper { vec!["/proc/self/exe".into(), "lab-reaper".into()] } else { Vec::new() };
    let lab = Lab::create(LabConfig {
        run_dir: Some(run_dir.to_owned()),
        reaper,
        ..LabConfig::new(["n1", "n2", "clients"])
    })?;
    let mut pids = Vec::new();
    for host in lab.hosts() {
        // A program with a child that has left its session.
        let script = "setsid sleep 1000 & sleep 1000";
        let process = host.spawn(ProcessSpec::new("sleeper", "sh").args(["-c", script]))?;
        while process.pids().len() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        pids.extend(process.pids());
    }
    let words: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let reaper = lab.reaper_pid().unwrap_or(0);
    println!("{} {} {} {}", lab.id(), reaper, lab.cgroup().display(), words.join(","));
    std::thread::sleep(Duration::from_secs(600));
    lab.destroy()
}
