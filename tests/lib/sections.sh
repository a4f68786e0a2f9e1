# shellcheck shell=bash
# Sections of a run: a heading, how long each took, and the name of the one that failed.

section_now=""

# section NAME COMMAND...: the command runs in this shell, so that `set -e` holds inside it.
section() {
    section_now=$1
    shift
    local began=$SECONDS
    printf '\n==> %s\n' "$section_now"
    "$@"
    printf '    %s: passed in %s s\n' "$section_now" "$((SECONDS - began))"
    section_now=""
}

# For `trap ... EXIT`: says how the run ended, and keeps its exit status.
sections_end() {
    local status=$?
    if [[ $status -eq 0 ]]; then
        printf '\nEverything passed in %s s.\n' "$SECONDS"
    elif [[ -n $section_now ]]; then
        printf '\nFAILED: %s (exit status %s, after %s s)\n' \
            "$section_now" "$status" "$SECONDS" >&2
    fi
    return "$status"
}
