# shellcheck shell=bash
# What the bench scripts have in common; they source it. Options, a lab, programs in it, results that appear only when
# they are complete, and an end, whatever the end is, that leaves nothing behind.

export PATH="$PATH:/usr/sbin:/sbin"
bench=$(basename "$0")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lab=$here/scripts/lab
target_dir=${CARGO_TARGET_DIR:-$here/target}
bin='' out='' prefix=''
is_usual=yes    # whether the run is the one that the page shows: all of it, as long as usual
is_complete=yes # whether all that was to be measured was measured
work=''         # directory of this run, gone at its end
csv=''          # the results while they come
running=()      # process numbers of what this script has started
has_lab=no
grace=5 # seconds that a program has to end in when asked to

say() {
    echo "$bench: $1" >&2
}

die() {
    say "$1"
    exit 2
}

# --- options -----------------------------------------------------------------------------------------------------

# The end of each script's usage.
common_usage() {
    cat <<'END'
options of all benches:
  --out DIR   results go there, and bench/README.md stays as it is
  --bin DIR   synfin and the benches' programs are there; nothing is built

Without --out the results of a usual run, with none of the other options but --prefix, go to bench/results, and the tables
and charts of bench/README.md are renewed; those of any other run go to target/bench. A run that is stopped, or misses
something that it was to measure, leaves no results.
END
}

# Takes the option $1 with the value $2, which must fit the pattern $3, into the variable of its name.
take() { # take OPTION VALUE PATTERN WHAT
    [[ "$2" =~ $3 ]] || die "$1 takes $4, not '$2'"
    local variable=${1#--}
    declare -g "${variable//-/_}=$2"
    is_usual=no
}

# As the words stand: number "$@".
number() {
    take "$1" "${2:-}" '^[1-9][0-9]{0,5}$' 'a number from 1 on'
}

names() { # names OPTION LIST KNOWN
    local name
    for name in ${2//,/ }; do
        [[ ",$3," == *",$name,"* ]] || die "$1: there is no '$name'; there are ${3//,/, }"
    done
    take "$1" "$2" . 'names'
}

common_option() { # common_option "$@"
    case "$1" in
        --out | --bin | --prefix)
            [ -n "${2:-}" ] || die "$1 takes a name"
            declare -g "${1#--}=$2"
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) die "unknown option $1; see scripts/$bench --help" ;;
    esac
}

wanted() { # wanted NAME: of the list that --only gave, or of everything
    # shellcheck disable=SC2154  # the script's
    [ -z "$only" ] || [[ ",$only," == *",$1,"* ]]
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "network namespaces and AF_XDP need root: sudo $0"
}

need_two_cores() {
    [ "$(nproc)" -ge 2 ] || die "two cores are needed, one for each end"
}

all_found() { # all_found PROGRAM...
    [ "$(command -v "$@" | wc -l)" -eq $# ]
}

has_programs() { # has_programs PROGRAM...: what is missing is installed where it can be; fails if something still is
    all_found "$@" || "$here/scripts/setup" peers || true
    all_found "$@"
}

need_jq() {
    has_programs jq || die "jq is missing: apt-get install jq"
}

# --- beginning and end -------------------------------------------------------------------------------------------

clean_up() {
    # A terminal that has gone away, or an impatient second Ctrl-C, stops nothing of this.
    set +e
    trap '' HUP INT TERM PIPE
    local pid
    for pid in "${running[@]}"; do
        kill "$pid" 2>/dev/null
    done
    for pid in "${running[@]}"; do
        wait "$pid" 2>/dev/null
    done
    [ $has_lab = no ] || "$lab" down --prefix "$prefix" >/dev/null 2>&1
    [ -z "$work" ] || rm -rf "$work"
}

begin() {
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(mktemp -d)
}

build() { # build PACKAGE...
    [ -z "$bin" ] || return 0
    # shellcheck disable=SC1091  # the toolchain's own
    [ ! -f "$HOME/.cargo/env" ] || . "$HOME/.cargo/env"
    in_background 3600 cargo build --release --quiet --manifest-path "$here/Cargo.toml" "${@/#/--package=}"
    finish "$started" || die "the programs do not build"
    bin=$target_dir/release
}

# --- programs ----------------------------------------------------------------------------------------------------

# Starts a command beside this script, for so many seconds at most (0: for ever); its process number goes into `started`. The process
# is `timeout`, which hands on the signal that asks it to end, and the command is its child.
#
# Nothing that lasts runs in the foreground: bash hears of a signal only when a command in the foreground is over.
in_background() { # in_background SECONDS COMMAND...
    timeout -k "$grace" "$@" &
    started=$!
    running+=("$started")
}

# Starts a command in a side of the lab; its output goes to $work/NAME and $work/NAME.err.
start() { # start NAME SECONDS a|b|m COMMAND...
    local name=$1 limit=$2
    shift 2
    in_background "$limit" "$lab" exec --prefix "$prefix" "$@" >"$work/$name" 2>"$work/$name.err"
}

# Waits for its end; returns its exit code.
finish() { # finish PID
    local code=0 pid others=()
    wait "$1" || code=$?
    for pid in "${running[@]}"; do
        [ "$pid" = "$1" ] || others+=("$pid")
    done
    running=("${others[@]}")
    return $code
}

# Asks it to end and waits for that; returns its exit code.
stop() { # stop PID
    kill "$1" 2>/dev/null || true
    finish "$1"
}

# Starts it, and waits for its end.
run_to_end() { # run_to_end NAME SECONDS a|b|m COMMAND...
    start "$@"
    finish "$started"
}

# The last line of what it complained about.
complaint() { # complaint NAME
    tail -qn 1 "$work/$1.err"
}

in_side() { # in_side a|b|m COMMAND...: one that is over at once
    "$lab" exec --prefix "$prefix" "$@"
}

lab_up() { # lab_up [OPTION...]: as of scripts/lab up
    has_lab=yes
    # One that is refused leaves nothing, and the one that is there may be somebody else's.
    "$lab" up --prefix "$prefix" "$@" >&2 || { local code=$?; has_lab=no; exit $code; }
}

# For tens of thousands of connections a second through the kernel's TCP.
widen_kernel_limits() {
    local side
    for side in a b; do
        in_side $side sysctl -q -w 'net.ipv4.ip_local_port_range=1024 65535' net.core.somaxconn=65535 \
            net.ipv4.tcp_max_syn_backlog=65535 >/dev/null
    done
    # As many descriptors as are allowed: each connection takes one.
    ulimit -Sn "$(ulimit -Hn)"
}

# --- results -----------------------------------------------------------------------------------------------------

# Begins a file of results with what the machine is; the name has the commit in it.
results() { # results NAME
    local commit
    commit=$(git -C "$here" describe --always --dirty --abbrev=10 '--exclude=*' 2>/dev/null || echo unknown)
    csv=$work/results/$1-$commit.csv
    mkdir -p "$work/results"
    (cd "$here" && "$bin/report" --machine) >"$csv"
}

# Something that was to be measured could not be: the rest is shown, and nothing is published.
missing() { # missing WHY
    say "$1"
    is_complete=no
}

# Where results go.
place() {
    if [ -n "$out" ]; then
        echo "$out"
    elif [ $is_usual = yes ]; then
        echo "$here/bench/results"
    else
        echo "$target_dir/bench"
    fi
}

# Puts the files of results where they belong, all of them complete.
publish() {
    if [ $is_complete = no ]; then
        say "something is missing from the results, which are not kept"
        exit 1
    fi
    local to file
    to=$(place)
    mkdir -p "$to"
    echo
    for file in "$work"/results/*; do
        [ -e "$file" ] || die "nothing was measured"
        # Within one file system a file is there at once or not at all.
        cp "$file" "$to/.${file##*/}.new"
        mv "$to/.${file##*/}.new" "$to/${file##*/}"
        echo "$to/${file##*/}"
    done
    if [ -z "$out" ] && [ $is_usual = yes ]; then
        "$bin/report"
    fi
}

# The first value of a key of a report in JSON; empty if it is not there.
field() { # field FILE KEY
    grep -oE "\"$2\": ?\"?[^,}\"]*" "$1" | head -n 1 | sed -E 's/^"[^"]*": ?"?//' || true
}

# For awk: the middle one of figures[name, 1..n].
# shellcheck disable=SC2034,SC2016  # the scripts use it
awk_median='
    function median(figures, name, n,    i, j, t, sorted) {
        for (i = 1; i <= n; i++) sorted[i] = figures[name, i] + 0
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (sorted[j] < sorted[i]) {
            t = sorted[i]; sorted[i] = sorted[j]; sorted[j] = t
        }
        return n ? sorted[int((n + 1) / 2)] : 0
    }'
