# What scripts/demo and scripts/test share: Python, the virtualenv, packages of the system.  To be sourced by bash (3.2,
# as macOS has it, is enough), with $root set to the project's folder.
# shellcheck shell=bash

started=$SECONDS
cache=$root/.cache
log=$cache/prepare.log
venv=$root/.venv
child= # what runs
optional= # when set, what fails is told, and does not end the script
target= # whom to signal so that it ends: pids, or, after a minus sign, process groups

# pip, Maven and others want a home; some machines have none, and root would make one at whatever path HOME says.
if [ ! -d "${HOME:-}" ]; then
    export HOME=$cache/home
    mkdir -p "$HOME"
fi
mkdir -p "$cache"

say() { printf '%s\n' "$*"; }

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# A shell waits for a program in the foreground before it takes notice of a signal; so nothing long runs there.
stop() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        # shellcheck disable=SC2086 # words
        kill -TERM -- $target 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    exit "$1"
}

# Give up, unless what failed is optional.
failed() {
    [ -n "$optional" ] || die "$@"
    printf '%s\n' "$@" >&2
    return 1
}

stop_on_signals() {
    trap 'stop 130' INT
    trap 'stop 143' TERM
    trap 'stop 129' HUP
}

# step TEXT COMMAND...: run it, with its output in the log; show that time passes.
step() {
    local text=$1 begun=$SECONDS status=0
    shift
    say "$text ..."
    : >"$log"
    # With job control, in a process group of its own: pip and apt start others.
    set -m
    "$@" >>"$log" 2>&1 </dev/null &
    set +m
    child=$! target=-$!
    if [ -t 1 ]; then
        while kill -0 "$child" 2>/dev/null; do
            printf '\r  %d s  %.60s\033[K' $((SECONDS - begun)) "$(tail -n 1 "$log" | tr -d '\r')"
            sleep 0.5
        done
        printf '\r\033[K'
    fi
    wait "$child" || status=$?
    child=
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$log" >&2
        failed "$text: failed.  The whole output is in $log"
    fi
}

# --- packages of the system -------------------------------------------------------------------------------------------

# as_root COMMAND...: as root, or by sudo when it needs no password (`can_be_root` asks for one, on a terminal).
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] && return 0
    command -v sudo >/dev/null || return 1
    sudo -n true 2>/dev/null && return 0
    [ -t 0 ] && [ -t 1 ] && say "Installing $* needs your password for sudo." && sudo -v
}

apt_install() {
    as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
}

# install_packages WHY APT-PACKAGES BREW-PACKAGES: by whichever of the two is here.
install_packages() {
    local why=$1 apt=$2 brew=$3
    if [ "$(uname)" = Darwin ] && command -v brew >/dev/null; then
        # shellcheck disable=SC2086 # words
        step "Installing $brew ($why)" brew install $brew || return 1
    elif command -v apt-get >/dev/null && can_be_root "$apt"; then
        # shellcheck disable=SC2086
        step "Installing $apt ($why)" apt_install $apt || return 1
    else
        failed "$why: please install it first." "  Debian, Ubuntu:  apt-get install $apt" "  macOS:           brew install $brew" || return 1
    fi
    hash -r
}

need_pushpin() {
    command -v pushpin >/dev/null && return
    local why="Pushpin, the proxy that holds the streams"
    # Debian's package starts a service of its own, with a configuration that is not ours, on the ports that we use.
    if [ -d /run/systemd/system ] && command -v apt-get >/dev/null && can_be_root pushpin; then
        as_root systemctl mask --runtime --quiet pushpin.service || true
        install_packages "$why" pushpin pushpin || true
        as_root systemctl unmask --runtime --quiet pushpin.service || true
        as_root systemctl disable --quiet pushpin.service 2>/dev/null || true
    else
        install_packages "$why" pushpin pushpin || return 1
    fi
    command -v pushpin >/dev/null || failed "Pushpin is not on the PATH."
}

# --- Python -----------------------------------------------------------------------------------------------------------

# A name on the PATH may be a version manager's, which does not run, or takes its time; so each is tried.
find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        python=$("$candidate" -c 'import sys; sys.version_info < (3, 11) or print(sys.executable)' 2>/dev/null) || continue
        [ -n "$python" ] && return 0
    done
    return 1
}

need_python() {
    find_python && return
    install_packages "Python 3.11 or newer" "python3 python3-venv" python3
    find_python && return
    install_packages "Python 3.11 or newer" "python3.11 python3.11-venv" python@3.13
    find_python || die "Python 3.11 or newer is needed; name it with PYTHON=..."
}

need_venv() {
    "$venv/bin/python" -c 'import pip' 2>/dev/null && return
    rm -rf "$venv"
    # Debian keeps it in a package apart, called as the Python is.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        local version
        version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        install_packages "Python's venv" "$version-venv" "$version"
    fi
    step "Making a virtualenv in .venv" "$python" -m venv "$venv"
}

# need_requirements NAME FILES...: install them, unless these very files have been installed already.
need_requirements() {
    local name=$1 stamp
    shift
    stamp=$(cd "$root" && cat "$@" | cksum)
    [ "$(cat "$venv/.installed-$name" 2>/dev/null)" = "$stamp" ] && return
    local file arguments=()
    for file in "$@"; do arguments+=(-r "$root/$file"); done
    step "Installing the requirements ($*)" "$venv/bin/python" -m pip install --disable-pip-version-check --no-input \
        --progress-bar off --require-hashes "${arguments[@]}"
    printf '%s\n' "$stamp" >"$venv/.installed-$name"
}
