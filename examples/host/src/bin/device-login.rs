//! `cargo run -p host --bin device-login -- --help`

use std::process::ExitCode;

use host::device_login::{HELP, Options, run};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1), |name| std::env::var(name).ok()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("device-login: {error}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(&options, |line| println!("{line}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("device-login: {error}");
            ExitCode::FAILURE
        }
    }
}
