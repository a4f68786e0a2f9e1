//! Commands behind which a gateway is started: they change something and execute it.

use std::process::Command;

/// None.
pub(crate) const NAKED: &[&str] = &[];

/// A wrapper in which `/etc` is empty, so without `resolv.conf` and `hosts`, but for what a shell
/// script puts there. Where namespaces are forbidden it is no wrapper, and says so.
pub(crate) fn with_own_etc(script: &str) -> Vec<String> {
    let hide = "mount -t tmpfs none /etc";
    let words = ["unshare", "-rm", "sh", "-c"].map(str::to_owned);
    let probe = Command::new(&words[0]).args(&words[1..]).arg(hide).output();
    if probe.is_ok_and(|output| output.status.success()) {
        let script = format!(r#"{hide} && {script} && exec "$0" "$@""#);
        words.into_iter().chain([script]).collect()
    } else {
        println!("no namespaces here: this test sees the machine's own resolv.conf");
        Vec::new()
    }
}
