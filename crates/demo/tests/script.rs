//! The demonstration proves what it shows.

use std::process::Command;

#[test]
fn the_script_finds_that_nothing_turned_404() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args([
            "--script",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{output:?}");
    assert!(said.contains("nothing turned 404"), "{said}");
    // Both can be seen: what is kept stays available, and what is not is 503.
    assert!(said.contains(" 200 old      HIT "), "{said}");
    assert!(said.contains(" 503 "), "{said}");
}
