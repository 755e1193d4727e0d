# shellcheck shell=bash
# What up, down and tests/run share: where things are, what is installed, building, and processes known by their pid files.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
run=${PARLEY_RUN_DIRECTORY:-$top/build/local} # of what runs, and its data
PATH=$PATH:/usr/sbin:/sbin

# A step's name and its outcome, one line.
say() {
    printf '  %-14s %s\n' "$1" "$2"
}

fail() {
    printf 'parley: %s\n' "$1" >&2
    exit 1
}

# ---- Installing and building

# The packages listed in these files that are not installed.
missing_packages() {
    comm -23 <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u)
}

install_missing() {
    command -v dpkg-query >/dev/null || fail "this needs Debian 12 or a relative of it: dpkg is not there"
    local missing=() root=() log=$run/packages.log
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} -eq 0 ]; then
        say packages "all there"
        return
    fi
    say packages "installing ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "these packages are missing; install them as root: ${missing[*]}"
        root=(sudo)
    fi
    { "${root[@]}" apt-get update && "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
        fail "apt-get could not install them: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log") (all of it: $log)"
}

# build TREE TARGETS [CMAKE_OPTION...]: TARGETS are words in one string, empty for all. Options are set in a tree that
# is there already, too.
build() {
    local tree=$1 targets=$2 log=$1/build.log
    shift 2
    mkdir -p "$tree"
    if [ ! -f "$tree/build.ninja" ] || [ $# -gt 0 ]; then
        cmake -S "$top" -B "$tree" -G Ninja "$@" >"$log" 2>&1 ||
            fail "cmake failed: $(grep -m 1 -A 3 'CMake Error' "$log" | tr -s ' \n' ' ')(all of it: $log)"
    fi
    # shellcheck disable=SC2086 # the targets are words
    ninja -C "$tree" $targets >"$log" 2>&1 ||
        fail "the build failed: $(grep -m 1 -E 'error: |undefined reference' "$log" || tail -n 1 "$log") (all of it: $log)"
}

# ---- Processes. A pid file alone proves nothing: the process must also run the program that we started.

program_of() {
    case $1 in
    nats) command -v nats-server ;;
    *) printf '%s/build/bin/parley-%s\n' "$top" "${1%-[0-9]*}" ;;
    esac
}

# The pid of the process NAME (nats, gateway-1, ...) where it runs and is ours; else nothing, and false. A program
# that was built anew while it ran is shown by the kernel as deleted.
pid_of() {
    local pid exe
    pid=$(cat "$run/$1.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
    exe=$(readlink "/proc/$pid/exe") || return 1
    [ "${exe% (deleted)}" = "$(readlink -f "$(program_of "$1")")" ] && printf '%s\n' "$pid"
}

# The names of all that have a pid file and begin with one of the words.
names_of() {
    local word file
    for word in "$@"; do
        for file in "$run/$word".pid "$run/$word"-*.pid; do
            [ -f "$file" ] && basename "$file" .pid
        done
    done
    return 0
}

# Waits until none of the named processes runs, at most SECONDS: wait_gone SECONDS NAME...
wait_gone() {
    local deadline=$((SECONDS + $1)) name
    shift
    for name in "$@"; do
        while pid_of "$name" >/dev/null; do
            [ "$SECONDS" -lt "$deadline" ] || return 1
            sleep 0.05
        done
    done
}

# Ends all processes of these services together: SIGTERM, and SIGKILL to what is still there after SECONDS.
#   stop_services SECONDS SERVICE...
stop_services() {
    local seconds=$1 names=() name pid
    shift
    mapfile -t names < <(names_of "$@")
    [ ${#names[@]} -gt 0 ] || return 0
    for name in "${names[@]}"; do
        if pid=$(pid_of "$name"); then
            kill -TERM "$pid" 2>/dev/null || true
            kill -CONT "$pid" 2>/dev/null || true
        fi
    done
    if ! wait_gone "$seconds" "${names[@]}"; then
        for name in "${names[@]}"; do
            if pid=$(pid_of "$name"); then
                say "$name" "did not end within $seconds seconds: killed"
                kill -KILL "$pid" 2>/dev/null || true
            fi
        done
        wait_gone 5 "${names[@]}" || fail "a process can't be killed; see ps"
    fi
    for name in "${names[@]}"; do
        rm -f "$run/$name.pid" "$run/$name.ops"
        say "$name" stopped
    done
}

# Gateways first, so that answers in flight can end; the broker last. What it keeps stays on disk.
stop_all() {
    local drain=${DRAIN_SECONDS:-30}
    [[ $drain =~ ^[0-9]+$ ]] || drain=30
    stop_services $((drain + 5)) gateway
    stop_services $((drain + 5)) router agent tools
    stop_services 5 demo-model
    stop_services 10 nats
}
