//! Signals during `fissure sql`: Ctrl-C ends the statement, not the shell; whatever ends the program, it leaves no spilled
//! data behind.

use crate::exit::{Exit, Failure};
use fissure_sql::{Interrupt, Session};
use std::path::PathBuf;
use std::time::Duration;

/// How long the program may take to end by itself after it was told to.
const END_WAIT: Duration = Duration::from_secs(3);

/// Watches in a thread of its own. In a shell Ctrl-C never ends the program.
///
/// # Errors
/// When the system gives no thread or no signals.
#[cfg(unix)]
pub(crate) fn watch(session: &Session, is_shell: bool) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, spilled) = (session.interrupt().clone(), session.spill_path());
    let cannot = |error: std::io::Error| Failure::cannot_run(anyhow::anyhow!("cannot watch for signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let watch = move || {
        runtime.block_on(async move {
            let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
            // Without them the signals do what they do by default.
            let [Ok(mut int), Ok(mut term), Ok(mut hup)] = signals else { return };
            loop {
                tokio::select! {
                    _ = int.recv() => on_interrupt(&interrupt, is_shell, spilled.clone()),
                    _ = term.recv() => on_end(&interrupt, spilled.clone()).await,
                    _ = hup.recv() => on_end(&interrupt, spilled.clone()).await,
                }
            }
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(cannot)?;
    Ok(())
}

/// Elsewhere Ctrl-C ends the program, and the next one removes what was spilled.
#[cfg(not(unix))]
pub(crate) fn watch(_session: &Session, _is_shell: bool) -> Result<(), Failure> {
    Ok(())
}

/// The second Ctrl-C ends a script at once.
fn on_interrupt(interrupt: &Interrupt, is_shell: bool, spilled: Option<PathBuf>) {
    if interrupt.is_set() && !is_shell {
        end(spilled);
    }
    interrupt.set();
}

async fn on_end(interrupt: &Interrupt, spilled: Option<PathBuf>) {
    interrupt.set();
    tokio::time::sleep(END_WAIT).await;
    end(spilled);
}

fn end(spilled: Option<PathBuf>) -> ! {
    if let Some(path) = spilled {
        // What cannot be removed is removed by the next session.
        let _ = std::fs::remove_dir_all(path);
    }
    std::process::exit(Exit::Interrupted as i32)
}
