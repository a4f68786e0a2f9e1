# shellcheck shell=bash
# Debian packages that the build and the tests need. Only those whose command is missing are
# installed, so a machine that has everything needs neither root nor a network.

install_missing_packages() {
    local missing=()
    need_command gcc gcc libc6-dev
    need_command git git
    need_command curl curl ca-certificates
    need_command s3cmd s3cmd
    need_command rclone rclone
    need_command valgrind valgrind
    need_command sslscan sslscan
    need_command slowhttptest slowhttptest
    # An ACME authority, and the DNS that it asks.
    need_command pebble pebble
    need_command pebble-challtestsrv pebble
    # What gateways of a fleet tell each other by, and what stands before them.
    need_command redis-server redis-server
    need_command redis-cli redis-tools
    need_command haproxy haproxy
    # What else stands before a gateway.
    need_command nginx nginx
    need_command caddy caddy
    # What scrapes a gateway and evaluates the rules for it.
    need_command prometheus prometheus
    # What looks at the page, and what it writes with.
    need_command chromium chromium fonts-inter fonts-noto-cjk
    need_command chromedriver chromium-driver
    if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
        missing+=(postgresql)
    fi
    # Whichever python3 comes first, Debian's leaves out the part that makes environments.
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        missing+=(python3 python3-venv)
    fi
    install_packages "${missing[@]}"
}

# What `tests/bench/run` measures against, and with.
install_missing_bench_packages() {
    local missing=()
    need_command gcc gcc libc6-dev
    need_command python3 python3
    need_command nginx nginx
    need_command varnishd varnish
    need_command wrk wrk
    need_command h2load nghttp2-client
    install_packages "${missing[@]}"
}

# What `tests/docker/run` makes images with, and runs several of them with.
install_missing_container_packages() {
    local missing=()
    need_command docker docker.io
    need_command mmdebstrap mmdebstrap
    need_command strip binutils
    need_command openssl openssl
    # What packages are made and judged with.
    need_command dpkg-shlibdeps dpkg-dev
    need_command lintian lintian
    need_command rpm rpm
    if ! docker compose version >/dev/null 2>&1; then
        need_command docker-compose docker-compose
    fi
    install_packages "${missing[@]}"
}

# install_packages PACKAGE...
install_packages() {
    local missing=("$@")
    if [[ ${#missing[@]} -eq 0 ]]; then
        echo "nothing is missing"
        return
    fi

    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        if ! sudo -n true 2>/dev/null; then
            printf 'these Debian packages are missing, and only root may install them: %s\n' \
                "${missing[*]}" >&2
            printf 'run: sudo apt-get install %s\n' "${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo -n)
    fi
    printf 'installing %s\n' "${missing[*]}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    "${as_root[@]}" update
    "${as_root[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# need_command COMMAND PACKAGE...
need_command() {
    if ! command -v "$1" >/dev/null; then
        missing+=("${@:2}")
    fi
}
