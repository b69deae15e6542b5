# Sourced by ./holdfast, ./test and ./bench: makes $here/.venv with the dependencies (and those of $extras) once, and again when the
# pins, the interpreter or the place of the checkout change; sets $venv.
venv=$here/.venv

# What the environment was made for: pins, place and interpreter.
venv_purpose() {
    { cat "$here/pyproject.toml" "$here/constraints.txt"; printf '%s\n' "$here"; readlink -f "$venv/bin/python"; } | cksum
}

venv_ready() {
    [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.ready${extras:+-$extras}" 2>/dev/null)" = "$(venv_purpose)" ]
}

if ! venv_ready; then
    python=${PYTHON:-python3}
    if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "holdfast: needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv); set PYTHON to name another interpreter" >&2
        exit 1
    fi
    if ! [ -w "$here" ]; then
        echo "holdfast: cannot make $venv: $here is not writable" >&2
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
    if ! venv_ready; then
        echo "holdfast: setting up $venv (once)" >&2
        # An interpreter that was upgraded leaves an environment without its packages behind.
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv" >&2
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            --constraint "$here/constraints.txt" --editable "$here${extras:+[$extras]}" >&2
        venv_purpose >"$venv/.ready${extras:+-$extras}"
    fi
    rmdir "$here/.venv.lock"
    trap - EXIT INT TERM
fi
