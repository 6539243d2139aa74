//! How many processes a second: `cargo run -p batch-process --release --example spawn_rate [N] [AT ONCE]`.
//!
//! Runs `/bin/true` and prints the rate and the executor's own processor time per task, the number to
//! keep small. `benches/` compares it with other tools.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use batch_process::{Process, Spec};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let tasks: usize = arguments.next().map_or(Ok(5_000), |text| text.parse())?;
    let at_once: usize = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let (begun, cpu) = (Instant::now(), own_cpu()?);
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        if running.len() == at_once {
            running.join_next().await;
        }
        let process = Process::spawn(&Spec::new(["/bin/true"]))?;
        running.spawn(process.run(std::future::pending(), std::future::pending()));
    }
    while running.join_next().await.is_some() {}
    let seconds = begun.elapsed().as_secs_f64();
    let (user, system) = own_cpu()?;
    writeln!(
        std::io::stdout(),
        "{:.0} a second; own time a task: {:.0} us user, {:.0} us system",
        tasks as f64 / seconds,
        (user - cpu.0) * 1e6 / tasks as f64,
        (system - cpu.1) * 1e6 / tasks as f64,
    )?;
    Ok(())
}

/// Seconds of user and system time of this process, without its children.
fn own_cpu() -> Result<(f64, f64), Box<dyn Error>> {
    /// Clock ticks a second: 100 on every Linux there is.
    const TICKS: f64 = 100.0;
    let line = std::fs::read_to_string("/proc/self/stat")?;
    let fields = line
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let times: Vec<f64> = fields
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    match times[..] {
        [user, system] => Ok((user / TICKS, system / TICKS)),
        _ => Err("unexpected form of /proc/self/stat".into()),
    }
}
