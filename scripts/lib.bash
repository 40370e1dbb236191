# Shared by scripts/demo and scripts/test: speaking, apt packages, Python environments. Sourced, not run.
# shellcheck shell=bash

DRY_RUN=${DRY_RUN:-0}
APT_UPDATED=0

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# run COMMAND...: run it, or with --dry-run say what would be run.
run() {
    if [ "$DRY_RUN" = 1 ]; then
        printf 'would run:'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

# as_root COMMAND...: run it as root: directly, or with sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then run "$@"; else run sudo "$@"; fi
}

# pick PATTERN: of what comes in, pass on the lines that tell a reader something, indented and cut to a line.
pick() {
    { grep -E --line-buffered "$1" || true; } | sed -u -E 's/^ */  /; s/^(.{110}).*/\1 .../'
}

# installed PACKAGE: is this Debian package there?
installed() {
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q '^install ok installed'
}

# apt_install REASON PACKAGE...: install those Debian packages that are missing, after saying so.
apt_install() {
    local reason=$1 package missing=()
    shift
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        fail "${missing[*]} missing ($reason), and there is no apt-get here to install it. Install it in your system's way and try again."
    if [ "$(id -u)" = 0 ]; then
        say "installing with apt-get: ${missing[*]} ($reason)"
    elif command -v sudo >/dev/null; then
        say "installing with sudo apt-get, because you are not root: ${missing[*]} ($reason)"
    else
        fail "${missing[*]} missing ($reason); you are not root and there is no sudo. As root, type: apt-get update && apt-get install ${missing[*]}"
    fi
    if [ "$APT_UPDATED" = 0 ]; then
        as_root apt-get update -qq || say "apt-get update failed; going on with the package lists that are there"
        APT_UPDATED=1
    fi
    local command=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}")
    if [ "$DRY_RUN" = 1 ]; then
        as_root "${command[@]}"
    elif ! as_root "${command[@]}" 2>&1 | pick '^(Setting up|E:)'; then
        fail "apt-get could not install ${missing[*]}; the reason is above. Mend it and try again."
    fi
}

# python_version PYTHON: prints e.g. "3.11", or fails if it does not run.
python_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# at_least VERSION MINIMUM: is 3.10 >= 3.8?
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# find_python MINIMUM BELOW: path of the first Python with MINIMUM <= version < BELOW; python3 itself comes first.
find_python() {
    local candidate version
    for candidate in python3 python3.11 python3.12 python3.13 python3.10 python3.9 python3.8; do
        command -v "$candidate" >/dev/null || continue
        version=$(python_version "$candidate") || continue
        if at_least "$version" "$1" && ! at_least "$version" "$2"; then
            # The interpreter's own path: what a shim or link means can change with the folder one stands in.
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

# a_python MINIMUM BELOW WHO: like find_python, but installs a missing python3 and, failing that, ends with a sentence.
a_python() {
    if ! command -v python3 >/dev/null; then
        apt_install "$3 is written in Python" python3 python3-venv >&2
        [ "$DRY_RUN" = 0 ] || { echo python3; return 0; }
    fi
    find_python "$1" "$2" ||
        fail "$3 needs Python $1 or later, and before $2; python3 here is $(python_version python3 || echo broken). Install a fitting one beside it, on Debian or Ubuntu for instance: apt-get install python3.11 python3.11-venv"
}

# make_venv PYTHON FOLDER: a fresh private environment, installing Debian's python3-venv where that is missing.
make_venv() {
    local python=$1 folder=$2 package
    if ! command -v "$python" >/dev/null; then
        : # a dry run where Python would have been installed a moment ago, with this module
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package="python$(python_version "$python")-venv"
        [ "$(readlink -f "$(command -v python3 || true)")" != "$(readlink -f "$python")" ] || package=python3-venv
        apt_install "Python's module venv comes apart here" "$package"
    fi
    run "$python" -m venv --clear "$folder" || fail "could not make the environment $folder with $python; the reason is above"
}

# constraints VERSION: the file of pins for a Python version.
constraints() {
    if at_least "$1" 3.10; then
        echo constraints.txt
    elif at_least "$1" 3.8; then
        echo constraints-py38.txt
    else
        echo constraints-py36.txt
    fi
}

# pip_install PYTHON ARGUMENTS...: pip's long report cut down to what it downloads and installs.
pip_install() {
    local python=$1 log
    shift
    if [ "$DRY_RUN" = 1 ]; then
        run "$python" -m pip install "$@"
        return
    fi
    log=$(mktemp)
    if ! PYTHONUNBUFFERED=1 "$python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
        tee "$log" | pick '^ *(Downloading|Building|Installing collected|Successfully|ERROR)'; then
        say "pip's whole report:" >&2
        cat "$log" >&2
        rm -f "$log"
        fail "pip could not install what is needed; the reason is above. Is the machine on the network?"
    fi
    rm -f "$log"
}

# stamp_of WORDS...: one line that changes when the words or the contents of the files named in them change.
stamp_of() {
    local word
    for word in "$@"; do
        if [ -f "$word" ]; then sha256sum <"$word"; else echo "$word"; fi
    done | sha256sum | cut -d ' ' -f 1
}

# is_stamped FOLDER STAMP: was this environment finished with exactly these pins, and does its Python still run?
is_stamped() {
    [ -f "$1/.carcloud-stamp" ] && [ "$(cat "$1/.carcloud-stamp")" = "$2" ] && python_version "$1/bin/python" >/dev/null
}

# stamp FOLDER STAMP: mark the environment finished.
stamp() {
    [ "$DRY_RUN" = 1 ] || printf '%s\n' "$2" >"$1/.carcloud-stamp"
}
