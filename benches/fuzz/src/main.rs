//! `batch-fuzz TARGET|all [--inputs N] [--seed S] [--input FILE]`: prints the first input that makes a target panic.

use std::process::ExitCode;

use batch_fuzz::{Target, run, targets};

struct Args {
    targets: Vec<Target>,
    inputs: u64,
    seed: u64,
    input: Option<String>,
}

fn args() -> Option<Args> {
    let mut given = std::env::args().skip(1);
    let name = given.next()?;
    let mut args = Args {
        targets: targets(),
        inputs: 10_000,
        seed: 1,
        input: None,
    };
    args.targets
        .retain(|target| name == "all" || target.name == name);
    while let Some(option) = given.next() {
        let value = given.next()?;
        match option.as_str() {
            "--inputs" => args.inputs = value.parse().ok()?,
            "--seed" => args.seed = value.parse().ok()?,
            "--input" => args.input = Some(value),
            _ => return None,
        }
    }
    (!args.targets.is_empty()).then_some(args)
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        let names: Vec<&str> = targets().iter().map(|target| target.name).collect();
        eprintln!("batch-fuzz TARGET [--inputs N] [--seed S] [--input FILE]");
        eprintln!("the targets are all, {}", names.join(", "));
        return ExitCode::from(2);
    };
    for target in &args.targets {
        if let Some(file) = &args.input {
            let input = std::fs::read(file).expect("the file can be read");
            (target.make)()(&input);
            eprintln!("{}: fine", target.name);
            continue;
        }
        if let Err(found) = run(target, args.inputs, args.seed) {
            let file = std::env::temp_dir().join(format!("batch-fuzz-{}", found.target));
            let _ = std::fs::write(&file, &found.input);
            eprintln!(
                "{}: {}\n{}",
                found.target,
                found.panic,
                found.input.escape_ascii()
            );
            eprintln!(
                "again: batch-fuzz {} --input {}",
                found.target,
                file.display()
            );
            return ExitCode::FAILURE;
        }
        eprintln!("{}: {} inputs, no panic", target.name, args.inputs);
    }
    ExitCode::SUCCESS
}
