# Used by scripts/arm64: a small Debian for arm64 in a folder, and running its programs under qemu. Sourced, not run.
# Wants from who sources it: lib.bash, $store (the folder of it all), $debian (the root folder in it), $suite, ${packages[@]},
# $mirror ("": that of this machine's apt). Sets $qemu, $keyring and $host_python.
# shellcheck shell=bash

CANNOT=77
PATH=$PATH:/usr/sbin:/sbin # chroot, for who is not root
qemu='' keyring='' host_python=''

# cannot WORDS: this machine cannot run it. A dry run says so and goes on.
cannot() {
    printf 'cannot run here: %s\n' "$*" >&2
    [ "$DRY_RUN" = 1 ] || exit $CANNOT
}

# --- what it takes ------------------------------------------------------------------------------------------------

requirements() {
    local command
    case $(uname -m) in
        aarch64 | arm64) cannot "this machine is an arm64 itself. Type: scripts/demo --check" ;;
    esac
    for command in apt-get apt-config dpkg-deb; do
        command -v $command >/dev/null || cannot "no $command; the arm64 Debian is put together with it. Use a Debian or an Ubuntu"
    done
    for command in unshare flock timeout chroot; do
        command -v $command >/dev/null || cannot "no $command. Type: apt-get install util-linux coreutils"
    done
    unshare --user --map-root-user --mount true 2>/dev/null ||
        cannot "no user namespace (in a container: it wants CAP_SYS_ADMIN; on Ubuntu 24.04: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or be root)"
    unshare --user --map-root-user --mount mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null ||
        cannot "this kernel ($(uname -r)) lets no namespace have a binfmt_misc of its own; Linux 6.7 and later do. Try: modprobe binfmt_misc"
    host_python=$(find_python 3.8 3.15) || cannot "no Python from 3.8 to 3.14. Type: apt-get install python3 python3-venv"
    "${host_python:-python3}" -c 'import ensurepip, venv' 2>/dev/null ||
        cannot "Python's module venv comes apart here. Type: apt-get install python3-venv"
}

# fetch_here PACKAGE: unpack a package of this machine's own Debian or Ubuntu under the store, without installing it.
fetch_here() {
    local scratch
    scratch=$(mktemp -d)
    if ! (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download "$1" >&2); then
        rm -rf "$scratch"
        return 1
    fi
    run mkdir -p "$store/host"
    dpkg-deb -x "$scratch"/*.deb "$store/host"
    rm -rf "$scratch"
}

# find_qemu: the path of a qemu that needs no library of this machine (it has to work where there are none).
find_qemu() {
    local candidate
    for candidate in "$(command -v qemu-aarch64-static || true)" "$store/host/usr/bin/qemu-aarch64-static" "$store/host/usr/bin/qemu-aarch64"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

find_keyring() {
    local candidate
    for candidate in /usr/share/keyrings "$store/host/usr/share/keyrings"; do
        if [ -f "$candidate/debian-archive-keyring.gpg" ]; then
            echo "$candidate/debian-archive-keyring.gpg"
            return 0
        fi
    done
    return 1
}

emulator() {
    local how="apt-get update && apt-get install qemu-user-static"
    if [ "$DRY_RUN" = 1 ]; then
        say "would fetch qemu-user-static and debian-archive-keyring with apt-get download where they are missing"
        return
    fi
    # From Debian 13 on qemu-user-static only points at what qemu-user holds.
    find_qemu >/dev/null || fetch_here qemu-user-static || cannot "no qemu-aarch64-static, and apt has none. Type: $how"
    find_qemu >/dev/null || fetch_here qemu-user || cannot "no qemu-aarch64-static, and apt has none. Type: $how"
    qemu=$(find_qemu) || cannot "no qemu-aarch64-static in apt's package. Type: $how"
    find_keyring >/dev/null || fetch_here debian-archive-keyring ||
        cannot "no keys of Debian to check its packages with. Type: apt-get install debian-archive-keyring"
    keyring=$(find_keyring)
    say "$("$qemu" --version | head -n 1)"
}

# --- the root folder ----------------------------------------------------------------------------------------------

# mirror_here: the first Debian mirror among this machine's apt sources.
mirror_here() {
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 == "Debian" && $2 ~ /\/debian\/?$/ && !seen { print $2; seen = 1 }'
}

# foreign_apt FOLDER ARGUMENTS...: apt-get for arm64, with lists, cache and status in a folder of its own.
foreign_apt() {
    local folder=$1
    shift
    APT_CONFIG=$folder/apt.conf apt-get -qq "$@"
}

foreign_apt_folder() {
    local folder=$1
    mkdir -p "$folder"/etc/{apt.conf,preferences,trusted.gpg,sources.list}.d "$folder"/{lists,archives}/partial
    : >"$folder/status"
    printf 'deb [arch=arm64 signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$folder/etc/sources.list"
    # Proxies and certificates as on this machine; passwords of mirrors too.
    {
        apt-config dump | grep -E '^Acquire::https?::' || true
        cat <<TEXT
Dir::Etc "$folder/etc";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::State "$folder";
Dir::State::status "$folder/status";
Dir::Cache "$folder";
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
TEXT
    } >"$folder/apt.conf"
}

# debian_root: apt resolves and fetches, dpkg-deb unpacks. No package's own script is run: Python needs none of them.
debian_root() {
    local stamp apt=$store/apt package
    stamp=$(stamp_of "$suite" "${packages[@]}")
    if [ -f "$debian.stamp" ] && [ "$(cat "$debian.stamp")" = "$stamp" ]; then
        say "$debian is ready"
        return
    fi
    [ -n "$mirror" ] || mirror=$(mirror_here)
    if [ "$DRY_RUN" = 1 ]; then
        say "would unpack Debian $suite for arm64 (${packages[*]} and what they need) from ${mirror:-a Debian mirror} into $debian"
        return
    fi
    [ -n "$mirror" ] || cannot "this machine's apt knows no Debian mirror. Give one: scripts/arm64 --mirror URL (its name ends in /debian)"
    rm -rf "$debian" "$debian.stamp" "$apt"
    foreign_apt_folder "$apt"
    foreign_apt "$apt" update -o APT::Update::Error-Mode=any ||
        cannot "the mirror $mirror gives no Debian $suite (above is why). Give another: scripts/arm64 --mirror URL"
    foreign_apt "$apt" install -y --download-only "${packages[@]}" || cannot "the mirror $mirror did not give all packages; the reason is above"
    mkdir -p "$debian"/{proc,sys,dev,tmp}
    for package in "$apt"/archives/*.deb; do
        dpkg-deb -x "$package" "$debian" || fail "$package cannot be unpacked; the reason is above"
    done
    # What the packages' own scripts would make.
    [ -e "$debian/bin/sh" ] || ln -s dash "$debian/bin/sh"
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$debian/etc/hosts"
    rm -rf "$apt"
    printf '%s\n' "$stamp" >"$debian.stamp"
    say "$debian: $(du -sm "$debian" | cut -f 1) MB"
}

# enter ROOT QEMU COMMAND...: run in namespaces of its own. Whatever is mounted and registered here ends with it.
enter() {
    set -eu
    local root=$1 qemu=$2 device
    shift 2
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    # The header of an arm64 ELF file and which of its bits count; F: the kernel opens qemu now, before the chroot.
    printf '%s' ":arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$qemu:F" \
        >/proc/sys/fs/binfmt_misc/register
    # ONNX Runtime counts the processors in /proc and /sys, and ends the process where it cannot.
    mount --rbind /proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount -o remount,bind,ro,nosuid,nodev,noexec "$root/sys"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    mkdir "$root/dev/shm"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s fd/0 "$root/dev/stdin" && ln -s fd/1 "$root/dev/stdout" && ln -s fd/2 "$root/dev/stderr"
    for device in null zero full random urandom; do
        : >"$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 chroot "$root" "$@"
}

# emulated SECONDS COMMAND...: run a command of the root folder, or end it after so long.
emulated() {
    local limit=$1 result=0
    shift
    # In the foreground: Ctrl-C, or whoever ends this script's processes as a group, reaches what runs inside, too.
    timeout --foreground --kill-after=10 "$limit" unshare --user --map-root-user --mount \
        bash -c "$(declare -f enter); enter \"\$@\"" enter "$debian" "$qemu" "$@" || result=$?
    [ "$result" != 124 ] || say "no end after $limit s" >&2
    return $result
}
