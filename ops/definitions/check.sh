#!/bin/sh
# Compares the checked-in definitions with what the generator makes of the official package.
# Exits 0 with a note when the package cannot be had (no network), 1 when the two differ.
# With an argument, that wheel or archive is used instead of a download.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ $# -gt 0 ]; then
    exec python3 "$here/generate.py" --check --package "$1"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
requirement=$(sed -n 's/^REQUIREMENT = "\(.*\)"$/\1/p' "$here/r4package.py")
if ! python3 -m pip download --quiet --no-deps --dest "$work" "$requirement" 2>"$work/log"; then
    echo "definitions not compared: $requirement cannot be downloaded here"
    exit 0
fi
python3 "$here/generate.py" --check --package "$(ls "$work"/*.whl)" 2>"$work/log" || {
    cat "$work/log" >&2
    exit 1
}
