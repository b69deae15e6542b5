# Sourced by ./holdfast, ./test and ./bench: makes $here/.venv with the dependencies (and those of $extras) once, and again when the
# pins, the interpreter or the place of the checkout change; sets $venv. With swift=yes $here/.venv-swift is made likewise, with the
# OpenStack Swift that the tests run: its dependencies are not those of Holdfast.
venv=$here/.venv

# What an environment was made for: pins, place and interpreter. Arguments: its directory, the files with its pins.
venv_purpose() (
    purpose_of=$1
    shift
    { cat "$@"; printf '%s\n' "$here"; readlink -f "$purpose_of/bin/python"; } | cksum
)

# Arguments: the environment's directory, the file that says what it was made for, the files with its pins.
venv_ready() (
    ready_directory=$1 ready_file=$2
    shift 2
    [ -x "$ready_directory/bin/python" ] && [ "$(cat "$ready_file" 2>/dev/null)" = "$(venv_purpose "$ready_directory" "$@")" ]
)

venv_lock() {
    if ! [ -w "$here" ]; then
        echo "holdfast: cannot make $1: $here is not writable" >&2
        exit 1
    fi
    tries=0
    until mkdir "$here/.venv.lock" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ]; then
            echo "holdfast: another set-up seems to be under way; if not, remove $here/.venv.lock" >&2
            exit 1
        fi
        sleep 1
    done
    trap 'rmdir "$here/.venv.lock" 2>/dev/null' EXIT
    trap 'exit 130' INT TERM
}

venv_unlock() {
    rmdir "$here/.venv.lock"
    trap - EXIT INT TERM
}

# Arguments: the environment's directory, then those of pip.
venv_fill() {
    filled=$1
    shift
    echo "holdfast: setting up $filled (once)" >&2
    # An interpreter that was upgraded leaves an environment without its packages behind.
    "$filled/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$filled" >&2
    "$filled/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" >&2
}

venv_is_ready() { venv_ready "$venv" "$venv/.ready${extras:+-$extras}" "$here/pyproject.toml" "$here/constraints.txt"; }
swift_is_ready() {
    [ "${swift:-}" != yes ] || [ -n "${HOLDFAST_SWIFT_VENV:-}" ] ||
        venv_ready "$venv-swift" "$venv-swift/.ready" "$here/constraints-swift.txt"
}

if ! venv_is_ready || ! swift_is_ready; then
    python=${PYTHON:-python3}
    if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "holdfast: needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv); set PYTHON to name another interpreter" >&2
        exit 1
    fi
    venv_lock "$venv"
    if ! venv_is_ready; then
        venv_fill "$venv" --constraint "$here/constraints.txt" --editable "$here${extras:+[$extras]}"
        venv_purpose "$venv" "$here/pyproject.toml" "$here/constraints.txt" >"$venv/.ready${extras:+-$extras}"
    fi
    if ! swift_is_ready; then
        venv_fill "$venv-swift" --requirement "$here/constraints-swift.txt"
        venv_purpose "$venv-swift" "$here/constraints-swift.txt" >"$venv-swift/.ready"
    fi
    venv_unlock
fi
