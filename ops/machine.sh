# What the scripts of ops/ need from the machine; sourced by them, never run by itself.
# Installs Debian packages only where something is missing, and never starts or stops a service of the machine.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
swift_least="6.2"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
if [ ! -t 2 ] || [ -n "${NO_COLOR:-}" ]; then say() { printf '==> %s\n' "$*" >&2; }; fi
stop() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The Swift toolchain is the one thing that these scripts do not install.
need_swift() {
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -1) || true
    if [ -z "$version" ] || [ "$(printf '%s\n%s\n' "$swift_least" "$version" | sort -V | head -1)" != "$swift_least" ]; then
        stop "Swift $swift_least or later is needed (found: ${version:-none}); install the toolchain for Debian 12 from swift.org and put it on PATH."
    fi
}

# need_packages NAME…: installs what is missing of Debian's packages.
need_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    [ "$(id -u)" -eq 0 ] || stop "These Debian packages are missing: run \`apt-get install ${missing[*]}\` as root."
    say "installing ${missing[*]}"
    # In a shell of its own, so that the policy is taken away again however this ends.
    (
        policy=/usr/sbin/policy-rc.d
        if [ -e "$policy" ]; then mv "$policy" "$policy.medcloud-saved"; fi
        trap 'rm -f "$policy"; if [ -e "$policy.medcloud-saved" ]; then mv "$policy.medcloud-saved" "$policy"; fi' EXIT
        # 101: "action forbidden by policy". No package may start or restart a service.
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q >&2
        if printf '%s\n' "${missing[@]}" | grep -q '^postgresql-[0-9]'; then
            # The package would make and start a cluster of the machine's own.
            apt-get install -q -y --no-install-recommends postgresql-common >&2
            conf=/etc/postgresql-common/createcluster.conf
            cp "$conf" "$conf.medcloud-saved"
            sed -i '/^#\? *create_main_cluster/d' "$conf"
            echo 'create_main_cluster = false' >>"$conf"
            apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 || { mv "$conf.medcloud-saved" "$conf"; exit 1; }
            mv "$conf.medcloud-saved" "$conf"
        else
            apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
        fi
    )
}

# What building and running the platform needs.
need_platform() {
    need_packages postgresql-15 libpq-dev libvirt-dev pkg-config util-linux curl tzdata
    if [ "$(id -u)" -eq 0 ] && ! id medcloud >/dev/null 2>&1; then
        say "making the system user medcloud"
        useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin medcloud
    fi
}

# What virtual machines need (medcloud up --no-compute does without). The minimal parts of libvirt: no service of the
# machine is started, no default network is made. Only root can run guests; others are told nothing here.
need_compute() {
    [ "$(id -u)" -eq 0 ] || return 0
    need_packages libvirt-daemon libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils busybox-static dnsmasq-base \
        iptables nftables e2fsprogs debootstrap
    # The user that libvirt runs guests as, which another of its packages would make.
    if ! id libvirt-qemu >/dev/null 2>&1; then
        say "making the system user libvirt-qemu"
        useradd --system --no-create-home --home-dir /var/lib/libvirt --shell /usr/sbin/nologin libvirt-qemu
    fi
}

# need_venv NAME PIP-ARGUMENT… [--then PIP-ARGUMENT…]: a Python virtual environment .venv/NAME with those packages,
# installed in one or two steps; made anew when the arguments or the files they name change. Prints its path.
need_venv() {
    local venv="$root/.venv/$1" word wanted
    shift
    wanted="$*"
    for word in "$@"; do
        if [ -f "$word" ]; then wanted+=" $(sha256sum <"$word")"; fi
    done
    if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
        python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
            need_packages python3 python3-venv
        say "installing Python packages into ${venv#"$root"/}"
        rm -rf "$venv"
        python3 -m venv "$venv" >&2
        local step=()
        for word in "$@" --then; do
            if [ "$word" != --then ]; then step+=("$word"); continue; fi
            "$venv/bin/pip" install --quiet --disable-pip-version-check "${step[@]}" >&2
            step=()
        done
        printf '%s' "$wanted" >"$venv/installed"
    fi
    printf '%s\n' "$venv"
}

# build_release: the executables in .build/release, unless nothing has changed since.
build_release() {
    local stamp="$root/.build/release/built-by-ops"
    if [ -e "$stamp" ] && [ -z "$(find "$root/Sources" "$root/Package.swift" -newer "$stamp" -print -quit)" ]; then
        return 0
    fi
    say "building the release (the first time takes a while)"
    (cd "$root" && swift build -c release --static-swift-stdlib >&2) || stop "The build failed; see above."
    touch "$stamp"
}
