//! A client for what general load generators do not do: a list of objects that is gone through
//! once, herds whose first bytes are timed, readers that stall, and connections that idle.
//!
//! Prints one line of JSON. Refuses to report anything of an answer that is not what was expected:
//! it exits with an error instead.

mod arguments;
mod connection;
mod herd;
mod list;
mod spread;
mod waiting;

use std::process::ExitCode;

use arguments::Arguments;

const USAGE: &str = "\
Usage: bench-client MODE at=ADDRESS length=BYTES [NAME=VALUE]...

  list   path=/a/{n} count=N connections=N [from=N] [range=BYTES step=BYTES] [zipf=EXPONENT of=N]
         asks for objects one after the other, each once, or as often as Zipf's law has it
  herd   path=/a count=N
         asks for one object on so many connections at once
  stall  path=/a count=N
         reads the head of an answer and nothing more, until its standard input ends
  idle   path=/a count=N
         gets an object on each connection and keeps it open, until its standard input ends
";

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("bench-client: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<String> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let arguments = Arguments::parse(words)?;
    // The server should have the other processors.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let said = match mode.as_str() {
        "list" => runtime.block_on(list::run(&arguments)),
        "herd" => runtime.block_on(herd::run(&arguments)),
        "stall" => runtime.block_on(waiting::stall(&arguments)),
        "idle" => runtime.block_on(waiting::idle(&arguments)),
        _ => anyhow::bail!("which mode?\n\n{USAGE}"),
    }?;
    Ok(said.to_string())
}

#[allow(clippy::print_stdout, reason = "what the program is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr, reason = "why a program failed")]
fn complain(line: &str) {
    eprintln!("{line}");
}
